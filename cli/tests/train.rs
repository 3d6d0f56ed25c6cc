//! `loupe train` from the outside.

mod support;

use safetensors::{Dtype, SafeTensors};
use std::fs;
use support::digits::TEST_ITEMS;
use support::{Sandbox, assert_score, scores};

#[test]
fn without_arguments_it_is_the_tutorials_run() {
    let sandbox = Sandbox::new();
    let stdout = sandbox.loupe("train").succeeds();
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines.len(), 7, "{stdout}");
    assert!(
        lines[0].starts_with("cnn: 3,720 parameters, batch size 1 in file order, seed 0; "),
        "{stdout}"
    );
    for (epoch, line) in (1..).zip(&lines[1..4]) {
        assert!(line.starts_with(&format!("epoch {epoch}/3  mean loss 0.")), "{stdout}");
        assert!(line.contains(" %  test "), "{stdout}");
        assert!(line.ends_with(" µs/step"), "{stdout}");
    }
    let scores = scores(&stdout);
    assert_eq!(scores.len(), 2, "{stdout}");
    assert_score(&scores[0], "batch statistics", TEST_ITEMS);
    assert_score(&scores[1], "running statistics", TEST_ITEMS);
    assert_eq!(lines[6], "wrote runs/cnn-1");
    sandbox.assert_run("runs/cnn-1", &[]);
}

#[test]
fn what_it_writes_is_what_pytorch_reads() {
    let sandbox = Sandbox::new();
    sandbox.loupe("train --out run --epochs 2").succeeds();
    let bytes = sandbox.read("run/weights.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("0.weight").unwrap().shape(), [10, 1, 5, 5]);
    assert_eq!(file.tensor("7.bias").unwrap().shape(), [10]);
    let tracked = file.tensor("2.num_batches_tracked").unwrap();
    assert_eq!((tracked.dtype(), tracked.shape()), (Dtype::I64, &[][..]));
    assert_eq!(tracked.data(), 128_i64.to_le_bytes());
    // Two convolutions and a linear layer have 2 tensors each, two normalisations 5.
    assert_eq!(file.len(), 16);
}

#[test]
fn it_learns() {
    let sandbox = Sandbox::new();
    let stdout = sandbox.loupe("train --epochs 20 --lr 0.01 --out run").succeeds();
    let losses: Vec<f64> = stdout
        .lines()
        .filter_map(|line| line.split_once("mean loss ")?.1.split(' ').next()?.parse().ok())
        .collect();
    assert_eq!(losses.len(), 20, "{stdout}");
    assert!(losses[19] < 0.2 * losses[0], "{stdout}");
}

#[test]
fn folders_are_numbered_by_network() {
    let sandbox = Sandbox::new();
    for (arguments, folder) in [
        ("train --epochs 1", "runs/cnn-1"),
        ("train --epochs 1", "runs/cnn-2"),
        ("train --epochs 1 --model mlp", "runs/mlp-1"),
    ] {
        let stdout = sandbox.loupe(arguments).succeeds();
        assert!(stdout.ends_with(&format!("wrote {folder}\n")), "{stdout}");
    }
    assert_eq!(sandbox.list("runs"), ["cnn-1", "cnn-2", "mlp-1"]);
}

#[test]
fn a_folder_with_a_run_is_not_written() {
    let sandbox = Sandbox::new();
    sandbox.loupe("train --epochs 1 --out a/b/run").succeeds();
    let files = ["network.toml", "weights.safetensors"].map(|file| format!("a/b/run/{file}"));
    let before = files.each_ref().map(|file| sandbox.read(file));
    let parts = ["a/b/run: the folder holds a run already", "--out"];
    sandbox.loupe("train --epochs 2 --model mlp --out a/b/run").fails(1, &parts);
    assert_eq!(files.each_ref().map(|file| sandbox.read(file)), before);
    sandbox.assert_run("a/b/run", &[]);
}

#[test]
fn other_files_in_the_folder_do_not_matter() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("run")).unwrap();
    sandbox.write("run/notes.txt", "mine");
    sandbox.loupe("train --epochs 1 --out run").succeeds();
    sandbox.assert_run("run", &["notes.txt"]);
}

#[test]
fn files_that_are_not_ours_are_not_written_over() {
    let sandbox = Sandbox::new();
    for name in ["config.toml", "weights.safetensors", "metrics.csv", "events.out.tfevents.1"] {
        let file = format!("mine-{name}/{name}");
        sandbox.write(&file, "epochs = 1\n");
        let message = format!("mine-{name}: the run would replace the {name} there");
        let arguments = format!("train --epochs 1 --out mine-{name}");
        sandbox.loupe(&arguments).fails(1, &[&*message, "--out"]);
        assert_eq!(sandbox.read(&file), b"epochs = 1\n");
        assert_eq!(sandbox.list(&format!("mine-{name}")), [name]);
    }
}

#[test]
fn an_epoch_that_leaves_a_single_item_is_refused_at_once() {
    let sandbox = Sandbox::new();
    sandbox.write("pixel.toml", support::ONE_PIXEL);
    let parts = ["64 items in batches of 63 leave one for the last step of an epoch: layer 2, "];
    sandbox.loupe("train --model pixel.toml --batch-size 63 --out run").fails(1, &parts);
    assert!(!sandbox.has("run"));
    sandbox.loupe("train --model pixel.toml --batch-size 32 --epochs 1 --out run").succeeds();
}

