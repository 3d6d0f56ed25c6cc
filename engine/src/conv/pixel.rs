//! Transposed convolutions of images of one pixel: products with the weight as it lies.
//!
//! As the mirror's gradient, every position of the output would look at Kh · Kw pixels, of which all but one are
//! padding.

use crate::gemm::{GemmOptions, Matrix, MatrixMut, gemm};
use crate::{Context, Error};

/// Sizes of x `[N, C]`, weight `[C, O · Kh · Kw]` and y `[N, O · Kh · Kw]`.
#[derive(Clone, Copy)]
pub(super) struct Pixel {
    pub(super) batch: usize,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
}

impl Pixel {
    /// y = x · weight + bias, one for each of equally many elements of an image of y, or none.
    pub(super) fn forward(
        self,
        cx: &Context,
        x: &[f32],
        weight: &[f32],
        bias: Option<&[f32]>,
        y: &mut [f32],
    ) -> Result<(), Error> {
        let Pixel { batch, inputs, outputs } = self;
        if let Some(bias) = bias {
            let planes = y.chunks_exact_mut(outputs / bias.len());
            planes.zip(bias.iter().cycle()).for_each(|(plane, &bias)| plane.fill(bias));
        }
        let x = Matrix::row_major(x, [batch, inputs])?;
        let weight = Matrix::row_major(weight, [inputs, outputs])?;
        let y = MatrixMut::row_major(y, [batch, outputs])?;
        let beta = if bias.is_some() { 1.0 } else { 0.0 };
        gemm(cx, x, weight, y, GemmOptions { beta, ..GemmOptions::default() })
    }

    /// dx = dy · weightᵀ.
    pub(super) fn backward_input(
        self,
        cx: &Context,
        weight: &[f32],
        dy: &[f32],
        dx: &mut [f32],
    ) -> Result<(), Error> {
        let Pixel { batch, inputs, outputs } = self;
        let dy = Matrix::row_major(dy, [batch, outputs])?;
        let weight = Matrix::row_major(weight, [inputs, outputs])?.transposed();
        let dx = MatrixMut::row_major(dx, [batch, inputs])?;
        gemm(cx, dy, weight, dx, GemmOptions::default())
    }

    /// dweight = xᵀ · dy.
    pub(super) fn backward_weight(
        self,
        cx: &Context,
        x: &[f32],
        dy: &[f32],
        dweight: &mut [f32],
    ) -> Result<(), Error> {
        let Pixel { batch, inputs, outputs } = self;
        let x = Matrix::row_major(x, [batch, inputs])?.transposed();
        let dy = Matrix::row_major(dy, [batch, outputs])?;
        let dweight = MatrixMut::row_major(dweight, [inputs, outputs])?;
        gemm(cx, x, dy, dweight, GemmOptions::default())
    }
}
