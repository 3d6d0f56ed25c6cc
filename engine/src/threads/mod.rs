//! Where work runs: on the calling thread alone, or also on those of a rayon pool.

mod team;
mod watch;

use crate::Error;
use crate::disjoint::{Columns, Disjoint};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::array;
use std::sync::Arc;
use team::{Idle, Team};
pub use watch::{Loop, Watch};

/// The threads that the operations may use.
///
/// Work is cut by the problem's size only, so results have the same bits for any number of
/// threads.
///
/// The calling thread always works too, beside at most `count - 1` threads of the pool. For some 100 µs
/// after their last task these look for more in a busy loop, before they sleep or return to the pool: the
/// operations of a network follow each other faster than a thread wakes up.
///
/// - [`Threads::serial`] and `Threads::new(1)` start no thread and use no pool, not rayon's global one either.
/// - [`Threads::new`] starts `count - 1` threads, which end with the last clone. Clones share them.
/// - [`Threads::from_pool`] starts none. Operations may be called from anywhere: from other threads, within
///   `install`, from each item of a `par_iter`, within a task of another loop. They wait for tasks that a
///   thread has taken and for nothing else, so they cannot deadlock. A thread of the pool that helps goes back
///   to it after 1 ms at the latest, so the pool's other work gets on.
/// - If several threads call operations at a time, one of them has the pool's help, the others work alone. So
///   never more threads compute than call and help: called from the threads of the pool itself, no more than
///   the pool has; from M other threads, at most M + `count` - 1. A pool of one's own within tasks of another
///   pool adds its threads to those: there [`Threads::from_pool`] or [`Threads::serial`] is the better choice.
#[derive(Clone, Debug, Default)]
pub struct Threads {
    team: Option<Arc<Team>>,
    watch: Option<Watch>,
}

impl Threads {
    /// Below this many floating-point operations (or elements moved) a task list is run by the calling
    /// thread: handing it out costs more than it saves.
    pub const MIN_PARALLEL_WORK: usize = 1 << 17;

    /// The most threads of a pool of its own: more than any machine has cores, and few enough to start.
    pub const MAX_COUNT: usize = 1024;

    /// The calling thread alone. No thread is started.
    pub fn serial() -> Threads {
        Threads::default()
    }

    fn team(team: Team) -> Threads {
        Threads { team: Some(Arc::new(team)), watch: None }
    }

    /// A pool of its own, for `count` threads together with the calling one; for 1 the calling thread
    /// alone.
    ///
    /// # Errors
    /// [`Error::Invalid`] if `count` is 0 or more than [`Threads::MAX_COUNT`], [`Error::ThreadPool`] if the system
    /// refuses the threads.
    pub fn new(count: usize) -> Result<Threads, Error> {
        match count {
            0 => Err(Error::Invalid {
                op: "threads",
                what: "the number of threads",
                expected: "at least 1",
                found: "0".into(),
            }),
            _ if count > Threads::MAX_COUNT => Err(Error::Invalid {
                op: "threads",
                what: "the number of threads",
                expected: "at most 1024",
                found: count.to_string(),
            }),
            1 => Ok(Threads::serial()),
            _ => ThreadPoolBuilder::new()
                .num_threads(count - 1)
                .thread_name(|i| format!("loupe-{i}"))
                .build()
                .map(|pool| Threads::team(Team::new(Arc::new(pool), count - 1, Idle::Sleep)))
                .map_err(|e| Error::ThreadPool { threads: count, reason: e.to_string() }),
        }
    }

    /// An existing pool, which is asked for help where an operation is worth it. It may have other work;
    /// operations may be called from its own threads.
    pub fn from_pool(pool: Arc<ThreadPool>) -> Threads {
        let helpers = pool.current_num_threads() - 1;
        Threads::team(Team::new(pool, helpers, Idle::Leave))
    }

    /// The same threads, whose loops are also told to the [`Watch`].
    pub fn watched(&self) -> (Threads, Watch) {
        let watch = Watch::default();
        (Threads { team: self.team.clone(), watch: Some(watch.clone()) }, watch)
    }

    /// The number of threads, at least 1.
    pub fn count(&self) -> usize {
        self.team.as_ref().map_or(1, |team| team.count())
    }

