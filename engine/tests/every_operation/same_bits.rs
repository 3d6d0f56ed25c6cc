//! The same bits on 1, 2, 3 and 7 threads, those of a pool of its own or of the caller's. About half of the random
//! cases have enough work to be shared out.

use crate::Operations;
use crate::numbers::{Kind, Numbers};
use loupe_engine::reference::compare::assert_bits;
use loupe_engine::{Context, Isa, Threads};
use std::sync::Arc;

pub(crate) fn check(name: &str, cases: u64, operations: Operations) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let own = [2, 3, 7].map(|count| Threads::new(count).unwrap());
    let all: Vec<Threads> = own.into_iter().chain([Threads::from_pool(Arc::new(pool))]).collect();
    let mut shared = 0;
    for seed in 0..cases {
        let numbers = || Numbers::new(Kind::Ordinary, seed);
        for isa in Isa::available() {
            let serial = operations(&Context::new(isa, Threads::serial()), &mut numbers());
            for threads in &all {
                let (threads, watch) = threads.watched();
                let count = threads.count();
                let found = operations(&Context::new(isa, threads), &mut numbers());
                shared += u64::from(watch.take().is_some_and(|largest| largest.threads > 1));
                assert_eq!(found.len(), serial.len());
                for (i, (found, serial)) in found.iter().zip(&serial).enumerate() {
                    let what = format!("{name}, seed {seed}, {isa:?}, {count} threads, result {i}");
                    assert_bits(&what, found, serial);
                }
            }
        }
    }
    let most = cases * 4 * Isa::available().count() as u64;
    assert!(4 * shared >= most, "{name}: {shared} of {most} cases are shared out");
}
