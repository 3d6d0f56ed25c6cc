//! `loupe bench` and `loupe explain`: what they print and refuse.

mod support;

use serde_json::Value;
use support::Sandbox;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn explain_names_every_layer_and_its_times_add_up() {
    let sandbox = Sandbox::new();
    for (arguments, kernel) in [
        ("--batch-size 1 --threads 1", "16 channels in a vector"),
        ("--batch-size 16 --threads 2", "16 images"),
        ("--model mlp --batch-size 3", "direct"),
    ] {
        let text = sandbox.loupe(&format!("explain {arguments}")).succeeds();
        let model = if arguments.contains("mlp") { "mlp" } else { "cnn" };
        let layers: &[&str] = match model {
            "cnn" => &["Conv2d(1, 10", "Conv2d(10, 10", "BatchNorm2d(10)", "Linear(250, 10)"],
            _ => &["Linear(784, 200)", "LayerNorm", "Linear(200, 10)"],
        };
        for part in layers.iter().chain(&[kernel, "forward", "dX", "dW", "optimiser", "memory"]) {
            assert!(text.contains(part), "{part}: {text}");
        }
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "a line of more than 100 characters: {line}");
        }

        let report = json(&sandbox.loupe(&format!("explain --json {arguments}")).succeeds());
        assert_eq!(report["model"], model);
        let seconds = |value: &Value| value.as_f64().unwrap();
        let operations = report["operations"].as_array().unwrap();
        let sum: f64 = operations.iter().map(|operation| seconds(&operation["seconds"])).sum();
        let total = sum + seconds(&report["other_seconds"]);
        let step = seconds(&report["timed_step_seconds"]);
        assert!((total - step).abs() <= 1e-6 * step, "{total} of {step} seconds");
        let flops: u64 =
            operations.iter().map(|operation| operation["flops"].as_u64().unwrap()).sum();
        assert_eq!(report["flops"].as_u64().unwrap(), flops);
        // Twice the multiplications of forward and dW, and of dX but for the first layer.
        let layers: &[u64] =
            if model == "cnn" { &[36_000, 22_500, 2_500] } else { &[156_800, 2_000] };
        let products = 3 * layers.iter().sum::<u64>() - layers[0];
        assert_eq!(flops, 2 * products * report["batch_size"].as_u64().unwrap());
    }
}

#[test]
fn explain_takes_network_files_and_names_what_is_wrong_with_them() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "net.toml",
        "input = [3, 9, 9]\nlayers = [{ type = \"Conv2d\", in_channels = 3, out_channels = 4, kernel_size = 3 }]",
    );
    let text = sandbox.loupe("explain --model net.toml --batch-size 2").succeeds();
    assert!(text.contains("Conv2d(3, 4, kernel_size=3"), "{text}");
    sandbox.write(
        "bad.toml",
        "input = [784]\nlayers = [{ type = \"Linear\", in_features = 1, out_features = 1 }]",
    );
    sandbox.loupe("explain --model bad.toml").fails(1, &["bad.toml", "layer 0", "Linear"]);
    sandbox.loupe("explain --model none.toml").fails(1, &["none.toml"]);
    sandbox.loupe("explain --batch-size 0").fails(2, &["'0'", "--batch-size"]);
    sandbox.loupe("explain --data x").fails(2, &["'--data'"]);
}

#[test]
fn bench_measures_both_networks_at_every_batch_size() {
    let sandbox = Sandbox::new();
    let report = json(&sandbox.loupe("bench --json --threads 2 --seconds 0.1").succeeds());
    assert!(report["peak_flops_per_thread"].as_f64().unwrap() > 1e8, "{report:#}");
    let results = report["results"].as_array().unwrap();
    // Two networks, five batch sizes, one thread and two, training and inference.
    assert_eq!(results.len(), 2 * 5 * 2 * 2, "{report:#}");
    let text = sandbox.loupe("bench --threads 1 --seconds 0.1").succeeds();
    for part in ["cnn", "mlp", "1024"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    sandbox.loupe("bench --seconds=-1").fails(2, &["--seconds"]);
    sandbox.loupe("bench --seconds soon").fails(2, &["'soon'", "--seconds"]);
    sandbox.loupe("bench --threads 0").fails(2, &["'0'", "--threads"]);
}
