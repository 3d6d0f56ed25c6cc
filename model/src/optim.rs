//! Optimisers: options, and the state that they keep for each parameter.

use loupe_engine::optim::{
    AdamOptions, AdamState, AdamWOptions, Gradient, SgdOptions, adam_step, adamw_step, sgd_step,
};
use loupe_engine::{Buffer, Context, Error};
use std::fmt;
use std::ops::Range;

/// Which optimiser, with which options.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum OptimizerOptions {
    /// PyTorch's `Adam`.
    Adam(AdamOptions),
    /// PyTorch's `AdamW`.
    AdamW(AdamWOptions),
    /// PyTorch's `SGD`.
    Sgd(SgdOptions),
}

impl OptimizerOptions {
    /// The learning rate.
    pub fn lr(&self) -> f64 {
        match self {
            OptimizerOptions::Adam(options) => options.lr,
            OptimizerOptions::AdamW(options) => options.lr,
            OptimizerOptions::Sgd(options) => options.lr,
        }
    }

    /// The same options with this learning rate.
    pub fn with_lr(mut self, rate: f64) -> OptimizerOptions {
        match &mut self {
            OptimizerOptions::Adam(options) => options.lr = rate,
            OptimizerOptions::AdamW(options) => options.lr = rate,
            OptimizerOptions::Sgd(options) => options.lr = rate,
        }
        self
    }

    /// PyTorch's names of what the optimiser keeps for each parameter.
    pub(crate) fn state_names(&self) -> &'static [&'static str] {
        match self {
            OptimizerOptions::Adam(_) | OptimizerOptions::AdamW(_) => &["exp_avg", "exp_avg_sq"],
            OptimizerOptions::Sgd(_) => &["momentum_buffer"],
        }
    }
}

/// As PyTorch writes them: `Adam(lr=0.001, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)`.
impl fmt::Display for OptimizerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut adam = |name, lr: f64, [first, second]: [f64; 2], eps: f64, weight_decay: f64| {
            write!(f, "{name}(lr={lr:?}, betas=({first:?}, {second:?}), ")?;
            write!(f, "eps={eps:?}, weight_decay={weight_decay:?})")
        };
        match *self {
            OptimizerOptions::Adam(AdamOptions { lr, betas, eps, weight_decay }) => {
                adam("Adam", lr, betas, eps, weight_decay)
            }
            OptimizerOptions::AdamW(AdamWOptions { lr, betas, eps, weight_decay }) => {
                adam("AdamW", lr, betas, eps, weight_decay)
            }
            OptimizerOptions::Sgd(SgdOptions { lr, momentum, weight_decay, nesterov }) => {
                write!(f, "SGD(lr={lr:?}, momentum={momentum:?}, ")?;
                write!(f, "weight_decay={weight_decay:?}, nesterov={nesterov})")
            }
        }
    }
}

impl From<AdamOptions> for OptimizerOptions {
    fn from(options: AdamOptions) -> OptimizerOptions {
        OptimizerOptions::Adam(options)
    }
}

impl From<AdamWOptions> for OptimizerOptions {
    fn from(options: AdamWOptions) -> OptimizerOptions {
        OptimizerOptions::AdamW(options)
    }
}

impl From<SgdOptions> for OptimizerOptions {
    fn from(options: SgdOptions) -> OptimizerOptions {
        OptimizerOptions::Sgd(options)
    }
}

impl Default for OptimizerOptions {
    fn default() -> OptimizerOptions {
        OptimizerOptions::Adam(AdamOptions::default())
    }
}

/// An optimiser in the midst of training.
#[derive(Clone, Debug)]
pub struct Optimizer {
    options: OptimizerOptions,
    /// The options with the learning rate of the next step.
    now: OptimizerOptions,
    /// Steps taken.
    steps: u64,
    /// The first moments of Adam and AdamW, or the velocities of SGD.
    first: Buffer,
    /// Their second moments.
    second: Buffer,
}

