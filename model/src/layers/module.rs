//! What a layer is: the trait that all layers share, those of users too.

use super::pass::{Backward, Forward};
use crate::Error;
use std::fmt;

/// A layer: which shapes it takes and gives, its parameters, and how it is computed.
///
/// The layers of this crate implement it, and so may yours: [`Layer::custom`](super::Layer::custom) puts a module
/// into a network, where it is trained, traced, summed up and saved like any other. It prints (`Display`) as
/// PyTorch would print it.
///
/// ```
/// use loupe_engine::Context;
/// use loupe_model::layers::{Backward, Forward, Layer, LayerError, Linear, Module, Operation, Values};
/// use loupe_model::{Error, Network, NetworkSpec, Normalization, Plan};
/// use std::fmt;
///
/// /// y = x², for each element.
/// #[derive(Debug)]
/// struct Square;
///
/// impl fmt::Display for Square {
///     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
///         f.write_str("Square()")
///     }
/// }
///
/// impl Module for Square {
///     fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
///         Ok(input.to_vec())
///     }
///
///     fn operation(&self, _: usize, _: &[usize]) -> Result<Box<dyn Operation>, Error> {
///         Ok(Box::new(SquareOperation))
///     }
/// }
///
/// #[derive(Debug)]
/// struct SquareOperation;
///
/// impl Operation for SquareOperation {
///     fn forward(&mut self, _: &mut Forward<'_>, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
///         y.iter_mut().zip(x).for_each(|(y, x)| *y = x * x);
///         Ok(())
///     }
///
///     fn backward(
///         &mut self,
///         _: &mut Backward<'_>,
///         values: Values<'_>,
///         dx: Option<&mut [f32]>,
///     ) -> Result<(), Error> {
///         let Some(dx) = dx else { return Ok(()) };
///         for ((dx, x), dy) in dx.iter_mut().zip(values.x).zip(values.dy) {
///             *dx = 2.0 * x * dy;
///         }
///         Ok(())
///     }
/// }
///
/// let spec = NetworkSpec::new([3]).add(Layer::custom(Square)).add(Linear::new(3, 2));
/// let network = Network::new(spec, 0)?;
/// let mut plan = Plan::new(&network, 1)?;
/// plan.input_mut().copy_from_slice(&[1.0, 2.0, 3.0]);
/// let y = plan.infer(&Context::serial(), &network, Normalization::RunningStatistics)?;
/// assert_eq!(y.len(), 2);
/// # Ok::<(), Error>(())
/// ```
pub trait Module: fmt::Debug + fmt::Display + Send + Sync {
    /// The shape of one output for one input of this shape, both without the batch.
    ///
    /// # Errors
    /// [`LayerError::Shape`] if it cannot take that shape, [`LayerError::Option`] if one of its options has no
    /// meaning.
    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError>;

    /// Its trainable tensors, in the order in which [`Forward::parameter`] counts them. Called only with options
    /// that [`Module::output_shape`] has found sound.
    fn parameters(&self) -> Vec<Parameter> {
        Vec::new()
    }

    /// Multiplications and additions, each pair counted once, of one input: those of convolutions and linear
    /// layers, products with padding included. Shapes are without the batch.
    fn multiply_adds(&self, _input: &[usize], _output: &[usize]) -> u64 {
        0
    }

    /// Makes ready to compute batches of `batch` inputs of the shape `input`, which
    /// [`Module::output_shape`] has accepted. All memory that passes need is taken here.
    ///
    /// # Errors
    /// As the operations' sizes.
    fn operation(&self, batch: usize, input: &[usize]) -> Result<Box<dyn Operation>, Error>;
}

/// A layer made ready for one batch size. A pass should allocate nothing.
pub trait Operation: fmt::Debug + Send + Sync {
    /// Writes the outputs y `[N, …]` for the inputs x `[N, …]`. y holds unspecified numbers before.
    ///
    /// # Errors
    /// What the computation finds wrong.
    fn forward(&mut self, pass: &mut Forward<'_>, x: &[f32], y: &mut [f32]) -> Result<(), Error>;

    /// Writes the gradients by all parameters ([`Backward::gradients`]), and into `dx` `[N, …]` the one by x, if
    /// it is wanted. Both hold unspecified numbers before. Follows the forward pass that gave these values.
    ///
    /// # Errors
    /// What the computation finds wrong.
    fn backward(
        &mut self,
        pass: &mut Backward<'_>,
        values: Values<'_>,
        dx: Option<&mut [f32]>,
    ) -> Result<(), Error>;

    /// Bytes of the memory that it keeps between passes.
    fn bytes(&self) -> usize {
        0
    }
}

/// What a backward pass knows of the forward pass, and the gradient by its output; all `[N, …]`.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// The inputs.
    pub x: &'a [f32],
    /// The outputs.
    pub y: &'a [f32],
    /// The gradient by the outputs.
    pub dy: &'a [f32],
}

/// A trainable tensor of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// As in PyTorch's `state_dict`: `weight`, `bias`.
    pub name: String,
    /// Axes, outermost first.
    pub shape: Vec<usize>,
    /// Its values before training.
    pub init: Init,
}

impl Parameter {
    /// A tensor of this name, shape and initial values.
    pub fn new(name: &str, shape: &[usize], init: Init) -> Parameter {
        Parameter { name: name.to_owned(), shape: shape.to_vec(), init }
    }

    /// Weight and bias of a layer whose every output is a sum over `fan_in` inputs, with PyTorch's initial
    /// values: uniform in ±1/√fan_in.
    pub(super) fn of_products(
        weight: &[usize],
        bias: Option<usize>,
        fan_in: usize,
    ) -> Vec<Parameter> {
        let init = Init::Uniform { bound: 1.0 / (fan_in as f32).sqrt() };
        let bias = bias.map(|len| Parameter::new("bias", &[len], init));
        std::iter::once(Parameter::new("weight", weight, init)).chain(bias).collect()
    }

    /// Weight and bias of a normalisation, which starts as the identity.
    pub(super) fn of_norm(shape: &[usize]) -> Vec<Parameter> {
        let weight = Parameter::new("weight", shape, Init::Constant(1.0));
        vec![weight, Parameter::new("bias", shape, Init::Constant(0.0))]
    }
}

/// Values before training.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Init {
    /// All the same.
    Constant(f32),
    /// Uniform in [−bound, bound).
    Uniform {
        /// Not negative.
        bound: f32,
    },
}

/// Why a layer cannot be where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerError {
    /// It works on other shapes.
    Shape {
        /// The expected shape in words: `[3, height, width]`.
        expected: String,
    },
    /// An option has no meaning.
    Option {
        /// What is wrong, with numbers.
        reason: String,
    },
}

impl LayerError {
    /// It works on shapes such as these, in words.
    pub fn shape(expected: impl Into<String>) -> LayerError {
        LayerError::Shape { expected: expected.into() }
    }

    /// An option has no meaning, for this reason.
    pub fn option(reason: impl fmt::Display) -> LayerError {
        LayerError::Option { reason: reason.to_string() }
    }
}
