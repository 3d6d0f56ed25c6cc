//! `loupe data info` and `loupe data verify`.

mod support;

use serde_json::Value;
use std::fs;
use std::path::Path;
use support::Sandbox;
use support::digits::{TEST_ITEMS, TRAIN_ITEMS, idx};

const FILES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// The real MNIST, linked into the sandbox as `digits`.
fn with_mnist() -> Sandbox {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("digits")).unwrap();
    let mnist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/mnist");
    for name in FILES.map(|name| format!("{name}.gz")) {
        let (from, to) = (mnist.join(&name), sandbox.path(&format!("digits/{name}")));
        // A folder for temporary files may be on another disk.
        fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop)).unwrap();
    }
    sandbox
}

/// A data set of two by two pixels, whose files a test damages.
fn tiny() -> Sandbox {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("tiny")).unwrap();
    let train = [[1, 2, 3, 4], [5, 5, 5, 5], [1, 2, 3, 5]].concat();
    let test = [[1, 2, 3, 4], [9, 8, 7, 6]].concat();
    sandbox.write("tiny/train-images-idx3-ubyte", idx(&[3, 2, 2], &train));
    sandbox.write("tiny/train-labels-idx1-ubyte", idx(&[3], &[0, 1, 2]));
    sandbox.write("tiny/t10k-images-idx3-ubyte", idx(&[2, 2, 2], &test));
    sandbox.write("tiny/t10k-labels-idx1-ubyte", idx(&[2], &[7, 1]));
    sandbox
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn mnist_is_recognised_and_whole() {
    let sandbox = with_mnist();
    let info = sandbox.loupe("data info digits").succeeds();
    for part in [
        "digits: MNIST, as published\n",
        "  train-images-idx3-ubyte.gz 60,000 × 28 × 28    9,912,422 bytes, 47,040,016 unpacked\n",
        "  t10k-labels-idx1-ubyte.gz            10,000        4,542 bytes, 10,008 unpacked\n",
        "28 × 28 pixels, x / 255 of mean 0.1307 and standard deviation 0.3081 (train)\n",
        "  class    train     test\n",
        "  0        5,923      980\n",
        "  all     60,000   10,000\n",
    ] {
        assert!(info.contains(part), "{part}{info}");
    }
    let verified = sandbox.loupe("data verify digits").succeeds();
    for part in [
        "digits: MNIST, as published\n",
        "  1        6,742    1,135  ██████████████████████████████\n",
        "  no test image is a training image too\n",
        "  no train image of one colour\n",
        "\nno faults\n",
    ] {
        assert!(verified.contains(part), "{part}{verified}");
    }
}

#[test]
fn json_holds_the_same() {
    let sandbox = tiny();
    let info = json(&sandbox.loupe("data info tiny --json").succeeds());
    assert_eq!(info["known"], Value::Null);
    assert_eq!(info["files"][3]["dims"], serde_json::json!([2]));
    let sum = info["files"][3]["sha256"].as_str().unwrap();
    assert_eq!(sum.len(), 64);
    let test = &info["splits"]["test"];
    assert_eq!((&test["images"], &test["height"]), (&2.into(), &2.into()));
    assert_eq!(test["class_counts"], serde_json::json!([0, 1, 0, 0, 0, 0, 0, 1, 0, 0]));
    assert_eq!(test["mean"].as_f64().unwrap(), 40.0 / 8.0 / 255.0);

    let verified = json(&sandbox.loupe("data verify tiny --json").succeeds());
    assert_eq!(verified["faults"], serde_json::json!([]));
    assert_eq!(verified["constant_images"], serde_json::json!({ "train": [1], "test": [] }));
    let shared = serde_json::json!({ "images": 1, "otherwise_labelled": 1 });
    assert_eq!(verified["test_images_in_train"], shared);
    for (key, value) in info.as_object().unwrap() {
        assert_eq!(verified[key], *value, "{key}");
    }
}

#[test]
fn images_in_both_splits_and_of_one_colour_are_no_faults() {
    let verified = tiny().loupe("data verify tiny").succeeds();
    for part in [
        "tiny: no set with a known checksum\n",
        "  1 test image is a training image too, 1 with another label\n",
        "  1 image of one colour in train: index 1\n",
        "  no test image of one colour\n",
    ] {
        assert!(verified.contains(part), "{part}{verified}");
    }
}

#[test]
fn classes_have_their_names() {
    let sandbox = tiny();
    sandbox.write("tiny/classes.txt", "a\nb\nc\nd\ne\nf\ng\nankle boot\n");
    let info = sandbox.loupe("data info tiny").succeeds();
    assert!(info.contains("  ankle boot        0        1\n"), "{info}");
    sandbox.write("tiny/classes.txt", "a\na\n");
    sandbox.loupe("data verify tiny").fails(1, &["tiny/classes.txt: ", "lines 1 and 2"]);
}

