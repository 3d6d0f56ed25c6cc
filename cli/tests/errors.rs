//! What is wrong is named, with its place, what was expected and what was found; and a training that
//! cannot be done leaves nothing behind.

mod support;

use std::fs;
use support::Sandbox;
use support::digits::{TEST_ITEMS, TRAIN_ITEMS, idx};

const IMAGES: &str = "data/mnist/train-images-idx3-ubyte";
const LABELS: &str = "data/mnist/train-labels-idx1-ubyte";

/// Asserts that `train` with these arguments fails with this message, and that neither
/// `runs` nor `out` is there afterwards.
#[track_caller]
fn refuses(sandbox: &Sandbox, arguments: &str, parts: &[&str]) {
    for out in ["", " --out out"] {
        let message = sandbox.loupe(&format!("train {arguments}{out}")).fails(1, parts);
        assert!(message.starts_with("loupe: "), "{message}");
        assert!(!sandbox.has("out"), "{message}");
        assert!(!sandbox.has("runs") || sandbox.list("runs").is_empty(), "{message}");
    }
}

#[test]
fn the_leftover_layer_norm() {
    let sandbox = Sandbox::new();
    sandbox.loupe("train --epochs 0 --out run").succeeds();
    let toml = String::from_utf8(sandbox.read("run/network.toml")).unwrap();
    let mut layers: Vec<&str> = toml.split("[[layers]]").collect();
    layers.insert(4, "\ntype = \"LayerNorm\"\nnormalized_shape = 200\n\n");
    sandbox.write("printed.toml", layers.join("[[layers]]"));
    let parts = [
        "printed.toml: layer 3, LayerNorm(200): ",
        "expected an input of shape […, 200], found [10, 12, 12] from layer 2, BatchNorm2d(10)",
    ];
    refuses(&sandbox, "--model printed.toml", &parts);
}