impl Optimizer {
    /// An optimiser of `len` numbers that has taken no step.
    pub fn new(options: OptimizerOptions, len: usize) -> Optimizer {
        let second = match options {
            OptimizerOptions::Adam(_) | OptimizerOptions::AdamW(_) => len,
            OptimizerOptions::Sgd(_) => 0,
        };
        let (first, second) = (Buffer::zeros(len), Buffer::zeros(second));
        Optimizer { options, now: options, steps: 0, first, second }
    }

    /// An optimiser to which memory is given [later](Optimizer::allocate).
    pub(crate) fn without_memory(options: OptimizerOptions) -> Optimizer {
        Optimizer::new(options, 0)
    }

    /// Sees to it that there is memory for `len` numbers. What is there already stays.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]
    pub(crate) fn allocate(&mut self, len: usize) -> Result<(), Error> {
        if self.first.len() != len {
            let moments = self.options.state_names().len();
            let state = |moment| {
                let len = if moment < moments { len } else { 0 };
                Buffer::try_zeros("the optimiser's state", len)
            };
            (self.first, self.second) = (state(0)?, state(1)?);
        }
        Ok(())
    }

    /// The number of steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The options that it was made with.
    pub fn options(&self) -> &OptimizerOptions {
        &self.options
    }

    /// Sets the learning rate of the steps to come.
    pub fn set_learning_rate(&mut self, rate: f64) {
        self.now = self.options.with_lr(rate);
    }

    /// What it keeps for each parameter, in the order of [`OptimizerOptions::state_names`], and the number of
    /// steps taken.
    pub(crate) fn state_mut(&mut self) -> (impl Iterator<Item = &mut [f32]>, &mut u64) {
        let buffers = [&mut *self.first, &mut *self.second];
        (buffers.into_iter().filter(|buffer| !buffer.is_empty()), &mut self.steps)
    }

    /// As [`Optimizer::state_mut`].
    pub(crate) fn state(&self) -> impl Iterator<Item = &[f32]> {
        [&*self.first, &*self.second].into_iter().filter(|buffer| !buffer.is_empty())
    }

    /// Bytes of the state.
    pub(crate) fn bytes(&self) -> usize {
        (self.first.len() + self.second.len()) * size_of::<f32>()
    }

    /// Moves the parameters against the gradient.
    ///
    /// # Errors
    /// [`Error::Length`] if a slice does not have the optimiser's length, [`Error::Invalid`] if an
    /// option has no meaning. The parameters are then unchanged.
    pub fn step(
        &mut self,
        cx: &Context,
        parameters: &mut [f32],
        gradient: &[f32],
    ) -> Result<(), Error> {
        let place = 0..self.first.len();
        self.step_part(cx, place, parameters, Gradient::dense(gradient))?;
        self.end_step();
        Ok(())
    }

    /// A part of a step: moves the `parameters` at this place among all. [`Optimizer::end_step`] is to follow
    /// the last part.
    ///
    /// # Errors
    /// As [`Optimizer::step`]; an option without meaning is found by the first part.
    pub(crate) fn step_part(
        &mut self,
        cx: &Context,
        place: Range<usize>,
        parameters: &mut [f32],
        gradient: Gradient<'_>,
    ) -> Result<(), Error> {
        let step = self.steps + 1;
        let first_moment = &mut self.first[place.clone()];
        let second_moment = self.second.get_mut(place).unwrap_or_default();
        match &self.now {
            OptimizerOptions::Adam(options) => {
                let state = AdamState { parameters, gradient, first_moment, second_moment };
                adam_step(cx, options, step, state)
            }
            OptimizerOptions::AdamW(options) => {
                let state = AdamState { parameters, gradient, first_moment, second_moment };
                adamw_step(cx, options, step, state)
            }
            OptimizerOptions::Sgd(options) => {
                sgd_step(cx, options, parameters, gradient, first_moment)
            }
        }
    }

    /// Counts a step whose parts have been taken.
    pub(crate) fn end_step(&mut self) {
        self.steps += 1;
    }
}
