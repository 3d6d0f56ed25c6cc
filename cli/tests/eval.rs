//! `loupe eval` from the outside.

mod support;

use serde_json::Value;
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
            let quiet = sandbox.loupe(&format!("--quiet eval {arguments}")).succeeds();
            assert_eq!(scores(&quiet), trained, "{arguments}");
            assert_eq!(quiet.lines().count(), trained.len(), "{quiet}");
        }
    }
}

/// Without `--data` a run is judged by what it was trained for.
#[test]
fn a_run_knows_its_data() {
    let sandbox = Sandbox::new();
    fs::rename(sandbox.path("data"), sandbox.path("elsewhere")).unwrap();
    let train = "train --epochs 1 --data elsewhere/mnist --out run";
    let trained = scores(&sandbox.loupe(train).succeeds());
    assert_eq!(scores(&sandbox.loupe("eval run").succeeds()), trained);
    let found = scores(&sandbox.loupe("doctor run").succeeds());
    assert_eq!(found[..2], trained[..2]);
    sandbox.loupe("inspect run").succeeds();
    // A weights file does not.
    let weights = "eval run/weights.safetensors --model cnn";
    sandbox.loupe(weights).fails(1, &["data/mnist: found nothing"]);
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
    sandbox.loupe("eval empty").fails(1, &["empty: ", "holds no network.toml"]);
    let parts = ["empty/weights.safetensors: cannot read the weights: "];
    sandbox.loupe("eval empty --model cnn").fails(1, &parts);
    sandbox.loupe("eval").fails(2, &["<RUN>", "Usage: loupe eval"]);
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

/// A run that has learnt something, but not everything.
fn learnt(sandbox: &Sandbox) {
    sandbox.loupe("train --epochs 5 --lr 0.01 --out run").succeeds();
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn classes_are_scored_one_by_one() {
    let sandbox = Sandbox::new();
    learnt(&sandbox);
    let text = sandbox.loupe("eval run").succeeds();
    let report = json(&sandbox.loupe("eval run --json").succeeds());
    let modes = report["scores"].as_array().unwrap();
    assert_eq!(modes.len(), 2);
    for (mode, line) in modes.iter().zip(scores(&text)) {
        let (correct, items) = (mode["correct"].as_u64().unwrap(), TEST_ITEMS as u64);
        assert_eq!(line.0, format!("{} statistics", mode["statistics"].as_str().unwrap()));
        assert!(line.1.starts_with(&format!("{correct} {items} ")), "{line:?}");
        let confusion = mode["confusion"].as_array().unwrap();
        let count = |row: &Value, class: usize| row[class].as_u64().unwrap();
        let right: u64 = confusion.iter().enumerate().map(|(class, row)| count(row, class)).sum();
        assert_eq!(right, correct);
        for (class, of) in mode["classes"].as_array().unwrap().iter().enumerate() {
            let row: u64 = (0..10).map(|other| count(&confusion[class], other)).sum();
            let column: u64 = confusion.iter().map(|row| count(row, class)).sum();
            assert_eq!(
                (of["items"].as_u64(), of["predictions"].as_u64()),
                (Some(row), Some(column))
            );
            assert_eq!(of["precision"].is_null(), column == 0, "{of}");
            let precision = of["precision"].as_f64().map_or("–".into(), |p| format!("{p:.4}"));
            let start = format!("{class} ");
            let line = text.lines().find(|line| line.starts_with(&start)).unwrap();
            assert!(line.split_whitespace().any(|word| word == precision), "{precision}: {line}");
        }
        assert!(mode["mean_loss"].as_f64().unwrap() > 0.0);
    }
    assert!(!text.contains("NaN"), "{text}");
}

#[test]
fn one_way_of_normalising_can_be_chosen() {
    let sandbox = Sandbox::new();
    learnt(&sandbox);
    let both = scores(&sandbox.loupe("eval run").succeeds());
    for (i, name) in ["batch", "running"].into_iter().enumerate() {
        let text = sandbox.loupe(&format!("eval run --statistics {name}")).succeeds();
        assert_eq!(scores(&text), both[i..=i]);
        assert!(!text.contains("loupe doctor"), "{text}");
    }
    sandbox.loupe("eval run --statistics none").fails(2, &["batch, running, both"]);
}

#[test]
fn the_most_wrong_items_are_listed() {
    let sandbox = Sandbox::new();
    learnt(&sandbox);
    let report =
        json(&sandbox.loupe("eval run --json --mistakes 3 --statistics running").succeeds());
    let mistakes = report["scores"][0]["mistakes"].as_array().unwrap();
    assert_eq!(mistakes.len(), 3);
    let labels = sandbox.read("data/mnist/t10k-labels-idx1-ubyte");
    let text = sandbox.loupe("eval run --mistakes 3 --statistics running").succeeds();
    let mut before = f64::INFINITY;
    for mistake in mistakes {
        let item = mistake["item"].as_u64().unwrap();
        assert_eq!(mistake["label"].as_u64(), Some(u64::from(labels[8 + item as usize])));
        assert_ne!(mistake["label"], mistake["predicted"]);
        let probability = mistake["probability"].as_f64().unwrap();
        assert!(probability <= before);
        before = probability;
        let (label, predicted) = (&mistake["label"], &mistake["predicted"]);
        let pair = format!("{label} → {predicted}");
        let start = format!("{item} ");
        let of_item = |line: &&str| line.trim_start().starts_with(&start) && line.contains(&pair);
        assert_eq!(text.lines().filter(of_item).count(), 1, "{item} {pair}: {text}");
    }
}

/// By batch statistics an image has no score where a normalisation sees a single pixel of it.
#[test]
fn batch_statistics_that_are_not_defined_are_said_to_be_so() {
    let sandbox = Sandbox::new();
    sandbox.write("pixel.toml", support::ONE_PIXEL);
    let train = "train --model pixel.toml --batch-size 8 --epochs 1 --out run";
    for command in [train, "eval run", "doctor run"] {
        let text = sandbox.loupe(command).succeeds();
        let line = "batch statistics    not defined: layer 2, BatchNorm2d(4): ";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("running statistics  "), "{text}");
    }
    let parts = ["run: batch statistics: no score: layer 2, BatchNorm2d(4): "];
    sandbox.loupe("eval run --statistics batch").fails(1, &parts);
    let report = json(&sandbox.loupe("eval run --json").succeeds());
    assert!(report["scores"][0]["undefined"].as_str().unwrap().contains("BatchNorm2d(4)"));
    assert_eq!(report["scores"][1]["items"], TEST_ITEMS);
    sandbox.loupe("doctor run --reestimate").succeeds();
    sandbox.loupe("doctor run --reestimate --batch-size 1").fails(1, &["layer 2", "more than one"]);
}
