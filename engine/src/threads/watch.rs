//! What became of the loops of an operation.

use std::sync::{Arc, Mutex, PoisonError};

/// How a loop over tasks was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loop {
    /// Tasks: no more threads than these have something to do.
    pub tasks: usize,
    /// Operations of all tasks together.
    pub work: usize,
    /// Threads that the tasks were offered to, the calling one included.
    pub threads: usize,
}

/// Sees the loops of the [`Threads`](crate::Threads) that
/// [`Threads::watched`](crate::Threads::watched) returned with it.
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<Mutex<Option<Loop>>>);

impl Watch {
    /// The loop with the most work since the last call, if there was one.
    pub fn take(&self) -> Option<Loop> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn note(&self, new: Loop) {
        let mut largest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if largest.is_none_or(|largest| new.work > largest.work) {
            *largest = Some(new);
        }
    }
}
