//! A network and a batch size made ready to run: every buffer placed, neighbouring layers fused.
//!
//! A plan is a chain of *nodes*. Each is one layer, or several that have a common kernel: `Conv2d`,
//! `LeakyReLU` (or `ReLU`) and `BatchNorm2d` become one node whose activation and batch statistics
//! are by-products of the convolution. `View`s disappear. Value 0 is the input, value `i + 1` what
//! node `i` makes of value `i`. Running a plan allocates nothing.
//!
//! Where the batch size is a multiple of 16 and images are small, values are *interleaved*: groups of 16
//! images, the images innermost (see [`loupe_engine::conv::InterleavedConv2d`]). Only what the caller
//! writes and reads has one image behind the other.

mod activation;
mod block;
mod build;
mod conv;
mod linear;
mod norm;

use crate::Error;
use crate::network::Network;
use crate::normalization::Normalization;
use crate::spec::{NetworkSpec, SpecError};
use activation::Activation;
use block::Block;
use linear::LinearNode;
use loupe_engine::conv::{deinterleave, interleave};
use loupe_engine::{Buffer, Context};
use norm::{BatchNormNode, LayerNormNode};
use std::sync::Arc;

/// A [`Network`]'s forward pass for one batch size.
///
/// ```
/// use loupe_engine::Context;
/// use loupe_model::{Network, Normalization, Plan, nets};
///
/// let network = Network::new(nets::mnist_cnn(), 0)?;
/// let mut plan = Plan::new(&network, 2)?;
/// plan.input_mut().fill(0.5);
/// let output = plan.infer(&Context::serial(), &network, Normalization::RunningStatistics)?;
/// assert_eq!(output.len(), 2 * 10);
/// # Ok::<(), loupe_model::Error>(())
/// ```
#[derive(Debug)]
pub struct Plan {
    spec: Arc<NetworkSpec>,
    batch: usize,
    nodes: Vec<Node>,
    values: Vec<Buffer>,
    /// Of an interleaved plan.
    edges: Option<Edges>,
    /// The first layer that has a single value per channel in this batch, if there is one.
    one_value_per_channel: Option<SpecError>,
}

/// Inputs and outputs `[N, …]` of a plan whose values are interleaved.
#[derive(Debug)]
struct Edges {
    input: Buffer,
    output: Buffer,
}

/// One step of the chain.
#[derive(Debug)]
enum Node {
    Block(Box<Block>),
    Linear(LinearNode),
    BatchNorm(BatchNormNode),
    LayerNorm(LayerNormNode),
    Activation(Activation),
}

/// What a forward pass reads besides the values.
struct Forward<'a> {
    cx: &'a Context,
    parameters: &'a [f32],
    statistics: Statistics<'a>,
}

/// By which statistics batch normalisations normalise.
enum Statistics<'a> {
    /// Those of the batch, which then move the running ones.
    Training(&'a mut [f32]),
    Batch,
    Running(&'a [f32]),
}

/// What a backward pass reads and writes besides the values.
struct Backward<'a> {
    cx: &'a Context,
    parameters: &'a [f32],
    gradients: &'a mut [f32],
}

/// The gradient by one value and room for the next.
#[derive(Debug)]
pub(crate) struct GradientBuffers {
    upstream: Buffer,
    downstream: Buffer,
}

impl Plan {
    /// A plan for batches of `batch` inputs.
    ///
    /// # Errors
    /// [`Error::Spec`] if the batch size is 0 or its tensors do not fit the address space.
    pub fn new(network: &Network, batch: usize) -> Result<Plan, Error> {
        build::build(network, batch)
    }

    /// The number of inputs of a batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The inputs `[N, …]`, to be filled before a pass.
    pub fn input_mut(&mut self) -> &mut [f32] {
        match &mut self.edges {
            Some(edges) => &mut edges.input,
            None => &mut self.values[0],
        }
    }

    /// The outputs `[N, …]` of the last pass.
    pub fn output(&self) -> &[f32] {
        match &self.edges {
            Some(edges) => &edges.output,
            None => self.values.last().expect("value 0 is the input"),
        }
    }

    /// The outputs `[N, …]` for the inputs that [`Plan::input_mut`] was filled with. The network's
    /// running statistics stay as they are.
    ///
    /// # Errors
    /// [`Error::OtherNetwork`] if the plan was made for another network; [`Error::Spec`] if batch
    /// statistics are asked for where there is one value per channel.
    pub fn infer(
        &mut self,
        cx: &Context,
        network: &Network,
        normalization: Normalization,
    ) -> Result<&[f32], Error> {
        self.check_network(network)?;
        let statistics = match normalization {
            Normalization::BatchStatistics => {
                self.check_batch_statistics()?;
                Statistics::Batch
            }
            Normalization::RunningStatistics => Statistics::Running(&network.statistics),
        };
        self.forward(Forward { cx, parameters: &network.parameters, statistics })?;
        Ok(self.output())
    }

