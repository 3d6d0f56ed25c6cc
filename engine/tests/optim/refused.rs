//! What a step refuses, and leaves as it was.

use crate::{LOOKING_AHEAD, SGD, State};
use loupe_engine::optim::{AdamOptions, AdamWOptions, Gradient, SgdOptions};
use loupe_engine::{Context, Error};

#[test]
fn options_without_meaning_are_errors_and_change_nothing() {
    let cx = Context::serial();
    let good = AdamOptions::default();
    let mut state = State::new(vec![1.0; 3]);
    let mut refused = |options: AdamOptions, step, name| {
        let error = state.adam(&cx, &options, step, &[1.0; 3]);
        assert!(
            matches!(error, Err(Error::Invalid { op: "adam_step", what, .. }) if what == name),
            "{error:?}"
        );
        assert_eq!(state.parameters, [1.0; 3]);
    };
    for bad in [f64::NAN, -1e-9, f64::INFINITY, 1e39, 1e-50] {
        refused(AdamOptions { lr: bad, ..good }, 1, "lr");
        refused(AdamOptions { eps: bad, ..good }, 1, "eps");
        refused(AdamOptions { weight_decay: bad, ..good }, 1, "weight_decay");
    }
    for bad in [f64::NAN, -1e-9, 1.0] {
        refused(AdamOptions { betas: [bad, 0.9], ..good }, 1, "betas");
        refused(AdamOptions { betas: [0.9, bad], ..good }, 1, "betas");
    }
    refused(good, 0, "step");
    for (options, name) in [
        (SgdOptions { lr: f64::NAN, ..SGD }, "lr"),
        (SgdOptions { lr: -0.1, ..SGD }, "lr"),
        (SgdOptions { momentum: f64::NAN, ..SGD }, "momentum"),
        (SgdOptions { momentum: -0.5, ..SGD }, "momentum"),
        (SgdOptions { momentum: 0.0, ..LOOKING_AHEAD }, "momentum"),
        (SgdOptions { weight_decay: f64::NAN, ..SGD }, "weight_decay"),
        (SgdOptions { weight_decay: -0.5, ..SGD }, "weight_decay"),
    ] {
        let error = state.sgd(&cx, &options, &[1.0; 3]);
        assert!(
            matches!(error, Err(Error::Invalid { op: "sgd_step", what, .. }) if what == name),
            "{error:?}"
        );
        assert_eq!(state.parameters, [1.0; 3]);
    }
}

#[test]
fn options_of_adamw_without_meaning_are_errors_and_change_nothing() {
    let cx = Context::serial();
    let good = AdamWOptions::default();
    for (options, name) in [
        (AdamWOptions { lr: f64::NAN, ..good }, "lr"),
        (AdamWOptions { eps: -1.0, ..good }, "eps"),
        (AdamWOptions { betas: [1.0, 0.9], ..good }, "betas"),
        (AdamWOptions { weight_decay: f64::NAN, ..good }, "weight_decay"),
        (AdamWOptions { weight_decay: -1.0, ..good }, "weight_decay"),
        // Each is possible, but not their product.
        (AdamWOptions { lr: 1e30, weight_decay: 1e30, ..good }, "weight_decay"),
    ] {
        let mut state = State::new(vec![1.0; 3]);
        let error = state.adamw(&cx, &options, 1, Gradient::dense(&[1.0; 3]));
        let named = |what| what == name;
        assert!(
            matches!(error, Err(Error::Invalid { op: "adamw_step", what, .. }) if named(what)),
            "{error:?}"
        );
        assert_eq!(state.parameters, [1.0; 3]);
    }
}

#[test]
fn lengths_that_differ_are_errors() {
    let cx = Context::serial();
    let short = |op, what| Err(Error::Length { op, what, expected: 3, found: 2 });
    let good = State::new(vec![1.0; 3]);
    let adam = AdamOptions::default();
    assert_eq!(good.clone().adam(&cx, &adam, 1, &[1.0; 2]), short("adam_step", "gradient"));
    let outer = Gradient::outer(&[1.0], &[1.0; 2]);
    assert_eq!(good.clone().adam_by(&cx, &adam, 1, outer), short("adam_step", "gradient"));
    let mut state = State { first: vec![0.0; 2], ..good.clone() };
    assert_eq!(state.adam(&cx, &adam, 1, &[1.0; 3]), short("adam_step", "first_moment"));
    let mut state = State { second: vec![0.0; 2], ..good.clone() };
    assert_eq!(state.adam(&cx, &adam, 1, &[1.0; 3]), short("adam_step", "second_moment"));
    assert_eq!(good.clone().sgd(&cx, &SGD, &[1.0; 2]), short("sgd_step", "gradient"));
    let mut state = State { first: vec![0.0; 2], ..good };
    assert_eq!(state.sgd(&cx, &SGD, &[1.0; 3]), short("sgd_step", "velocity"));
    assert_eq!(State::new(vec![]).adam(&cx, &adam, 1, &[]), Ok(()));
    let empty = Gradient::outer(&[1.0; 3], &[]);
    assert_eq!(State::new(vec![]).adam_by(&cx, &adam, 1, empty), Ok(()));
}
