//! Convolution on every tier and on one and three threads, against the f64 oracle.

mod interleaved;
mod problem;

use loupe_engine::conv::{
    Conv2d, Conv2dFused, Conv2dOptions, Conv2dParameters, conv2d, conv2d_backward_input,
    conv2d_backward_weight, conv2d_fused,
};
use loupe_engine::reference::batch_norm::{BatchNorm, batch_statistics};
use loupe_engine::reference::compare::{Tolerance, assert_bits, assert_close, check_bits, widen};
use loupe_engine::{Context, Error, Isa, Threads};
use problem::{Inputs, Problem, options};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn any_geometry(
        (options, size) in options(1..5, 1..8),
        batch in 0_usize..5,
        bias in any::<bool>(),
        seed in any::<u64>(),
    ) {
        Problem { batch, options, size, bias, seed }.check(&Threads::serial());
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn any_geometry_of_many_channels(
        (options, size) in options(16..90, 12..70),
        batch in 1_usize..3,
        bias in any::<bool>(),
        seed in any::<u64>(),
    ) {
        Problem { batch, options, size, bias, seed }.check(&Threads::serial());
    }
}

/// Problems that are large enough to be shared out to threads and to be cut into blocks of the
/// depth, the rows and the columns.
#[test]
fn large_problems_on_three_threads() {
    let plain = Conv2dOptions::new;
    let step2 = |options| Conv2dOptions { stride: [2, 2], ..options };
    let same3 = |options| Conv2dOptions { padding: [1, 1], ..options };
    let cases = [
        (19, step2(plain(1, 10, [5, 5])), [28, 28]),
        (33, step2(plain(10, 10, [3, 3])), [12, 12]),
        (2, same3(plain(40, 100, [3, 3])), [15, 17]),
        (1, same3(plain(64, 64, [3, 3])), [20, 21]),
        (4, Conv2dOptions { groups: 32, ..same3(plain(32, 64, [3, 3])) }, [17, 16]),
        (1, Conv2dOptions { padding: [3, 3], ..step2(plain(3, 16, [7, 7])) }, [61, 50]),
        (5, plain(50, 30, [1, 1]), [14, 14]),
    ];
    let three = Threads::new(3).unwrap();
    for (n, (batch, options, size)) in cases.into_iter().enumerate() {
        Problem { batch, options, size, bias: true, seed: n as u64 }.check(&three);
    }
}

/// Channels that do not fill vectors, panels or blocks, positions that do not fill tiles, pixels that no
/// position sees, kernel rows that are no runs, several bands, and weights whose elements are shared out.
#[test]
fn many_channels_on_three_threads() {
    let plain = Conv2dOptions::new;
    let step = |stride, options| Conv2dOptions { stride, ..options };
    let pad = |padding, options| Conv2dOptions { padding, ..options };
    let cases = [
        (2, pad([1, 1], plain(16, 16, [3, 3])), [15, 15]),
        (3, pad([1, 0], step([2, 3], plain(70, 45, [3, 2]))), [13, 16]),
        (1, step([3, 2], plain(17, 33, [1, 1])), [20, 9]),
        (2, Conv2dOptions { dilation: [2, 3], ..pad([2, 1], plain(66, 18, [3, 3])) }, [12, 17]),
        (2, Conv2dOptions { dilation: [3, 1], ..step([2, 2], plain(20, 35, [2, 3])) }, [11, 14]),
        (2, Conv2dOptions { groups: 3, ..pad([0, 2], plain(63, 102, [2, 5])) }, [9, 10]),
        (1, pad([1, 1], step([2, 2], plain(129, 130, [3, 3]))), [29, 31]),
        (3, plain(300, 230, [1, 1]), [7, 7]),
        (2, pad([3, 3], step([2, 2], plain(40, 50, [7, 7]))), [18, 33]),
        // Few channels, whose kernel rows are runs; and are none.
        (2, pad([3, 3], step([2, 2], plain(3, 64, [7, 7]))), [30, 29]),
        (1, Conv2dOptions { dilation: [1, 2], ..plain(5, 32, [3, 4]) }, [12, 19]),
        // Kernels of one element: several tasks, two blocks of the depth, groups, a column of one vector.
        (2, plain(600, 40, [1, 1]), [20, 24]),
        (3, Conv2dOptions { groups: 2, ..plain(36, 66, [1, 1]) }, [12, 20]),
        (2, plain(5, 3, [1, 1]), [4, 4]),
    ];
    let three = Threads::new(3).unwrap();
    for (n, (batch, options, size)) in cases.into_iter().enumerate() {
        Problem { batch, options, size, bias: n % 2 == 0, seed: n as u64 }.check(&three);
    }
}

