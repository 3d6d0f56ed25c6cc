//! A fully connected layer of units that are one image each.

use super::Sizes;
use super::values::{Place, Values};
use crate::Error;
use crate::parameters::LayerTensors;
use crate::plan::Backward;
use loupe_engine::Context;
use loupe_engine::gemm::{GemmOptions, Matrix, MatrixMut, gemm};
use loupe_engine::linear::{Linear, linear, linear_backward_input, linear_backward_weight};
use loupe_engine::norm::batch::sum_units;

#[derive(Debug)]
pub(super) struct LinearNode {
    /// Of one image.
    pub(super) dims: Linear,
    pub(super) tensors: LayerTensors,
    pub(super) x: Place,
    pub(super) y: Place,
    /// None if x is the input.
    pub(super) dx: Option<Place>,
    pub(super) dy: Place,
}

impl LinearNode {
    pub(super) fn forward(
        &self,
        serial: &Context,
        parameters: &[f32],
        unit: &mut Values<'_>,
    ) -> Result<(), Error> {
        let weight = &parameters[self.tensors.weight()];
        let bias = self.tensors.bias().map(|bias| &parameters[bias]);
        let [x, y] = unit.at([&self.x, &self.y]);
        Ok(linear(serial, &self.dims, x, weight, bias, y)?)
    }

    pub(super) fn backward(
        &self,
        serial: &Context,
        parameters: &[f32],
        unit: &mut Values<'_>,
    ) -> Result<(), Error> {
        let Some(dx) = &self.dx else { return Ok(()) };
        let weight = &parameters[self.tensors.weight()];
        let [dx, dy] = unit.at([dx, &self.dy]);
        Ok(linear_backward_input(serial, &self.dims, weight, dy, dx)?)
    }

    /// Writes the gradients by weight and bias: a product of the inputs and gradients of all units.
    pub(super) fn finish_backward(
        &self,
        pass: &mut Backward<'_>,
        sizes: Sizes,
        units: &[f32],
    ) -> Result<(), Error> {
        let (dweight, dbias) = self.tensors.weight_and_bias(pass.gradients);
        if sizes.units == 1 {
            let (x, dy) = (&units[self.x.range.clone()], &units[self.dy.range.clone()]);
            return Ok(linear_backward_weight(pass.cx, &self.dims, x, dy, dweight, dbias)?);
        }
        let (x, dy) = (&units[self.x.range.start..], &units[self.dy.range.start..]);
        let Linear { in_features, out_features, .. } = self.dims;
        let stride = sizes.kept_len;
        gemm(
            pass.cx,
            Matrix::new(dy, [sizes.units, out_features], [stride, 1])?.transposed(),
            Matrix::new(x, [sizes.units, in_features], [stride, 1])?,
            MatrixMut::row_major(dweight, [out_features, in_features])?,
            GemmOptions::default(),
        )?;
        if let Some(dbias) = dbias {
            sum_units(pass.cx, sizes.units, dy, stride, dbias)?;
        }
        Ok(())
    }
}
