//! Folders of pictures in place of the four MNIST files.

mod support;

use serde_json::Value;
use support::Sandbox;
use support::digits::pgm;

/// Twenty pictures of `size` with a bar on the left, and on the right.
fn bars(sandbox: &Sandbox, folder: &str, [height, width]: [usize; 2]) {
    for i in 0..20 {
        for (class, first) in [("left", 0), ("right", 7)] {
            let inked = |p: usize| p % width * 14 / width == first + i % 7;
            let pixels = (0..height * width).map(|p| if inked(p) { 255 } else { 20 });
            let pixels: Vec<u8> = pixels.collect();
            sandbox.write(&format!("{folder}/{class}/{i}.pgm"), pgm([height, width], &pixels));
        }
    }
}

const NETWORK: &str = "input = [1, 14, 14]\n\
    [[layers]]\ntype = \"View\"\nshape = 196\n\
    [[layers]]\ntype = \"Linear\"\nin_features = 196\nout_features = 16\n\
    [[layers]]\ntype = \"ReLU\"\n\
    [[layers]]\ntype = \"Linear\"\nin_features = 16\nout_features = 2\n\
    [[layers]]\ntype = \"Sigmoid\"\n";

#[test]
fn a_network_learns_from_pictures_and_knows_their_names() {
    let sandbox = Sandbox::new();
    sandbox.write("bars.toml", NETWORK);
    bars(&sandbox, "bars", [14, 14]);
    let train = "train --model bars.toml --data bars --epochs 40 --lr 0.01 --out run";
    let trained = support::scores(&sandbox.loupe(train).succeeds());
    support::assert_score(&trained[0], "score", 8);
    assert_eq!(trained[0].1, "8 8 1.0000");
    assert_eq!(support::scores(&sandbox.loupe("eval run --data bars").succeeds()), trained);
    let train_half = sandbox.loupe("eval run --data bars --split train").succeeds();
    support::assert_score(&support::scores(&train_half)[0], "score", 32);
    assert_eq!(sandbox.read("run/classes.txt"), b"left\nright\n");

    let found = sandbox.loupe("predict run --raw bars/right/3.pgm --json").succeeds();
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!((&found[0]["class"], &found[0]["label"]), (&1.into(), &"right".into()));
    let text = sandbox.loupe("predict run --raw bars/left/3.pgm bars/right/3.pgm -q").succeeds();
    let lines: Vec<Vec<&str>> =
        text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((lines[0][1], lines[1][1]), ("left", "right"), "{text}");
}

#[test]
fn pictures_get_the_size_of_the_network() {
    let sandbox = Sandbox::new();
    sandbox.write("bars.toml", NETWORK);
    bars(&sandbox, "bars/train", [28, 42]);
    bars(&sandbox, "bars/test", [14, 14]);
    let train = "train --model bars.toml --data bars --epochs 40 --lr 0.01 --out run";
    let trained = support::scores(&sandbox.loupe(train).succeeds());
    support::assert_score(&trained[0], "score", 40);
    let correct: usize = trained[0].1.split(' ').next().unwrap().parse().unwrap();
    assert!(correct > 36, "{trained:?}");
}

#[test]
fn folders_that_do_not_fit() {
    let sandbox = Sandbox::new();
    sandbox.write("bars.toml", NETWORK);
    bars(&sandbox, "bars", [14, 14]);
    sandbox.write("bars/third/0.pgm", pgm([1, 1], &[0]));
    sandbox.write("bars/third/1.pgm", pgm([1, 1], &[0]));
    let train = "train --model bars.toml --data bars --out run";
    sandbox.loupe(train).fails(1, &["gives 2 outputs", "3 classes"]);
    sandbox.write("bars/third/1.pgm", "no picture");
    sandbox.loupe(train).fails(1, &["bars/third/1.pgm: not a picture that can be read"]);
    assert!(!sandbox.has("run"));
    sandbox.write("few/only/0.pgm", pgm([1, 1], &[0]));
    sandbox.loupe("train --data few").fails(1, &["few: expected 2 to 256 folders", "found 1"]);
}
