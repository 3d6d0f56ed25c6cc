//! The block of a convolutional network in training: convolution, bias, LeakyReLU, statistics of the batch,
//! normalisation. As a plan of a network runs it (`plan`), as one
//! operation and a normalisation (`fused`), and as single operations (`apart`).

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use loupe_benches::{Case, ConvShape, Rates, bench, context, conv_cases, criterion, thread_counts};
use loupe_engine::Context;
use loupe_engine::activation::leaky_relu;
use loupe_engine::conv::{Conv2d, Conv2dFused, Conv2dParameters, conv2d, conv2d_fused};
use loupe_engine::norm::Affine;
use loupe_engine::norm::batch::{BatchNorm, Statistics, batch_norm, batch_statistics};
use loupe_engine::reference::compare::{Tolerance, assert_close, widen};
use loupe_engine::reference::conv2d::Conv2dDims;
use loupe_engine::reference::network as oracle;
use loupe_model::{Layer, Network, NetworkSpec, Normalization, Plan};

/// Shapes that networks of the tutorial's kind have.
const SHAPES: [&str; 4] = ["mnist1", "mnist2", "lenet2", "cifar-32"];
const SLOPE: f32 = 0.02;
const EPS: f32 = 1e-5;

/// Everything that a block reads and writes.
struct Block {
    cx: Context,
    geometry: Conv2d,
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    scale: Vec<f32>,
    statistics: [Vec<f32>; 2],
    activated: Vec<f32>,
    y: Vec<f32>,
}

impl Block {
    fn new(shape: &ConvShape, threads: usize) -> Block {
        let [x, weight, bias, y] = shape.inputs();
        Block {
            cx: context(threads),
            geometry: shape.geometry(),
            scale: vec![1.0; bias.len()],
            statistics: [bias.clone(), bias.clone()],
            activated: y.clone(),
            x,
            weight,
            bias,
            y,
        }
    }

    /// `groups` runs of images, the values of a channel of which lie side by side.
    fn normalise(&mut self, groups: usize) {
        let channels = self.bias.len();
        let spatial = self.y.len() / (groups * channels);
        let norm = BatchNorm { batch: groups, channels, spatial, eps: EPS };
        let statistics = Statistics { mean: &self.statistics[0], variance: &self.statistics[1] };
        let affine = Affine { weight: &self.scale, bias: &self.bias };
        batch_norm(&self.cx, &norm, &self.activated, statistics, affine, &mut self.y)
            .expect("shapes fit");
    }

    fn apart(&mut self) {
        let parameters = Conv2dParameters { weight: &self.weight, bias: Some(&self.bias) };
        conv2d(&self.cx, &self.geometry, &self.x, parameters, &mut self.y).expect("shapes fit");
        leaky_relu(&self.cx, SLOPE, &self.y, &mut self.activated).expect("shapes fit");
        let (batch, channels) = (self.x.len() / self.geometry.input_len(), self.bias.len());
        let spatial = self.geometry.output_len() / channels;
        let norm = BatchNorm { batch, channels, spatial, eps: EPS };
        let [mean, variance] = &mut self.statistics;
        batch_statistics(&self.cx, &norm, &self.activated, mean, variance).expect("shapes fit");
        self.normalise(batch);
    }

    fn fused(&mut self) {
        let parameters = Conv2dParameters { weight: &self.weight, bias: Some(&self.bias) };
        let [mean, variance] = &mut self.statistics;
        let fused = Conv2dFused { negative_slope: SLOPE, statistics: Some((mean, variance)) };
        conv2d_fused(&self.cx, &self.geometry, &self.x, parameters, fused, &mut self.activated)
            .expect("shapes fit");
        self.normalise(self.x.len() / self.geometry.input_len());
    }
}

/// A network that is the block, with a plan for its batch.
struct Planned {
    cx: Context,
    network: Network,
    plan: Plan,
}

impl Planned {
    fn new(shape: &ConvShape, threads: usize) -> Planned {
        let [x, weight, bias, _] = shape.inputs();
        let ([inputs, outputs], [kernel, stride, padding]) = (shape.channels, shape.kernel);
        let layers = vec![
            Layer::Conv2d {
                in_channels: inputs,
                out_channels: outputs,
                kernel_size: [kernel; 2],
                stride: [stride; 2],
                padding: [padding; 2],
                dilation: [1; 2],
                groups: 1,
                bias: true,
            },
            Layer::LeakyReLU { negative_slope: SLOPE },
            Layer::BatchNorm2d { num_features: outputs, eps: EPS, momentum: 0.1 },
        ];
        let input = vec![inputs, shape.size[0], shape.size[1]];
        let mut network = Network::new(NetworkSpec { input, layers }, 0).expect("a network");
        for (name, values) in [("0.weight", &weight), ("0.bias", &bias), ("2.bias", &bias)] {
            network.tensor_mut(name).expect("a tensor").copy_from_slice(values);
        }
        let mut plan = Plan::new(&network, shape.batch).expect("a plan");
        plan.input_mut().copy_from_slice(&x);
        Planned { cx: context(threads), network, plan }
    }

    fn run(&mut self) -> &[f32] {
        let Planned { cx, network, plan } = self;
        plan.infer(cx, network, Normalization::BatchStatistics).expect("inference")
    }
}

/// What the block has to compute.
fn expected(shape: &ConvShape) -> Vec<f64> {
    let [x, weight, bias, _] = shape.inputs().map(|values| widen(&values));
    let ([inputs, outputs], [kernel, stride, padding]) = (shape.channels, shape.kernel);
    let dims = Conv2dDims {
        batch: 0,
        in_channels: inputs,
        height: shape.size[0],
        width: shape.size[1],
        out_channels: outputs,
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [padding; 2],
        dilation: [1; 2],
        groups: 1,
    };
    let layers = vec![
        oracle::Layer::Conv2d { dims, weight, bias: Some(bias.clone()) },
        oracle::Layer::LeakyRelu { slope: f64::from(SLOPE) },
        oracle::Layer::BatchNorm { weight: vec![1.0; outputs], bias, eps: f64::from(EPS) },
    ];
    oracle::Network { layers }.forward(shape.batch, &x)
}

fn bench_blocks(criterion: &mut Criterion<Rates>) {
    let tolerance = Tolerance::abs_rel(2e-5, 1e-5);
    for case in conv_cases() {
        let Case::Conv(shape, loupe_benches::Pass::Forward) = &case else { continue };
        if !SHAPES.contains(&shape.name.as_str()) {
            continue;
        }
        let mut group = criterion.benchmark_group(format!("block {}", shape.name));
        for threads in thread_counts() {
            for (name, run) in [("apart", Block::apart as fn(&mut Block)), ("fused", Block::fused)]
            {
                bench(&mut group, BenchmarkId::new(name, threads), case.work(), || {
                    let mut block = Block::new(shape, threads);
                    run(&mut block);
                    assert_close(name, &block.y, &expected(shape), &tolerance);
                    move || run(&mut block)
                });
            }
            bench(&mut group, BenchmarkId::new("plan", threads), case.work(), || {
                let mut planned = Planned::new(shape, threads);
                assert_close("plan", planned.run(), &expected(shape), &tolerance);
                move || {
                    std::hint::black_box(planned.run()[0]);
                }
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = criterion();
    targets = bench_blocks
}
criterion_main!(benches);
