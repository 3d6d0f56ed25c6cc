//! Networks, batches, data and options that no sane caller passes: everything answers with a result or a typed
//! error. It does not panic, abort, hang or take memory that cannot be had.

mod data;
mod network;

use loupe_engine::Context;
use loupe_engine::reference::random::Random;
use loupe_model::layers::*;
use loupe_model::{Layer, NetworkSpec};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

pub(crate) const EXTREME: [usize; 10] = [
    0,
    1 << 10,
    1 << 20,
    1 << 31,
    1 << 32,
    1 << 40,
    usize::MAX / 8,
    usize::MAX / 4,
    usize::MAX / 2,
    usize::MAX,
];

/// Mostly small.
pub(crate) fn size(random: &mut Random) -> usize {
    match random.below(12) {
        0 => EXTREME[random.below(EXTREME.len())],
        1 => 15 + random.below(3),
        _ => 1 + random.below(4),
    }
}

pub(crate) fn float(random: &mut Random) -> f32 {
    const ODD: [f32; 6] = [0.0, -1.0, f32::NAN, f32::INFINITY, f32::MAX, f32::MIN_POSITIVE];
    match random.below(8) {
        0 => ODD[random.below(ODD.len())],
        _ => random.uniform(0.0, 1.0) as f32,
    }
}

fn pair(random: &mut Random) -> [usize; 2] {
    [size(random), size(random)]
}

/// Mostly the one that is there.
fn or(random: &mut Random, there: usize) -> usize {
    if random.below(6) == 0 { size(random) } else { there }
}

/// A layer that often takes inputs of this shape.
fn layer(random: &mut Random, shape: &[usize], depth: usize) -> Layer {
    let channels = shape.first().copied().unwrap_or(1);
    let features: usize = shape.iter().fold(1, |n, &size| n.wrapping_mul(size));
    let (steps, window) = (random.below(2) == 0, pair(random));
    let mut step = |least: usize| if steps { [least; 2] } else { pair(random) };
    let (stride, padding, dilation, output_padding) = (step(1), step(0), step(1), step(0));
    let groups = [1, channels][random.below(2)];
    let groups = or(random, groups);
    match random.below(22) {
        0 => AdaptiveAvgPool2d::new(window).into(),
        1 => AvgPool2d::new(window).stride(stride).padding(padding).into(),
        2 => BatchNorm1d::new(or(random, channels)).eps(float(random)).into(),
        3 => BatchNorm2d::new(or(random, channels)).momentum(float(random)).into(),
        4..=6 => {
            let modes = [
                PaddingMode::Zeros,
                PaddingMode::Reflect,
                PaddingMode::Replicate,
                PaddingMode::Circular,
            ];
            Conv2d::new(or(random, channels), size(random), window)
                .stride(stride)
                .padding(padding)
                .dilation(dilation)
                .groups(groups)
                .bias(random.below(2) == 0)
                .padding_mode(modes[random.below(4)])
                .into()
        }
        7 => ConvTranspose2d::new(or(random, channels), size(random), window)
            .stride(stride)
            .padding(padding)
            .output_padding(output_padding)
            .dilation(dilation)
            .groups(groups)
            .into(),
        8 => Dropout::new(float(random)).into(),
        9 => Flatten.into(),
        10 => GELU::new().into(),
        11 => GroupNorm::new(groups, or(random, channels)).eps(float(random)).into(),
        12 => LayerNorm::new(&shape[random.below(shape.len() + 1)..]).eps(float(random)).into(),
        13 => LeakyReLU::new(float(random)).into(),
        14 => Linear::new(or(random, features), size(random)).bias(steps).into(),
        15 => MaxPool2d::new(window).stride(stride).padding(padding).dilation(dilation).into(),
        16 => ReLU.into(),
        17 => Softmax::new(random.below(5) as isize - 2).into(),
        18 => Upsample::new(window).into(),
        19 => View::new([or(random, features)]).into(),
        20 => Tanh.into(),
        _ if depth < 3 => {
            let mut block = Residual::new();
            let mut shape = shape.to_vec();
            for _ in 0..random.below(4) {
                let layer = layer(random, &shape, depth + 1);
                let spec = NetworkSpec::new(shape.clone()).add(layer.clone());
                if let Ok(shapes) = spec.shapes() {
                    shape = shapes[0].clone();
                }
                block = block.add(layer);
            }
            block.into()
        }
        _ => SiLU.into(),
    }
}

/// A network whose layers mostly take what they are given.
pub(crate) fn spec(random: &mut Random) -> NetworkSpec {
    let input: Vec<usize> = (0..random.below(4) + usize::from(random.below(20) != 0))
        .map(|_| if random.below(10) == 0 { size(random) } else { 1 + random.below(9) })
        .collect();
    let mut spec = NetworkSpec::new(input);
    for _ in 0..random.below(7) {
        let shape = spec.shapes().ok().and_then(|shapes| shapes.last().cloned());
        let shape = shape.unwrap_or_else(|| spec.input.clone());
        let longer = spec.clone().add(layer(random, &shape, 0));
        if longer.shapes().is_ok() || random.below(12) == 0 {
            spec = longer;
        }
    }
    spec
}

/// What is running, for the message about a case that hangs.
static RUNNING: Mutex<String> = Mutex::new(String::new());

/// Runs `test` for so many seeds on a thread of its own, and fails if it does not end.
#[track_caller]
pub(crate) fn survive(cases: u64, test: impl Fn(&Context, &mut Random) + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let thread = thread::spawn(move || {
        let cx = Context::serial();
        for seed in 0..cases {
            *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = format!("seed {seed}");
            test(&cx, &mut Random::new(seed));
        }
        let _ = done.send(());
    });
    let running = || RUNNING.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if ended.recv_timeout(Duration::from_secs(400)) == Err(mpsc::RecvTimeoutError::Timeout) {
        panic!("does not end: {}", running());
    }
    assert!(thread.join().is_ok(), "panics: {}", running());
}
