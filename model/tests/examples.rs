//! What the examples print, and the gradient of the layer of one of them. `cargo test` builds them, unless it is
//! asked for single test files.

#[allow(dead_code, reason = "the layer is used, the program is run")]
#[path = "../examples/custom_layer.rs"]
mod custom_layer;

use custom_layer::PReLU;
use loupe_engine::Context;
use loupe_engine::reference::finite;
use loupe_model::layers::Layer;
use loupe_model::trace::trace;
use loupe_model::{Network, NetworkSpec, Normalization};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder that has `data/mnist`.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Standard output of an example, which must succeed.
fn run(name: &str, arguments: &[&Path]) -> String {
    let mut program = std::env::current_exe().unwrap();
    program.pop();
    program.set_file_name("examples");
    program.push(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let output = Command::new(&program).args(arguments).current_dir(repository()).output();
    let output =
        output.unwrap_or_else(|e| panic!("{}: {e}; build the examples", program.display()));
    assert!(output.status.success(), "{name}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The number before `word` in a text.
fn number_before(text: &str, word: &str) -> f64 {
    let before = text.split(word).next().unwrap().split_whitespace().last();
    before.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{word}: {text}"))
}

#[test]
fn a_network_is_trained_and_predicts_a_digit() {
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("digits.safetensors");
    let text = run("train", &[&weights]);
    assert_eq!(text.lines().filter(|line| line.starts_with("step ")).count(), 6, "{text}");
    assert!(number_before(&text, " of 10000 test digits are right") > 9500.0, "{text}");

    // The first test digit is a seven.
    let text = run("infer", &[&weights]);
    let scores: Vec<(&str, f64)> = text
        .lines()
        .map(|line| line.split_once(char::is_whitespace).unwrap())
        .map(|(name, score)| (name, score.trim().parse().unwrap()))
        .collect();
    let names: Vec<_> = scores.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    let best = scores.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert_eq!(best.0, "7", "{text}");
}

#[test]
fn a_layer_of_ones_own_learns() {
    let text = run("custom_layer", &[]);
    assert!(text.starts_with("step  0  loss "), "{text}");
    assert!(text.ends_with("step 20  loss 0.000000  slopes -1.000 0.000\n"), "{text}");
}

/// No x is so near to 0 that a difference could reach over the kink.
#[test]
fn its_gradient_is_that_of_central_differences() {
    let cx = Context::serial();
    let spec = NetworkSpec::new([2, 3]).add(Layer::custom(PReLU { num_parameters: 2 }));
    let mut network = Network::new(spec, 0).unwrap();
    let x = [-1.0, 2.0, -0.5, 0.75, -3.0, 1.5, 0.25, -2.0, -1.25, 1.0, -0.5, 3.0];
    let upstream = [0.5, -1.0, 2.0, 1.5, -0.25, 1.0, -2.0, 0.75, 1.25, -1.5, 3.0, -0.5];
    let widen = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<f64>>();

    let pass = trace(&cx, &network, &x, Normalization::RunningStatistics).unwrap();
    let gradients = pass.backward(&cx, &network, &upstream).unwrap();
    let analytic = [gradients.parameters().next().unwrap().1, &gradients.values[0]].concat();

    // Slopes first, then inputs.
    let point: Vec<f64> = [0.25, 0.25].into_iter().chain(widen(&x)).collect();
    let scalar = |point: &[f64]| {
        let point: Vec<f32> = point.iter().map(|&value| value as f32).collect();
        network.tensor_mut("0.weight").unwrap().copy_from_slice(&point[..2]);
        let pass = trace(&cx, &network, &point[2..], Normalization::RunningStatistics).unwrap();
        finite::weighted_sum(&widen(pass.output()), &widen(&upstream))
    };
    let numeric = finite::gradient(scalar, &point, 1.0 / 16.0);
    finite::assert_gradient("PReLU", &widen(&analytic), &numeric, 1e-6);
}

/// The README shows the example as it is.
#[test]
fn the_readme_shows_the_example() {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let example = include_str!("../examples/infer.rs");
    let (_, code) = example.split_once("scores\")]\n").unwrap();
    assert!(readme.contains(code.trim()), "README.md lacks the code of examples/infer.rs");
}
