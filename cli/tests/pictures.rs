//! Folders of pictures in place of the four MNIST files.

mod support;

use serde_json::Value;
use support::Sandbox;
use support::digits::pgm;

/// Twenty pictures of `size` of lying and of standing bars.
fn bars(sandbox: &Sandbox, folder: &str, [height, width]: [usize; 2]) {
    for i in 0..20 {
        let at = 2 + i % 10;
        for (class, standing) in [("lying", false), ("standing", true)] {
            let inked = |y: usize, x: usize| {
                let along = if standing { x * 14 / width } else { y * 14 / height };
                along.abs_diff(at) < 2
            };
            let pixel = |p: usize| if inked(p / width, p % width) { 255 } else { (i * 3) as u8 };
            let pixels: Vec<u8> = (0..height * width).map(pixel).collect();
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
    assert_eq!(sandbox.read("run/classes.txt"), b"lying\nstanding\n");

    let found = sandbox.loupe("predict run --raw bars/standing/3.pgm --json").succeeds();
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!((&found[0]["class"], &found[0]["label"]), (&1.into(), &"standing".into()));
    let text =
        sandbox.loupe("predict run --raw bars/lying/3.pgm bars/standing/3.pgm -q").succeeds();
    let lines: Vec<Vec<&str>> =
        text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((lines[0][1], lines[1][1]), ("lying", "standing"), "{text}");
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