#[test]
fn the_mlp_has_one_score() {
    let sandbox = Sandbox::new();
    let stdout = sandbox.loupe("train --model mlp --epochs 1").succeeds();
    assert!(stdout.starts_with("mlp: 159,410 parameters, "), "{stdout}");
    let scores = scores(&stdout);
    assert_eq!(scores.len(), 1, "{stdout}");
    assert_score(&scores[0], "score", TEST_ITEMS);
}

const SMALL: &str = r#"
input = [1, 28, 28]

[[layers]]
type = "Conv2d"
in_channels = 1
out_channels = 2
kernel_size = 7
stride = [7, 7]

[[layers]]
type = "ReLU"

[[layers]]
type = "View"
shape = 32

[[layers]]
type = "Linear"
in_features = 32
out_features = 10

[[layers]]
type = "Sigmoid"
"#;

#[test]
fn a_network_may_come_from_a_file() {
    let sandbox = Sandbox::new();
    sandbox.write("small.toml", SMALL);
    let stdout = sandbox.loupe("train --model small.toml --epochs 1").succeeds();
    assert!(stdout.starts_with("small: 430 parameters, "), "{stdout}");
    assert!(stdout.ends_with("wrote runs/small-1\n"), "{stdout}");

    // What it writes describes the same network.
    fs::copy(sandbox.path("runs/small-1/network.toml"), sandbox.path("again.toml")).unwrap();
    sandbox.loupe("train --model again.toml --epochs 1").succeeds();
    assert_eq!(
        sandbox.read("runs/small-1/weights.safetensors"),
        sandbox.read("runs/again-1/weights.safetensors")
    );

    let json = r#"{"input": [1, 28, 28], "layers": [
        {"type": "View", "shape": 784},
        {"type": "Linear", "in_features": 784, "out_features": 10, "bias": false},
        {"type": "Sigmoid"}]}"#;
    sandbox.write("linear.json", json);
    let stdout = sandbox.loupe("train --model linear.json --epochs 1").succeeds();
    assert!(stdout.starts_with("linear: 7,840 parameters, "), "{stdout}");
}

#[test]
fn no_epoch_leaves_the_initial_weights() {
    let sandbox = Sandbox::new();
    let stdout = sandbox.loupe("train --epochs 0 --out none").succeeds();
    assert!(!stdout.contains("epoch "), "{stdout}");
    assert_eq!(scores(&stdout).len(), 2, "{stdout}");
    sandbox.loupe("train --epochs 1 --out one").succeeds();
    let weights = |run: &str| sandbox.read(&format!("{run}/weights.safetensors"));
    assert_ne!(weights("none"), weights("one"));
    sandbox.loupe("train --epochs 0 --batch-size 16 --out again").succeeds();
    assert_eq!(weights("none"), weights("again"));
}

/// The weights after a training with these options.
fn trained(sandbox: &Sandbox, options: &str) -> Vec<u8> {
    let out = format!("out-{}", options.replace(' ', "_"));
    sandbox.loupe(&format!("train --epochs 2 {options} --out {out}")).succeeds();
    sandbox.read(&format!("{out}/weights.safetensors"))
}

#[test]
fn threads_do_not_change_a_bit() {
    let sandbox = Sandbox::new();
    for batch in ["", "--batch-size 1", "--batch-size 13", "--batch-size 64 --model mlp"] {
        let one = trained(&sandbox, &format!("--threads 1 {batch}"));
        for threads in [2, 3] {
            let several = trained(&sandbox, &format!("--threads {threads} {batch}"));
            assert!(one == several, "{threads} threads {batch}");
        }
    }
}

#[test]
fn a_run_depends_on_its_options_and_nothing_else() {
    let sandbox = Sandbox::new();
    let runs = ["", "--seed 1", "--shuffle", "--seed 1 --shuffle", "--lr 0.002", "--batch-size 2"]
        .map(|options| trained(&sandbox, options));
    for (i, run) in runs.iter().enumerate() {
        assert!(!runs[..i].contains(run), "run {i} equals another");
    }
    let others = [("--seed 0", &runs[0]), ("--shuffle --seed 1", &runs[3])];
    for (options, run) in others {
        assert!(trained(&sandbox, options) == *run, "{options}");
    }
    // A batch holds no more than there is.
    let (all, more) = ("--batch-size 64", "--batch-size 18446744073709551615");
    assert!(trained(&sandbox, all) == trained(&sandbox, more));
}

#[test]
fn instructions_are_chosen_by_the_environment() {
    let sandbox = Sandbox::new();
    let stdout =
        sandbox.loupe("train --epochs 1 --threads 1").env("LOUPE_ISA", "portable").succeeds();
    assert!(stdout.lines().next().unwrap().ends_with("; portable, 1 thread"), "{stdout}");
    let parts = ["loupe: LOUPE_ISA: ", "\"sse9\"", "portable, avx2, avx512"];
    sandbox.loupe("train --epochs 1 --out run").env("LOUPE_ISA", "sse9").fails(1, &parts);
    assert!(!sandbox.has("run"));
}
