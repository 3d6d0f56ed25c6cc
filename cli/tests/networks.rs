//! `loupe summary` and `loupe export` from the outside, and a network of every layer.

mod support;

use serde_json::Value;
use support::{Sandbox, scores};

#[test]
fn a_network_in_numbers() {
    let sandbox = Sandbox::new();
    let text = sandbox.loupe("summary").succeeds();
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "0 Conv2d(1, 10, kernel_size=5, stride=2) [1, 10, 12, 12] 260 36,000 5,760",
        "7 Linear(250, 10)",
        "trainable parameters",
        "3,720",
        "61,000",
    ] {
        assert!(words.contains(part), "{part}: {text}");
    }
    let lines: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
    assert!(lines.iter().all(|&line| line <= 100), "{text}");
    let report: Value =
        serde_json::from_str(&sandbox.loupe("summary mlp --json --batch-size 3").succeeds())
            .unwrap();
    assert_eq!(report["totals"]["parameters"], 159_410);
    assert_eq!(report["totals"]["forward_flops"], 3 * 2 * (784 * 200 + 2000));
    assert_eq!(report["layers"][1]["output"], serde_json::json!([200]));
    assert_eq!(report["batch_size"], 3);
    let huge = format!("summary --batch-size {}", usize::MAX);
    sandbox.loupe(&huge).succeeds();
}

#[test]
fn summaries_of_runs_and_files() {
    let sandbox = Sandbox::new();
    sandbox.loupe("train --epochs 0 --out run").succeeds();
    sandbox.loupe("export run --out net.safetensors").succeeds();
    let of = |what: &str| sandbox.loupe(&format!("summary -q {what}")).succeeds();
    let cnn = of("cnn");
    for what in ["run", "run/network.toml", "net.safetensors"] {
        assert_eq!(of(what), cnn, "{what}");
    }
    let text = sandbox.loupe("summary run").succeeds();
    assert!(text.starts_with("run, batch size 1\n"), "{text}");
    let parts = ["data: expected a folder that train has written, but it holds no network.toml"];
    sandbox.loupe("summary data").fails(1, &parts);
    sandbox.loupe("eval data").fails(1, &parts);
    let parts = ["unknown model resnet; expected cnn, mlp"];
    sandbox.loupe("summary resnet").fails(1, &parts);
    sandbox
        .loupe("summary run/weights.safetensors")
        .fails(1, &["does not say of which network it is; name the network itself"]);
    sandbox.loupe("summary no.safetensors").fails(1, &["no.safetensors: cannot read"]);
}

#[test]
fn an_exported_file_says_of_which_network_it_is() {
    let sandbox = Sandbox::new();
    let trained = scores(&sandbox.loupe("train --epochs 5 --lr 0.01 --out run").succeeds());
    let text = sandbox.loupe("export run --out net.safetensors").succeeds();
    assert!(text.starts_with("wrote net.safetensors, 3,720 parameters in "), "{text}");
    assert_eq!(scores(&sandbox.loupe("eval net.safetensors").succeeds()), trained);
    assert_eq!(scores(&sandbox.loupe("eval net.safetensors --model cnn").succeeds()), trained);
    sandbox.loupe("export run --out again.safetensors").succeeds();
    assert_eq!(sandbox.read("net.safetensors"), sandbox.read("again.safetensors"));
    let bytes = sandbox.read("net.safetensors");
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "pt");

    sandbox.loupe("export run --bare --out bare.safetensors").succeeds();
    assert_eq!(sandbox.read("bare.safetensors"), sandbox.read("run/weights.safetensors"));
}

