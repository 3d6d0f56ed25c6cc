//! What a library that is timed has to offer.

use crate::Case;
use std::time::{Duration, Instant};

/// A library that can run cases.
pub trait Library {
    /// Its name in reports.
    fn name(&self) -> &'static str;

    /// The ways in which it can run a case, such as layouts of images; none if it cannot.
    fn variants(&self, case: &Case) -> Vec<&'static str>;

    /// Makes a case ready to be run on `threads` threads, in one of its [`Library::variants`], and runs it
    /// until there are outputs to check.
    fn prepare(&self, case: &Case, variant: &str, threads: usize) -> Call;
}

/// A case made ready to be timed.
pub struct Call {
    /// What the case computes: the losses of the first two training steps, the outputs of a network, C, one
    /// of y, dx, dweight, or the parameters after [`Case::OPTIM_STEPS`] steps.
    pub output: Vec<f32>,
    /// Runs the case so many times, and says how long that took.
    pub time: Box<dyn FnMut(u64) -> Duration>,
}

impl Call {
    /// What `call` computes, and `call`, which runs the case once.
    pub fn new(output: Vec<f32>, mut call: impl FnMut() + 'static) -> Call {
        let time = move |times| {
            let started = Instant::now();
            (0..times).for_each(|_| call());
            started.elapsed()
        };
        Call { output, time: Box::new(time) }
    }

    /// As [`Call::new`], for a `call` that uses up what `before` makes, in time that does not count.
    pub fn after<T>(
        output: Vec<f32>,
        mut before: impl FnMut() -> T + 'static,
        mut call: impl FnMut(T) + 'static,
    ) -> Call {
        let mut once = move || {
            let made = before();
            let started = Instant::now();
            call(made);
            started.elapsed()
        };
        Call { output, time: Box::new(move |times| (0..times).map(|_| once()).sum()) }
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("output", &self.output).finish_non_exhaustive()
    }
}
