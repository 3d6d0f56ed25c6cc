//! Batch normalisation unit by unit on every tier, in both layouts, against the f64 oracle.

use loupe_engine::norm::batch::{
    UnitConstants, UnitGradient, UnitLayout, UnitNorm, gradient_constants, scales, sum_units,
};
use loupe_engine::reference::activation::leaky_relu_backward;
use loupe_engine::reference::batch_norm as oracle;
use loupe_engine::reference::compare::{Tolerance, assert_bits, assert_close, widen};
use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Error, Isa, Threads};

const EPS: f32 = 1e-5;
const SLOPE: f32 = 0.02;

/// Units `[units, channels, spatial]` and how they lie.
struct Problem {
    units: usize,
    channels: usize,
    spatial: usize,
    layout: UnitLayout,
}

impl Problem {
    fn norm(&self) -> UnitNorm {
        let channels = match self.layout {
            UnitLayout::Rows => self.channels,
            UnitLayout::Blocks => self.channels.next_multiple_of(16),
        };
        UnitNorm { layout: self.layout, channels, spatial: self.spatial }
    }

    /// Where the value of a channel and a position lies in a unit.
    fn at(&self, channel: usize, position: usize) -> usize {
        match self.layout {
            UnitLayout::Rows => channel * self.spatial + position,
            UnitLayout::Blocks => (channel / 16 * self.spatial + position) * 16 + channel % 16,
        }
    }

    /// `[units, channels, spatial]` to the layout; missing channels are 0.
    fn lay(&self, values: &[f32]) -> Vec<f32> {
        let unit = self.norm().channels * self.spatial;
        let mut out = vec![0.0; self.units * unit];
        for (i, &value) in values.iter().enumerate() {
            let (run, position) = (i / self.spatial, i % self.spatial);
            out[run / self.channels * unit + self.at(run % self.channels, position)] = value;
        }
        out
    }

    /// Undoes `lay`.
    fn read(&self, values: &[f32]) -> Vec<f32> {
        let unit = self.norm().channels * self.spatial;
        let len = self.units * self.channels * self.spatial;
        let value = |i: usize| {
            let (run, position) = (i / self.spatial, i % self.spatial);
            values[run / self.channels * unit + self.at(run % self.channels, position)]
        };
        (0..len).map(value).collect()
    }