/// What stands in it is tested where it is written.
#[test]
fn a_file_for_other_runtimes() {
    let sandbox = Sandbox::new();
    sandbox.loupe("train --epochs 1 --out run").succeeds();
    let text = sandbox.loupe("export run --out net.onnx").succeeds();
    assert!(text.starts_with("wrote net.onnx, 3,720 parameters in "), "{text}");
    assert!(text.contains("running statistics") && text.contains("`loupe doctor run`"), "{text}");
    assert_eq!(sandbox.loupe("export run --out quiet.onnx -q").succeeds(), "");
    let bytes = sandbox.read("net.onnx");
    assert_eq!(sandbox.read("quiet.onnx"), bytes);
    sandbox.loupe("export run --bare --format onnx --out bare.ONNX").succeeds();
    let bare = sandbox.read("bare.ONNX");
    sandbox.loupe("export run --bare --format onnx --out bare.bin").succeeds();
    assert_eq!(sandbox.read("bare.bin"), bare);
    let metadata = bytes.strip_prefix(&bare[..]).expect("the description comes last");
    assert!(String::from_utf8_lossy(metadata).contains("BatchNorm2d"));

    sandbox.loupe("train --model mlp --epochs 0 --out mlp").succeeds();
    let text = sandbox.loupe("export mlp --out mlp.onnx").succeeds();
    assert_eq!(text.lines().count(), 1, "{text}");
    for (file, format) in [("a.onnx", "onnx"), ("a.safetensors", "safetensors")] {
        let text = sandbox.loupe(&format!("export mlp --json --out {file}")).succeeds();
        let report: Value = serde_json::from_str(&text).unwrap();
        let bytes = sandbox.read(file).len();
        let expected = serde_json::json!({
            "file": file, "format": format, "parameters": 159_410, "bytes": bytes
        });
        assert_eq!(report, expected);
    }
    let parts = ["net.onnx", "not a safetensors file"];
    sandbox.loupe("eval net.onnx --model cnn").fails(1, &parts);
}

#[test]
fn what_cannot_be_exported() {
    let sandbox = Sandbox::new();
    sandbox.loupe("train --epochs 0 --out run").succeeds();
    sandbox.loupe("export run").fails(2, &["--out <FILE>"]);
    let pytorch = "export run --out net.pt";
    sandbox.loupe(&format!("{pytorch} --format pt")).fails(2, &["'pt'", "safetensors", "onnx"]);
    let parts = ["net.pt: expected a name that ends in .safetensors or .onnx"];
    sandbox.loupe(pytorch).fails(1, &parts);
    let parts = ["net.onnx: expected a name that ends in .safetensors\n"];
    sandbox.loupe("export run --out net.onnx --format safetensors").fails(1, &parts);
    let parts = ["net.safetensors: expected a name that ends in .onnx\n"];
    sandbox.loupe("export run --out net.safetensors --format onnx").fails(1, &parts);
    sandbox.loupe("export run --out run").fails(1, &["run: expected the name of a file"]);
    sandbox
        .loupe("export run --out no/w.safetensors")
        .fails(1, &["no/w.safetensors: there is no folder no"]);
    sandbox.loupe("export run --best --out b.safetensors").fails(1, &["run: ", "best", "--best"]);
    sandbox.write("mine.safetensors", "mine");
    let parts = ["mine.safetensors: there is a file already", "--force"];
    sandbox.loupe("export run --out mine.safetensors").fails(1, &parts);
    assert_eq!(sandbox.read("mine.safetensors"), b"mine");
    sandbox.loupe("export run --out mine.safetensors --force").succeeds();
    assert_eq!(sandbox.list("."), ["data", "mine.safetensors", "run"]);
}

