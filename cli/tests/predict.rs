//! `loupe predict` from the outside.

mod support;

use serde_json::Value;
use std::fs::{self, File};
use support::Sandbox;
use support::digits::{TEST_ITEMS, pgm};

const IMAGES: &str = "data/mnist/t10k-images-idx3-ubyte";
const LABELS: &str = "data/mnist/t10k-labels-idx1-ubyte";

/// A sandbox with the run `run`.
fn trained(options: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.loupe(&format!("train --out run --epochs 5 --lr 0.01 -q {options}")).succeeds();
    sandbox
}

fn digit(sandbox: &Sandbox, index: usize) -> Vec<u8> {
    sandbox.read(IMAGES)[16 + index * 784..][..784].to_vec()
}

/// The digit in black, ten times as large, with a wide margin at the left and at the top.
fn drawn(digit: &[u8]) -> Vec<u8> {
    let [height, width] = [330, 440];
    let pixel = |i: usize| match (i / width).checked_sub(50).zip((i % width).checked_sub(160)) {
        Some((y, x)) => 240 - (u16::from(digit[y / 10 * 28 + x / 10]) * 7 / 8) as u8,
        None => 240,
    };
    pgm([height, width], &(0..height * width).map(pixel).collect::<Vec<u8>>())
}

fn json(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn images_are_classified_as_eval_does() {
    let sandbox = trained("");
    let labels = &sandbox.read(LABELS)[8..];
    for (mode, name) in [("batch", "batch statistics"), ("running", "running statistics")] {
        let arguments = format!("predict run {IMAGES} --statistics {mode} --json");
        let found = json(&sandbox.loupe(&arguments).succeeds());
        assert_eq!(found.len(), TEST_ITEMS);
        let right = found.iter().zip(labels).filter(|(item, label)| item["class"] == **label);
        let scores = support::scores(&sandbox.loupe("eval run").succeeds());
        let (_, score) = scores.iter().find(|(mode, _)| mode == name).unwrap();
        assert!(score.starts_with(&format!("{} ", right.count())), "{mode}: {score}");
        assert!(found.iter().enumerate().all(|(i, item)| item["index"] == i));
        assert!(found.iter().all(|item| item["statistics"] == mode && item["file"] == IMAGES));
    }
    // By default as in the tutorial.
    let by_default = sandbox.loupe(&format!("predict run {IMAGES} --json")).succeeds();
    let by_batch = format!("predict run {IMAGES} --json --statistics batch --threads 1");
    assert_eq!(by_default, sandbox.loupe(&by_batch).succeeds());
}

#[test]
fn pictures_of_digits_are_recognised() {
    let sandbox = trained("");
    let names: Vec<String> = (0..TEST_ITEMS).map(|i| format!("drawn/{i}.pgm")).collect();
    for (index, name) in names.iter().enumerate() {
        sandbox.write(name, drawn(&digit(&sandbox, index)));
    }
    let of_idx = json(&sandbox.loupe(&format!("predict run {IMAGES} --json")).succeeds());
    let of_pictures = format!("predict run --json {}", names.join(" "));
    let of_pictures = json(&sandbox.loupe(&of_pictures).succeeds());
    let same = of_idx.iter().zip(&of_pictures).filter(|(a, b)| a["class"] == b["class"]).count();
    assert!(same >= TEST_ITEMS - 2, "{same} of {TEST_ITEMS}");
    assert!(of_pictures.iter().all(|item| item["index"].is_null()));

    // Without their preparation they are something else.
    let raw =
        json(&sandbox.loupe(&format!("predict run --json --raw {}", names.join(" "))).succeeds());
    let same = raw.iter().zip(&of_pictures).filter(|(a, b)| a["class"] == b["class"]).count();
    assert!(same < TEST_ITEMS / 2, "{same}");
}

#[test]
fn a_picture_that_fits_is_taken_raw_as_it_is() {
    let sandbox = trained("");
    sandbox.write("3.pgm", pgm([28, 28], &digit(&sandbox, 3)));
    let raw = json(&sandbox.loupe("predict run 3.pgm --raw --json").succeeds());
    let idx = json(&sandbox.loupe(&format!("predict run {IMAGES} --index 3 --json")).succeeds());
    assert_eq!(raw[0]["probabilities"], idx[0]["probabilities"]);
    assert_eq!((raw.len(), idx.len()), (1, 1));
    let probabilities = raw[0]["probabilities"].as_array().unwrap();
    assert_eq!(probabilities.len(), 10);
    let best = raw[0]["class"].as_u64().unwrap() as usize;
    assert!(probabilities.iter().all(|p| p.as_f64() <= probabilities[best].as_f64()));
    assert_eq!(raw[0]["label"], best.to_string());

    let from = |file: &str| {
        let file = File::open(sandbox.path(file)).unwrap();
        json(&sandbox.loupe("predict run --raw --json -").stdin(file).succeeds())
    };
    assert_eq!(from("3.pgm")[0]["probabilities"], raw[0]["probabilities"]);
    assert_eq!(from("3.pgm")[0]["file"], "-");
    assert_eq!(from(IMAGES).len(), TEST_ITEMS);
}

#[test]
fn text_is_a_line_for_each_image() {
    let sandbox = trained("");
    let two = sandbox.loupe(&format!("predict run {IMAGES} --index 30 --count 5 -q")).succeeds();
    let lines: Vec<&str> = two.lines().collect();
    assert_eq!(lines.len(), 2, "{two}");
    assert!(lines[1].starts_with(&format!("{IMAGES}[31]  ")), "{two}");
    // File, then class and score three times.
    assert_eq!(lines[0].split_whitespace().count(), 7, "{two}");
    let one = sandbox.loupe(&format!("predict run {IMAGES} --index 30 --top 1 -q")).succeeds();
    assert_eq!(one.trim_end(), lines[0].split("   ").next().unwrap());

    sandbox.write("a.pgm", drawn(&digit(&sandbox, 0)));
    let shown = sandbox.loupe("predict run a.pgm -v").succeeds();
    for part in [
        "run: scores by batch statistics, each class by itself from 0 to 1",
        "a.pgm: 330 × 440 pixels (height × width); ink in rows ",
        "darker than the ground; inverted, scaled and centred in 28 × 28",
        "@@@@",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains('\x1b'), "{shown}");
    assert_eq!(json(&sandbox.loupe("predict run a.pgm -v --json").succeeds()).len(), 1);
}

#[test]
fn other_networks() {
    let sandbox = trained("--model mlp");
    sandbox.write("a.pgm", drawn(&digit(&sandbox, 0)));
    let weights = "run/weights.safetensors --model mlp";
    let of_file = sandbox.loupe(&format!("predict {weights} a.pgm --json")).succeeds();
    assert_eq!(of_file, sandbox.loupe("predict run a.pgm --json").succeeds());
    assert!(json(&of_file)[0]["statistics"].is_null());
    assert!(sandbox.loupe("predict run a.pgm").succeeds().starts_with("run: scores, each class"));

    // A network without a Sigmoid at its end gives probabilities.
    let network = String::from_utf8(sandbox.read("run/network.toml")).unwrap();
    let (open, _) = network.rsplit_once("[[layers]]").unwrap();
    sandbox.write("open.toml", open);
    let open = "predict run/weights.safetensors --model open.toml a.pgm";
    let found = json(&sandbox.loupe(&format!("{open} --json")).succeeds());
    let sum: f64 =
        found[0]["probabilities"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    assert!(sandbox.loupe(open).succeeds().contains(": probabilities, which sum to 1"));
}

#[test]
fn what_is_wrong_is_named() {
    let sandbox = trained("");
    sandbox.write("text.png", "no picture");
    sandbox.write("white.pgm", pgm([9, 9], &[255; 81]));
    sandbox.write("good.pgm", drawn(&digit(&sandbox, 0)));
    sandbox.write("large.pgm", "P5 8001 8000 255\n");
    for (arguments, part) in [
        ("predict run nowhere.png", "nowhere.png: "),
        ("predict run good.pgm text.png", "text.png: neither a picture (PNG, JPEG or Netpbm"),
        (
            "predict run white.pgm",
            "white.pgm: the picture is empty: all its pixels have the grey 255",
        ),
        ("predict run large.pgm", "large.pgm: 8000 × 8001 pixels (height × width) are more than"),
        ("predict run good.pgm --index 0", "good.pgm: --index is for IDX files"),
        (
            "predict run data/mnist/t10k-images-idx3-ubyte --index 32",
            "has 32 images, there is none",
        ),
        ("predict run data/mnist/t10k-labels-idx1-ubyte", "expected 3 dimensions, found 1"),
        ("predict run - -", "standard input (-) is named twice"),
        ("predict run -", "standard input: neither a picture"),
        (
            "predict nowhere good.pgm",
            "nowhere: not found; expected a folder that train has written",
        ),
        ("predict run data", "data: "),
    ] {
        let message = sandbox.loupe(arguments).fails(1, &[part]);
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    sandbox.loupe("predict run white.pgm --raw").succeeds();
    sandbox.loupe("predict run").fails(2, &["<FILE>"]);
    sandbox.loupe("predict run good.pgm --top 0").fails(2, &["--top", "at least 1"]);

    let colour = "input = [3, 2, 2]\n[[layers]]\ntype = \"View\"\nshape = 12\n[[layers]]\n\
                  type = \"Linear\"\nin_features = 12\nout_features = 2\n";
    sandbox.write("colour.toml", colour);
    let arguments = "predict run/weights.safetensors --model colour.toml good.pgm";
    sandbox.loupe(arguments).fails(1, &["run/weights.safetensors: no tensor 1.weight"]);
    fs::remove_file(sandbox.path("run/weights.safetensors")).unwrap();
    sandbox.loupe("predict run good.pgm").fails(1, &["run/weights.safetensors: cannot read"]);
}
