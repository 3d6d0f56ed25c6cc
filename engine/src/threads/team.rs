//! Helpers of a loop over tasks.
//!
//! The caller of a loop works on its tasks itself; threads of the pool that are awake take tasks too.
//! So a loop never waits for a thread to wake up, only for tasks that a thread has already taken, and a
//! loop within a task cannot wait for itself. Between loops a helper looks for work for a while before it
//! sleeps: the loops of a training step follow each other within microseconds, waking up takes longer.

use rayon::ThreadPool;
use std::any::Any;
use std::cell::Cell;
use std::hint::spin_loop;
use std::mem::{forget, transmute};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::abort;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How long a helper without work stays awake.
const AWAKE: Duration = Duration::from_micros(100);
/// How long a helper keeps a thread from a pool that may have other work. Whoever waits in that pool, such as
/// a `join`, may help meanwhile, and must get on even if loops never end.
const SHIFT: Duration = Duration::from_millis(1);
/// Looks for work between two looks at the clock.
const SPINS: usize = 64;

thread_local! {
    /// Whether this thread is a helper of some team.
    static HELPS: Cell<bool> = const { Cell::new(false) };
}

/// What helpers do when they have been idle for [`AWAKE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Idle {
    /// Sleep until the next loop: the pool has no other work.
    Sleep,
    /// Give their threads back to the pool, which may have other work; after [`SHIFT`] in any case.
    Leave,
}

/// A pool's threads as helpers.
#[derive(Debug)]
pub(super) struct Team {
    pool: Arc<ThreadPool>,
    /// The most helpers at a time.
    most: usize,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    idle: Idle,
    /// A loop is running.
    busy: AtomicBool,
    /// No more loops will come.
    closed: AtomicBool,
    /// Tasks of the loop that nobody has taken.
    remaining: AtomicU64,
    /// Tasks of the loop that are not finished.
    unfinished: AtomicUsize,
    /// The loop. Only who has taken a task may look at it: until that task is finished it exists.
    job: AtomicPtr<Job>,
    /// Helpers that look for work, or have been sent for.
    helpers: AtomicUsize,
    sleepers: AtomicUsize,
    /// Threads that sleep where they cannot be found otherwise.
    asleep: Mutex<Vec<Thread>>,
    /// What a task panicked with.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// A loop's function, for as long as the loop runs.
type Function = dyn Fn(usize) + Sync;

/// What tasks that are taken call.
#[derive(Debug)]
struct Job(*const Function);

/// Is forgotten where a loop is over. Its caller may not leave it before, not by a panic either.
struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        abort();
    }
}

/// Tasks that nobody has taken, `first..end`, as one number.
///
/// The caller takes the first of them and helpers the last. So in loops over the same data that follow each
/// other most tasks meet the thread that had their data before, and may still have it in its own cache.
fn tasks(first: u32, end: u32) -> u64 {
    u64::from(first) << 32 | u64::from(end)
}

/// What [`tasks`] has put together.
fn first_and_end(tasks: u64) -> (u32, u32) {
    ((tasks >> 32) as u32, tasks as u32)
}

/// Whether any are left.
fn any(tasks: u64) -> bool {
    let (first, end) = first_and_end(tasks);
    first < end
}

/// From which end of the tasks a thread takes.
#[derive(Clone, Copy, Debug)]
enum Side {
    First,
    Last,
}

impl Team {
    /// Up to `most` threads of the pool as helpers.
    pub(super) fn new(pool: Arc<ThreadPool>, most: usize, idle: Idle) -> Team {
        let shared = Shared {
            idle,
            busy: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            remaining: AtomicU64::new(0),
            unfinished: AtomicUsize::new(0),
            job: AtomicPtr::new(ptr::null_mut()),
            helpers: AtomicUsize::new(0),
            sleepers: AtomicUsize::new(0),
            asleep: Mutex::new(Vec::new()),
            panic: Mutex::new(None),
        };
        Team { pool, most, shared: Arc::new(shared) }
    }

    /// The most threads that work on a loop: the helpers and the caller.
    pub(super) fn count(&self) -> usize {
        self.most + 1
    }

