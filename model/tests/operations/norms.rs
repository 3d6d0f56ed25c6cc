//! Normalisations of rows, of channels of few positions and of groups.
//!
//! Tolerances are four times the largest distance in `fixtures/norms.md`, of f32 from f64, as in `main.rs`:
//! 1.8e-7 of a tensor's largest element, and 1.8e-5 in the cases far from 0.

use crate::case::{Case, check_file, poison};
use crate::norm::{check_batch_norm, sizes};
use loupe_engine::norm::Affine;
use loupe_engine::norm::group::{
    GroupNorm, GroupNormBackward, GroupNormGradients, GroupNormOutputs, group_norm,
    group_norm_backward,
};

#[test]
fn every_normalisation_agrees_with_pytorch() {
    check_file(
        "norms.safetensors.gz",
        &[
            ("batch_norm1d", 9, check_batch_norm1d),
            ("group_norm", 6, check_group_norm),
            ("instance_norm", 3, check_instance_norm),
        ],
    );
}

fn share(case: &Case<'_>) -> f64 {
    if case.case.ends_with("offset") { 7.2e-5 } else { 7.2e-7 }
}

fn check_batch_norm1d(case: &Case<'_>) {
    check_batch_norm(case, share(case));
}

fn check_group_norm(case: &Case<'_>) {
    let groups = case.fixture.i64(&case.name("groups"))[0];
    check_groups(case, groups.try_into().unwrap());
}

fn check_instance_norm(case: &Case<'_>) {
    let [_, channels, _] = sizes(case);
    check_groups(case, channels);
}

fn check_groups(case: &Case<'_>, groups: usize) {
    let [batch, channels, spatial] = sizes(case);
    let eps = case.scalar("eps") as f32;
    let norm = GroupNorm { batch, channels, spatial, groups, eps };
    let (cx, x, dy) = (&case.cx, case.f32("x"), case.f32("dy"));
    let (weight, bias) = (case.f32("weight"), case.f32("bias"));

    let [mut y, mut mean, mut inv_std] = [x.len(), batch * groups, batch * groups].map(poison);
    let outputs = GroupNormOutputs { y: &mut y, mean: &mut mean, inv_std: &mut inv_std };
    group_norm(cx, &norm, &x, Affine { weight: &weight, bias: &bias }, outputs).unwrap();
    case.near("y", &y, share(case));

    let inputs =
        GroupNormBackward { x: &x, dy: &dy, mean: &mean, inv_std: &inv_std, weight: &weight };
    let [mut dx, mut dweight, mut dbias] = [x.len(), channels, channels].map(poison);
    let gradients = GroupNormGradients { dx: &mut dx, dweight: &mut dweight, dbias: &mut dbias };
    group_norm_backward(cx, &norm, inputs, gradients).unwrap();
    case.near("dx", &dx, share(case));
    case.near("dweight", &dweight, share(case));
    case.near("dbias", &dbias, share(case));
}
