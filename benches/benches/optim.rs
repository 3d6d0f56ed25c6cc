//! Steps of Adam and SGD. Rates count each float that has to be read or written once: 7 per parameter for
//! Adam, 5 for SGD with momentum.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use loupe_benches::{Rates, Work, bench, context, criterion, signed, thread_counts};
use loupe_engine::optim::{AdamOptions, AdamState, Gradient, SgdOptions, adam_step, sgd_step};
use loupe_engine::reference::compare::{Tolerance, assert_close, widen};
use loupe_engine::reference::optim as oracle;

/// Parameters of the tutorial's networks, and so many that they come from memory.
const SIZES: [usize; 3] = [3_720, 159_410, 10_000_000];

fn optimisers(criterion: &mut Criterion<Rates>) {
    for len in SIZES {
        let tolerance = || Tolerance::abs_rel(1e-7, 1e-6);
        let mut group = criterion.benchmark_group(format!("optim {len}"));
        for threads in thread_counts() {
            bench(&mut group, BenchmarkId::new("Adam", threads), Work::Bytes(28 * len), || {
                let (cx, mut parameters, gradient) =
                    (context(threads), signed(1, len), signed(2, len));
                let (mut first, mut second) = (vec![0.0; len], vec![0.0; len]);
                let mut expected = widen(&parameters);
                oracle::Adam::new(len).step(&mut expected, &widen(&gradient));
                let mut steps = 0;
                let mut run = move |parameters: &mut [f32]| {
                    steps += 1;
                    let state = AdamState {
                        parameters,
                        gradient: Gradient::Dense(&gradient),
                        first_moment: &mut first,
                        second_moment: &mut second,
                    };
                    adam_step(&cx, &AdamOptions::default(), steps, state).expect("lengths");
                };
                run(&mut parameters);
                assert_close("Adam", &parameters, &expected, &tolerance());
                move || run(&mut parameters)
            });
            bench(&mut group, BenchmarkId::new("SGD", threads), Work::Bytes(20 * len), || {
                let (cx, mut parameters, gradient) =
                    (context(threads), signed(1, len), signed(2, len));
                let mut velocity = vec![0.0; len];
                let options = SgdOptions { lr: 1e-3, momentum: 0.9 };
                let mut expected = widen(&parameters);
                let mut sgd = oracle::Sgd::new(options.lr, options.momentum);
                sgd.step(&mut expected, &widen(&gradient));
                let mut run = move |parameters: &mut [f32]| {
                    sgd_step(&cx, &options, parameters, Gradient::Dense(&gradient), &mut velocity)
                        .expect("lengths");
                };
                run(&mut parameters);
                assert_close("SGD", &parameters, &expected, &tolerance());
                move || run(&mut parameters)
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = criterion();
    targets = optimisers
}
criterion_main!(benches);