/// Fused LeakyReLU and statistics: y is LeakyReLU of the plain convolution to the last bit, mean and
/// variance are those of y. The bias puts the values far from zero, where E[x²] − E[x]² would fail.
#[test]
fn fused_activation_and_statistics() {
    let plain = Conv2dOptions::new;
    let cases = [
        // batch, options, size: one image; many; two blocks of pixels per image; groups.
        (1, Conv2dOptions { stride: [2, 2], ..plain(1, 10, [5, 5]) }, [28, 28]),
        (37, Conv2dOptions { stride: [2, 2], ..plain(10, 10, [3, 3]) }, [12, 12]),
        (5, plain(2, 13, [3, 3]), [23, 19]),
        (3, Conv2dOptions { groups: 3, padding: [1, 0], ..plain(6, 9, [2, 3]) }, [16, 15]),
        // Many channels: two bands, two panels.
        (2, plain(80, 40, [3, 3]), [31, 19]),
        // A kernel of one element: three tasks of an image.
        (2, plain(300, 20, [1, 1]), [16, 20]),
    ];
    let three = Threads::new(3).unwrap();
    for (n, (batch, options, size)) in cases.into_iter().enumerate() {
        let problem = Problem { batch, options, size, bias: true, seed: n as u64 };
        let (geometry, mut inputs) = (problem.geometry(), problem.inputs());
        for offset in [0.0, 300.0] {
            inputs.bias.iter_mut().for_each(|bias| *bias += offset);
            for isa in Isa::available() {
                let what = format!("{isa:?} {problem:?} offset {offset}");
                let mut results = Vec::new();
                for threads in [Threads::serial(), three.clone()] {
                    let cx = Context::new(isa, threads);
                    let channels = options.out_channels;
                    let mut y = vec![f32::NAN; inputs.dy.len()];
                    let mut mean = vec![f32::NAN; channels];
                    let mut variance = vec![f32::NAN; channels];
                    let parameters =
                        Conv2dParameters { weight: &inputs.weight, bias: Some(&inputs.bias) };
                    let statistics = Some((&mut mean[..], &mut variance[..]));
                    let fused = Conv2dFused { negative_slope: 0.02, statistics };
                    conv2d_fused(&cx, &geometry, &inputs.x, parameters, fused, &mut y).unwrap();
                    results.push([y, mean, variance]);
                }
                let [y, mean, variance] = &results[0];
                for (serial, threaded) in results[0].iter().zip(&results[1]) {
                    assert_bits(&what, threaded, serial);
                }

                let plain = problem.run(&Context::new(isa, Threads::serial()), &inputs).y;
                assert!(plain.iter().any(|&x| x < 0.0) || offset > 0.0);
                let expected: Vec<f32> =
                    plain.iter().map(|&x| if x > 0.0 { x } else { x * 0.02 }).collect();
                assert_bits(&what, y, &expected);

                let channels = options.out_channels;
                let spatial = y.len() / batch / channels;
                let (weight, bias) = (vec![1.0; channels], vec![0.0; channels]);
                let (weight, bias) = (&weight, &bias);
                let norm = BatchNorm { batch, channels, spatial, weight, bias, eps: 1e-5 };
                let expected = batch_statistics(&norm, &widen(y));
                assert_close(&what, mean, &expected.mean, &Tolerance::abs_rel(1e-6, 1e-6));
                assert_close(&what, variance, &expected.variance, &Tolerance::abs_rel(1e-6, 2e-5));
            }
        }
    }
}

