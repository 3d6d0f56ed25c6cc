//! Numbers out of the ordinary: denormal, huge, constant, infinite, NaN. Every tier gives NaN and infinities at the
//! same places as the tier for any CPU, and elsewhere nearly the same numbers; any number of threads gives the same
//! bits.
//!
//! Sums that overflow are not finite on any tier, but may differ in how: where products are not rounded, what is added
//! to an infinite sum is a number and leaves it as it is; where they are, it can be the other infinity.

use crate::Operations;
use crate::numbers::{Kind, Numbers};
use loupe_engine::reference::compare::assert_bits;
use loupe_engine::{Context, Isa, Threads, Tier};

const CASES: u64 = 8;

pub(crate) fn check(name: &str, operations: Operations) {
    let threads = Threads::new(3).unwrap();
    for kind in Kind::OUT_OF_THE_ORDINARY {
        for seed in 0..CASES {
            let numbers = || Numbers::new(kind, seed);
            let run = |isa, threads| operations(&Context::new(isa, threads), &mut numbers());
            let portable = run(Isa::of(Tier::Portable).unwrap(), Threads::serial());
            for isa in Isa::available() {
                let found = run(isa, Threads::serial());
                let shared = run(isa, threads.clone());
                for (i, portable) in portable.iter().enumerate() {
                    let what = format!("{name}, {kind:?}, seed {seed}, {isa:?}, result {i}");
                    assert_bits(&what, &shared[i], &found[i]);
                    assert_alike(&what, kind, &found[i], portable);
                }
            }
        }
    }
}

/// Equal, not finite in the same way, or so near that only the rounding differs.
fn assert_alike(what: &str, kind: Kind, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let finite = expected.iter().map(|x| x.abs()).filter(|x| x.is_finite());
    // What cancels is as exact as the numbers of which it is left: of the order of 1, or denormal.
    let left = if kind == Kind::Denormal { 0.0 } else { 1e-6 };
    let allowed = 1e-4 * finite.fold(0.0, f32::max) + left;
    for (i, (&a, &b)) in found.iter().zip(expected).enumerate() {
        let alike = match b.is_finite() {
            true => (a - b).abs() <= allowed,
            false if kind == Kind::Huge => !a.is_finite(),
            false => a == b || (a.is_nan() && b.is_nan()),
        };
        assert!(alike, "{what}: element {i} is {a:e}, on the portable tier {b:e}");
    }
}
