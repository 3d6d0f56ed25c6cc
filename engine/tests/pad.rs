//! Padding on every tier and on one and three threads, against the f64 oracle.

use loupe_engine::pad::{Pad2d, PaddingMode, pad2d, pad2d_backward};
use loupe_engine::reference::compare::{Tolerance, assert_bits, assert_close, magnitudes, widen};
use loupe_engine::reference::pad as oracle;
use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Error, Isa, Threads};
use oracle::{PadDims, Padding};
use proptest::prelude::*;

const MODES: [(PaddingMode, Padding); 4] = [
    (PaddingMode::Zeros, Padding::Zeros),
    (PaddingMode::Reflect, Padding::Reflect),
    (PaddingMode::Replicate, Padding::Replicate),
    (PaddingMode::Circular, Padding::Circular),
];

fn check(mode: PaddingMode, dims: &PadDims, seed: u64, three: &Threads) {
    let pad = Pad2d::new(mode, dims.size, dims.padding).unwrap();
    assert_eq!((pad.mode(), pad.input_size()), (mode, dims.size));
    assert_eq!(pad.output_size(), dims.out_size());
    let mut random = Random::new(seed);
    let x = random.uniform_f32(dims.input_len(), -1.0, 1.0);
    let dy = random.uniform_f32(dims.output_len(), -1.0, 1.0);
    let expected = [oracle::pad2d(dims, &widen(&x)), oracle::pad2d_backward(dims, &widen(&dy))];
    let magnitude = oracle::pad2d_backward(dims, &magnitudes(&widen(&dy)));
    // Terms of a corner pixel's sum: of each axis the pixel and both paddings.
    let [top, bottom, left, right] = dims.padding;
    let terms = (1 + top + bottom) * (1 + left + right);
    let tolerances = [Tolerance::exact(), Tolerance::rounding(terms, &magnitude)];
    for isa in Isa::available() {
        let run = |threads| {
            let cx = Context::new(isa, threads);
            let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
            pad2d(&cx, &pad, &x, &mut y).unwrap();
            pad2d_backward(&cx, &pad, &dy, &mut dx).unwrap();
            [y, dx]
        };
        for (n, (one, three)) in run(Threads::serial()).iter().zip(run(three.clone())).enumerate() {
            // The comparator refuses to call nothing equal.
            if !one.is_empty() {
                let what = format!("{} on {isa:?} of {dims:?}", ["y", "dx"][n]);
                assert_close(&what, one, &expected[n], &tolerances[n]);
                assert_bits(&what, &three, one);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn any_sizes(
        size in [1_usize..36, 1_usize..36],
        padding in [0_usize..9, 0_usize..9, 0_usize..9, 0_usize..9],
        planes in 0_usize..5,
        seed in any::<u64>(),
    ) {
        for (mode, oracles) in MODES {
            let most = |axis: usize| match mode {
                PaddingMode::Reflect => size[axis] - 1,
                PaddingMode::Circular => size[axis],
                _ => usize::MAX,
            };
            let padding = [0, 1, 2, 3].map(|side| padding[side].min(most(side / 2)));
            let dims = PadDims { planes, size, padding, mode: oracles };
            check(mode, &dims, seed, &Threads::serial());
        }
    }
}

/// Several planes of a task, several tasks, and planes that are larger than a task.
#[test]
fn many_planes_on_three_threads() {
    let three = Threads::new(3).unwrap();
    for (mode, oracles) in MODES {
        for (planes, size) in [(1000, [14, 15]), (3, [260, 250])] {
            let dims = PadDims { planes, size, padding: [1, 2, 3, 0], mode: oracles };
            check(mode, &dims, 7, &three);
        }
    }
}

/// As `torch.nn.functional.pad` refuses them.
#[test]
fn padding_beyond_the_image_is_an_error() {
    let new = |mode, padding| Pad2d::new(mode, [3, 4], padding);
    assert!(new(PaddingMode::Reflect, [2, 2, 3, 3]).is_ok());
    assert_eq!(
        new(PaddingMode::Reflect, [0, 3, 0, 0]).unwrap_err().to_string(),
        "pad2d: the padding that reflects must be smaller than the image, found 3 for 3 pixels"
    );
    assert!(new(PaddingMode::Circular, [3, 3, 4, 4]).is_ok());
    assert_eq!(
        new(PaddingMode::Circular, [0, 0, 5, 0]).unwrap_err().to_string(),
        "pad2d: the circular padding must be no larger than the image, found 5 for 4 pixels"
    );
    assert!(new(PaddingMode::Replicate, [9, 0, 0, 30]).is_ok());
}

#[test]
fn any_numbers_are_refused_or_sizes() {
    for (mode, _) in MODES {
        for size in [0, 1, 1 << 31, usize::MAX / 8, usize::MAX] {
            for padding in [0, 1, 1 << 31, usize::MAX / 8, usize::MAX] {
                for other in [1, 1 << 20] {
                    let pad =
                        Pad2d::new(mode, [size, other], [padding, padding / 2, 0, padding / 3]);
                    if let Ok(pad) = pad {
                        let [height, width] = pad.output_size();
                        assert!(height.checked_mul(width).is_some_and(|len| len > 0));
                    }
                }
            }
        }
        let error = Pad2d::new(mode, [1, 0], [0; 4]).unwrap_err();
        assert_eq!(error.to_string(), "pad2d: an image size must be at least 1, found 0");
    }
    let error = Pad2d::new(PaddingMode::Zeros, [1, 1], [usize::MAX, 0, 0, 0]).unwrap_err();
    assert_eq!(error, Error::Overflow { op: "pad2d", what: "the padded image" });
    // Many planes of an image that is small only without its padding.
    let pad = Pad2d::new(PaddingMode::Replicate, [1, 1], [1 << 31, 0, 1 << 20, 0]).unwrap();
    let error = pad2d(&Context::serial(), &pad, &[0.0; 1 << 14], &mut []).unwrap_err();
    assert_eq!(error, Error::Overflow { op: "pad2d", what: "y" });
}

#[test]
fn wrong_lengths_are_errors() {
    let pad = Pad2d::new(PaddingMode::Circular, [2, 3], [1, 1, 1, 1]).unwrap();
    let cx = Context::serial();
    let (mut x, mut y) = ([0.0; 12], [0.0; 40]);
    assert_eq!(
        pad2d(&cx, &pad, &x[1..], &mut y).unwrap_err().to_string(),
        "pad2d: x must be a whole number of planes, found 11 for planes of 6 elements"
    );
    let length = |what, expected, found| Error::Length { op: "pad2d", what, expected, found };
    assert_eq!(pad2d(&cx, &pad, &x, &mut y[1..]).unwrap_err(), length("y", 40, 39));
    let error = pad2d_backward(&cx, &pad, &y[1..], &mut x).unwrap_err();
    assert!(error.to_string().contains("dy must be a whole number of planes, found 39"));
    assert_eq!(pad2d_backward(&cx, &pad, &y, &mut x[1..]).unwrap_err(), length("dx", 12, 11));
}
