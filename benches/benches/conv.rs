//! Convolution forward and its gradients, of images one behind the other and interleaved. An element
//! of the throughput is a FLOP.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use loupe_benches::{best_time, contexts, numbers, report, shapes};
use loupe_engine::conv::{
    Conv2d, Conv2dFused, Conv2dOptions, Conv2dParameters, InterleavedConv2d, conv2d,
    conv2d_backward_input, conv2d_backward_weight, deinterleave, interleave,
};
use loupe_engine::reference::random::Random;
use loupe_engine::{Context, LANES};

/// Images longer than this are not interleaved by plans either.
const INTERLEAVED_LEN: usize = 1 << 12;

fn bench(criterion: &mut Criterion) {
    for words in shapes(include_str!("../shapes/conv.txt")) {
        let name = words[0];
        let [batch, c, h, w, o, kernel, stride, padding] = numbers(&words[1..]);
        let options = Conv2dOptions {
            stride: [stride; 2],
            padding: [padding; 2],
            ..Conv2dOptions::new(c, o, [kernel; 2])
        };
        let geometry = Conv2d::new(options, [h, w]).expect("a geometry");
        let mut random = Random::new(1);
        let x = random.uniform_f32(batch * geometry.input_len(), -1.0, 1.0);
        let weight = random.uniform_f32(geometry.weight_len(), -1.0, 1.0);
        let bias = random.uniform_f32(o, -1.0, 1.0);
        let mut y = vec![0.0; batch * geometry.output_len()];
        let (mut dx, mut dweight) = (x.clone(), weight.clone());
        let parameters = Conv2dParameters { weight: &weight, bias: Some(&bias) };
        let flop = 2 * batch * geometry.output_len() * geometry.weight_len() / o;

        let longest = geometry.input_len().max(geometry.output_len());
        let small = batch.is_multiple_of(LANES) && longest <= INTERLEAVED_LEN;
        let interleaved =
            small.then(|| InterleavedConv2d::new(geometry.clone()).expect("a small image"));
        let mut turned_x = x.clone();
        let mut turned_y = y.clone();

        let mut group = criterion.benchmark_group(format!("conv {name}"));
        group.throughput(Throughput::Elements(flop as u64));
        for cx in contexts() {
            let threads = cx.threads().count();
            conv2d(&cx, &geometry, &x, parameters, &mut y).expect("shapes fit");
            if let Some(conv) = &interleaved {
                interleave(&cx, geometry.input_len(), &x, &mut turned_x).expect("full groups");
                check(&cx, conv, &turned_x, parameters, &y);
            }
            let mut run = |what: &str, f: &mut dyn FnMut()| {
                let title = format!("conv {name} {what}, {threads} thread(s)");
                report(&title, flop as f64, best_time(&mut *f), threads);
                group.bench_function(BenchmarkId::new(what, threads), |bencher| {
                    bencher.iter(&mut *f);
                });
            };
            run("forward", &mut || {
                conv2d(&cx, &geometry, &x, parameters, &mut y).expect("shapes fit");
            });
            run("dX", &mut || {
                conv2d_backward_input(&cx, &geometry, &weight, &y, &mut dx).expect("shapes fit");
            });
            run("dW", &mut || {
                conv2d_backward_weight(&cx, &geometry, &x, &y, &mut dweight, None)
                    .expect("shapes fit");
            });
            let Some(conv) = &interleaved else { continue };
            run("interleaved forward", &mut || {
                let fused = Conv2dFused::default();
                conv.forward(&cx, &turned_x, parameters, fused, &mut turned_y).expect("shapes fit");
            });
            run("interleaved dX", &mut || {
                conv.backward_input(&cx, &weight, &turned_y, &mut dx).expect("shapes fit");
            });
            run("interleaved dW", &mut || {
                conv.backward_weight(&cx, &turned_x, &turned_y, &mut dweight, None)
                    .expect("shapes fit");
            });
        }
        group.finish();
    }
}

/// Both layouts must give the same outputs, but for rounding.
fn check(
    cx: &Context,
    conv: &InterleavedConv2d,
    x: &[f32],
    parameters: Conv2dParameters<'_>,
    expected: &[f32],
) {
    let (mut turned, mut y) = (vec![0.0; expected.len()], vec![0.0; expected.len()]);
    conv.forward(cx, x, parameters, Conv2dFused::default(), &mut turned).expect("shapes fit");
    deinterleave(cx, conv.geometry().output_len(), &turned, &mut y).expect("full groups");
    let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-4 * (1.0 + b.abs());
    assert!(y.iter().zip(expected).all(near), "the two layouts disagree");
}

criterion_group!(benches, bench);
criterion_main!(benches);
