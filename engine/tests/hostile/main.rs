//! Sizes, lengths and options that no sane caller passes: every public function answers with a result or a
//! typed error. It does not panic, abort, hang, take memory that the tensors themselves do not have, or touch
//! memory outside of its slices.

mod conv;
mod numbers;
mod rows;
mod slice;
mod windows;

use loupe_engine::{Context, Error, Isa, Threads};
use proptest::prelude::*;
use slice::{Borders, Slice, digest};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

/// Sizes: mostly such as fit each other, often enough such as overflow something.
pub(crate) fn size() -> impl Strategy<Value = usize> {
    const EXTREME: [usize; 10] = [
        1 << 10,
        1 << 20,
        (1 << 20) + 1,
        1 << 31,
        1 << 32,
        1 << 40,
        usize::MAX / 8,
        usize::MAX / 4,
        usize::MAX / 2,
        usize::MAX,
    ];
    prop_oneof![
        2 => Just(0_usize),
        12 => 1_usize..6,
        2 => 15_usize..18,
        3 => prop::sample::select(&EXTREME[..]),
    ]
}

pub(crate) fn pair() -> impl Strategy<Value = [usize; 2]> {
    [size(), size()]
}

pub(crate) fn float() -> impl Strategy<Value = f32> {
    prop_oneof![
        3 => -2.0_f32..2.0,
        1 => prop::sample::select(&[0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE / 4.0, f32::MAX][..]),
    ]
}

/// How a slice's length is wrong, if it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fit {
    Right,
    Empty,
    OneMore,
    Other(usize),
}

pub(crate) fn fit() -> impl Strategy<Value = Fit> {
    prop_oneof![
        8 => Just(Fit::Right),
        1 => Just(Fit::Empty),
        1 => Just(Fit::OneMore),
        1 => (0_usize..40).prop_map(Fit::Other),
    ]
}

/// Floats for a tensor of these sizes; few if they would be many.
pub(crate) fn floats(sizes: &[usize], fit: Fit) -> Slice {
    // Miri takes a thousand times as long.
    const MOST: usize = if cfg!(miri) { 1 << 9 } else { 1 << 16 };
    let len = sizes.iter().try_fold(1_usize, |len, &size| len.checked_mul(size));
    let len = len.filter(|&len| len <= MOST).unwrap_or(3);
    let len = match fit {
        Fit::Right => len,
        Fit::Empty => 0,
        Fit::OneMore => len + 1,
        Fit::Other(len) => len,
    };
    Slice::new((0..len).map(|i| (i % 7) as f32 - 3.0))
}

/// The case that is running, for the message about one that hangs.
static RUNNING: Mutex<String> = Mutex::new(String::new());

/// Notes what is about to run.
pub(crate) fn note(case: &dyn std::fmt::Debug) {
    *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = format!("{case:?}");
}

/// Runs `test` for random values on a thread of its own, with every tier on one thread and on two, and fails if
/// it does not end or its slices end up different if there is something else around them.
#[track_caller]
pub(crate) fn survive<S: Strategy + Send + 'static>(
    cases: u32,
    values: S,
    test: impl Fn(&[Context], S::Value) + Send + 'static,
) where
    S::Value: Clone + Send,
{
    let cases = if cfg!(miri) { 6 } else { cases };
    let (done, ended) = mpsc::channel();
    let thread = thread::spawn(move || {
        let mut threads = vec![Threads::serial()];
        // Nothing that Miri has time for would be shared out.
        if !cfg!(miri) {
            threads.push(Threads::new(2).unwrap());
        }
        let contexts = Isa::available()
            .flat_map(|isa| threads.iter().map(move |threads| Context::new(isa, threads.clone())));
        let contexts: Vec<_> = contexts.collect();
        let config =
            ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
        let result = proptest::test_runner::TestRunner::new(config).run(&values, |value| {
            note(&value);
            let [plain, bordered] = [Borders::None, Borders::NotANumber]
                .map(|borders| digest(borders, || test(&contexts, value.clone())));
            prop_assert_eq!(plain, bordered, "results depend on what is around the slices");
            Ok(())
        });
        let _ = done.send(result.map_err(|error| error.to_string()));
    });
    match ended.recv_timeout(Duration::from_secs(600)) {
        Ok(result) => result.unwrap(),
        Err(mpsc::RecvTimeoutError::Timeout) => {
            panic!("does not end: {}", RUNNING.lock().unwrap_or_else(PoisonError::into_inner));
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.join().unwrap_err())
        }
    }
}

#[test]
fn contexts_and_threads() {
    for count in [0, 1025, 1 << 20, usize::MAX] {
        assert!(matches!(Threads::new(count), Err(Error::Invalid { .. })), "{count}");
    }
    for name in ["", "AVX2", "avx2\0", "\u{fffd}"] {
        assert!(matches!(Isa::named(name), Err(Error::UnknownTier { .. })), "{name:?}");
    }
    let threads = Threads::new(2).unwrap();
    threads.for_each_chunk::<f32, 0>(0, usize::MAX, [], |_, []| unreachable!());
    threads.for_each_chunk(
        0,
        usize::MAX,
        [(&mut [0.0_f32; 0], usize::MAX)],
        |_, [_]| unreachable!(),
    );
}
