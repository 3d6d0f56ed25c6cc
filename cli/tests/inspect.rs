//! `loupe inspect` from the outside.

mod support;

use serde_json::Value;
use support::Sandbox;

fn trained(sandbox: &Sandbox, model: &str) {
    let train = format!("train --model {model} --epochs 3 --lr 0.01 --out {model}-run");
    sandbox.loupe(&train).succeeds();
}

#[test]
fn every_layer_is_shown_and_drawn() {
    let sandbox = Sandbox::new();
    trained(&sandbox, "cnn");
    let text = sandbox.loupe("inspect cnn-run").succeeds();
    for part in [
        "cnn-run looks at test item 0, class 7, normalised by batch statistics\n",
        "input: 1 × 28 × 28, from 0 to 1, mean ",
        "\n0 Conv2d(1, 10, kernel_size=5, stride=2): 10 × 12 × 12, from ",
        "Each of 10 kernels looks at 5 × 5 places, adds up value times weight and moves on by 2.",
        "\n2 BatchNorm2d(10): 10 × 12 × 12, from ",
        "\n6 View(250): 250, ",
        "\n8 Sigmoid(): 10, from ",
        "\n|gradient × input|: from ",
        "\nscores\n",
        "wrote 12 pictures and the numbers to cnn-run/inspect-0\n",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains('\x1b'), "colours without a terminal");
    let expected = [
        "gradient.png",
        "input.png",
        "inspect.json",
        "layer-0-Conv2d-kernels.png",
        "layer-0-Conv2d.png",
        "layer-1-LeakyReLU.png",
        "layer-2-BatchNorm2d.png",
        "layer-3-Conv2d-kernels.png",
        "layer-3-Conv2d.png",
        "layer-4-LeakyReLU.png",
        "layer-5-BatchNorm2d.png",
        "layer-7-Linear.png",
        "layer-8-Sigmoid.png",
    ];
    assert_eq!(sandbox.list("cnn-run/inspect-0"), expected);
    for name in expected.iter().filter(|name| name.ends_with(".png")) {
        let file = sandbox.read(&format!("cnn-run/inspect-0/{name}"));
        assert!(file.starts_with(b"\x89PNG"), "{name}");
    }
    let quiet = sandbox.loupe("inspect cnn-run --quiet --threads 1").succeeds();
    assert!(quiet.starts_with("input: ") && !quiet.contains("kernels looks at"));
}

#[test]
fn json_has_the_numbers() {
    let sandbox = Sandbox::new();
    trained(&sandbox, "cnn");
    let json = |more: &str| -> Value {
        let command = format!("inspect cnn-run --json {more}");
        serde_json::from_str(&sandbox.loupe(&command).succeeds()).unwrap()
    };
    let batch = json("--index 5");
    assert!(!sandbox.has("cnn-run/inspect-5"), "pictures that were not asked for");
    assert_eq!(batch["layers"].as_array().unwrap().len(), 9);
    assert_eq!(batch["layers"][2]["mean"].as_array().unwrap().len(), 10);
    assert_eq!(batch["layers"][0]["values"].as_array().unwrap().len(), 1440);
    assert_eq!(batch["gradient"]["values"].as_array().unwrap().len(), 784);
    assert_eq!(batch["statistics"], "batch");
    let running = json("--index 5 --statistics running --out seen");
    assert_eq!(running["statistics"], "running");
    assert_ne!(running["layers"][2]["mean"], batch["layers"][2]["mean"]);
    assert_eq!(running["layers"][1]["values"], batch["layers"][1]["values"]);
    let mut kept: Value = serde_json::from_slice(&sandbox.read("seen/inspect.json")).unwrap();
    let files = kept.as_object_mut().unwrap().remove("files").unwrap();
    assert_eq!(files.as_array().unwrap().len(), 12);
    assert_eq!(kept, running);
    let digits = sandbox.read("data/mnist/t10k-labels-idx1-ubyte");
    assert_eq!(batch["true_class"], digits[8 + 5]);
    let class = batch["class"].as_u64().unwrap() as usize;
    let score = |class: usize| batch["probabilities"][class].as_f64().unwrap();
    assert!((0..10).all(|other| score(other) <= score(class)));
    assert_eq!(batch["label"], class.to_string());
}

