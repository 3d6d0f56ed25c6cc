//! Fully connected layers, forward and backward.
//!
//! As PyTorch's page "Linear" has it: weight `[out, in]`, x `[N, in]`, y `[N, out]`.
//!
//! Few rows are multiplied where they lie, because packing them for a product would take longer than
//! using them once or twice; many rows are a product of [`gemm`].

mod direct;

use crate::error::expect_len;
use crate::gemm::{GemmOptions, Matrix, MatrixMut, gemm};
use crate::simd::{LANES, SumRows};
use crate::{Context, Error};
use direct::{dot_rows, multiply};

/// Sizes of a fully connected layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linear {
    /// N.
    pub batch: usize,
    /// Values per row of the input.
    pub in_features: usize,
    /// Values per row of the output.
    pub out_features: usize,
}

/// Batches of up to this many rows are multiplied where they lie: for y and dweight.
const FEW: usize = 16;
/// The same for dx.
const FEW_FOR_INPUT: usize = 4;
/// So are batches of any size for layers of up to this many outputs: for y and dx.
const NARROW: usize = LANES;

/// How a fully connected layer is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Row by row, where the operands lie.
    Direct,
    /// As a product of [`gemm`].
    Gemm,
}

impl Path {
    fn gemm_if(gemm: bool) -> Path {
        if gemm { Path::Gemm } else { Path::Direct }
    }
}

impl Linear {
    /// How [`linear`] computes y.
    pub fn forward_path(&self) -> Path {
        Path::gemm_if(self.batch > FEW && self.out_features > NARROW)
    }

    /// How [`linear_backward_input`] computes dx.
    pub fn input_path(&self) -> Path {
        Path::gemm_if(self.batch > FEW_FOR_INPUT && self.out_features > NARROW)
    }

    /// How [`linear_backward_weight`] computes dweight.
    pub fn weight_path(&self) -> Path {
        Path::gemm_if(self.batch > FEW)
    }

    /// Checks x or dx, weight or dweight, y or dy.
    fn check(&self, op: &'static str, tensors: [(&'static str, usize); 3]) -> Result<(), Error> {
        let Linear { batch, in_features, out_features } = *self;
        let sizes = [[batch, in_features], [out_features, in_features], [batch, out_features]];
        for ((what, len), [rows, columns]) in tensors.into_iter().zip(sizes) {
            let expected = rows.checked_mul(columns).ok_or(Error::Overflow { op, what })?;
            expect_len(op, what, expected, len)?;
        }
        Ok(())
    }
}

/// y `[N, out]` = x `[N, in]` · weightᵀ + bias, for weight `[out, in]` and bias `[out]`, which may be
/// left out.
///
/// # Errors
/// [`Error::Length`], [`Error::Overflow`].
pub fn linear(
    cx: &Context,
    layer: &Linear,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
) -> Result<(), Error> {
    let op = "linear";
    layer.check(op, [("x", x.len()), ("weight", weight.len()), ("y", y.len())])?;
    let Linear { batch, in_features, out_features } = *layer;
    if let Some(bias) = bias {
        expect_len(op, "bias", out_features, bias.len())?;
    }
    if y.is_empty() {
        return Ok(());
    }
    if layer.forward_path() == Path::Gemm {
        if let Some(bias) = bias {
            y.chunks_exact_mut(out_features).for_each(|y| y.copy_from_slice(bias));
        }
        return gemm(
            cx,
            Matrix::row_major(x, [batch, in_features])?,
            Matrix::row_major(weight, [out_features, in_features])?.transposed(),
            MatrixMut::row_major(y, [batch, out_features])?,
            GemmOptions { beta: if bias.is_some() { 1.0 } else { 0.0 }, ..Default::default() },
        );
    }
    dot_rows(cx, layer, x, weight, bias, y);
    Ok(())
}

/// Gradient of [`linear`] by x, overwritten: dx `[N, in]` = dy `[N, out]` · weight `[out, in]`.
///
/// # Errors
/// [`Error::Length`], [`Error::Overflow`].
pub fn linear_backward_input(
    cx: &Context,
    layer: &Linear,
    weight: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) -> Result<(), Error> {
    let op = "linear_backward_input";
    layer.check(op, [("dx", dx.len()), ("weight", weight.len()), ("dy", dy.len())])?;
    let Linear { batch, in_features, out_features } = *layer;
    if dx.is_empty() {
        return Ok(());
    }
    let dy = Matrix::row_major(dy, [batch, out_features])?;
    if layer.input_path() == Path::Gemm {
        let weight = Matrix::row_major(weight, [out_features, in_features])?;
        let dx = MatrixMut::row_major(dx, [batch, in_features])?;
        return gemm(cx, dy, weight, dx, GemmOptions::default());
    }
    multiply(cx, dy, weight, dx);
    Ok(())
}

/// Gradients of [`linear`] by weight and bias, overwritten:
/// dweight `[out, in]` = dyᵀ · x for dy `[N, out]` and x `[N, in]`, dbias `[out]` = Σₙ dy.
///
/// # Errors
/// [`Error::Length`], [`Error::Overflow`].
pub fn linear_backward_weight(
    cx: &Context,
    layer: &Linear,
    x: &[f32],
    dy: &[f32],
    dweight: &mut [f32],
    dbias: Option<&mut [f32]>,
) -> Result<(), Error> {
    let op = "linear_backward_weight";
    layer.check(op, [("x", x.len()), ("dweight", dweight.len()), ("dy", dy.len())])?;
    let Linear { batch, in_features, out_features } = *layer;
    if let Some(dbias) = dbias {
        expect_len(op, "dbias", out_features, dbias.len())?;
        let (matrices, outputs) = ([dy], [dbias]);
        cx.isa().run(SumRows { rows: batch, stride: out_features, matrices, outputs });
    }
    if dweight.is_empty() {
        return Ok(());
    }
    let dy = Matrix::row_major(dy, [batch, out_features])?.transposed();
    if layer.weight_path() == Path::Gemm {
        let x = Matrix::row_major(x, [batch, in_features])?;
        let dweight = MatrixMut::row_major(dweight, [out_features, in_features])?;
        return gemm(cx, dy, x, dweight, GemmOptions::default());
    }
    multiply(cx, dy, x, dweight);
    Ok(())
}