/// A network with all layers that a file can have.
const EVERY_LAYER: &str = r#"
input = [1, 28, 28]
layers = [
    { type = "Conv2d", in_channels = 1, out_channels = 4, kernel_size = 5, stride = 2, padding = 2, padding_mode = "reflect" },
    { type = "BatchNorm2d", num_features = 4 },
    { type = "GELU" },
    { type = "MaxPool2d", kernel_size = 2 },                 # [4, 7, 7]
    { type = "Residual", layers = [
        { type = "Conv2d", in_channels = 4, out_channels = 6, kernel_size = 3, padding = 1 },
        { type = "GroupNorm", num_groups = 2, num_channels = 6 },
        { type = "SiLU" },
        { type = "Dropout", p = 0.1 },
        { type = "Residual", layers = [
            { type = "Conv2d", in_channels = 6, out_channels = 6, kernel_size = 1 },
            { type = "ReLU" },
        ] },
    ], shortcut = [
        { type = "Conv2d", in_channels = 4, out_channels = 6, kernel_size = 1, bias = false },
    ] },
    { type = "ConvTranspose2d", in_channels = 6, out_channels = 4, kernel_size = 2, stride = 2 },
    { type = "LeakyReLU", negative_slope = 0.1 },            # [4, 14, 14]
    { type = "AvgPool2d", kernel_size = 2 },
    { type = "Upsample", scale_factor = 2 },
    { type = "Tanh" },
    { type = "AdaptiveAvgPool2d", output_size = 3 },         # [4, 3, 3]
    { type = "Flatten" },
    { type = "Linear", in_features = 36, out_features = 20 },
    { type = "LayerNorm", normalized_shape = 20 },
    { type = "Sigmoid" },
    { type = "View", shape = [20] },
    { type = "BatchNorm1d", num_features = 20 },
    { type = "Linear", in_features = 20, out_features = 10 },
    { type = "Softmax" },
]
"#;

#[test]
fn a_network_of_every_layer() {
    let sandbox = Sandbox::new();
    sandbox.write("net.toml", EVERY_LAYER);

    // It is every layer: a name that is none is answered with all that there are.
    sandbox.write("none.toml", EVERY_LAYER.replace("\"Flatten\"", "\"Flat\""));
    let message = sandbox.loupe("summary none.toml").fails(1, &["`Flat`, expected one of"]);
    let (_, names) = message.split_once("expected one of").unwrap();
    let names = names.split(" in `type`").next().unwrap();
    let names: Vec<&str> = names.split('`').skip(1).step_by(2).collect();
    assert!(names.len() > 20, "{message}");
    for name in names {
        assert!(EVERY_LAYER.contains(&format!("\"{name}\"")), "{name} is not in the network");
    }

    let text = sandbox.loupe("summary net.toml").succeeds();
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .skip_while(|line| !line.starts_with("4 "))
        .take(9)
        .collect();
    let expected = [
        "4 Residual(5 layers, shortcut of 1) [1, 6, 7, 7] 1,176",
        "4.layers.0 Conv2d(4, 6, kernel_size=3, padding=1) [1, 6, 7, 7] 222 10,584 1,176",
        "4.layers.1 GroupNorm(2, 6) [1, 6, 7, 7] 12 1,176",
        "4.layers.2 SiLU() [1, 6, 7, 7] 1,176",
        "4.layers.3 Dropout(p=0.1) [1, 6, 7, 7] 1,176",
        "4.layers.4 Residual(2 layers) [1, 6, 7, 7] 1,176",
        "4.layers.4.layers.0 Conv2d(6, 6, kernel_size=1) [1, 6, 7, 7] 42 1,764 1,176",
        "4.layers.4.layers.1 ReLU() [1, 6, 7, 7] 1,176",
        "4.shortcut.0 Conv2d(4, 6, kernel_size=1, bias=False) [1, 6, 7, 7] 24 1,176 1,176",
    ];
    assert_eq!(lines, expected, "{text}");

    let trained = sandbox.loupe("train --model net.toml --epochs 2 --batch-size 8 --out run");
    let trained = scores(&trained.succeeds());
    assert_eq!(scores(&sandbox.loupe("eval run").succeeds()), trained);
    let words = sandbox.loupe("inspect run").succeeds();
    assert!(!words.contains("makes of it"), "a layer without words: {words}");
    sandbox.loupe("explain --model net.toml --batch-size 8 --json").succeeds();
    sandbox.loupe("export run --out net.safetensors").succeeds();
    assert_eq!(scores(&sandbox.loupe("eval net.safetensors").succeeds()), trained);
}
