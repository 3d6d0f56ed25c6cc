//! `loupe convolve` from the outside.

mod support;

use support::Sandbox;

/// Runs with a kernel that has spaces in it.
fn numbers(sandbox: &Sandbox, kernel: &str, more: &str) -> String {
    // Commas keep the arguments apart from the numbers.
    let kernel = kernel.replace("; ", ";").replace(' ', ",");
    sandbox.loupe(&format!("convolve --kernel {kernel} {more}")).succeeds()
}

#[test]
fn the_magnifier_without_arguments() {
    let sandbox = Sandbox::new();
    let text = sandbox.loupe("convolve").succeeds();
    for part in [
        "test item 0, class 7, 28 × 28 pixels",
        "box, 2 × 2, stride 2, padding 0",
        "(28 + 2·0 − 2) / 2 + 1 = 14",
        "feature map, 14 × 14, from 0 to ",
        "strongest at row 11, column 6, where the kernel begins at row 22, column 12",
        "0.878·1 + 0.996·1",
        "+ 0.996·1 + 0.996·1 = 3.867",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains('\x1b'), "colours without a terminal");
    assert_eq!(sandbox.list("."), ["data"]);
}

#[test]
fn json_has_the_values() {
    let sandbox = Sandbox::new();
    let text = sandbox
        .loupe("convolve --json --split train --index 3 --kernel identity --stride 1 --padding 1")
        .succeeds();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["picture"], "train item 3");
    let convolution = &json["convolutions"][0];
    assert_eq!(convolution["size"], serde_json::json!([28, 28]));
    // The identity gives the picture back.
    let digits = sandbox.read("data/mnist/train-images-idx3-ubyte");
    let map = convolution["map"].as_array().unwrap();
    let values = map.iter().flat_map(|row| row.as_array().unwrap());
    let pixels: Vec<u8> =
        values.map(|value| (value.as_f64().unwrap() * 255.0).round() as u8).collect();
    assert_eq!(pixels, digits[16 + 3 * 784..][..784]);
}

#[test]
fn kernels_by_numbers_and_several_at_once() {
    let sandbox = Sandbox::new();
    let by_name = sandbox.loupe("convolve --kernel diagonal --json").succeeds();
    let by_numbers = numbers(&sandbox, "1 0; 0 1", "--json");
    let map = |text: &str| {
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        json["convolutions"][0]["map"].clone()
    };
    assert_eq!(map(&by_name), map(&by_numbers));
    let text = numbers(&sandbox, "-1 0 1", "--kernel sobel-y --stride 1 --out maps.png");
    assert!(text.contains("kernel, 1 × 3, stride 1") && text.contains("sobel-y, 3 × 3, stride 1"));
    assert!(text.contains("rows: (28 + 2·0 − 1) / 1 + 1 = 28"));
    assert!(text.contains("columns: (28 + 2·0 − 3) / 1 + 1 = 26"));
    assert!(text.ends_with("wrote maps.png\n"));
    assert!(sandbox.read("maps.png").starts_with(b"\x89PNG"));
    let list = sandbox.loupe("convolve --kernel list").succeeds();
    assert!(list.contains("sobel-x") && list.contains("any odd size"));
    assert!(sandbox.loupe("convolve --help").succeeds().contains(&list[..200]));
}

#[test]
fn a_picture_file() {
    let sandbox = Sandbox::new();
    sandbox.write("photo.pgm", b"P5 4 2 255\n\x00\xff\x00\x00\xff\xff\x00\x33");
    let text = sandbox.loupe("convolve --picture photo.pgm --quiet").succeeds();
    assert!(text.starts_with("photo.pgm, 2 × 4 pixels\n"));
    assert!(text.contains("rows: (2 + 2·0 − 2) / 2 + 1 = 1"));
    assert!(text.contains("0·1 + 1·1\n  + 1·1 + 1·1 = 3\n"), "{text}");
}

#[test]
fn what_cannot_be_computed_is_explained() {
    let sandbox = Sandbox::new();
    let fails = |arguments: &str, code, parts: &[&str]| {
        sandbox.loupe(&format!("convolve {arguments}")).fails(code, parts);
    };
    fails("--kernel sobel", 2, &["sobel", "expected one of box, horizontal"]);
    fails("--kernel 1,2;3", 2, &["row 2 has 1 numbers, but row 1 has 2"]);
    fails("--stride 0", 2, &["--stride", "at least 1"]);
    fails("--size 0", 2, &["a whole number from 1 to 64"]);
    fails("--padding -1", 2, &["-1"]);
    fails("--kernel laplace --size 5", 1, &["laplace is a kernel of 3 × 3, not of 5 × 5"]);
    fails("--size 29", 1, &["the kernel box has 29 × 29 values", "only 28 × 28 pixels"]);
    sandbox.loupe("convolve --size 29 --padding 1").succeeds();
    fails("--padding 99999999", 1, &["--padding 99999999 makes a feature map of", "at most"]);
    fails("--padding 18446744073709551615", 1, &["at most 67108864 values"]);
    fails("--index 32", 1, &["32"]);
    fails("--index 3 --picture x.png", 2, &["cannot be used with"]);
    fails("--picture nothing.png", 1, &["nothing.png"]);
    fails("--out map.jpg", 1, &["map.jpg: expected a name that ends in .png"]);
    sandbox.write("taken.png", "mine");
    fails("--out taken.png", 1, &["taken.png: there is a file already", "--force"]);
    sandbox.loupe("convolve --out taken.png --force").succeeds();
    fails("--out nowhere/map.png", 1, &["nowhere/map.png: there is no folder nowhere"]);
    sandbox.write("photo.png", "");
    fails("--picture photo.png --out ./photo.png --force", 1, &["that is the picture itself"]);
}
