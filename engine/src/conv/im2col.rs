//! The patch matrix as a real matrix, and its adjoint: the method in plain words.
//!
//! The kernels never call these; they read patches where the image lies.

use super::geometry::{Conv2d, Conv2dOptions, OP};
use crate::Error;
use crate::error::expect_len;

/// The patch matrix of one image: `patches[(c·Kh + kh)·Kw + kw, ho·Wo + wo]` is
/// `x[c, ho·Sh + kh·Dh − Ph, wo·Sw + kw·Dw − Pw]`, 0 outside the image.
///
/// x `[C, H, W]`, patches `[C · Kh · Kw, Ho · Wo]`. The convolution of the image is the matrix product
/// of the weight `[O, C · Kh · Kw]` with it (for one group).
///
/// # Errors
/// [`Error::Length`] if a slice does not have its shape's length.
pub fn im2col(geometry: &Conv2d, x: &[f32], patches: &mut [f32]) -> Result<(), Error> {
    expect_len(OP, "x", geometry.input_len(), x.len())?;
    expect_len(OP, "the patches", patches_len(geometry)?, patches.len())?;
    for_each_element(geometry, |patch, pixel| patches[patch] = pixel.map_or(0.0, |i| x[i]));
    Ok(())
}

/// The adjoint of [`im2col`]: adds every element of the patch matrix to the pixel that it was copied
/// from. With patches `weightᵀ · dy` this is the convolution's gradient by its input.
///
/// patches `[C · Kh · Kw, Ho · Wo]`, dx `[C, H, W]`, which is overwritten.
///
/// # Errors
/// [`Error::Length`] if a slice does not have its shape's length.
pub fn col2im(geometry: &Conv2d, patches: &[f32], dx: &mut [f32]) -> Result<(), Error> {
    expect_len(OP, "the patches", patches_len(geometry)?, patches.len())?;
    expect_len(OP, "dx", geometry.input_len(), dx.len())?;
    dx.fill(0.0);
    for_each_element(geometry, |patch, pixel| {
        if let Some(pixel) = pixel {
            dx[pixel] += patches[patch];
        }
    });
    Ok(())
}

fn patches_len(geometry: &Conv2d) -> Result<usize, Error> {
    let [ho, wo] = geometry.output_size();
    let rows = geometry.options().in_channels * geometry.kernel_len();
    let overflow = Error::Overflow { op: OP, what: "the patch matrix" };
    rows.checked_mul(ho).and_then(|n| n.checked_mul(wo)).ok_or(overflow)
}

/// Calls `f(patch, pixel)` for each element of the patch matrix in order, with the index of the pixel
/// that it shows, if it is not padding.
fn for_each_element(geometry: &Conv2d, mut f: impl FnMut(usize, Option<usize>)) {
    let Conv2dOptions { in_channels, kernel_size, stride, padding, dilation, .. } =
        *geometry.options();
    let [height, width] = geometry.input_size();
    let [out_height, out_width] = geometry.output_size();
    // Wraps below zero to a number that is larger than any image.
    let input = |axis: usize, output: usize, kernel: usize| {
        (output * stride[axis] + kernel * dilation[axis]).wrapping_sub(padding[axis])
    };
    let mut patch = 0;
    for channel in 0..in_channels {
        for kh in 0..kernel_size[0] {
            for kw in 0..kernel_size[1] {
                for ho in 0..out_height {
                    for wo in 0..out_width {
                        let (h, w) = (input(0, ho, kh), input(1, wo, kw));
                        let seen = h < height && w < width;
                        f(patch, seen.then(|| (channel * height + h) * width + w));
                        patch += 1;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_of_a_small_image() {
        let options =
            Conv2dOptions { stride: [1, 2], padding: [0, 1], ..Conv2dOptions::new(1, 1, [2, 2]) };
        let geometry = Conv2d::new(options, [2, 3]).unwrap();
        assert_eq!(geometry.output_size(), [1, 2]);
        let mut patches = [f32::NAN; 8];
        im2col(&geometry, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &mut patches).unwrap();
        assert_eq!(patches, [0.0, 2.0, 1.0, 3.0, 0.0, 5.0, 4.0, 6.0]);
    }

    #[test]
    fn col2im_adds_up_what_im2col_copied() {
        let options =
            Conv2dOptions { dilation: [2, 1], padding: [1, 1], ..Conv2dOptions::new(2, 1, [2, 3]) };
        let geometry = Conv2d::new(options, [4, 5]).unwrap();
        let len = patches_len(&geometry).unwrap();
        // ⟨im2col(x), p⟩ = ⟨x, col2im(p)⟩ for whole numbers, exactly.
        let x: Vec<f32> = (0..40).map(|i| (i * 7 % 11) as f32 - 5.0).collect();
        let p: Vec<f32> = (0..len).map(|i| (i * 5 % 13) as f32 - 6.0).collect();
        let (mut patches, mut dx) = (vec![f32::NAN; len], vec![f32::NAN; 40]);
        im2col(&geometry, &x, &mut patches).unwrap();
        col2im(&geometry, &p, &mut dx).unwrap();
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        assert_ne!(dot(&patches, &p), 0.0);
        assert_eq!(dot(&patches, &p), dot(&x, &dx));
    }
}
