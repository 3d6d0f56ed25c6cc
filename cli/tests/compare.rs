//! `loupe compare` from the outside.

mod support;

use serde_json::Value;
use support::Sandbox;
use support::digits::{TEST_ITEMS, TRAIN_ITEMS};

const LINEAR: &str = r#"
input = [784]
layers = [{ type = "Linear", in_features = 784, out_features = 10 }, { type = "Sigmoid" }]
"#;

fn numbers(sandbox: &Sandbox, folder: &str) -> Value {
    serde_json::from_slice(&sandbox.read(&format!("{folder}/compare.json"))).unwrap()
}

#[test]
fn without_arguments_the_tutorials_networks_are_compared() {
    let sandbox = Sandbox::new();
    let stdout = sandbox.loupe("compare").succeeds();
    let lines: Vec<&str> = stdout.lines().collect();
    assert!(lines[0].starts_with("cnn, mlp: batch size 1 in file order, seed 0; "), "{stdout}");
    for (line, name) in lines[1..7].iter().zip(["cnn", "mlp"].into_iter().cycle()) {
        assert!(line.starts_with("epoch ") && line.contains(&format!("/3  {name}  mean loss")));
    }
    assert!(stdout.ends_with("\nwrote runs/compare-1\n"), "{stdout}");
    let cells = |label: &str| {
        let line = lines.iter().find(|line| line.starts_with(label));
        let line = line.unwrap_or_else(|| panic!("no {label}\n{stdout}"));
        line[label.len()..].split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(cells("parameters"), ["3,720", "159,410", "42.9"]);
    assert_eq!(cells("multiply-adds forward, one image"), ["61,000", "158,800", "2.60"]);
    // Each tensor begins on a cache line.
    assert_eq!(cells("  gradients"), ["15,168", "637,760", "42.0"]);
    assert_eq!(cells("test accuracy at the end, %").len(), 4, "two scores, a stroke, and one");
    for claim in ["training got faster: cnn ", "memory got smaller: ", "accuracy rose to 98 %: "] {
        let line = lines.iter().find(|line| line.starts_with(claim));
        let line = line.unwrap_or_else(|| panic!("no {claim}\n{stdout}"));
        let verdicts = [" – true", " – not true in this run", " – not shown by this run"];
        assert!(verdicts.iter().any(|verdict| line.ends_with(verdict)), "{line}");
    }
    assert!(stdout.contains("times less – true"), "{stdout}");
    let files = ["cnn", "compare.json", "loss.png", "loss.svg", "mlp"];
    assert_eq!(sandbox.list("runs/compare-1"), files);
    let files = ["config.toml", "environment.json", "network.toml", "weights.safetensors"];
    assert_eq!(sandbox.list("runs/compare-1/cnn"), files);
    let again = sandbox.loupe("compare --quiet").succeeds();
    assert!(again.starts_with(' ') && !again.contains("epoch 1/3"), "{again}");
    assert!(sandbox.has("runs/compare-2/compare.json"));
}

#[test]
fn each_network_is_trained_as_if_alone() {
    let sandbox = Sandbox::new();
    let recipe =
        "--epochs 2 --batch-size 6 --shuffle --seed 3 --optimizer sgd --momentum 0.5 --lr 0.1";
    sandbox.loupe(&format!("compare mlp cnn {recipe} --out both")).succeeds();
    for name in ["mlp", "cnn"] {
        sandbox.loupe(&format!("train --model {name} {recipe} --out {name}")).succeeds();
        let weights = |folder: &str| sandbox.read(&format!("{folder}/weights.safetensors"));
        assert!(weights(name) == weights(&format!("both/{name}")), "{name}");
        let printed = sandbox.loupe(&format!("eval both/{name}")).succeeds();
        let alone = sandbox.loupe(&format!("eval {name}")).succeeds();
        assert_eq!(printed.replace("both/", ""), alone);
    }
    sandbox.loupe(&format!("compare mlp cnn {recipe} --threads 1 --out one")).succeeds();
    let weights = |folder: &str| sandbox.read(&format!("{folder}/cnn/weights.safetensors"));
    assert!(weights("both") == weights("one"));
    // The configuration of a run trains it again.
    sandbox.loupe("train --config both/cnn/config.toml --out again").succeeds();
    assert!(sandbox.read("again/weights.safetensors") == weights("both"));
}

#[test]
fn json_is_all_there_is_on_standard_output() {
    let sandbox = Sandbox::new();
    sandbox.write("linear.toml", LINEAR);
    let stdout = sandbox
        .loupe("compare cnn linear.toml --batch-size 24 --epochs 2 --json --out c")
        .succeeds();
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report, numbers(&sandbox, "c"));
    assert_eq!(report["training_items"], TRAIN_ITEMS);
    assert_eq!(report["steps_per_epoch"], 3);
    assert_eq!(report["interrupted"], false);
    assert_eq!(report["configuration"]["batch_size"], 24);
    assert_eq!(report["claims"].as_array().unwrap().len(), 3);
    for (network, (name, parameters)) in
        report["networks"].as_array().unwrap().iter().zip([("cnn", 3720), ("linear", 7850)])
    {
        assert_eq!(network["name"], name);
        assert_eq!(network["folder"], format!("c/{name}"));
        assert_eq!(network["parameters"], parameters);
        let state = network["training_memory"]["optimizer"].as_u64().unwrap();
        assert!((2 * 4 * parameters..2 * 4 * parameters + 1024).contains(&state), "{state}");
        assert_eq!(network["steps"], 6);
        let epochs = network["epochs"].as_array().unwrap();
        assert_eq!(epochs.len(), 2);
        assert_eq!(epochs[1]["scores"], network["scores"]);
        let seconds: f64 = epochs.iter().map(|epoch| epoch["seconds"].as_f64().unwrap()).sum();
        assert!((seconds - network["seconds"].as_f64().unwrap()).abs() < 1e-6);
        assert!(network["step_seconds"]["median"].as_f64().unwrap() > 0.0);
        let score = &network["scores"][if name == "cnn" { "batch_statistics" } else { "score" }];
        assert_eq!(score["items"], TEST_ITEMS);
    }
}

