//! Clocks around the operations of a step.
//!
//! A step without a [`Record`] pays one test of a pointer for each operation.

use loupe_engine::{Context, Loop, Watch};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// An operation of a step: what is done, to which node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Op {
    /// None for what is done to the batch or to all parameters.
    pub(crate) node: Option<usize>,
    pub(crate) what: What,
}

/// What is done, in the order of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Pack,
    /// The inputs are brought into the layout of units.
    Load,
    Forward,
    Statistics,
    MergeStatistics,
    Normalize,
    /// Values change their layout between nodes.
    Layout,
    /// The outputs leave the layout of units.
    Store,
    Loss,
    /// The gradient by the outputs is brought to where the backward pass begins.
    LoadGradient,
    LayoutGradient,
    ActivationGradient,
    /// All gradients of a layer that no kernel is shared with.
    LayerGradient,
    NormSums,
    MergeNormSums,
    NormGradient,
    PackBackward,
    /// What the forward pass did not keep is made again.
    LoadAgain,
    NormalizeAgain,
    InputGradient,
    WeightGradient,
    BiasGradient,
    /// Gradients by parameters are added up over the runs.
    AddRuns,
    /// The gradient by a weight and its use by the optimiser in one.
    WeightUpdate,
    Update,
    /// Threads without a task wait for the end of a round.
    Waiting,
}

impl What {
    const COUNT: usize = What::Waiting as usize + 1;

    const ALL: [What; What::COUNT] = {
        use What::*;
        [
            Pack,
            Load,
            Forward,
            Statistics,
            MergeStatistics,
            Normalize,
            Layout,
            Store,
            Loss,
            LoadGradient,
            LayoutGradient,
            ActivationGradient,
            LayerGradient,
            NormSums,
            MergeNormSums,
            NormGradient,
            PackBackward,
            LoadAgain,
            NormalizeAgain,
            InputGradient,
            WeightGradient,
            BiasGradient,
            AddRuns,
            WeightUpdate,
            Update,
            Waiting,
        ]
    };

    /// This, done to the batch or to all parameters.
    pub(crate) fn of_all(self) -> Op {
        Op { node: None, what: self }
    }

    /// This, done to a node.
    pub(crate) fn of(self, node: usize) -> Op {
        Op { node: Some(node), what: self }
    }
}

/// Where times are noted, if they are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Probe<'a>(Option<&'a Record>);

impl<'a> Probe<'a> {
    pub(crate) fn new(record: &'a Record) -> Probe<'a> {
        Probe(Some(record))
    }

    /// The context whose loops the record sees.
    pub(crate) fn context(self) -> Option<&'a Context> {
        self.0.map(|record| &record.cx)
    }

    /// Calls `f`, an operation that runs by itself, whichever threads it uses.
    #[inline]
    pub(crate) fn time<R>(self, op: Op, f: impl FnOnce() -> R) -> R {
        let started = self.0.map(|_| Instant::now());
        let result = f();
        if let (Some(record), Some(started)) = (self.0, started) {
            record.note(op, started.elapsed());
        }
        result
    }

    /// Calls `f`, an operation on a part of the batch, within a task of a [round](Probe::round).
    #[inline]
    pub(crate) fn time_part<R>(self, op: Op, f: impl FnOnce() -> R) -> R {
        let started = self.0.map(|_| Instant::now());
        let result = f();
        if let (Some(record), Some(started)) = (self.0, started) {
            record.note_part(op, started.elapsed());
        }
        result
    }

    /// Calls `f`, a loop over the parts of the batch.
    #[inline]
    pub(crate) fn round<R>(self, f: impl FnOnce() -> R) -> R {
        let started = self.0.map(|_| Instant::now());
        let result = f();
        if let (Some(record), Some(started)) = (self.0, started) {
            record.end_round(started.elapsed());
        }
        result
    }
}

