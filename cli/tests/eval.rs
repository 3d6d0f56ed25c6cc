//! `loupe eval` from the outside.

mod support;

use std::fs;
use support::digits::{TEST_ITEMS, TRAIN_ITEMS};
use support::{Sandbox, assert_score, scores};

#[test]
fn a_run_is_scored_as_its_training_has_scored_it() {
    let sandbox = Sandbox::new();
    for model in ["cnn", "mlp"] {
        let train = format!("train --model {model} --epochs 5 --lr 0.01 --out {model}");
        let trained = scores(&sandbox.loupe(&train).succeeds());
        // Better than guessing, so that equal scores mean something.
        let correct: usize = trained[0].1.split(' ').next().unwrap().parse().unwrap();
        assert!(correct > TEST_ITEMS / 4, "{trained:?}");

        for arguments in [
            model.to_owned(),
            format!("{model}/weights.safetensors --model {model}"),
            format!("{model}/weights.safetensors --model {model}/network.toml"),
            format!("{model} --split test --threads 1"),
        ] {
            let stdout = sandbox.loupe(&format!("eval {arguments}")).succeeds();
            assert_eq!(scores(&stdout), trained, "{arguments}");
            assert_eq!(stdout.lines().count(), trained.len(), "{stdout}");
        }
    }
}

#[test]
fn either_half_of_the_data_can_be_scored() {
    let sandbox = Sandbox::new();
    sandbox.loupe("train --epochs 1 --out run").succeeds();
    let scores = scores(&sandbox.loupe("eval run --split train").succeeds());
    assert_score(&scores[0], "batch statistics", TRAIN_ITEMS);
    assert_score(&scores[1], "running statistics", TRAIN_ITEMS);
    fs::rename(sandbox.path("data/mnist"), sandbox.path("elsewhere")).unwrap();
    sandbox.loupe("eval run --data elsewhere").succeeds();
}

#[test]
fn a_weights_file_needs_a_network() {
    let sandbox = Sandbox::new();
    sandbox.loupe("train --epochs 0 --out run").succeeds();
    let parts = ["run/weights.safetensors: ", "of which network", "--model"];
    sandbox.loupe("eval run/weights.safetensors").fails(1, &parts);
}

#[test]
fn what_is_not_there_is_named() {
    let sandbox = Sandbox::new();
    let parts = ["nowhere: not found; expected a folder that train has written, or a weights file"];
    sandbox.loupe("eval nowhere").fails(1, &parts);
    sandbox.loupe("eval nowhere --model cnn").fails(1, &parts);
    fs::create_dir(sandbox.path("empty")).unwrap();
    sandbox.loupe("eval empty").fails(1, &["empty/network.toml: cannot read the network: "]);
    let parts = ["empty/weights.safetensors: cannot read the weights: "];
    sandbox.loupe("eval empty --model cnn").fails(1, &parts);
    sandbox.loupe("eval").fails(2, &["<WEIGHTS>", "Usage: loupe eval"]);
}

#[test]
fn weights_must_be_of_the_network() {
    let sandbox = Sandbox::new();
    sandbox.loupe("train --epochs 0 --out cnn-run").succeeds();
    sandbox.loupe("train --epochs 0 --out mlp-run --model mlp").succeeds();
    let parts = ["mlp-run/weights.safetensors: no tensor 0.weight", "shape [10, 1, 5, 5]"];
    sandbox.loupe("eval mlp-run --model cnn").fails(1, &parts);
    sandbox.loupe("eval cnn-run --model mlp").fails(1, &["no tensor 1.weight", "[200, 784]"]);

    let toml = String::from_utf8(sandbox.read("cnn-run/network.toml")).unwrap();
    let wider = toml.replace("out_channels = 10", "out_channels = 11");
    let wider = wider.replace("in_channels = 10", "in_channels = 11");
    let wider = wider.replace("num_features = 10", "num_features = 11");
    let wider = wider.replace("250", "275");
    sandbox.write("wider.toml", wider);
    let parts =
        ["tensor 0.weight: expected shape [11, 1, 5, 5], found [10, 1, 5, 5]", "cnn-run/weights"];
    sandbox.loupe("eval cnn-run --model wider.toml").fails(1, &parts);
}

#[test]
fn damaged_weights_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.loupe("train --epochs 0 --out run").succeeds();
    let whole = sandbox.read("run/weights.safetensors");
    let cases: [(&str, &[u8]); 4] = [
        ("empty", b""),
        ("text", b"these are not the weights that you are looking for"),
        ("short", &whole[..whole.len() - 1]),
        ("header", &whole[..100]),
    ];
    for (name, bytes) in cases {
        let file = format!("{name}.safetensors");
        sandbox.write(&file, bytes);
        let message = format!("{file}: not a safetensors file: ");
        sandbox.loupe(&format!("eval {file} --model cnn")).fails(1, &[&message]);
    }
    sandbox.loupe("eval run/network.toml --model cnn").fails(1, &["not a safetensors file"]);
}
