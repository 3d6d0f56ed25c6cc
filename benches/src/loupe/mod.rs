//! loupe as a library that is timed, and `matrixmultiply` behind loupe's interface.

mod fused;
mod norm;
mod optim;

use crate::{Call, Case, ConvShape, Kind, Library, Pass, context, signed};
use loupe_engine::conv::{
    Conv2dParameters, InterleavedConv2d, Then, conv2d, conv2d_backward_input,
    conv2d_backward_weight, deinterleave, interleave,
};
use loupe_engine::gemm::{Backend, GemmOptions, Matrix, MatrixMut, gemm};
use loupe_engine::norm::batch::sum_units;
use loupe_engine::{Context, LANES};
use loupe_model::{Loss, Network, Normalization, OptimizerOptions, Plan, Trainer, nets};
use std::hint::black_box;

/// Images longer than this are not interleaved by plans either.
pub const INTERLEAVED_LEN: usize = 1 << 12;

/// This repository's engine and model.
#[derive(Clone, Copy, Debug)]
pub struct Loupe;

/// Products by the crate `matrixmultiply`; loupe shares the rows out to its threads.
#[derive(Clone, Copy, Debug)]
pub struct MatrixMultiply;

impl Library for Loupe {
    fn name(&self) -> &'static str {
        "loupe"
    }

    fn variants(&self, case: &Case) -> Vec<&'static str> {
        match case {
            Case::Conv(shape, _) if can_interleave(shape) => vec!["plain", "interleaved"],
            Case::Fused(_) => vec!["plan", "fused", "apart"],
            _ => vec!["plain"],
        }
    }

    fn prepare(&self, case: &Case, variant: &str, threads: usize) -> Call {
        let cx = context(threads);
        match case {
            Case::Network { network, kind: Kind::Train, batch } => train(cx, network, *batch),
            Case::Network { network, kind: Kind::Infer, batch } => infer(cx, network, *batch),
            Case::Gemm(size) => multiply(cx, *size, Backend::Loupe),
            Case::Conv(shape, pass) if variant == "interleaved" => interleaved(cx, shape, *pass),
            Case::Conv(shape, pass) => convolution(cx, shape, *pass),
            Case::Fused(shape) => fused::prepare(cx, shape, variant),
            Case::Norm(shape, direction) => norm::prepare(cx, shape, *direction),
            Case::Optim(rule, len) => optim::prepare(cx, *rule, *len),
        }
    }
}

impl Library for MatrixMultiply {
    fn name(&self) -> &'static str {
        "matrixmultiply"
    }

    fn variants(&self, case: &Case) -> Vec<&'static str> {
        if matches!(case, Case::Gemm(_)) { vec!["plain"] } else { vec![] }
    }

    fn prepare(&self, case: &Case, _: &str, threads: usize) -> Call {
        let Case::Gemm(size) = case else { panic!("only products") };
        multiply(context(threads), *size, Backend::MatrixMultiply)
    }
}

/// The tutorial's network of that name, with the weights that PyTorch trained for the tests of loupe.
///
/// # Panics
/// If there is no such network.
pub fn load_network(name: &str) -> Network {
    let (spec, weights): (_, &[u8]) = match name {
        "cnn" => (
            nets::mnist_cnn(),
            include_bytes!("../../../model/tests/fixtures/cnn-state-dict.safetensors"),
        ),
        "mlp" => (
            nets::mnist_mlp(),
            include_bytes!("../../../model/tests/fixtures/mlp-state-dict.safetensors"),
        ),
        _ => panic!("no network {name}"),
    };
    let mut network = Network::new(spec, 0).expect("a network");
    network.load_weights(weights).expect("its weights");
    network
}

fn train(cx: Context, network: &str, batch: usize) -> Call {
    let (images, targets) = Case::images(batch);
    let network = load_network(network);
    let mut trainer = Trainer::new(cx, network, Loss::Bce, OptimizerOptions::default());
    let mut step = move || trainer.step(&images, &targets).expect("a step");
    let losses = vec![step(), step()];
    Call::new(losses, move || {
        black_box(step());
    })
}

fn infer(cx: Context, network: &str, batch: usize) -> Call {
    let network = load_network(network);
    let mut plan = Plan::new(&network, batch).expect("a plan");
    plan.input_mut().copy_from_slice(&Case::images(batch).0);
    let running = Normalization::RunningStatistics;
    let output = plan.infer(&cx, &network, running).expect("outputs").to_vec();
    Call::new(output, move || {
        black_box(plan.infer(&cx, &network, running).expect("outputs"));
    })
}

