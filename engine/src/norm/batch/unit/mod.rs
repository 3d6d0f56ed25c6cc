//! Batch normalisation of a part of a batch on the calling thread: for callers that do several operations
//! on the part while it is in the cache.
//!
//! A forward pass measures every unit, merges the [moments](UnitNorm::merge_moments) of all of them and
//! normalises every unit; a backward pass sums over every unit, adds up the
//! [sums](crate::norm::batch::sum_units) of all of them, and finishes every unit.

mod kernels;
mod partial;

use crate::error::expect_len;
use crate::moments::{Merge, Runs};
use crate::simd::{Isa, LANES, SumRows};
use crate::{Context, Error};
use kernels::{AddSums, InputGradient, Moments, Normalize, Sums};

const OP: &str = "batch normalisation of a unit";

/// How the values of a unit lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitLayout {
    /// `[channels, spatial]`: one image, or several interleaved ones.
    Rows,
    /// `[channels / 16, spatial, 16]`: one image in blocks of 16 channels; the number of channels is a
    /// multiple of 16, what has no meaning is 0.
    Blocks,
}

/// A part of a batch: `channels` channels of `spatial` values each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitNorm {
    /// The order of the values.
    pub layout: UnitLayout,
    /// A multiple of 16 in blocks.
    pub channels: usize,
    /// Values per channel.
    pub spatial: usize,
}

/// What a unit is normalised by, all `[channels]`: y = (x - mean) · scale + bias.
#[derive(Clone, Copy, Debug)]
pub struct UnitConstants<'a> {
    /// Of the whole batch, or the running one.
    pub mean: &'a [f32],
    /// weight / √(variance + eps), see [`scales`].
    pub scale: &'a [f32],
    /// As the layer has it.
    pub bias: &'a [f32],
}

/// What the gradient of a unit is made of, all `[channels]`:
/// dx = scale · (dy - average - (x - mean) · steepness).
#[derive(Clone, Copy, Debug)]
pub struct UnitGradient<'a> {
    /// What x was normalised by.
    pub mean: &'a [f32],
    /// weight / √(variance + eps).
    pub scale: &'a [f32],
    /// The mean of dy over the batch.
    pub average: &'a [f32],
    /// Σ dy · (x - mean) / (variance + eps) / count.
    pub steepness: &'a [f32],
}

/// `scale[c] = weight[c] / √(variance[c] + eps)` for the channels that the weight has.
///
/// # Errors
/// [`Error::Length`] if a slice has fewer channels than the weight.
pub fn scales(eps: f32, variance: &[f32], weight: &[f32], scale: &mut [f32]) -> Result<(), Error> {
    for (what, len) in [("the variance", variance.len()), ("the scale", scale.len())] {
        expect_len(OP, what, weight.len(), len.min(weight.len()))?;
    }
    for (c, weight) in weight.iter().enumerate() {
        scale[c] = weight / (variance[c] + eps).sqrt();
    }
    Ok(())
}

/// The gradients by weight and bias, and the rest of [`UnitGradient`], from the sums of the batch:
/// `sums` = Σ dy, `products` = Σ dy · (x - mean), both of `count` values per channel.
///
/// # Errors
/// [`Error::Length`] if a slice has fewer channels than the weight.
pub fn gradient_constants(
    eps: f32,
    count: usize,
    variance: &[f32],
    weight: &[f32],
    [sums, products]: [&[f32]; 2],
    [dweight, dbias]: [&mut [f32]; 2],
    [scale, average, steepness]: [&mut [f32]; 3],
) -> Result<(), Error> {
    let channels = weight.len();
    let inputs = [variance, sums, products].map(<[f32]>::len);
    let outputs = [&*dweight, dbias, scale, average, steepness].map(|output| output.len());
    for len in inputs.into_iter().chain(outputs) {
        expect_len(OP, "a constant of the gradient", channels, len.min(channels))?;
    }
    let share = 1.0 / count as f32;
    for c in 0..channels {
        let std = (variance[c] + eps).sqrt();
        let inv_std = 1.0 / std;
        dbias[c] = sums[c];
        dweight[c] = products[c] * inv_std;
        scale[c] = weight[c] / std;
        average[c] = sums[c] * share;
        steepness[c] = dweight[c] * inv_std * share;
    }
    Ok(())
}

/// `out = Σ values[u · stride ..][.. out.len()]` over `units` units, in order.
///
/// # Errors
/// [`Error::Length`] if the values end before the last unit does, [`Error::Invalid`] if units overlap.
pub fn sum_units(
    cx: &Context,
    units: usize,
    values: &[f32],
    stride: usize,
    out: &mut [f32],
) -> Result<(), Error> {
    /// Columns of a task.
    const COLUMNS: usize = 1 << 11;
    check_units("the sums", units, values, stride, out.len())?;
    let tasks = out.len().div_ceil(COLUMNS);
    let work = units.saturating_mul(out.len());
    cx.threads().for_each_chunk(tasks, work, [(out, COLUMNS)], |task, [out]| {
        let matrices = [&values[(task * COLUMNS).min(values.len())..]];
        cx.isa().run(SumRows { rows: units, stride, matrices, outputs: [out] });
    });
    Ok(())
}

fn check_units(
    what: &'static str,
    units: usize,
    values: &[f32],
    stride: usize,
    len: usize,
) -> Result<(), Error> {
    if units > 1 && stride < len {
        let found = format!("{stride} for {len} values");
        return Err(Error::Invalid {
            op: OP,
            what: "the stride",
            expected: "at least a unit's",
            found,
        });
    }
    let before_last = units.saturating_sub(1).checked_mul(stride);
    let end = before_last.and_then(|start| start.checked_add(len));
    let end = end.ok_or(Error::Overflow { op: OP, what })?;
    expect_len(OP, what, end, values.len().min(end))
}

