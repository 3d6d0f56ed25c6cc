//! The cases that the files in `shapes/` list.

use super::shapes::conv_shapes;
use super::{Case, DIRECTIONS, NormShape, PASSES, RULES};

/// The cases of `shapes/network.txt`.
pub fn network_cases() -> Vec<Case> {
    let line = |words: Vec<&str>| -> Vec<Case> {
        let batches = words[2..].iter();
        batches.map(|batch| parsed(&format!("{} {} {batch}", words[0], words[1]))).collect()
    };
    lines(include_str!("../../shapes/network.txt")).flat_map(line).collect()
}

/// The cases of `shapes/gemm.txt`.
pub fn gemm_cases() -> Vec<Case> {
    let lines = lines(include_str!("../../shapes/gemm.txt"));
    lines.map(|words| parsed(&format!("gemm {}", words.join("x")))).collect()
}

/// The cases of `shapes/conv.txt`, each forward and backward.
pub fn conv_cases() -> Vec<Case> {
    conv_shapes().flat_map(|s| PASSES.map(|pass| Case::Conv(s.clone(), pass))).collect()
}

/// The cases of `shapes/fused.txt`.
pub fn fused_cases() -> Vec<Case> {
    let lines = lines(include_str!("../../shapes/fused.txt"));
    lines.map(|words| parsed(&format!("fused {}", words[0]))).collect()
}

/// The cases of `shapes/norm.txt`, each forward and backward.
pub fn norm_cases() -> Vec<Case> {
    let lines = lines(include_str!("../../shapes/norm.txt"));
    let shapes = lines.map(|words| {
        NormShape::parse(words[0], &words[1..])
            .unwrap_or_else(|| panic!("{words:?} is no normalisation"))
    });
    shapes
        .flat_map(|shape| DIRECTIONS.map(|direction| Case::Norm(shape.clone(), direction)))
        .collect()
}

/// The cases of `shapes/optim.txt`, each with every optimiser.
pub fn optim_cases() -> Vec<Case> {
    let lines = lines(include_str!("../../shapes/optim.txt"));
    lines
        .flat_map(|words| RULES.map(|rule| parsed(&format!("optim {rule} {}", words[0]))))
        .collect()
}

fn parsed(name: &str) -> Case {
    name.parse().unwrap_or_else(|problem| panic!("{problem}"))
}

/// The lines of a file of shapes, cut into words; `#` begins a comment.
pub(super) fn lines(file: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let code = |line: &'static str| line.split('#').next().unwrap_or("");
    file.lines()
        .map(code)
        .map(|line| line.split_whitespace().collect())
        .filter(|words: &Vec<_>| !words.is_empty())
}