fn multiply(cx: Context, [m, n, k]: [usize; 3], backend: Backend) -> Call {
    let (a, b) = (signed(1, m * k), signed(2, k * n));
    let options = GemmOptions { backend, ..GemmOptions::default() };
    let product = move |c: &mut [f32]| {
        let a = Matrix::row_major(&a, [m, k]).expect("A fits");
        let b = Matrix::row_major(&b, [k, n]).expect("B fits");
        let c = MatrixMut::row_major(c, [m, n]).expect("C fits");
        gemm(&cx, a, b, c, options).expect("shapes fit");
    };
    let mut c = vec![0.0; m * n];
    product(&mut c);
    Call::new(c.clone(), move || product(&mut c))
}

fn can_interleave(shape: &ConvShape) -> bool {
    let geometry = shape.geometry();
    let longest = geometry.input_len().max(geometry.output_len());
    shape.batch.is_multiple_of(LANES) && longest <= INTERLEAVED_LEN
}

fn convolution(cx: Context, shape: &ConvShape, pass: Pass) -> Call {
    let geometry = shape.geometry();
    let [x, weight, bias, dy] = shape.inputs();
    match pass {
        Pass::Forward => once(dy.len(), move |y| {
            let parameters = Conv2dParameters { weight: &weight, bias: Some(&bias) };
            conv2d(&cx, &geometry, &x, parameters, y)
        }),
        Pass::Dx => {
            once(x.len(), move |dx| conv2d_backward_input(&cx, &geometry, &weight, &dy, dx))
        }
        Pass::Dw => {
            let mut dbias = bias;
            once(weight.len(), move |dweight| {
                conv2d_backward_weight(&cx, &geometry, &x, &dy, dweight, Some(&mut dbias))
            })
        }
    }
}

/// The same on images that are interleaved already, unit by unit as plans do it.
fn interleaved(cx: Context, shape: &ConvShape, pass: Pass) -> Call {
    let conv = InterleavedConv2d::new(shape.geometry()).expect("a small image");
    let isa = cx.isa();
    let [plain_x, weight, bias, plain_dy] = shape.inputs();
    let turned = |plain: &[f32], unit: usize| {
        let mut values = vec![0.0; plain.len()];
        for (plain, values) in plain.chunks_exact(unit).zip(values.chunks_exact_mut(unit)) {
            interleave(isa, unit / LANES, plain, values).expect("full units");
        }
        values
    };
    let plain = move |unit: usize, mut call: Call| {
        let turned = std::mem::take(&mut call.output);
        call.output = vec![0.0; turned.len()];
        for (turned, plain) in turned.chunks(unit).zip(call.output.chunks_mut(unit)) {
            deinterleave(isa, unit / LANES, turned, plain).expect("full units");
        }
        call
    };
    let (input_len, output_len) = (conv.input_len(), conv.output_len());
    let (x, dy) = (turned(&plain_x, input_len), turned(&plain_dy, output_len));
    let (units, work) = (shape.batch / LANES, usize::MAX);
    match pass {
        Pass::Forward => {
            let mut packed = vec![0.0; conv.packed_forward_len()];
            let forward = once(dy.len(), move |y| {
                conv.pack_forward(isa, &weight, Some(&bias), None, &mut packed)?;
                cx.threads().for_each_chunk(units, work, [(y, output_len)], |unit, [y]| {
                    let x = &x[unit * input_len..][..input_len];
                    conv.forward(isa, &packed, x, 1.0, y, Then::Nothing).expect("shapes fit");
                });
                Ok(())
            });
            plain(output_len, forward)
        }
        Pass::Dx => {
            let mut packed = vec![0.0; conv.packed_backward_len()];
            let backward = once(x.len(), move |dx| {
                conv.pack_backward(isa, &weight, &mut packed)?;
                cx.threads().for_each_chunk(units, work, [(dx, input_len)], |unit, [dx]| {
                    let dy = &dy[unit * output_len..][..output_len];
                    conv.backward_input(isa, &packed, dy, dx).expect("shapes fit");
                });
                Ok(())
            });
            plain(input_len, backward)
        }
        Pass::Dw => {
            let mut sums = vec![0.0; units * weight.len()];
            once(weight.len(), move |dweight| {
                sums.fill(0.0);
                let chunks = [(&mut sums[..], dweight.len())];
                cx.threads().for_each_chunk(units, work, chunks, |unit, [sums]| {
                    let x = &x[unit * input_len..][..input_len];
                    let dy = &dy[unit * output_len..][..output_len];
                    conv.backward_weight(isa, x, None, dy, sums).expect("shapes fit");
                });
                sum_units(&cx, units, &sums, dweight.len(), dweight)
            })
        }
    }
}

/// A call that overwrites a buffer of `len` floats.
fn once(
    len: usize,
    mut run: impl FnMut(&mut [f32]) -> Result<(), loupe_engine::Error> + 'static,
) -> Call {
    let mut output = vec![0.0; len];
    run(&mut output).expect("shapes fit");
    Call::new(output.clone(), move || run(&mut output).expect("shapes fit"))
}