    /// Cuts each of `outputs` into chunks of its own length and calls `f(i, chunks)` with the `i`-th
    /// chunk of each, in any order, on any thread. `work` is the whole list's amount of work in
    /// operations: little work stays on the calling thread.
    ///
    /// # Panics
    /// If an output is not `tasks` chunks long, of which the last may be shorter, or a chunk is empty.
    pub fn for_each_chunk<T: Send, const N: usize>(
        &self,
        tasks: usize,
        work: usize,
        outputs: [(&mut [T], usize); N],
        f: impl Fn(usize, [&mut [T]; N]) + Sync,
    ) {
        for (output, chunk) in &outputs {
            assert!(output.len().div_ceil(*chunk) == tasks, "one chunk for each task");
        }
        let outputs = outputs.map(|(output, chunk)| (output.len(), chunk, Disjoint::new(output)));
        self.for_each(tasks, work, &|task| {
            let chunks = array::from_fn(|n| {
                let (len, chunk, output) = &outputs[n];
                let start = task * chunk;
                // SAFETY: a task's chunk, of which no other task has an element; each task runs once.
                unsafe { output.part(start..(*len).min(start + chunk)) }
            });
            f(task, chunks);
        });
    }

    /// Calls `f` with the number of each task once. Not generic, so that the loop is compiled once.
    fn for_each(&self, tasks: usize, work: usize, f: &(dyn Fn(usize) + Sync)) {
        let is_shared = tasks > 1 && work >= Threads::MIN_PARALLEL_WORK;
        if let Some(watch) = &self.watch {
            let threads = if is_shared { self.count().min(tasks) } else { 1 };
            watch.note(Loop { tasks, work, threads });
        }
        match &self.team {
            Some(team) if is_shared => team.run(tasks, f),
            _ => (0..tasks).for_each(f),
        }
    }

    /// Cuts the columns of `count` matrices `[rows, columns]`, which lie one behind the other in `output`, into
    /// blocks of `width` and calls `f(matrix, first, block)` with the number of a matrix and the columns of a
    /// block of it, which start at the column `first`. Otherwise as [`Threads::for_each_chunk`].
    ///
    /// # Panics
    /// If the output has another length, or the width is 0.
    pub(crate) fn for_each_columns<T: Send>(
        &self,
        [count, rows, columns]: [usize; 3],
        width: usize,
        work: usize,
        output: &mut [T],
        f: impl Fn(usize, usize, Columns<'_, T>) + Sync,
    ) {
        let matrix_len = rows.checked_mul(columns);
        let len = matrix_len.and_then(|len| len.checked_mul(count));
        assert!(len == Some(output.len()), "whole matrices");
        let blocks = columns.div_ceil(width);
        let output = Disjoint::new(output);
        self.for_each(count * blocks, work, &|task| {
            let (matrix, first) = (task / blocks, task % blocks * width);
            let width = width.min(columns - first);
            // SAFETY: columns of a matrix that no other task has; each task runs once.
            let block =
                unsafe { output.columns(matrix * rows * columns + first, rows, columns, width) };
            f(matrix, first, block);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_threads_are_refused_and_one_starts_no_pool() {
        assert!(matches!(Threads::new(0), Err(Error::Invalid { .. })));
        assert!(Threads::new(1).unwrap().team.is_none());
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

    #[test]
    fn every_task_gets_columns_of_its_own() {
        for threads in [Threads::serial(), Threads::new(3).unwrap()] {
            for [count, rows, columns] in [[1, 3, 7], [2, 5, 8], [3, 1, 2], [0, 4, 4], [4, 4, 0]] {
                let mut output = vec![0; count * rows * columns];
                let size = [count, rows, columns];
                threads.for_each_columns(
                    size,
                    3,
                    usize::MAX,
                    &mut output,
                    |matrix, first, mut block| {
                        for row in 0..rows {
                            for (i, x) in block.row(row).iter_mut().enumerate() {
                                *x += (matrix * rows + row) * columns + first + i + 1;
                            }
                        }
                    },
                );
                assert!(output.iter().enumerate().all(|(i, &x)| x == i + 1), "{size:?}");
            }
        }
    }

    #[test]
    fn a_watch_sees_the_largest_loop_and_whether_it_was_shared_out() {
        let least = Threads::MIN_PARALLEL_WORK;
        for (threads, most) in [(Threads::serial(), 1), (Threads::new(3).unwrap(), 3)] {
            let (watched, watch) = threads.watched();
            assert_eq!(watched.count(), most);
            assert_eq!(watch.take(), None);
            let run = |tasks, work| {
                watched.for_each_chunk(tasks, work, [(&mut vec![0; tasks], 1)], |_, [_]| {});
            };
            run(2, least - 1);
            assert_eq!(watch.take(), Some(Loop { tasks: 2, work: least - 1, threads: 1 }));
            run(2, least);
            run(7, least + 1);
            run(9, 5);
            assert_eq!(watch.take(), Some(Loop { tasks: 7, work: least + 1, threads: most }));
            run(1, 2 * least);
            assert_eq!(watch.take(), Some(Loop { tasks: 1, work: 2 * least, threads: 1 }));
            threads.for_each_chunk::<f32, 0>(4, least, [], |_, []| {});
            assert_eq!(watch.take(), None);
        }
    }
}
