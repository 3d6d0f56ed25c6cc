//! Long use in short: plans that come and go, and one predictor that many threads ask. Answers are those of one
//! thread to the bit, and the process does not grow.
//!
//! The ordinary run is a hundredth; `make load` runs all of it and prints what the process holds on the way.

mod support;

use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Isa, Threads};
use loupe_model::{Loss, Network, Normalization, OptimizerOptions, Plan, Predictor, Trainer, nets};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use std::{env, fmt};
use support::mixture::every_layer;

/// How often a test looks at the memory.
const LOOKS: usize = 10;
/// What the process may hold more in the second half than in the first: pages that the allocator keeps.
const SLACK: usize = 8 << 20;
/// Threads that ask one predictor.
const ASKING: usize = 8;
const BATCHES: [usize; 3] = [1, 2, 16];

/// Bytes of memory that the process holds, where the system tells; at each look.
#[derive(Default)]
struct Memory(Vec<usize>);

impl Memory {
    fn look(&mut self) {
        let Ok(text) = std::fs::read_to_string("/proc/self/status") else { return };
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib: usize = line.trim().strip_suffix(" kB").unwrap().parse().unwrap();
        self.0.push(kib << 10);
    }

    #[track_caller]
    fn assert_flat(&self) {
        // Sanitizers keep what is freed, to see who uses it.
        let is_kept =
            ["ASAN_OPTIONS", "TSAN_OPTIONS"].iter().any(|name| env::var_os(name).is_some());
        let most = |looks: &[usize]| looks.iter().copied().max().unwrap_or(0);
        let (first, later) = self.0.split_at(self.0.len() / 2);
        assert!(is_kept || most(later) <= most(first) + SLACK, "{self}");
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MiB held:")?;
        self.0.iter().try_for_each(|&bytes| write!(f, " {:.1}", bytes as f64 / f64::from(1 << 20)))
    }
}

/// So many plans, for inference and for training by turns, one after the other.
fn plans(count: usize) -> Memory {
    let networks =
        [nets::mnist_cnn(), nets::mnist_mlp(), every_layer()].map(|s| Network::new(s, 3).unwrap());
    let pictures = Random::new(4).uniform_f32(16 * 784, 0.0, 1.0);
    let cx = Context::new(Isa::best(), Threads::new(2).unwrap());
    let infer = |network, batch: usize| {
        let mut plan = Plan::new(network, batch).unwrap();
        plan.input_mut().copy_from_slice(&pictures[..batch * 784]);
        plan.infer(&cx, network, Normalization::RunningStatistics).unwrap().to_vec()
    };
    let step = |network: &Network, batch: usize| {
        let mut trainer =
            Trainer::new(cx.clone(), network.clone(), Loss::Bce, OptimizerOptions::default());
        let targets = vec![0.1; batch * 10];
        vec![trainer.step(&pictures[..batch * 784], &targets).unwrap()]
    };
    let cases: Vec<_> =
        networks.iter().flat_map(|network| BATCHES.map(|batch| (network, batch))).collect();
    let expected: Vec<_> = cases
        .iter()
        .map(|&(network, batch)| [infer(network, batch), step(network, batch)])
        .collect();
    let mut memory = Memory::default();
    for n in 0..count {
        let (case, trains) = (n / 2 % cases.len(), n % 2);
        let (network, batch) = cases[case];
        let found = if trains == 0 { infer(network, batch) } else { step(network, batch) };
        assert!(found == expected[case][trains], "plan {n}, batch size {batch}");
        if (n + 1) % (count / LOOKS) == 0 {
            memory.look();
        }
    }
    memory
}

/// So many predictions in all, by [`ASKING`] threads that share a predictor.
fn predictions(count: usize) -> Memory {
    const PICTURES: usize = 64;
    let network = Network::new(nets::mnist_cnn(), 5).unwrap();
    let pictures = Random::new(6).uniform_f32((PICTURES + 16) * 784, 0.0, 1.0);
    let input = |first: usize, batch: usize| &pictures[first * 784..(first + batch) * 784];
    let serial = Predictor::new(Context::serial(), &network).unwrap();
    let expected = BATCHES.map(|batch| {
        (0..PICTURES)
            .map(|first| {
                let mut scores = vec![0.0; batch * 10];
                serial.predict(input(first, batch), &mut scores).unwrap();
                scores
            })
            .collect::<Vec<_>>()
    });

    let cx = Context::new(Isa::best(), Threads::new(2).unwrap());
    let predictor = Predictor::new(cx, &network).unwrap();
    let next = AtomicUsize::new(0);
    let mut memory = Memory::default();
    for look in 1..=LOOKS {
        let start = Barrier::new(ASKING);
        std::thread::scope(|scope| {
            for _ in 0..ASKING {
                scope.spawn(|| {
                    start.wait();
                    let mut scores = [f32::NAN; 160];
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= count / LOOKS * look {
                            break;
                        }
                        // One picture, mostly.
                        let size = if n % 50 < 48 { 0 } else { n % 50 - 47 };
                        let (first, batch) = (n / 50 % PICTURES, BATCHES[size]);
                        let scores = &mut scores[..batch * 10];
                        scores.fill(f32::NAN);
                        predictor.predict(input(first, batch), scores).unwrap();
                        assert!(scores == expected[size][first], "prediction {n}");
                    }
                });
            }
        });
        next.store(count / LOOKS * look, Ordering::Relaxed);
        memory.look();
    }
    memory
}

#[test]
fn a_hundredth() {
    plans(100).assert_flat();
    predictions(10_000).assert_flat();
}

#[test]
#[ignore = "takes minutes"]
#[expect(clippy::print_stdout, reason = "it shows what it measures")]
fn all_of_it() {
    let start = Instant::now();
    let memory = plans(10_000);
    println!("10,000 plans in {:.1} s. {memory}", start.elapsed().as_secs_f64());
    memory.assert_flat();
    let start = Instant::now();
    let memory = predictions(1_000_000);
    let seconds = start.elapsed().as_secs_f64();
    println!("1,000,000 predictions from {ASKING} threads in {seconds:.1} s. {memory}");
    memory.assert_flat();
}