    fn check(&self, isa: Isa) {
        let Problem { units, channels, spatial, .. } = *self;
        let (norm, what) = (self.norm(), format!("{isa:?} {:?} {channels}", self.layout));
        let cx = Context::new(isa, Threads::serial());
        let mut random = Random::new(5);
        let len = units * channels * spatial;
        let (plain_x, plain_dy) =
            (random.uniform_f32(len, -1.0, 2.0), random.uniform_f32(len, -1.0, 1.0));
        let (weight, bias) =
            (random.uniform_f32(channels, -2.0, 2.0), random.uniform_f32(channels, -1.0, 1.0));
        let (x, mut dy) = (self.lay(&plain_x), self.lay(&plain_dy));
        let (unit, all) = (norm.channels * spatial, norm.channels);

        // Forward.
        let (mut means, mut squares) = (vec![f32::NAN; units * all], vec![f32::NAN; units * all]);
        for (u, x) in x.chunks(unit).enumerate() {
            let range = u * all..(u + 1) * all;
            norm.moments(isa, x, &mut means[range.clone()], &mut squares[range]).unwrap();
        }
        let (mut mean, mut variance) = (vec![f32::NAN; all], vec![f32::NAN; all]);
        let outputs = [&mut mean[..], &mut variance[..]];
        norm.merge_moments(isa, [units, norm.spatial], [&means, &squares], all, outputs).unwrap();
        let mut padded_bias = vec![0.0; all];
        padded_bias[..channels].copy_from_slice(&bias);
        let mut scale = vec![0.0; all];
        scales(EPS, &variance, &weight, &mut scale).unwrap();
        let mut y = vec![f32::NAN; x.len()];
        for (x, y) in x.chunks(unit).zip(y.chunks_mut(unit)) {
            let constants = UnitConstants { mean: &mean, scale: &scale, bias: &padded_bias };
            norm.normalize(isa, x, constants, y).unwrap();
        }

        // Backward.
        let (mut sums, mut products) = (vec![f32::NAN; units * all], vec![f32::NAN; units * all]);
        for (u, (x, dy)) in x.chunks(unit).zip(dy.chunks(unit)).enumerate() {
            let range = u * all..(u + 1) * all;
            let outputs = [&mut sums[range.clone()], &mut products[range]];
            norm.backward_sums(isa, x, dy, &mean, outputs).unwrap();
        }
        let (mut sum, mut product) = (vec![f32::NAN; all], vec![f32::NAN; all]);
        sum_units(&cx, units, &sums, all, &mut sum).unwrap();
        sum_units(&cx, units, &products, all, &mut product).unwrap();
        let (mut dweight, mut dbias) = (vec![f32::NAN; channels], vec![f32::NAN; channels]);
        let (mut average, mut steepness) = (vec![0.0; all], vec![0.0; all]);
        gradient_constants(
            EPS,
            units * spatial,
            &variance,
            &weight,
            [&sum, &product],
            [&mut dweight, &mut dbias],
            [&mut scale, &mut average, &mut steepness],
        )
        .unwrap();
        let gradient =
            UnitGradient { mean: &mean, scale: &scale, average: &average, steepness: &steepness };
        for (u, (x, dy)) in x.chunks(unit).zip(dy.chunks_mut(unit)).enumerate() {
            let sums = &mut sums[u * all..(u + 1) * all];
            norm.backward_input(isa, x, gradient, SLOPE, dy, sums).unwrap();
        }
        let mut dx_sums = vec![0.0; all];
        dy.chunks(unit).for_each(|dx| norm.add_sums(isa, dx, &mut dx_sums).unwrap());

        let (wide_weight, wide_bias) = (widen(&weight), widen(&bias));
        let oracle_norm = oracle::BatchNorm {
            batch: units,
            channels,
            spatial,
            weight: &wide_weight,
            bias: &wide_bias,
            eps: f64::from(EPS),
        };
        let (wide_x, wide_dy) = (widen(&plain_x), widen(&plain_dy));
        let (expected_y, statistics) = oracle::batch_norm(&oracle_norm, &wide_x);
        let gradients = oracle::batch_norm_backward(&oracle_norm, &wide_x, &wide_dy);
        let expected_dx = leaky_relu_backward(f64::from(SLOPE), &wide_x, &gradients.input);
        let count = (units * spatial) as f64;
        let close = |name: &str, actual: &[f32], expected: &[f64], size: f64| {
            let tolerance = Tolerance::abs_rel(2e-6 * size, 1e-5);
            assert_close(&format!("{name} on {what}"), actual, expected, &tolerance);
        };
        close("mean", &mean[..channels], &statistics.mean, 1.0);
        close("variance", &variance[..channels], &statistics.variance, 1.0);
        close("y", &self.read(&y), &expected_y, 4.0);
        close("dweight", &dweight, &gradients.weight, count.sqrt() * 4.0);
        close("dbias", &dbias, &gradients.bias, count.sqrt() * 4.0);
        close("dx", &self.read(&dy), &expected_dx, 4.0);
        // The sums of the units, and those that were made of the finished gradient.
        sum_units(&cx, units, &sums, all, &mut sum).unwrap();
        let mut expected = vec![0.0; channels];
        for (i, dx) in expected_dx.iter().enumerate() {
            expected[i / spatial % channels] += dx;
        }
        close("dx sums", &sum[..channels], &expected, count.sqrt() * 4.0);
        close("added sums", &dx_sums[..channels], &expected, count.sqrt() * 4.0);
        // Channels that are missing have no values.
        for values in [&y, &dy] {
            let again = self.lay(&self.read(values));
            assert_bits(&format!("missing channels on {what}"), values, &again);
        }
    }
}

#[test]
fn units_in_both_layouts_agree_with_the_oracle() {
    for isa in Isa::available() {
        for (units, channels, spatial) in
            [(1, 10, 144), (3, 10, 25), (5, 16, 7), (2, 17, 9), (4, 1, 16), (1, 40, 64), (2, 3, 1)]
        {
            for layout in [UnitLayout::Rows, UnitLayout::Blocks] {
                Problem { units, channels, spatial, layout }.check(isa);
            }
        }
    }
}

