//! Normalisation of groups of channels.

use super::batch_norm::default_eps;
use super::check::{check, check_eps};
use super::pass::with_room;
use super::{Backward, Forward, LayerError, Module, Operation, Parameter, Values};
use crate::Error;
use loupe_engine::Buffer;
use loupe_engine::norm::Affine;
use loupe_engine::norm::group::{
    self, GroupNormBackward, GroupNormGradients, GroupNormOutputs, group_norm, group_norm_backward,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// `[C, …]` → the same: each group of channels of each input normalised by itself. PyTorch's `GroupNorm`, with
/// affine parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupNorm {
    /// Groups, a divisor of C.
    pub num_groups: usize,
    /// C.
    pub num_channels: usize,
    /// Added to the variance; default 1e-5.
    #[serde(default = "default_eps")]
    pub eps: f32,
}

impl GroupNorm {
    /// PyTorch's eps.
    pub fn new(num_groups: usize, num_channels: usize) -> GroupNorm {
        GroupNorm { num_groups, num_channels, eps: default_eps() }
    }

    /// Sets what is added to the variance.
    pub fn eps(self, eps: f32) -> GroupNorm {
        GroupNorm { eps, ..self }
    }
}

impl fmt::Display for GroupNorm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GroupNorm({}, {})", self.num_groups, self.num_channels)
    }
}

impl Module for GroupNorm {
    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        check_eps(self.eps)?;
        let &GroupNorm { num_groups: groups, num_channels: channels, .. } = self;
        check(groups > 0 && channels.is_multiple_of(groups), || {
            format!("num_groups must divide num_channels, found {groups} and {channels}")
        })?;
        match input.first() {
            Some(&found) if found == channels => Ok(input.to_vec()),
            _ => Err(LayerError::shape(format!("[{channels}, …]"))),
        }
    }

    fn parameters(&self) -> Vec<Parameter> {
        Parameter::of_norm(&[self.num_channels])
    }

    fn operation(&self, batch: usize, input: &[usize]) -> Result<Box<dyn Operation>, Error> {
        let &GroupNorm { num_groups: groups, num_channels: channels, eps } = self;
        let spatial = input[1..].iter().product();
        let dims = group::GroupNorm { batch, channels, spatial, groups, eps };
        let [mean, inv_std] = [(); 2].map(|()| Buffer::zeros(batch * groups));
        Ok(Box::new(GroupNormOperation { dims, mean, inv_std }))
    }
}

#[derive(Debug)]
struct GroupNormOperation {
    dims: group::GroupNorm,
    mean: Buffer,
    inv_std: Buffer,
}

impl Operation for GroupNormOperation {
    fn forward(&mut self, pass: &mut Forward<'_>, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
        let affine = Affine { weight: pass.parameter(0), bias: pass.parameter(1) };
        let (mean, inv_std) = (&mut *self.mean, &mut *self.inv_std);
        let outputs = GroupNormOutputs { y, mean, inv_std };
        Ok(group_norm(pass.context(), &self.dims, x, affine, outputs)?)
    }

    fn backward(
        &mut self,
        pass: &mut Backward<'_>,
        Values { x, dy, .. }: Values<'_>,
        dx: Option<&mut [f32]>,
    ) -> Result<(), Error> {
        let (cx, weight) = (pass.context(), pass.parameter(0));
        let (mean, inv_std) = (&*self.mean, &*self.inv_std);
        let inputs = GroupNormBackward { x, dy, mean, inv_std, weight };
        let [dweight, dbias] = pass.gradients();
        with_room(dx, x.len(), |dx| {
            let gradients = GroupNormGradients { dx, dweight, dbias };
            Ok(group_norm_backward(cx, &self.dims, inputs, gradients)?)
        })
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.mean) + size_of_val(&*self.inv_std)
    }
}