#[test]
fn network_files() {
    let sandbox = Sandbox::new();
    refuses(
        &sandbox,
        "--model cmn",
        &["unknown model cmn; expected cnn, mlp, or a file", "mean cnn?"],
    );
    refuses(&sandbox, "--model no.toml", &["no.toml: cannot read the network: "]);
    for (name, text, part) in [
        ("layer.toml", "input = [4]\n[[layers]]\ntype = \"Conv3d\"\n", "Conv3d"),
        ("field.toml", "input = [4]\nlayers = []\ndepth = 3\n", "depth"),
        ("syntax.toml", "input = [4\n", "line 1"),
        ("field.json", r#"{"input": [4], "layers": [{"type": "View"}]}"#, "shape"),
        ("syntax.json", r#"{"input": [4"#, "line 1"),
    ] {
        sandbox.write(name, text);
        let start = format!("loupe: {name}: not a network: ");
        refuses(&sandbox, &format!("--model {name}"), &[&start, part]);
    }
    sandbox.write("binary.json", [0xff, 0xfe]);
    refuses(&sandbox, "--model binary.json", &["binary.json: cannot read the network: "]);
}

#[test]
fn networks_that_do_not_fit_the_data() {
    let sandbox = Sandbox::new();
    let network = |input: usize, outputs: usize| {
        format!(
            "input = [{input}]\n[[layers]]\ntype = \"Linear\"\nin_features = {input}\n\
             out_features = {outputs}\n[[layers]]\ntype = \"Sigmoid\"\n"
        )
    };
    sandbox.write("input.toml", network(100, 10));
    refuses(&sandbox, "--model input.toml", &["takes inputs of [100]", "28 × 28 pixels"]);
    sandbox.write("outputs.toml", network(784, 9));
    refuses(&sandbox, "--model outputs.toml", &["9 outputs", "10 classes"]);
}

#[test]
fn a_loss_that_is_no_number() {
    let sandbox = Sandbox::new();
    let network = "input = [1, 28, 28]\n[[layers]]\ntype = \"View\"\nshape = 784\n\
                   [[layers]]\ntype = \"Linear\"\nin_features = 784\nout_features = 10\n\
                   [[layers]]\ntype = \"Sigmoid\"\n";
    sandbox.write("linear.toml", network);
    let parts = ["step ", "of epoch 1", "lower learning rate"];
    refuses(&sandbox, "--model linear.toml --lr 1e38", &parts);

    // A folder that was there before stays, with what it held.
    fs::create_dir(sandbox.path("mine")).unwrap();
    sandbox.loupe("train --model linear.toml --lr 1e38 --out mine").fails(1, &parts);
    assert_eq!(sandbox.list("mine"), [""; 0]);
}

#[test]
fn missing_data() {
    let sandbox = Sandbox::new();
    let parts = [
        "nowhere: found nothing; expected the folder of a data set",
        "train/CLASS/FILE",
        "t10k-labels-idx1-ubyte",
    ];
    refuses(&sandbox, "--data nowhere", &parts);
    // The test digits are asked for before the training, not behind it.
    fs::remove_file(sandbox.path("data/mnist/t10k-labels-idx1-ubyte")).unwrap();
    refuses(&sandbox, "", &["data/mnist: found neither t10k-labels-idx1-ubyte nor "]);
}

#[test]
fn damaged_data() {
    let sandbox = Sandbox::new();
    let (images, labels) = (sandbox.read(IMAGES), sandbox.read(LABELS));
    let images_len = images.len();

    sandbox.write(IMAGES, &images[..images_len - 1]);
    let lengths = format!("truncated: expected {images_len} bytes, found {}", images_len - 1);
    refuses(&sandbox, "", &[IMAGES, &lengths]);

    sandbox.write(IMAGES, [&images[..], &[0]].concat());
    refuses(&sandbox, "", &[IMAGES, &format!("expected {images_len} bytes, found")]);

    sandbox.write(IMAGES, [&[0x1f, 0x8b], &images[2..]].concat());
    refuses(
        &sandbox,
        "",
        &[IMAGES, "not an IDX file: expected it to start with bytes 00 00, found 1f 8b"],
    );

    sandbox.write(IMAGES, &labels);
    refuses(&sandbox, "", &[IMAGES, "expected 3 dimensions, found 1"]);

    sandbox.write(IMAGES, &images);
    sandbox.write(LABELS, idx(&[TEST_ITEMS], &labels[8..8 + TEST_ITEMS]));
    let counts = [format!("{TRAIN_ITEMS} images"), format!("{TEST_ITEMS} labels")];
    refuses(&sandbox, "", &[IMAGES, &counts[0], LABELS, &counts[1]]);

    let mut wrong = labels.clone();
    wrong[8 + 5] = 10;
    sandbox.write(LABELS, wrong);
    refuses(&sandbox, "", &[LABELS, "expected labels below 10, found 10 at index 5"]);

    sandbox.write(LABELS, labels);
    sandbox.loupe("train --epochs 1").succeeds();
}

#[test]
fn folders_that_cannot_be_made() {
    let sandbox = Sandbox::new();
    sandbox.write("file", "");
    for out in ["file", "file/run"] {
        let parts = [&format!("{out}: cannot make the folder: ")[..]];
        sandbox.loupe(&format!("train --out {out}")).fails(1, &parts);
    }
    sandbox.write("runs", "");
    sandbox.loupe("train").fails(1, &["runs: cannot make the folder: "]);
}

#[test]
fn the_command_line() {
    let sandbox = Sandbox::new();
    for (arguments, parts) in [
        ("train --batch-size 0", ["'0'", "--batch-size", "whole number of at least 1"]),
        ("train --batch-size 1.5", ["'1.5'", "--batch-size", "whole number of at least 1"]),
        ("train --threads 0", ["'0'", "--threads", "whole number from 1 to 1024"]),
        ("train --threads 100000", ["'100000'", "--threads", "whole number from 1 to 1024"]),
        ("train --lr nan", ["'nan'", "--lr", "expected a number above 0"]),
        ("train --lr 0", ["'0'", "--lr", "expected a number above 0"]),
        ("train --lr fast", ["'fast'", "--lr", "expected a number above 0"]),
        ("train --epochs three", ["'three'", "--epochs", "invalid digit"]),
        ("train --epoch 3", ["'--epoch'", "a similar argument exists", "'--epochs'"]),
        ("train --batchsize 3", ["'--batchsize'", "a similar argument exists", "'--batch-size'"]),
        ("train extra", ["'extra'", "unexpected argument", "Usage: loupe train"]),
        ("eval run --split half", ["'half'", "--split", "train, test"]),
        ("tran", ["'tran'", "similar subcommand", "'train'"]),
        ("", ["Usage: loupe [OPTIONS] <COMMAND>", "train", "eval"]),
    ] {
        sandbox.loupe(arguments).fails(2, &parts);
    }
    assert_eq!(sandbox.list("."), ["data"]);
}