impl UnitNorm {
    /// The floats of a unit.
    fn len(&self) -> Result<usize, Error> {
        if self.layout == UnitLayout::Blocks && !self.channels.is_multiple_of(LANES) {
            return Err(Error::Invalid {
                op: OP,
                what: "the number of channels",
                expected: "a multiple of 16",
                found: self.channels.to_string(),
            });
        }
        self.channels.checked_mul(self.spatial).ok_or(Error::Overflow { op: OP, what: "x" })
    }

    fn check(&self, values: &[usize], constants: &[usize]) -> Result<(), Error> {
        let len = self.len()?;
        values.iter().try_for_each(|&found| expect_len(OP, "x, y or a gradient", len, found))?;
        constants.iter().try_for_each(|&n| expect_len(OP, "a constant", self.channels, n))
    }

    /// Mean of each channel of x and the sum of the squares of its distances from it.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::Overflow`]; [`Error::Invalid`] for blocks that are not full.
    pub fn moments(
        &self,
        isa: Isa,
        x: &[f32],
        means: &mut [f32],
        squares: &mut [f32],
    ) -> Result<(), Error> {
        self.check(&[x.len()], &[means.len(), squares.len()])?;
        isa.run(Moments { unit: self, x, means, squares });
        Ok(())
    }

    /// Adds Σ x of each channel to `sums`.
    ///
    /// # Errors
    /// As [`UnitNorm::moments`].
    pub fn add_sums(&self, isa: Isa, x: &[f32], sums: &mut [f32]) -> Result<(), Error> {
        self.check(&[x.len()], &[sums.len()])?;
        isa.run(AddSums { unit: self, x, sums });
        Ok(())
    }

    /// Mean and biased variance of a batch, both `[channels]`, from the moments of its units, which lie
    /// `stride` floats apart. All units are as large as this one, but the last may have only `last` values
    /// per channel.
    ///
    /// # Errors
    /// [`Error::Length`] if the moments end before the last unit's do or an output is too short,
    /// [`Error::Invalid`] if those of two units overlap.
    pub fn merge_moments(
        &self,
        isa: Isa,
        [units, last]: [usize; 2],
        [means, squares]: [&[f32]; 2],
        stride: usize,
        [mean, variance]: [&mut [f32]; 2],
    ) -> Result<(), Error> {
        self.check(&[], &[mean.len(), variance.len()])?;
        check_units("the means", units, means, stride, self.channels)?;
        check_units("the squares", units, squares, stride, self.channels)?;
        if self.channels == 0 {
            return Ok(());
        }
        // Those that are merged as runs of one length.
        let whole = if last == self.spatial { units } else { units.saturating_sub(1) };
        if whole > 0 {
            crate::buffer::with_scratch(2 * self.channels, |scratch| {
                let (distance, within) = scratch.split_at_mut(self.channels);
                let runs = Runs { run_len: self.spatial, runs: whole, stride, means, squares };
                let outputs = [&mut *mean, &mut *variance, distance, within];
                isa.run(Merge { runs, outputs });
            });
        } else {
            mean.fill(0.0);
            variance.fill(0.0);
        }
        let (before, last) = (whole as f64 * self.spatial as f64, last as f64);
        let count = if whole == units { before } else { before + last } as f32;
        if whole < units {
            let (share, weight) =
                ((last / f64::from(count)) as f32, (before * last / f64::from(count)) as f32);
            let (means, squares) = (&means[whole * stride..], &squares[whole * stride..]);
            for c in 0..self.channels {
                let distance = means[c] - mean[c];
                mean[c] += distance * share;
                variance[c] += squares[c] + distance * distance * weight;
            }
        }
        variance.iter_mut().for_each(|squares| *squares /= count);
        Ok(())
    }

    /// y = (x - mean) · scale + bias.
    ///
    /// # Errors
    /// As [`UnitNorm::moments`].
    pub fn normalize(
        &self,
        isa: Isa,
        x: &[f32],
        constants: UnitConstants<'_>,
        y: &mut [f32],
    ) -> Result<(), Error> {
        let UnitConstants { mean, scale, bias } = constants;
        self.check(&[x.len(), y.len()], &[mean.len(), scale.len(), bias.len()])?;
        isa.run(Normalize { unit: self, x, constants, y });
        Ok(())
    }

    /// Σ dy and Σ dy · (x - mean) of each channel.
    ///
    /// # Errors
    /// As [`UnitNorm::moments`].
    pub fn backward_sums(
        &self,
        isa: Isa,
        x: &[f32],
        dy: &[f32],
        mean: &[f32],
        [sums, products]: [&mut [f32]; 2],
    ) -> Result<(), Error> {
        self.check(&[x.len(), dy.len()], &[mean.len(), sums.len(), products.len()])?;
        isa.run(Sums { unit: self, x, dy, mean, sums, products });
        Ok(())
    }

    /// Replaces dy by dx, the gradient by x, or by the input of the LeakyReLU of this slope whose output
    /// x is; and writes Σ dx of each channel.
    ///
    /// # Errors
    /// As [`UnitNorm::moments`].
    pub fn backward_input(
        &self,
        isa: Isa,
        x: &[f32],
        gradient: UnitGradient<'_>,
        negative_slope: f32,
        dy: &mut [f32],
        sums: &mut [f32],
    ) -> Result<(), Error> {
        let UnitGradient { mean, scale, average, steepness } = gradient;
        let constants = [mean, scale, average, steepness].map(<[f32]>::len);
        self.check(&[x.len(), dy.len()], &constants)?;
        self.check(&[], &[sums.len()])?;
        isa.run(InputGradient { unit: self, x, gradient, negative_slope, dy, sums });
        Ok(())
    }
}