#[test]
fn statistics_of_one_value_per_channel_are_an_error() {
    let geometry = Conv2d::new(Conv2dOptions::new(1, 1, [2, 2]), [2, 2]).unwrap();
    let parameters = Conv2dParameters { weight: &[1.0; 4], bias: None };
    let (mut mean, mut variance, mut y) = ([0.0], [0.0], [0.0]);
    let statistics = Some((&mut mean[..], &mut variance[..]));
    let fused = Conv2dFused { statistics, ..Conv2dFused::default() };
    let cx = Context::serial();
    let error = conv2d_fused(&cx, &geometry, &[1.0; 4], parameters, fused, &mut y).unwrap_err();
    assert_eq!(
        error.to_string(),
        "conv2d: the number of values per channel must be at least 2 for batch statistics, found 1"
    );
}

/// Cutting the batch differently must not change an image's result, so an image alone and the same
/// image in a batch have the same bits.
#[test]
fn an_image_in_a_batch_is_the_image_alone() {
    let options = Conv2dOptions { stride: [2, 1], ..Conv2dOptions::new(3, 5, [3, 3]) };
    let problem = Problem { batch: 7, options, size: [9, 11], bias: true, seed: 5 };
    let inputs = problem.inputs();
    let cx = Context::serial();
    let all = problem.run(&cx, &inputs);
    let geometry = problem.geometry();
    for image in 0..7 {
        let [from, to] = [geometry.input_len(), geometry.output_len()].map(|len| image * len);
        let one = Inputs {
            x: inputs.x[from..][..geometry.input_len()].to_vec(),
            dy: inputs.dy[to..][..geometry.output_len()].to_vec(),
            weight: inputs.weight.clone(),
            bias: inputs.bias.clone(),
        };
        let alone = Problem { batch: 1, ..problem.clone() }.run(&cx, &one);
        assert_bits("y", &alone.y, &all.y[to..][..alone.y.len()]);
        assert_bits("dx", &alone.dx, &all.dx[from..][..alone.dx.len()]);
        assert!(check_bits("dweight", &alone.dweight, &all.dweight).is_err());
    }
}

#[test]
fn wrong_lengths_are_errors() {
    let geometry = Conv2d::new(Conv2dOptions::new(2, 3, [2, 2]), [4, 5]).unwrap();
    let cx = Context::serial();
    let (x, weight, bias, mut y) = ([0.0; 40], [0.0; 24], [0.0; 3], [0.0; 36]);
    let run = |x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32]| {
        let parameters = Conv2dParameters { weight, bias: Some(bias) };
        conv2d(&cx, &geometry, x, parameters, y).unwrap_err()
    };
    let length = |what, expected, found| Error::Length { op: "conv2d", what, expected, found };
    assert!(matches!(run(&x[1..], &weight, &bias, &mut y), Error::Invalid { .. }));
    assert_eq!(run(&x, &weight[1..], &bias, &mut y), length("the weight", 24, 23));
    assert_eq!(run(&x, &weight, &bias[1..], &mut y), length("the bias", 3, 2));
    assert_eq!(run(&x, &weight, &bias, &mut y[1..]), length("y", 36, 35));

    let mut dx = x;
    let error = conv2d_backward_input(&cx, &geometry, &weight, &y[1..], &mut dx).unwrap_err();
    assert!(error.to_string().contains("dy must be a whole number of images, found 35"));
    let error = conv2d_backward_input(&cx, &geometry, &weight, &y, &mut dx[1..]).unwrap_err();
    assert_eq!(error, length("dx", 40, 39));
    let mut dweight = weight;
    let error =
        conv2d_backward_weight(&cx, &geometry, &x, &y, &mut dweight[1..], None).unwrap_err();
    assert_eq!(error, length("dweight", 24, 23));
    let error =
        conv2d_backward_weight(&cx, &geometry, &x, &y[1..], &mut dweight, None).unwrap_err();
    assert_eq!(error, length("dy", 36, 35));
    let mut dbias = [0.0; 4];
    let dbias = Some(&mut dbias[..]);
    let error = conv2d_backward_weight(&cx, &geometry, &x, &y, &mut dweight, dbias).unwrap_err();
    assert_eq!(error, length("dbias", 3, 4));
}