#[test]
fn every_fault_is_named() {
    let sandbox = tiny();
    let images = sandbox.read("tiny/train-images-idx3-ubyte");
    sandbox.write("tiny/train-images-idx3-ubyte", &images[..images.len() - 1]);
    sandbox.write("tiny/t10k-labels-idx1-ubyte", idx(&[2], &[7, 10]));
    let faults = [
        "2 faults:",
        "tiny/train-images-idx3-ubyte: truncated: expected 28 bytes, found 27",
        "tiny/t10k-labels-idx1-ubyte: expected labels below 10, found 10 at index 1",
    ];
    sandbox.loupe("data verify tiny").fails(1, &faults);
    sandbox.loupe("data verify tiny --json").fails(1, &faults);
    sandbox.loupe("data info tiny").fails(1, &["27 (and 1 more; loupe data verify names all)"]);

    fs::remove_file(sandbox.path("tiny/train-labels-idx1-ubyte")).unwrap();
    sandbox.write("tiny/t10k-labels-idx1-ubyte", idx(&[1], &[7]));
    let faults = [
        "3 faults:",
        "tiny: found neither train-labels-idx1-ubyte nor",
        "holds 2 images but tiny/t10k-labels-idx1-ubyte holds 1 labels",
    ];
    sandbox.loupe("data verify tiny").fails(1, &faults);

    sandbox.write("tiny/train-images-idx3-ubyte", idx(&[1, 1, 2], &[1, 2]));
    sandbox.write("tiny/train-labels-idx1-ubyte", idx(&[1], &[1]));
    sandbox.write("tiny/t10k-labels-idx1-ubyte", idx(&[2], &[7, 1]));
    let fault = "to learn from have 1 × 2 pixels, those to be judged by 2 × 2";
    sandbox.loupe("data verify tiny").fails(1, &[fault]);
    sandbox.loupe("data verify nowhere").fails(1, &["nowhere: found nothing; expected the folder"]);
}

/// The cache knows files by their ends only; the checksums are those of the files.
#[test]
fn damage_that_a_cache_would_hide_is_found() {
    let sandbox = with_mnist();
    sandbox.loupe("data info digits").succeeds();
    let name = "digits/t10k-labels-idx1-ubyte.gz";
    let mut damaged = sandbox.read(name);
    damaged[2000] ^= 0x10;
    // Not into the file of the repository, which may be linked.
    fs::remove_file(sandbox.path(name)).unwrap();
    sandbox.write(name, damaged);
    sandbox.loupe("data verify digits").fails(1, &[name]);
}

#[test]
fn a_file_of_another_set_is_named() {
    let sandbox = with_mnist();
    let name = "digits/t10k-labels-idx1-ubyte";
    sandbox.write(name, idx(&[10_000], &[3; 10_000]));
    let parts = [
        &format!("{name}: not the file of MNIST, to which other files here belong")[..],
        "expected SHA-256 ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2, found ",
    ];
    sandbox.loupe("data verify digits").fails(1, &parts);
}

#[test]
fn the_mini_mnist_of_the_tests() {
    let info = Sandbox::new().loupe("data info").succeeds();
    assert!(info.starts_with("data/mnist: no set with a known checksum\n"), "{info}");
    assert!(info.contains(&format!("  all  {TRAIN_ITEMS:>9}{TEST_ITEMS:>9}\n")), "{info}");
}

/// A grey picture of this size in the format PGM.
fn pgm(height: usize, width: usize, grey: u8) -> Vec<u8> {
    let mut bytes = format!("P5 {width} {height} 255\n").into_bytes();
    bytes.extend(std::iter::repeat_n(grey, height * width));
    bytes
}

/// Two classes of three pictures each to learn from, and of one to be judged by.
fn pictures() -> Sandbox {
    let sandbox = Sandbox::new();
    for (class, name) in ["cat", "dog"].into_iter().enumerate() {
        for (split, count) in [("train", 3), ("test", 1)] {
            fs::create_dir_all(sandbox.path(&format!("pictures/{split}/{name}"))).unwrap();
            for i in 0..count {
                let grey = 100 * class as u8 + i;
                sandbox.write(&format!("pictures/{split}/{name}/{i}.pgm"), pgm(4, 6, grey));
            }
        }
    }
    sandbox
}

#[test]
fn folders_of_pictures() {
    let sandbox = pictures();
    let info = sandbox.loupe("data info pictures").succeeds();
    for part in [
        "pictures: folders of pictures\n",
        "  4 × 6 pixels, x / 255 of mean 0.2000",
        "  cat          3        1\n",
        "  dog          3        1\n",
    ] {
        assert!(info.contains(part), "{part}{info}");
    }
    let report = json(&sandbox.loupe("data verify pictures --json").succeeds());
    assert_eq!(report["kind"], "pictures");
    assert_eq!(report["classes"], serde_json::json!(["cat", "dog"]));
    assert_eq!(report["test_images_in_train"]["images"], 2);

    sandbox.write("pictures/test/dog/0.pgm", pgm(5, 5, 9));
    let info = sandbox.loupe("data info pictures").succeeds();
    assert!(info.starts_with("pictures: folders of pictures of several sizes"), "{info}");
}

#[test]
fn every_file_that_is_no_picture_is_named() {
    let sandbox = pictures();
    sandbox.write("pictures/train/cat/1.pgm", "P5 4");
    sandbox.write("pictures/test/dog/0.pgm", "no picture");
    let faults = ["2 faults:", "pictures/train/cat/1.pgm: ", "pictures/test/dog/0.pgm: "];
    sandbox.loupe("data verify pictures").fails(1, &faults);
    fs::create_dir(sandbox.path("empty")).unwrap();
    sandbox.loupe("data verify empty").fails(1, &["empty: found neither; expected the folder"]);
}

#[test]
fn a_grid_is_a_picture() {
    let sandbox = pictures();
    let stdout = sandbox.loupe("data verify pictures --grid grid.png").succeeds();
    assert!(stdout.ends_with("wrote grid.png\nno faults\n"), "{stdout}");
    assert!(sandbox.read("grid.png").starts_with(b"\x89PNG"));
    let parts = ["nowhere/grid.png: there is no folder nowhere"];
    sandbox.loupe("data verify pictures --grid nowhere/grid.png").fails(1, &parts);
}
