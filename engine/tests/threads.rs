//! Operations called from the tasks of a rayon pool, from within each other and from many threads: they
//! end, give the same bits, and keep to their number of threads.

use loupe_engine::conv::{Conv2d, Conv2dOptions, Conv2dParameters, conv2d, conv2d_backward_weight};
use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Isa, Threads};
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(120);

/// Runs `test` on a thread of its own and fails if it does not end.
#[track_caller]
fn ends(test: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let thread = thread::spawn(move || {
        test();
        let _ = done.send(());
    });
    // A panic of the test drops the sender.
    let hangs = ended.recv_timeout(LONG) == Err(mpsc::RecvTimeoutError::Timeout);
    assert!(!hangs, "it does not end");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn pool(threads: usize) -> Arc<ThreadPool> {
    Arc::new(ThreadPoolBuilder::new().num_threads(threads).build().unwrap())
}

/// A loop above the sharing threshold that counts how many threads are in its tasks.
#[derive(Default)]
struct Counted {
    inside: AtomicUsize,
    most: AtomicUsize,
    tasks: AtomicUsize,
}

impl Counted {
    fn run(&self, threads: &Threads) {
        threads.for_each_chunk::<f32, 0>(16, Threads::MIN_PARALLEL_WORK, [], |_, []| {
            let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(inside, Ordering::SeqCst);
            let start = Instant::now();
            while start.elapsed() < Duration::from_micros(100) {
                std::hint::spin_loop();
            }
            self.tasks.fetch_add(1, Ordering::SeqCst);
            self.inside.fetch_sub(1, Ordering::SeqCst);
        });
    }

    /// Asserts that so many loops have run, on no more threads at a time than these.
    #[track_caller]
    fn check(self, loops: usize, most: usize) {
        assert_eq!(self.tasks.into_inner(), 16 * loops);
        let found = self.most.into_inner();
        assert!(found <= most, "{found} threads at a time, expected at most {most}");
    }
}

/// y and dW of a convolution that is large enough to be shared out.
fn convolve(cx: &Context) -> Vec<u32> {
    let mut random = Random::new(7);
    let geometry = Conv2d::new(Conv2dOptions::new(3, 8, [3, 3]), [14, 14]).unwrap();
    let x = random.uniform_f32(9 * geometry.input_len(), -1.0, 1.0);
    let weight = random.uniform_f32(geometry.weight_len(), -1.0, 1.0);
    let mut y = vec![f32::NAN; 9 * geometry.output_len()];
    let mut dweight = vec![f32::NAN; weight.len()];
    let parameters = Conv2dParameters { weight: &weight, bias: None };
    conv2d(cx, &geometry, &x, parameters, &mut y).unwrap();
    conv2d_backward_weight(cx, &geometry, &x, &y, &mut dweight, None).unwrap();
    y.iter().chain(&dweight).map(|x| x.to_bits()).collect()
}

/// What a test uses: threads, and the pool that calls operations.
fn ways(size: usize) -> [(&'static str, Arc<ThreadPool>, Threads, usize); 2] {
    let shared = pool(size);
    let borrowed = Threads::from_pool(shared.clone());
    let own = Threads::new(3).unwrap();
    // Two helpers of its own beside those that call.
    [("the caller's", shared, borrowed, size), ("its own", pool(size), own, size + 2)]
}

#[test]
fn calls_from_within_a_pool() {
    for size in [1, 2, 4] {
        ends(move || {
            let serial = convolve(&Context::serial());
            for (name, pool, threads, most) in ways(size) {
                let cx = Context::new(Isa::best(), threads.clone());
                let right = || assert!(convolve(&cx) == serial, "{name}, {size} threads");
                pool.install(right);
                pool.install(|| rayon::join(right, right));
                pool.install(|| (0..64).into_par_iter().for_each(|_| right()));

                let counted = Counted::default();
                pool.install(|| counted.run(&threads));
                pool.install(|| rayon::join(|| counted.run(&threads), || counted.run(&threads)));
                pool.install(|| (0..20).into_par_iter().for_each(|_| counted.run(&threads)));
                counted.check(23, most);
            }
        });
    }
}

#[test]
fn each_item_may_make_threads_of_its_pool() {
    ends(|| {
        let pool = pool(3);
        let serial = convolve(&Context::serial());
        let counted = Counted::default();
        pool.install(|| {
            (0..40).into_par_iter().for_each(|_| {
                let threads = Threads::from_pool(pool.clone());
                counted.run(&threads);
                assert!(convolve(&Context::new(Isa::best(), threads)) == serial);
            });
        });
        counted.check(40, 3);
    });
}

/// Tasks that call rayon, which gives their thread other tasks while it waits.
#[test]
fn loops_and_joins_within_each_other() {
    ends(|| {
        for (name, pool, threads, _) in ways(3) {
            let serial = convolve(&Context::serial());
            let cx = Context::new(Isa::best(), threads.clone());
            let runs = AtomicUsize::new(0);
            let inner = || {
                assert!(convolve(&cx) == serial, "{name}");
                runs.fetch_add(1, Ordering::Relaxed);
            };
            pool.install(|| {
                (0..12).into_par_iter().for_each(|_| {
                    threads.for_each_chunk::<f32, 0>(4, usize::MAX, [], |_, []| {
                        pool.install(|| rayon::join(inner, inner));
                    });
                });
            });
            assert_eq!(runs.into_inner(), 12 * 4 * 2);
        }
    });
}

/// A thread that waits in the pool helps a loop meanwhile, and gets on although loops never stop coming.
#[test]
fn helpers_go_back_to_the_callers_pool() {
    ends(|| {
        let pool = pool(2);
        let threads = Threads::from_pool(pool.clone());
        let (started, stop) = (AtomicBool::new(false), AtomicBool::new(false));
        let helped = AtomicBool::new(false);
        let spin_until = |flag: &AtomicBool| {
            let start = Instant::now();
            while !flag.load(Ordering::SeqCst) && start.elapsed() < Duration::from_secs(5) {
                thread::yield_now();
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                spin_until(&started);
                let caller = thread::current().id();
                while !stop.load(Ordering::SeqCst) {
                    threads.for_each_chunk::<f32, 0>(8, usize::MAX, [], |_, []| {
                        if thread::current().id() != caller {
                            helped.store(true, Ordering::SeqCst);
                        }
                    });
                }
            });
            pool.install(|| {
                rayon::join(
                    || spin_until(&started),
                    || {
                        started.store(true, Ordering::SeqCst);
                        // From now on the thread of the first closure waits, and helps.
                        spin_until(&helped);
                    },
                )
            });
            stop.store(true, Ordering::SeqCst);
        });
    });
}

#[test]
fn many_threads_share_a_context() {
    ends(|| {
        for threads in [Threads::serial(), Threads::new(3).unwrap(), Threads::from_pool(pool(3))] {
            let serial = convolve(&Context::serial());
            let cx = Context::new(Isa::best(), threads);
            let counted = Counted::default();
            thread::scope(|scope| {
                for _ in 0..6 {
                    scope.spawn(|| {
                        for _ in 0..8 {
                            assert!(convolve(&cx) == serial);
                            counted.run(cx.threads());
                        }
                    });
                }
            });
            let helpers = cx.threads().count() - 1;
            counted.check(6 * 8, 6 + helpers);
        }
    });
}

/// The last clone may be dropped anywhere, also by a thread of the pool.
#[test]
fn threads_end_wherever_they_are_dropped() {
    ends(|| {
        let pool = pool(2);
        for _ in 0..20 {
            let own = Threads::new(3).unwrap();
            Counted::default().run(&own);
            pool.install(move || drop(own));
            let borrowed = Threads::from_pool(pool.clone());
            Counted::default().run(&borrowed);
            pool.spawn(move || drop(borrowed));
        }
    });
}