#[test]
fn networks_of_one_name_have_folders_of_their_own() {
    let sandbox = Sandbox::new();
    sandbox.write("a/net.toml", LINEAR);
    sandbox.write("b/net.toml", LINEAR.replace("}, {", ", bias = false }, {"));
    sandbox.write("c/....toml", LINEAR);
    let stdout =
        sandbox.loupe("compare a/net.toml b/net.toml c/....toml --epochs 1 --out c/d").succeeds();
    assert!(!stdout.contains("training got faster"), "three networks make no claim\n{stdout}");
    assert_eq!(stdout.matches("/ net").count(), 2, "{stdout}");
    let runs: Vec<_> =
        sandbox.list("c/d").into_iter().filter(|name| !name.contains("loss")).collect();
    assert_eq!(runs, ["...", "compare.json", "net", "net-2"]);
    let report = numbers(&sandbox, "c/d");
    let parameters = report["networks"].as_array().unwrap().iter().map(|n| &n["parameters"]);
    assert_eq!(parameters.collect::<Vec<_>>(), [7850, 7840, 7850]);
    let weights = |name: &str| sandbox.read(&format!("c/d/{name}/weights.safetensors"));
    assert_ne!(weights("net").len(), weights("net-2").len());
    assert!(weights("net") == weights("..."));
}

#[test]
fn without_an_epoch_nothing_is_claimed_of_speed() {
    let sandbox = Sandbox::new();
    let stdout = sandbox.loupe("compare --epochs 0 --out c").succeeds();
    let claim = "training got faster: no step was taken – not shown by this run";
    assert!(stdout.contains(claim), "{stdout}");
    assert_eq!(numbers(&sandbox, "c")["networks"][0]["step_seconds"], Value::Null);
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.loupe("compare cnn").fails(2, &["2"]);
    sandbox.loupe("compare cnn mpl --out c").fails(1, &["did you mean mlp?"]);
    sandbox.write("stop.toml", "[stop]\nmax_seconds = 3");
    sandbox.loupe("compare --config stop.toml --out c").fails(1, &["[stop]"]);
    sandbox.write("hold.toml", "[data]\nvalidation = 0.5");
    sandbox.loupe("compare --config hold.toml --out c").fails(1, &["validation = 0.5"]);
    sandbox.write("few.toml", LINEAR.replace("10 }", "5 }"));
    sandbox.loupe("compare cnn few.toml --out c").fails(1, &["few: ", "5"]);
    assert!(!sandbox.has("c"));
    sandbox.loupe("compare --epochs 0 --out c").succeeds();
    let before = sandbox.read("c/compare.json");
    sandbox
        .loupe("compare --out c")
        .fails(1, &["c: the folder holds a comparison already", "--out"]);
    assert!(sandbox.read("c/compare.json") == before);
}

#[test]
fn a_failed_comparison_leaves_nothing() {
    let sandbox = Sandbox::new();
    let recipe = "--optimizer sgd --lr 1e30 --loss mse --epochs 3";
    let linear = LINEAR.replace(", { type = \"Sigmoid\" }", "");
    sandbox.write("wild.toml", linear);
    sandbox
        .loupe(&format!("compare wild.toml wild.toml {recipe} --out c"))
        .fails(1, &["wild: ", "loss"]);
    assert!(!sandbox.has("c"));
}

#[test]
fn files_of_others_are_not_replaced() {
    let sandbox = Sandbox::new();
    sandbox.write("mine/loss.png", "not a picture of losses");
    let parts = ["mine/loss.png: the comparison would replace it; name another folder with --out"];
    sandbox.loupe("compare --epochs 0 --out mine").fails(1, &parts);
    assert_eq!(sandbox.read("mine/loss.png"), b"not a picture of losses");
    assert_eq!(sandbox.list("mine"), ["loss.png"]);
}