    /// Calls `f` with every number below `count` once. If another loop of the team is running, the calling
    /// thread does all of them.
    ///
    /// # Panics
    /// If a call panics, after all others have been made.
    pub(super) fn run(&self, count: usize, f: &(dyn Fn(usize) + Sync)) {
        let shared = &*self.shared;
        let Ok(end) = u32::try_from(count) else {
            (0..count).for_each(f);
            return;
        };
        // Acquire: the loop that ended before is seen as ended.
        if shared.busy.swap(true, Ordering::Acquire) {
            (0..count).for_each(f);
            return;
        }
        // SAFETY: pointers that differ in the lifetime of what the function borrows. It is called for tasks of this
        // loop only, which are finished before this function returns.
        let mut job =
            Job(unsafe { transmute::<*const (dyn Fn(usize) + Sync + '_), *const Function>(f) });
        shared.unfinished.store(count, Ordering::Relaxed);
        shared.job.store(&raw mut job, Ordering::Relaxed);
        // Releases the stores above to those who take a task. Sequentially consistent with the sleepers'
        // counting, so that either this thread sees a sleeper or the sleeper sees the tasks.
        shared.remaining.store(tasks(0, end), Ordering::SeqCst);
        // From here to the end of the wait nothing unwinds: helpers use `f` and `job`.
        let stays = AbortOnUnwind;
        self.call_helpers(count.saturating_sub(1));
        // SAFETY: the tasks taken are those of this loop, whose job lives until the end of this function.
        while shared.take(Side::First).is_some_and(|task| unsafe { shared.run_task(task) }) {}
        let mut spins = 0_u32;
        // Acquire: what the helpers have written is seen.
        while shared.unfinished.load(Ordering::Acquire) > 0 {
            // A helper may have been suspended by the system in the middle of its task.
            if spins < 10_000 {
                spin_loop();
            } else {
                thread::yield_now();
            }
            spins = spins.saturating_add(1);
        }
        forget(stays);
        let panic = shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        shared.busy.store(false, Ordering::Release);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Sees to it that up to `wanted` helpers look for work soon.
    fn call_helpers(&self, wanted: usize) {
        let wanted = wanted.min(self.most);
        if self.shared.sleepers.load(Ordering::SeqCst) > 0 {
            let mut asleep = self.shared.asleep.lock().unwrap_or_else(PoisonError::into_inner);
            asleep.drain(..).for_each(|thread| thread.unpark());
        }
        while self.shared.helpers.load(Ordering::Relaxed) < wanted {
            self.shared.helpers.fetch_add(1, Ordering::Relaxed);
            let shared = self.shared.clone();
            self.pool.spawn(move || {
                shared.help();
                shared.helpers.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        let mut asleep = self.shared.asleep.lock().unwrap_or_else(PoisonError::into_inner);
        asleep.drain(..).for_each(|thread| thread.unpark());
    }
}

impl Shared {
    /// Takes a task of the loop that is running, if one is left.
    fn take(&self, side: Side) -> Option<usize> {
        let mut taken = 0;
        // Acquire: the job is seen that was stored before the tasks.
        self.remaining
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, |remaining| {
                let (first, end) = first_and_end(remaining);
                let left;
                (taken, left) = match side {
                    Side::First => (first, tasks(first.wrapping_add(1), end)),
                    Side::Last => (end.wrapping_sub(1), tasks(first, end.wrapping_sub(1))),
                };
                any(remaining).then_some(left)
            })
            .ok()
            .map(|_| taken as usize)
    }

    /// Runs a task; always true.
    ///
    /// # Safety
    /// The task was taken of the loop that is running now, and is run only here.
    unsafe fn run_task(&self, task: usize) -> bool {
        let run = || {
            // SAFETY: a task of the loop is taken and not finished, so `Team::run` has not returned and
            // the job and its function are what it stored.
            unsafe {
                let job = &*self.job.load(Ordering::Relaxed);
                (*job.0)(task);
            }
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
            let mut first = self.panic.lock().unwrap_or_else(PoisonError::into_inner);
            // Dropping a payload may panic, which must not happen while tasks of the loop are running.
            match *first {
                Some(_) => forget(panic),
                None => *first = Some(panic),
            }
        }
        // Release: what the task has written is seen by the caller of the loop.
        self.unfinished.fetch_sub(1, Ordering::Release);
        true
    }

    /// What a helper does: takes tasks for as long as loops come.
    fn help(&self) {
        // A task that waits in a pool may be given this job. It must get on when the wait is over, so its
        // thread does not become a helper a second time.
        if !HELPS.replace(true) {
            self.take_tasks();
            HELPS.set(false);
        }
    }

    fn take_tasks(&self) {
        let start = Instant::now();
        let mut idle_since = None;
        while !self.closed.load(Ordering::Relaxed) {
            for _ in 0..SPINS {
                // A look that writes nothing: helpers that wait do not disturb each other.
                if any(self.remaining.load(Ordering::Relaxed)) {
                    // SAFETY: the task has just been taken, so its loop is running.
                    while self.take(Side::Last).is_some_and(|task| unsafe { self.run_task(task) }) {
                        idle_since = None;
                    }
                }
                spin_loop();
            }
            let now = Instant::now();
            if self.idle == Idle::Leave && now - start >= SHIFT {
                return;
            }
            if now - *idle_since.get_or_insert(now) >= AWAKE {
                match self.idle {
                    Idle::Leave => return,
                    Idle::Sleep => self.sleep(),
                }
                idle_since = None;
            }
        }
    }

    /// Sleeps until there are tasks, or perhaps less long.
    fn sleep(&self) {
        self.asleep.lock().unwrap_or_else(PoisonError::into_inner).push(thread::current());
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        // Whoever stores tasks or the end after this look sees the sleeper, and wakes it.
        let has_work =
            any(self.remaining.load(Ordering::SeqCst)) || self.closed.load(Ordering::SeqCst);
        if !has_work {
            thread::park();
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::ThreadPoolBuilder;

    /// Loops of a test that has time for so many; Miri takes a thousand times as long.
    fn loops(count: usize) -> usize {
        if cfg!(miri) { count / 100 } else { count }
    }

    fn team(threads: usize, idle: Idle) -> Team {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        Team::new(Arc::new(pool), threads - 1, idle)
    }

    /// Runs a loop and checks that every task ran once.
    fn check(team: &Team, tasks: usize, pause: impl Fn(usize) + Sync) {
        let runs: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
        team.run(tasks, &|task| {
            pause(task);
            runs[task].fetch_add(1, Ordering::Relaxed);
        });
        assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1));
    }

    #[test]
    fn every_task_runs_once_in_many_loops() {
        for idle in [Idle::Sleep, Idle::Leave] {
            let team = team(4, idle);
            for round in 0..loops(2000) {
                check(&team, 1 + round % 7, |_| {});
                if round % loops(500) == 0 {
                    // Long enough for the helpers to fall asleep or leave.
                    thread::sleep(3 * AWAKE);
                }
            }
        }
    }

    #[test]
    fn helpers_do_help() {
        for idle in [Idle::Sleep, Idle::Leave] {
            let team = team(2, idle);
            let barrier = std::sync::Barrier::new(2);
            let caller = thread::current().id();
            for _ in 0..3 {
                // Neither task can finish without the other running: the caller has the first one.
                check(&team, 2, |task| {
                    barrier.wait();
                    assert_eq!(task == 0, thread::current().id() == caller);
                });
                thread::sleep(3 * AWAKE);
            }
        }
    }

    #[test]
    fn loops_within_tasks_and_beside_each_other_run_too() {
        let team = team(3, Idle::Leave);
        check(&team, 5, |_| check(&team, 4, |_| {}));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..loops(500)).for_each(|_| check(&team, 3, |_| {})));
            }
        });
        team.pool.install(|| check(&team, 5, |_| {}));
    }

    #[test]
    fn a_panic_of_a_task_reaches_the_caller_after_the_others_have_run() {
        let team = team(3, Idle::Sleep);
        for panicking in 0..8 {
            let runs = AtomicUsize::new(0);
            let run = |task| {
                assert!(task != panicking, "task {task}");
                runs.fetch_add(1, Ordering::Relaxed);
            };
            let panic = catch_unwind(AssertUnwindSafe(|| team.run(8, &run))).unwrap_err();
            assert_eq!(*panic.downcast::<String>().unwrap(), format!("task {panicking}"));
            assert_eq!(runs.into_inner(), 7);
            check(&team, 8, |_| {});
        }
    }
}