/// Lanes of images that are missing hold anything, but gradients of 0.
#[test]
fn missing_images_do_not_count() {
    let (channels, spatial) = (3, 5);
    let (plane, unit) = (channels * spatial, channels * spatial * 16);
    let norm = UnitNorm { layout: UnitLayout::Rows, channels, spatial: spatial * 16 };
    for isa in Isa::available() {
        for (whole, images) in [(0, 1), (0, 7), (1, 15), (2, 1), (2, 9), (1, 16)] {
            let what = format!("{whole} units and {images} images on {isa:?}");
            let batch = whole * 16 + images;
            let mut random = Random::new(9);
            let plain_x = random.uniform_f32(batch * plane, -1.0, 2.0);
            let plain_dy = random.uniform_f32(batch * plane, -1.0, 1.0);
            let weight = random.uniform_f32(channels, 0.5, 2.0);
            let lay = |plain: &[f32], missing: f32| {
                let mut units = vec![missing; (whole + 1) * unit];
                for (i, &value) in plain.iter().enumerate() {
                    let (image, at) = (i / plane, i % plane);
                    units[image / 16 * unit + at * 16 + image % 16] = value;
                }
                units
            };
            let (x, mut dy) = (lay(&plain_x, 1e3), lay(&plain_dy, 0.0));
            let zeros = || vec![0.0; channels];
            let mut moments = [(); 2].map(|()| vec![f32::NAN; (whole + 1) * channels]);
            let mut sums = [zeros(), zeros()];
            for (u, x) in x.chunks(unit).enumerate() {
                let [means, squares] =
                    moments.each_mut().map(|m| &mut m[u * channels..][..channels]);
                let result = match u < whole {
                    true => norm.moments(isa, x, means, squares),
                    false => norm.partial_moments(isa, images, x, means, squares),
                };
                result.unwrap();
            }
            let (mut mean, mut variance) = (zeros(), zeros());
            let last = [whole + 1, images * spatial];
            let outputs = [&mut mean[..], &mut variance[..]];
            let moments = moments.each_ref().map(|m| &m[..]);
            norm.merge_moments(isa, last, moments, channels, outputs).unwrap();
            for (x, dy) in x.chunks(unit).zip(dy.chunks(unit)) {
                let mut own = [zeros(), zeros()];
                let [a, b] = own.each_mut().map(|own| &mut own[..]);
                norm.backward_sums(isa, x, dy, &mean, [a, b]).unwrap();
                for (sum, own) in sums.iter_mut().flatten().zip(own.iter().flatten()) {
                    *sum += own;
                }
            }
            let (mut dweight, mut dbias) = (zeros(), zeros());
            let [mut scale, mut average, mut steepness] = [zeros(), zeros(), zeros()];
            gradient_constants(
                EPS,
                batch * spatial,
                &variance,
                &weight,
                sums.each_ref().map(|sum| &sum[..]),
                [&mut dweight, &mut dbias],
                [&mut scale, &mut average, &mut steepness],
            )
            .unwrap();
            let gradient = UnitGradient {
                mean: &mean,
                scale: &scale,
                average: &average,
                steepness: &steepness,
            };
            let mut dx_sums = zeros();
            for (u, (x, dy)) in x.chunks(unit).zip(dy.chunks_mut(unit)).enumerate() {
                let mut own = zeros();
                norm.backward_input(isa, x, gradient, SLOPE, dy, &mut own).unwrap();
                if u == whole {
                    norm.clear_missing(isa, images, dy, &mut own).unwrap();
                }
                dx_sums.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
            }

            let (wide_weight, wide_x, wide_dy) =
                (widen(&weight), widen(&plain_x), widen(&plain_dy));
            let bias = vec![0.0; channels];
            let eps = f64::from(EPS);
            let (weight, bias) = (&wide_weight[..], &bias[..]);
            let judge = oracle::BatchNorm { batch, channels, spatial, weight, bias, eps };
            let (_, statistics) = oracle::batch_norm(&judge, &wide_x);
            let gradients = oracle::batch_norm_backward(&judge, &wide_x, &wide_dy);
            let expected_dx = leaky_relu_backward(f64::from(SLOPE), &wide_x, &gradients.input);
            let mut expected_sums = vec![0.0; channels];
            for (i, dx) in expected_dx.iter().enumerate() {
                expected_sums[i / spatial % channels] += dx;
            }
            let close = |name: &str, actual: &[f32], expected: &[f64], size: f64| {
                let tolerance = Tolerance::abs_rel(2e-6 * size, 1e-5);
                assert_close(&format!("{name} of {what}"), actual, expected, &tolerance);
            };
            let narrow: Vec<f32> = expected_dx.iter().map(|&dx| dx as f32).collect();
            close("mean", &mean, &statistics.mean, 1.0);
            close("variance", &variance, &statistics.variance, 1.0);
            close("dweight", &dweight, &gradients.weight, 40.0);
            close("dx", &dy, &widen(&lay(&narrow, 0.0)), 8.0);
            close("dx sums", &dx_sums, &expected_sums, 40.0);
        }
        let (mut means, mut squares) = ([0.0; 3], [0.0; 3]);
        let blocks = UnitNorm { layout: UnitLayout::Blocks, channels: 16, spatial: 1 };
        for (norm, images) in [(norm, 0), (norm, 17), (blocks, 3)] {
            let result = norm.partial_moments(isa, images, &[0.0; 240], &mut means, &mut squares);
            assert!(matches!(result, Err(Error::Invalid { .. })));
        }
    }
}