/// What the operations of a step took.
#[derive(Debug)]
pub(crate) struct Record {
    cx: Context,
    watch: Watch,
    costs: Costs,
    /// Of the running round, on all threads together; `[1 + nodes, What::COUNT]`.
    parts: Vec<Part>,
    /// Of the step.
    step: Mutex<Step>,
}

/// Nanoseconds that the record itself takes.
#[derive(Clone, Copy, Debug, Default)]
struct Costs {
    /// Within each measured time: a look at the clock.
    look: f64,
    /// [`Probe::time`], all in all.
    time: f64,
    /// [`Probe::time_part`], all in all.
    part: f64,
    /// [`Probe::round`], all in all.
    round: f64,
}

#[derive(Debug, Default)]
struct Part {
    nanos: AtomicU64,
    calls: AtomicU64,
}

#[derive(Debug)]
struct Step {
    operations: Vec<Measured>,
    /// Nanoseconds that the record took.
    overhead: f64,
}

/// What an operation took in a step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Measured {
    /// Nanoseconds of the step. In a round they are those of all threads, divided by how many threads the
    /// round had.
    pub(crate) nanos: f64,
    /// Calls: one for each part in rounds.
    pub(crate) calls: u64,
    /// The largest loop, if there was one.
    pub(crate) largest: Option<Loop>,
}

impl Record {
    /// A record for the plan of so many nodes, of steps with the instructions and threads of `cx`.
    pub(crate) fn new(cx: &Context, nodes: usize) -> Record {
        let (threads, watch) = cx.threads().watched();
        let len = (1 + nodes) * What::COUNT;
        let mut record = Record {
            cx: Context::new(cx.isa(), threads),
            watch,
            costs: Costs::default(),
            parts: (0..len).map(|_| Part::default()).collect(),
            step: Mutex::new(Step { operations: vec![Measured::default(); len], overhead: 0.0 }),
        };
        let (probe, op) = (Probe::new(&record), What::Pack.of_all());
        record.costs = Costs {
            look: nanos(|| _ = std::hint::black_box(Instant::now())),
            time: nanos(|| probe.time(op, || {})),
            part: nanos(|| probe.time_part(op, || {})),
            round: nanos(|| probe.round(|| {})),
        };
        record.take();
        record
    }

    /// The operations of the step that were called, node by node, and the nanoseconds that it took longer
    /// for the record's sake. The next step begins with none.
    pub(crate) fn take(&self) -> (Vec<(Op, Measured)>, f64) {
        let mut step = self.step();
        let op = |i: usize| Op {
            node: (i / What::COUNT).checked_sub(1),
            what: What::ALL[i % What::COUNT],
        };
        let measured = step.operations.iter_mut().map(std::mem::take).enumerate();
        let called = measured.filter(|(_, measured)| measured.calls > 0);
        let operations = called.map(|(i, measured)| (op(i), measured)).collect();
        (operations, std::mem::take(&mut step.overhead))
    }

    fn step(&self) -> std::sync::MutexGuard<'_, Step> {
        self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn index(op: Op) -> usize {
        op.node.map_or(0, |node| node + 1) * What::COUNT + op.what as usize
    }

    fn note(&self, op: Op, elapsed: Duration) {
        let largest = self.watch.take();
        let mut step = self.step();
        step.overhead += self.costs.time;
        let measured = &mut step.operations[Record::index(op)];
        measured.nanos += (elapsed.as_nanos() as f64 - self.costs.look).max(0.0);
        measured.calls += 1;
        measured.largest = largest;
    }