#[test]
fn networks_without_images_and_weights_files() {
    let sandbox = Sandbox::new();
    trained(&sandbox, "mlp");
    let text =
        sandbox.loupe("inspect mlp-run/weights.safetensors --model mlp --split train").succeeds();
    assert!(text.contains("mlp looks at train item 0, class 5\n"), "{text}");
    assert!(text.contains("\n  mean ") && text.contains(", variance "), "{text}");
    assert!(sandbox.has("mlp-run/inspect-train-0/layer-3-LayerNorm.png"));
}

#[test]
fn a_picture_file_is_brought_to_the_form_of_mnist() {
    let sandbox = Sandbox::new();
    trained(&sandbox, "cnn");
    // A black stroke on white.
    let pixel =
        |i: usize| if (18..22).contains(&(i % 40)) && (80..520).contains(&i) { 9 } else { 250 };
    let mut file = b"P5 40 16 255\n".to_vec();
    file.extend((0..40 * 16).map(pixel));
    sandbox.write("one.pgm", &file);
    let text = sandbox.loupe("inspect cnn-run --picture one.pgm").succeeds();
    assert!(text.contains("cnn-run looks at one.pgm, normalised by"), "{text}");
    assert!(sandbox.has("cnn-run/inspect-one/gradient.png"));
    let corner = |more: &str| {
        let command = format!("inspect cnn-run --picture one.pgm --json {more}");
        let json: Value = serde_json::from_str(&sandbox.loupe(&command).succeeds()).unwrap();
        json["input"]["values"][0].as_f64().unwrap()
    };
    assert_eq!(corner(""), 0.0);
    assert!(corner("--raw") > 0.9);
}

#[test]
fn other_files_are_left_alone() {
    let sandbox = Sandbox::new();
    trained(&sandbox, "cnn");
    std::fs::create_dir(sandbox.path("mine")).unwrap();
    sandbox.write("mine/input.png", "a picture of mine");
    let parts = ["mine/input.png: a file that inspect has not written", "--out"];
    sandbox.loupe("inspect cnn-run --out mine").fails(1, &parts);
    assert_eq!(sandbox.list("mine"), ["input.png"]);
    assert_eq!(sandbox.read("mine/input.png"), b"a picture of mine");
    sandbox.write("mine/inspect.json", "{}");
    let parts = ["mine/inspect.json: a file that inspect has not written"];
    sandbox.loupe("inspect cnn-run --out mine").fails(1, &parts);
    sandbox
        .loupe("inspect cnn-run --out data/mnist/train-labels-idx1-ubyte")
        .fails(1, &["not a folder"]);

    // What it has written it writes again, and what it does not write any more goes.
    trained(&sandbox, "mlp");
    sandbox.loupe("inspect cnn-run --out seen").succeeds();
    sandbox.write("seen/notes.txt", "mine");
    sandbox.loupe("inspect mlp-run --out seen").succeeds();
    let expected = [
        "gradient.png",
        "input.png",
        "inspect.json",
        "layer-1-Linear.png",
        "layer-2-LeakyReLU.png",
        "layer-3-LayerNorm.png",
        "layer-4-Linear.png",
        "layer-5-Sigmoid.png",
        "notes.txt",
    ];
    assert_eq!(sandbox.list("seen"), expected);
}

#[test]
fn what_does_not_fit_is_named() {
    let sandbox = Sandbox::new();
    trained(&sandbox, "cnn");
    sandbox.loupe("inspect nowhere").fails(1, &["nowhere: not found"]);
    sandbox.loupe("inspect cnn-run --index 32").fails(1, &["32"]);
    sandbox.loupe("inspect cnn-run --raw").fails(2, &["--picture"]);
    sandbox.loupe("inspect cnn-run --statistics none").fails(2, &["batch", "running"]);
    sandbox.write("empty.pgm", b"P5 2 2 255\n\x07\x07\x07\x07");
    let parts = ["empty.pgm: the picture is empty"];
    sandbox.loupe("inspect cnn-run --picture empty.pgm").fails(1, &parts);
    sandbox.assert_run("cnn-run", &[]);
}