#[test]
fn wrong_lengths_and_blocks_that_are_not_full_are_errors() {
    let isa = Isa::best();
    let norm = UnitNorm { layout: UnitLayout::Rows, channels: 3, spatial: 4 };
    let (x, mut y) = ([0.0; 12], [0.0; 12]);
    let is_length =
        |result: Result<(), Error>| assert!(matches!(result, Err(Error::Length { .. })));
    is_length(norm.moments(isa, &x[1..], &mut [0.0; 3], &mut [0.0; 3]));
    is_length(norm.moments(isa, &x, &mut [0.0; 2], &mut [0.0; 3]));
    let three = &[0.0; 3][..];
    let constants = |bias| UnitConstants { mean: three, scale: three, bias };
    is_length(norm.normalize(isa, &x, constants(&[0.0; 2]), &mut y));
    is_length(norm.normalize(isa, &x, constants(three), &mut y[..11]));
    is_length(norm.backward_sums(isa, &x, &x[..3], three, [&mut [0.0; 3], &mut [0.0; 3]]));
    is_length(norm.add_sums(isa, &x, &mut [0.0; 4]));
    let merge = |stride: usize, units: usize| {
        let outputs = [&mut [0.0; 3][..], &mut [0.0; 3][..]];
        norm.merge_moments(isa, [units, norm.spatial], [&x, &x], stride, outputs)
    };
    assert!(merge(3, 4).is_ok());
    is_length(merge(3, 5));
    is_length(merge(5, 3));
    assert!(matches!(merge(2, 3), Err(Error::Invalid { .. })));
    assert!(matches!(merge(0, usize::MAX), Err(Error::Invalid { .. })));
    assert!(matches!(merge(usize::MAX, 3), Err(Error::Overflow { .. })));
    let cx = Context::serial();
    is_length(sum_units(&cx, 3, &x, 5, &mut y[..3]));
    assert!(matches!(sum_units(&cx, 3, &x, usize::MAX, &mut y), Err(Error::Overflow { .. })));
    is_length(scales(EPS, &[1.0; 2], three, &mut [0.0; 3]));

    let blocks = UnitNorm { layout: UnitLayout::Blocks, channels: 3, spatial: 4 };
    let result = blocks.moments(isa, &x, &mut [0.0; 3], &mut [0.0; 3]);
    assert!(matches!(result, Err(Error::Invalid { .. })));
    let huge = UnitNorm { layout: UnitLayout::Rows, channels: 1 << 40, spatial: 1 << 40 };
    let result = huge.moments(isa, &x, &mut [0.0; 3], &mut [0.0; 3]);
    assert!(matches!(result, Err(Error::Overflow { .. })));
}