    /// A forward pass by batch statistics that moves the running ones and keeps what the backward
    /// pass needs.
    pub(crate) fn forward_training(
        &mut self,
        cx: &Context,
        network: &mut Network,
    ) -> Result<(), Error> {
        self.check_network(network)?;
        self.check_batch_statistics()?;
        let statistics = Statistics::Training(&mut network.statistics);
        self.forward(Forward { cx, parameters: &network.parameters, statistics })?;
        network.batches_tracked = network.batches_tracked.saturating_add(1);
        Ok(())
    }

    fn forward(&mut self, mut pass: Forward<'_>) -> Result<(), Error> {
        if let Some(Edges { input, .. }) = &self.edges {
            interleave(pass.cx, input.len() / self.batch, input, &mut self.values[0])?;
        }
        for (i, node) in self.nodes.iter_mut().enumerate() {
            let (before, after) = self.values.split_at_mut(i + 1);
            let (x, y) = (&before[i], &mut after[0]);
            match node {
                Node::Block(node) => node.forward(&mut pass, x, y),
                Node::Linear(node) => node.forward(&pass, x, y),
                Node::BatchNorm(node) => node.forward(&mut pass, x, y),
                Node::LayerNorm(node) => node.forward(&pass, x, y),
                Node::Activation(node) => node.forward(&pass, x, y),
            }?;
        }
        if let (Some(Edges { output, .. }), Some(last)) = (&mut self.edges, self.values.last()) {
            deinterleave(pass.cx, last.len() / self.batch, last, output)?;
        }
        Ok(())
    }

    /// Room for [`Plan::backward`].
    pub(crate) fn gradient_buffers(&self) -> GradientBuffers {
        let longest = self.values.iter().map(|value| value.len()).max().unwrap_or(0);
        GradientBuffers { upstream: Buffer::zeros(longest), downstream: Buffer::zeros(longest) }
    }

    /// Writes the gradient by every parameter, given the one by the outputs in
    /// [`GradientBuffers::output_mut`]. The gradient by the input is not computed.
    pub(crate) fn backward(
        &mut self,
        cx: &Context,
        network: &Network,
        buffers: &mut GradientBuffers,
        gradients: &mut [f32],
    ) -> Result<(), Error> {
        let GradientBuffers { upstream, downstream } = buffers;
        if let Some(Edges { output, .. }) = &self.edges {
            let len = output.len();
            interleave(cx, len / self.batch, &upstream[..len], &mut downstream[..len])?;
            std::mem::swap(upstream, downstream);
        }
        let mut pass = Backward { cx, parameters: &network.parameters, gradients };
        for (i, node) in self.nodes.iter_mut().enumerate().rev() {
            let (x, y) = (&self.values[i], &self.values[i + 1]);
            let dy = &upstream[..y.len()];
            let dx = &mut downstream[..x.len()];
            // Where it is costly, the gradient by the network's input is left out.
            match node {
                Node::Block(node) => node.backward(&mut pass, x, y, dy, (i > 0).then_some(dx)),
                Node::Linear(node) => node.backward(&mut pass, x, dy, (i > 0).then_some(dx)),
                Node::BatchNorm(node) => node.backward(&mut pass, x, dy, dx),
                Node::LayerNorm(node) => node.backward(&mut pass, x, dy, dx),
                Node::Activation(node) => node.backward(&pass, x, y, dy, dx),
            }?;
            std::mem::swap(upstream, downstream);
        }
        Ok(())
    }

    fn check_network(&self, network: &Network) -> Result<(), Error> {
        let same = std::ptr::eq(&*self.spec, network.spec()) || *self.spec == *network.spec();
        if same { Ok(()) } else { Err(Error::OtherNetwork) }
    }

    fn check_batch_statistics(&self) -> Result<(), Error> {
        self.one_value_per_channel.clone().map_or(Ok(()), |error| Err(error.into()))
    }
}

impl GradientBuffers {
    /// The gradient by the outputs `[N, …]`, to be filled before the backward pass.
    pub(crate) fn output_mut(&mut self, len: usize) -> &mut [f32] {
        &mut self.upstream[..len]
    }
}
