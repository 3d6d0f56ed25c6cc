//! The cases of a file of fixtures, and the check of each on every tier.

use crate::support::{Fixture, assert_near};
use loupe_engine::reference::compare::{Tolerance, assert_close};
use loupe_engine::{Context, Isa, Threads};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// An operation, the number of its cases, and their check.
pub(crate) type Operation = (&'static str, usize, fn(&Case<'_>));

/// The tensors of one case, on one tier. It knows which of them were asked for.
pub(crate) struct Case<'a> {
    pub(crate) fixture: &'a Fixture,
    pub(crate) cx: Context,
    pub(crate) operation: &'a str,
    pub(crate) case: &'a str,
    used: RefCell<BTreeSet<String>>,
}

impl Case<'_> {
    pub(crate) fn name(&self, tensor: &str) -> String {
        let name = format!("{}/{}/{tensor}", self.operation, self.case);
        self.used.borrow_mut().insert(name.clone());
        name
    }

    pub(crate) fn has(&self, tensor: &str) -> bool {
        self.fixture.has(&format!("{}/{}/{tensor}", self.operation, self.case))
    }

    pub(crate) fn f32(&self, tensor: &str) -> Vec<f32> {
        self.fixture.f32(&self.name(tensor))
    }

    /// A tensor that the case may lack.
    pub(crate) fn optional(&self, tensor: &str) -> Option<Vec<f32>> {
        self.has(tensor).then(|| self.f32(tensor))
    }

    pub(crate) fn scalar(&self, tensor: &str) -> f64 {
        self.fixture.scalar(&self.name(tensor))
    }

    pub(crate) fn shape<const D: usize>(&self, tensor: &str) -> [usize; D] {
        let shape = self.fixture.shape(&self.name(tensor));
        shape.try_into().unwrap_or_else(|_| panic!("{tensor} has shape {shape:?}"))
    }

    pub(crate) fn what(&self, tensor: &str) -> String {
        format!("{} on {:?}", self.name(tensor), self.cx.isa().tier())
    }

    /// Asserts that no element is further from PyTorch's than `share` of the largest.
    #[track_caller]
    pub(crate) fn near(&self, tensor: &str, actual: &[f32], share: f64) {
        assert_near(&self.what(tensor), actual, &self.fixture.wide(&self.name(tensor)), share);
    }

    #[track_caller]
    pub(crate) fn close(&self, tensor: &str, actual: &[f32], tolerance: &Tolerance) {
        assert_close(&self.what(tensor), actual, &self.fixture.wide(&self.name(tensor)), tolerance);
    }
}

/// Room for a result that must be overwritten.
pub(crate) fn poison(len: usize) -> Vec<f32> {
    vec![f32::NAN; len]
}

/// Compares every tensor of every case of `file` with what PyTorch has computed.
///
/// # Panics
/// Also if an operation has another number of cases, if nothing checks it, or if a check leaves a tensor unused.
pub(crate) fn check_file(file: &str, operations: &[Operation]) {
    let fixture = Fixture::open(file);
    let mut cases: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
    for name in fixture.names() {
        let mut parts = name.splitn(3, '/');
        let mut part = || parts.next().expect("<operation>/<case>/<tensor>");
        cases.entry((part(), part())).or_default().insert(name.to_owned());
    }

    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for ((operation, case), tensors) in &cases {
        let (.., check) = operations
            .iter()
            .find(|(name, ..)| name == operation)
            .unwrap_or_else(|| panic!("nothing checks {operation}/{case}"));
        *counts.entry(operation).or_default() += 1;
        for isa in Isa::available() {
            let cx = Context::new(isa, Threads::serial());
            let case = Case { fixture: &fixture, cx, operation, case, used: RefCell::default() };
            check(&case);
            assert_eq!(case.used.into_inner(), *tensors, "left: used, right: in the file");
        }
    }
    assert_eq!(counts, operations.iter().map(|&(name, count, _)| (name, count)).collect());
}
