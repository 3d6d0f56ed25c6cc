//! Batch normalisation of a part of a batch on the calling thread: for callers that do several operations
//! on the part while it is in the cache.
//!
//! A forward pass measures every unit, merges the [moments](UnitNorm::merge_moments) of all of them and
//! normalises every unit; a backward pass sums over every unit, adds up the
//! [sums](crate::norm::batch::sum_units) of all of them, and finishes every unit.

use crate::error::expect_len;
use crate::moments::{Merge, Runs, lane_moments, moments};
use crate::simd::{Isa, Kernel, LANES, Simd, SumRows, fold, load, map, store, update_fold};
use crate::{Context, Error};

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

    pub(super) fn check(&self, values: &[usize], constants: &[usize]) -> Result<(), Error> {
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

    /// The number of runs of values that have the same constants, and their length.
    #[inline(always)]
    fn runs(&self) -> (usize, usize) {
        match self.layout {
            UnitLayout::Rows => (self.channels, self.spatial),
            UnitLayout::Blocks => (self.channels / LANES, self.spatial * LANES),
        }
    }

    /// The constants of run `run`: those of one channel, or of 16.
    #[inline(always)]
    fn constant<S: Simd>(&self, simd: S, values: &[f32], run: usize) -> S::Vector {
        match self.layout {
            UnitLayout::Rows => simd.splat(values[run]),
            UnitLayout::Blocks => load(simd, &values[run * LANES..]),
        }
    }

    /// Writes the sums of a run's lanes: their sum, or those of 16 channels.
    #[inline(always)]
    fn put<S: Simd>(&self, simd: S, sums: S::Vector, run: usize, out: &mut [f32]) {
        match self.layout {
            UnitLayout::Rows => out[run] = simd.sum(sums),
            UnitLayout::Blocks => store(simd, sums, &mut out[run * LANES..]),
        }
    }
}

struct Moments<'a> {
    unit: &'a UnitNorm,
    x: &'a [f32],
    means: &'a mut [f32],
    squares: &'a mut [f32],
}

impl Kernel for Moments<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Moments { unit, x, means, squares } = self;
        let (runs, len) = unit.runs();
        for run in 0..runs {
            let x = &x[run * len..][..len];
            match unit.layout {
                UnitLayout::Rows => (means[run], squares[run]) = moments(simd, x),
                UnitLayout::Blocks => {
                    let range = run * LANES..(run + 1) * LANES;
                    lane_moments(simd, x, &mut means[range.clone()], &mut squares[range]);
                }
            }
        }
    }
}

struct AddSums<'a> {
    unit: &'a UnitNorm,
    x: &'a [f32],
    sums: &'a mut [f32],
}

impl Kernel for AddSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let AddSums { unit, x, sums } = self;
        let (runs, len) = unit.runs();
        for run in 0..runs {
            let [sum] = fold(
                simd,
                [&x[run * len..][..len]],
                #[inline(always)]
                |[sum], [x]| [simd.add(sum, x)],
            );
            match unit.layout {
                UnitLayout::Rows => sums[run] += simd.sum(sum),
                UnitLayout::Blocks => {
                    let sums = &mut sums[run * LANES..];
                    store(simd, simd.add(load(simd, sums), sum), sums);
                }
            }
        }
    }
}

struct Normalize<'a> {
    unit: &'a UnitNorm,
    x: &'a [f32],
    constants: UnitConstants<'a>,
    y: &'a mut [f32],
}

impl Kernel for Normalize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Normalize { unit, x, constants: UnitConstants { mean, scale, bias }, y } = self;
        let (runs, len) = unit.runs();
        for run in 0..runs {
            let [mean, scale, bias] =
                [mean, scale, bias].map(|values| unit.constant(simd, values, run));
            map(
                simd,
                [&x[run * len..][..len]],
                &mut y[run * len..][..len],
                #[inline(always)]
                |[x]| simd.mul_add(simd.sub(x, mean), scale, bias),
            );
        }
    }
}

struct Sums<'a> {
    unit: &'a UnitNorm,
    x: &'a [f32],
    dy: &'a [f32],
    mean: &'a [f32],
    sums: &'a mut [f32],
    products: &'a mut [f32],
}

impl Kernel for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Sums { unit, x, dy, mean, sums, products } = self;
        let (runs, len) = unit.runs();
        for run in 0..runs {
            let mean = unit.constant(simd, mean, run);
            let [sum, product] = fold(
                simd,
                [x, dy].map(|values| &values[run * len..][..len]),
                #[inline(always)]
                |[sum, product], [x, dy]| {
                    [simd.add(sum, dy), simd.mul_add(dy, simd.sub(x, mean), product)]
                },
            );
            unit.put(simd, sum, run, sums);
            unit.put(simd, product, run, products);
        }
    }
}

struct InputGradient<'a> {
    unit: &'a UnitNorm,
    x: &'a [f32],
    gradient: UnitGradient<'a>,
    negative_slope: f32,
    dy: &'a mut [f32],
    sums: &'a mut [f32],
}

impl Kernel for InputGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let InputGradient { unit, x, gradient, negative_slope, dy, sums } = self;
        let UnitGradient { mean, scale, average, steepness } = gradient;
        let slope = simd.splat(negative_slope);
        let (runs, len) = unit.runs();
        for run in 0..runs {
            let [mean, scale, average, steepness] =
                [mean, scale, average, steepness].map(|values| unit.constant(simd, values, run));
            let sloped = simd.mul(scale, slope);
            let [sum] = update_fold(
                simd,
                [&x[run * len..][..len]],
                [&mut dy[run * len..][..len]],
                #[inline(always)]
                |[sum], [x], [dy]| {
                    let scale = simd.select(simd.gt(x, simd.zero()), scale, sloped);
                    let distance = simd.mul(simd.sub(x, mean), steepness);
                    let dx = simd.mul(scale, simd.sub(simd.sub(dy, average), distance));
                    ([simd.add(sum, dx)], [dx])
                },
            );
            unit.put(simd, sum, run, sums);
        }
    }
}
