//! Where work runs: on the calling thread or in a rayon pool that was handed in.

use crate::Error;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::Arc;

/// Below this many floating-point operations (or elements moved) a task list is run by the calling
/// thread: handing it to sleeping workers costs more than it saves.
const MIN_PARALLEL_WORK: usize = 1 << 19;

/// The threads that the operations may use.
///
/// Work is cut by the problem's size only, so results have the same bits for any number of
/// threads.
#[derive(Clone, Debug, Default)]
pub struct Threads(Option<Arc<ThreadPool>>);

impl Threads {
    /// The calling thread alone. No thread is started.
    pub fn serial() -> Threads {
        Threads(None)
    }

    /// A pool of `count` threads of its own; for 1 the calling thread alone.
    ///
    /// # Errors
    /// [`Error::Invalid`] if `count` is 0, [`Error::ThreadPool`] if the system refuses the threads.
    pub fn new(count: usize) -> Result<Threads, Error> {
        match count {
            0 => Err(Error::Invalid {
                op: "threads",
                what: "the number of threads",
                expected: "at least 1",
                found: "0".into(),
            }),
            1 => Ok(Threads::serial()),
            _ => ThreadPoolBuilder::new()
                .num_threads(count)
                .thread_name(|i| format!("loupe-{i}"))
                .build()
                .map(|pool| Threads(Some(Arc::new(pool))))
                .map_err(|e| Error::ThreadPool { threads: count, reason: e.to_string() }),
        }
    }

    /// An existing pool.
    pub fn from_pool(pool: Arc<ThreadPool>) -> Threads {
        Threads(Some(pool))
    }

    /// The number of threads, at least 1.
    pub fn count(&self) -> usize {
        self.0.as_ref().map_or(1, |pool| pool.current_num_threads())
    }

    /// Runs `f` inside the pool, or on the calling thread if there is none. A long run of small
    /// operations enters the pool once this way instead of once for each operation.
    pub fn install<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        match &self.0 {
            Some(pool) => pool.install(f),
            None => f(),
        }
    }

    /// Cuts each of `outputs` into chunks of its own length and calls `f(i, chunks)` with the `i`-th
    /// chunk of each, in any order, on any thread. `work` is the whole list's amount of work in
    /// operations.
    ///
    /// # Panics
    /// If an output is not `tasks` chunks long; the last chunk may be shorter.
    pub(crate) fn for_each_chunk<T: Send, const N: usize>(
        &self,
        tasks: usize,
        work: usize,
        outputs: [(&mut [T], usize); N],
        f: impl Fn(usize, [&mut [T]; N]) + Sync,
    ) {
        for (output, chunk) in &outputs {
            assert!(output.len().div_ceil(*chunk) == tasks, "one chunk for each task");
        }
        let list = Chunks { first: 0, tasks, outputs };
        match &self.0 {
            Some(pool) if tasks > 1 && work >= MIN_PARALLEL_WORK => {
                pool.install(|| list.run_parallel(&f));
            }
            _ => list.run_serial(&f),
        }
    }
}

/// Tasks `first` to `first + tasks`, with the parts of the outputs that they own.
struct Chunks<'a, T, const N: usize> {
    first: usize,
    tasks: usize,
    outputs: [(&'a mut [T], usize); N],
}

impl<'a, T: Send, const N: usize> Chunks<'a, T, N> {
    /// The first `count` tasks and the others.
    fn split(self, count: usize) -> (Self, Self) {
        let mut rest = self.outputs.each_ref().map(|&(_, chunk)| (&mut [][..], chunk));
        let mut n = 0;
        let outputs = self.outputs.map(|(output, chunk)| {
            let (head, tail) = output.split_at_mut((count * chunk).min(output.len()));
            rest[n].0 = tail;
            n += 1;
            (head, chunk)
        });
        let (first, tasks) = (self.first, self.tasks);
        (
            Chunks { first, tasks: count, outputs },
            Chunks { first: first + count, tasks: tasks - count, outputs: rest },
        )
    }

    fn run_serial(self, f: &impl Fn(usize, [&mut [T]; N])) {
        let mut rest = self;
        while rest.tasks > 0 {
            let (head, tail) = rest.split(1);
            f(head.first, head.outputs.map(|(output, _)| output));
            rest = tail;
        }
    }

    fn run_parallel(self, f: &(impl Fn(usize, [&mut [T]; N]) + Sync)) {
        match self.tasks {
            0 => {}
            1 => f(self.first, self.outputs.map(|(output, _)| output)),
            tasks => {
                let (head, tail) = self.split(tasks / 2);
                rayon::join(|| head.run_parallel(f), || tail.run_parallel(f));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_threads_are_refused_and_one_starts_no_pool() {
        assert!(matches!(Threads::new(0), Err(Error::Invalid { .. })));
        assert!(Threads::new(1).unwrap().0.is_none());
        assert_eq!(Threads::new(3).unwrap().count(), 3);
    }

    #[test]
    fn every_task_gets_its_own_chunks() {
        for threads in [Threads::serial(), Threads::new(3).unwrap()] {
            for tasks in [1, 2, 5, 64] {
                // The last chunk of `a` is one element short.
                let mut a = vec![0; tasks * 3 - 1];
                let mut b = vec![0; tasks];
                threads.for_each_chunk(
                    tasks,
                    usize::MAX,
                    [(&mut a, 3), (&mut b, 1)],
                    |i, [a, b]| {
                        a.fill(i);
                        b[0] = a.len();
                    },
                );
                assert!(a.iter().enumerate().all(|(i, &task)| task == i / 3));
                assert!(b.iter().enumerate().all(|(i, &n)| n == if i + 1 < tasks { 3 } else { 2 }));
            }
        }
    }
}