    fn note_part(&self, op: Op, elapsed: Duration) {
        let part = &self.parts[Record::index(op)];
        part.nanos.fetch_add(elapsed.as_nanos() as u64, Ordering::Relaxed);
        part.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Deals out the time of a round to the operations of its parts. What is left is waiting.
    fn end_round(&self, elapsed: Duration) {
        let largest = self.watch.take();
        let threads = largest.map_or(1, |largest| largest.threads) as f64;
        let mut step = self.step();
        let Step { operations, overhead } = &mut *step;
        *overhead += self.costs.round;
        let mut waiting = elapsed.as_nanos() as f64;
        for (part, measured) in self.parts.iter().zip(&mut *operations) {
            let calls = part.calls.load(Ordering::Relaxed);
            if calls > 0 {
                let nanos = part.nanos.swap(0, Ordering::Relaxed) as f64;
                part.calls.store(0, Ordering::Relaxed);
                let share = (nanos - calls as f64 * self.costs.look).max(0.0) / threads;
                let cost = calls as f64 * self.costs.part / threads;
                measured.nanos += share;
                measured.calls += calls;
                measured.largest = largest;
                waiting -= share + cost;
                *overhead += cost;
            }
        }
        if threads > 1.0 {
            let measured = &mut operations[Record::index(What::Waiting.of_all())];
            measured.nanos += waiting.max(0.0);
            measured.calls += 1;
            measured.largest = largest;
        }
    }
}

/// Nanoseconds of a call: the least mean of some.
fn nanos(mut f: impl FnMut()) -> f64 {
    const CALLS: u32 = 1000;
    let mut mean = || {
        let started = Instant::now();
        (0..CALLS).for_each(|_| f());
        started.elapsed().as_nanos() as f64 / f64::from(CALLS)
    };
    (0..10).map(|_| mean()).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use loupe_engine::Threads;

    #[test]
    fn every_what_has_its_place() {
        for (i, what) in What::ALL.into_iter().enumerate() {
            assert_eq!(what as usize, i);
        }
    }

    #[test]
    fn a_probe_without_a_record_just_calls() {
        let probe = Probe::default();
        let op = What::Loss.of_all();
        assert_eq!(probe.round(|| probe.time(op, || probe.time_part(op, || 3))), 3);
        assert!(probe.context().is_none());
    }

    #[test]
    fn calls_are_noted_once_and_forgotten() {
        let record = Record::new(&Context::serial(), 2);
        let probe = Probe::new(&record);
        probe.time(What::Loss.of_all(), || {
            let threads = probe.context().unwrap().threads();
            threads.for_each_chunk::<f32, 0>(3, 10, [], |_, []| {});
        });
        probe.round(|| (0..5).for_each(|_| probe.time_part(What::Forward.of(1), || {})));
        let (operations, _) = record.take();
        let calls: Vec<_> = operations.iter().map(|(op, m)| (*op, m.calls)).collect();
        assert_eq!(calls, [(What::Loss.of_all(), 1), (What::Forward.of(1), 5)]);
        assert_eq!(operations[0].1.largest, Some(Loop { tasks: 3, work: 10, threads: 1 }));
        assert!(record.take().0.is_empty());
    }

    /// Times are dealt out by the threads of the round: here two, of which one has nothing to do.
    #[test]
    fn the_times_of_a_round_add_up_to_it() {
        let cx = Context::new(Context::serial().isa(), Threads::new(2).unwrap());
        let record = Record::new(&cx, 1);
        let threads = record.cx.threads();
        threads.for_each_chunk::<f32, 0>(2, usize::MAX, [], |_, []| {});
        record.note_part(What::Forward.of(0), Duration::from_millis(40));
        record.note_part(What::Normalize.of(0), Duration::from_millis(20));
        record.end_round(Duration::from_millis(50));
        let (operations, overhead) = record.take();
        let nanos: Vec<_> = operations.iter().map(|(op, m)| (op.what, m.nanos)).collect();
        let expected = [(What::Waiting, 20e6), (What::Forward, 20e6), (What::Normalize, 10e6)];
        for ((what, nanos), (expected_what, expected)) in nanos.into_iter().zip(expected) {
            assert_eq!(what, expected_what);
            assert!((nanos - expected).abs() < 0.1e6, "{what:?}: {nanos}");
        }
        assert!(overhead > 0.0 && overhead < 0.1e6, "{overhead}");
    }
}
