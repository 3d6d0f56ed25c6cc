//! What an operation is: layers, shapes, the way it is computed, and how much.

use super::Operation;
use crate::layers::Layer;
use crate::plan::Units;
use crate::plan::probe::{Measured, Op, What};
use crate::spec::FlatLayer;
use loupe_engine::gemm::MATRIXMULTIPLY_FROM;
use loupe_engine::linear::Path;
use loupe_engine::{LANES, Threads, Tier};
use std::ops::Range;

/// A plan as its operations are described by.
pub(super) struct Description<'a> {
    /// Shape of one input of the network.
    pub(super) input: &'a [usize],
    /// The network as a flat list.
    pub(super) flat: &'a [FlatLayer],
    /// Numbers of each layer's tensors.
    pub(super) weights: &'a [usize],
    /// The layers of each node.
    pub(super) nodes: &'a [Range<usize>],
    pub(super) batch: usize,
    pub(super) units: Option<Units>,
    pub(super) tier: Tier,
    /// Threads that are allowed.
    pub(super) threads: usize,
    /// Floats of parameters, but for those whose gradient is never in memory.
    pub(super) parameters: usize,
    /// Floats of the optimiser's state for each of parameters.
    pub(super) state: usize,
}

impl Description<'_> {
    /// The operation, which took so long.
    pub(super) fn operation(&self, op: Op, measured: &Measured, seconds: f64) -> Operation {
        let layers = op.node.map_or(0..0, |node| self.layers(node, op.what));
        let whole = 0..self.flat.len();
        let [input, output] = self.shapes(if op.node.is_some() { &layers } else { &whole });
        let threads = measured.largest.map_or(1, |largest| largest.threads);
        Operation {
            names: self.flat[layers.clone()].iter().map(|layer| layer.layer.to_string()).collect(),
            what: name(op.what),
            input: input.to_vec(),
            output: output.to_vec(),
            path: self.path(op.what, &layers),
            flops: self.flops(op.what, &layers),
            bytes: self.bytes(op.what, &layers),
            layers: self.flat[layers.clone()].iter().map(|layer| layer.path.clone()).collect(),
            seconds,
            calls: measured.calls,
            threads,
            why_fewer: self.why_fewer(threads, measured),
        }
    }

    /// The layers of a node that take part.
    fn layers(&self, node: usize, what: What) -> Range<usize> {
        let layers = self.nodes[node].clone();
        let is_norm = |&i: &usize| self.flat[i].layer.batch_norm().is_some();
        let norm = layers.clone().find(is_norm);
        match (what, norm) {
            (_, None) => layers,
            (_, Some(norm)) if norm == layers.start => layers,
            (What::Normalize | What::NormalizeAgain | What::NormGradient, Some(norm)) => {
                norm..layers.end
            }
            (_, Some(norm)) => layers.start..norm,
        }
    }

    /// Of one input: what the first of some layers takes, and what the last one gives.
    fn shapes(&self, layers: &Range<usize>) -> [&[usize]; 2] {
        if layers.is_empty() {
            return [self.input; 2];
        }
        [&self.flat[layers.start].input_shape, &self.flat[layers.end - 1].output_shape]
    }

    /// Floats of the batch: what the first of some layers takes, and what the last one gives.
    fn lens(&self, layers: &Range<usize>) -> [u64; 2] {
        self.shapes(layers).map(|shape| self.batch as u64 * shape.iter().product::<usize>() as u64)
    }

    fn flops(&self, what: What, layers: &Range<usize>) -> u64 {
        let products = match what {
            What::Forward | What::WeightGradient | What::WeightUpdate | What::InputGradient => 1,
            What::LayerGradient => 2,
            _ => 0,
        };
        let of_one: u64 = self.flat[layers.clone()].iter().map(FlatLayer::multiply_adds).sum();
        2 * products * self.batch as u64 * of_one
    }

    fn bytes(&self, what: What, layers: &Range<usize>) -> u64 {
        let [x, y] = self.lens(layers);
        let weight = self.weights[layers.clone()].iter().sum::<usize>() as u64;
        let [inputs, outputs] = self.lens(&(0..self.flat.len()));
        let Units { units, runs, .. } =
            self.units.unwrap_or(Units { images: 0, units: 0, runs: 0 });
        let (units, runs) = (units as u64, runs as u64);
        let floats = match what {
            What::Load | What::LoadAgain => 2 * inputs,
            What::Store | What::LoadGradient => 2 * outputs,
            What::Loss => 3 * outputs,
            What::Forward | What::InputGradient | What::WeightGradient => x + y + weight,
            What::Normalize | What::NormalizeAgain => x + y + weight,
            What::Statistics | What::BiasGradient => y,
            What::Layout | What::LayoutGradient | What::NormSums => 2 * y,
            What::ActivationGradient | What::NormGradient => 3 * y,
            What::LayerGradient => 2 * (x + y + weight),
            What::Pack | What::PackBackward => 2 * weight,
            // Two numbers of each channel of each unit.
            What::MergeStatistics | What::MergeNormSums => units * weight,
            What::AddRuns => (runs + 1) * weight,
            // Parameters and state are read and written, gradients read unless they are factors.
            What::WeightUpdate => x + y + 2 * weight * (1 + self.state as u64),
            What::Update => (self.parameters * (3 + 2 * self.state)) as u64,
            What::Waiting => 0,
        };
        floats * size_of::<f32>() as u64
    }

    fn path(&self, what: What, layers: &Range<usize>) -> &'static str {
        match what {
            What::Loss => "whole batch",
            What::Update => "all other parameters",
            What::WeightUpdate => "no gradient in memory",
            What::Waiting => "at the end of rounds",
            What::Pack | What::PackBackward => "for the kernels",
            What::MergeStatistics | What::MergeNormSums => "over all units",
            What::AddRuns => "over all tasks",
            What::Forward | What::InputGradient | What::WeightGradient => {
                self.product(what, layers)
            }
            _ => self.unit(),
        }
    }

    fn unit(&self) -> &'static str {
        match self.units {
            None => "whole batch",
            Some(Units { images: 1, .. }) => "in the unit, one image",
            Some(_) => "in the unit, 16 images",
        }
    }

    /// How a convolution or linear layer is computed.
    fn product(&self, what: What, layers: &Range<usize>) -> &'static str {
        let images = self.units.map(|units| units.images);
        match (&self.flat[layers.start].layer, images) {
            (Layer::Conv2d(_) | Layer::Linear(_), Some(LANES)) => "16 images in a vector",
            (Layer::Conv2d(_), Some(_)) => "16 channels in a vector",
            (Layer::Conv2d(_), None) => "im2col, implicit",
            (Layer::Linear(linear), images) => {
                let batch = if images.is_some() { 1 } else { self.batch };
                let dims = linear.dims(batch);
                let path = match what {
                    What::Forward => dims.forward_path(),
                    What::InputGradient => dims.input_path(),
                    // Units of one image are put together for it.
                    _ if images.is_some() && self.batch > 1 => Path::Gemm,
                    _ => dims.weight_path(),
                };
                let size = self.batch * linear.in_features * linear.out_features;
                match path {
                    Path::Direct => "direct, nothing packed",
                    Path::Gemm if self.tier == Tier::Portable && size >= MATRIXMULTIPLY_FROM => {
                        "GEMM of matrixmultiply"
                    }
                    Path::Gemm => "GEMM",
                }
            }
            _ => self.unit(),
        }
    }

    fn why_fewer(&self, threads: usize, measured: &Measured) -> Option<String> {
        if threads >= self.threads {
            return None;
        }
        Some(match measured.largest {
            None => "it is not cut into tasks".into(),
            Some(largest) if largest.tasks == 1 => "it is one task".into(),
            Some(largest) if largest.work < Threads::MIN_PARALLEL_WORK => format!(
                "its work is less than {} operations, too little to share",
                Threads::MIN_PARALLEL_WORK
            ),
            Some(largest) => format!("it is {} tasks", largest.tasks),
        })
    }
}

fn name(what: What) -> &'static str {
    match what {
        What::Pack => "pack weights",
        What::Load => "load inputs",
        What::Forward => "forward",
        What::Statistics => "statistics",
        What::MergeStatistics => "merge statistics",
        What::Normalize => "normalise",
        What::LoadAgain => "load inputs again",
        What::NormalizeAgain => "normalise again",
        What::Layout => "change layout",
        What::Store => "store outputs",
        What::Loss => "loss",
        What::LoadGradient => "load gradient",
        What::LayoutGradient => "dX, change layout",
        What::ActivationGradient => "dX of activation",
        What::LayerGradient => "gradients",
        What::NormSums => "sums for dX",
        What::MergeNormSums => "merge sums",
        What::NormGradient => "dX",
        What::PackBackward => "pack for dX",
        What::InputGradient => "dX",
        What::WeightGradient => "dW",
        What::BiasGradient => "db",
        What::AddRuns => "add up dW, db",
        What::WeightUpdate => "dW, optimiser",
        What::Update => "optimiser",
        What::Waiting => "wait for threads",
    }
}
