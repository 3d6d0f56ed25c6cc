//! Presets, configurations, and flags over them.

mod support;

use support::{Sandbox, assert_score, scores};

const WEIGHTED: &str = r#"
[loss]
type = "CrossEntropyLoss"
reduction = "sum"
weight = [1, 1, 2, 1, 1, 0.5, 1, 1, 1, 0]
"#;

#[test]
fn options_of_losses_and_optimisers_change_the_training() {
    let sandbox = Sandbox::new();
    sandbox.write("weighted.toml", WEIGHTED);
    sandbox.write("unweighted.toml", WEIGHTED.replace("weight", "# weight"));
    let mut all = Vec::new();
    for (i, flags) in [
        "--loss cross-entropy",
        "--config unweighted.toml",
        "--config weighted.toml",
        "--config weighted.toml --label-smoothing 0.1",
        "--loss l1",
        "--clip-grad-norm 0.01",
        "--optimizer adam --weight-decay 0.01",
        "--optimizer adamw",
        "--optimizer adamw --weight-decay 0.5",
        "--optimizer sgd --momentum 0.5",
        "--optimizer sgd --momentum 0.5 --nesterov",
        "--optimizer sgd --momentum 0.5 --weight-decay 0.1",
    ]
    .into_iter()
    .enumerate()
    {
        let common = format!("--model mlp --epochs 1 --batch-size 8 --out {i}");
        sandbox.loupe(&format!("train {flags} {common}")).succeeds();
        let weights = sandbox.read(&format!("{i}/weights.safetensors"));
        assert!(!all.contains(&weights), "{flags}");
        all.push(weights);
    }
}

#[test]
fn a_printed_configuration_is_the_same_training() {
    let sandbox = Sandbox::new();
    sandbox.write("weighted.toml", WEIGHTED);
    for (i, flags) in [
        "--epochs 1",
        "--preset fast --epochs 1 --seed 3",
        "--epochs 2 --optimizer sgd --momentum 0.5 --lr 0.05 --schedule one-cycle --batch-size 4 --shuffle \
         --shift 1 --rotate 5 --validation 0.2 --patience 2 --model mlp --loss mse --nesterov --weight-decay 1e-4",
        "--epochs 1 --batch-size 8 --optimizer adamw --weight-decay 0.1 --clip-grad-norm 0.5 --loss l1",
        "--epochs 1 --batch-size 8 --config weighted.toml --label-smoothing 0.2 --model mlp",
    ]
    .into_iter()
    .enumerate()
    {
        let printed = sandbox.loupe(&format!("train {flags} --print-config")).succeeds();
        assert!(!sandbox.has("runs"));
        let config = format!("config{i}.toml");
        sandbox.write(&config, &printed);
        let [a, b] = [format!("a{i}"), format!("b{i}")];
        sandbox.loupe(&format!("train {flags} --out {a}")).succeeds();
        sandbox.loupe(&format!("train --config {config} --out {b}")).succeeds();
        let weights = [a, b].map(|run| sandbox.read(&format!("{run}/weights.safetensors")));
        assert!(weights[0] == weights[1], "{flags}");
        let again = sandbox.loupe(&format!("train --config {config} --print-config")).succeeds();
        assert_eq!(again, printed);
    }
}

#[test]
fn flags_count_more_than_the_file_and_the_file_more_than_the_preset() {
    let sandbox = Sandbox::new();
    sandbox.write("own.toml", "preset = \"fast\"\nepochs = 7\n[optimizer]\nlr = 0.25\n");
    let printed = sandbox.loupe("train --config own.toml --epochs 9 --print-config").succeeds();
    for line in ["epochs = 9", "lr = 0.25", "momentum = 0.9", "batch_size = 64", "type = \"SGD\""] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    let printed = sandbox.loupe("train --preset tutorial --print-config").succeeds();
    assert_eq!(printed, sandbox.loupe("train --print-config").succeeds());
    let printed = sandbox.loupe("train --preset fast --shuffle=false --print-config").succeeds();
    assert!(printed.contains("shuffle = false"), "{printed}");
}

#[test]
fn the_fast_preset_trains() {
    let sandbox = Sandbox::new();
    let stdout = sandbox
        .loupe("train --preset fast --epochs 20 --lr 0.05 --batch-size 16 --schedule constant")
        .succeeds();
    assert!(stdout.starts_with("fast: "), "{stdout}");
    assert!(stdout.ends_with("wrote runs/fast-1\n"), "{stdout}");
    let found = scores(&stdout);
    assert_score(found.last().unwrap(), "running statistics", support::digits::TEST_ITEMS);
    let correct: usize = found.last().unwrap().1.split(' ').next().unwrap().parse().unwrap();
    assert!(correct >= 16, "it learns: {stdout}");
}

#[test]
fn mistakes_are_named_with_file_key_and_line() {
    let sandbox = Sandbox::new();
    for (text, parts) in [
        ("epochs = 3\nepoch = 4\n", &["line 2", "unknown field `epoch`", "epochs"][..]),
        (
            "seed = 0\n\n[data]\nvalidation = 1.5\n",
            &["line 4", "validation = 1.5", "from 0 to less than 1"],
        ),
        ("[optimizer]\nlr = -1\n", &["line 2", "lr = -1", "above 0"]),
        ("[optimizer]\ntype = \"Adagrad\"\n", &["line 2", "Adagrad"]),
        ("epochs = \"3\"\n", &["line 1", "epochs = \"3\""]),
        ("[stop\n", &["line 1"]),
        (
            "[network]\ninput = [4]\nlayers = [\n  { type = \"Conv3d\" },\n]\n",
            &["line 3", "layer 0: unknown variant `Conv3d`"],
        ),
        ("[optimizer]\nmomentum = 0.5\n", &["optimizer.momentum: Adam has no momentum"]),
    ] {
        sandbox.write("bad.toml", text);
        let all: Vec<&str> = ["loupe: bad.toml"].iter().chain(parts).copied().collect();
        sandbox.loupe("train --config bad.toml").fails(1, &all);
    }
    sandbox
        .loupe("train --config none.toml")
        .fails(1, &["none.toml: cannot read the configuration"]);
    let parts = ["patience needs items to judge by", "--validation"];
    sandbox.loupe("train --patience 2").fails(1, &parts);
    let parts = ["validation = 0.001", "64 training items"];
    sandbox.loupe("train --validation 0.001").fails(1, &parts);
    let parts = ["weight must have 10 elements, found 2"];
    sandbox.write("bad.toml", "loss = { type = \"CrossEntropyLoss\", weight = [1, 2] }");
    sandbox.loupe("train --config bad.toml").fails(1, &parts);
    let parts = ["loss.label_smoothing: BCELoss has no label_smoothing"];
    sandbox.loupe("train --label-smoothing 0.1").fails(1, &parts);
    let parts = ["optimizer.nesterov: ", "needs a momentum above 0"];
    sandbox.loupe("train --optimizer sgd --nesterov").fails(1, &parts);
    sandbox.loupe("train --momentum 0.9").fails(1, &["optimizer.momentum: Adam has no momentum"]);
    for (arguments, parts) in [
        ("train --validation 1", ["'1'", "from 0 to less than 1"]),
        ("train --preset slow", ["'slow'", "tutorial, fast"]),
        ("train --optimizer adan", ["'adan'", "adam"]),
        ("train --schedule onecycle", ["'onecycle'", "one-cycle"]),
        ("train --max-seconds 0", ["'0'", "above 0"]),
        ("train --clip-grad-norm 0", ["'0'", "above 0"]),
        ("train --label-smoothing 2", ["'2'", "from 0 to 1"]),
        ("train --weight-decay=-1", ["'-1'", "expected 0 or a number above it"]),
        ("train --patient 3", ["'--patient'", "'--patience'"]),
    ] {
        sandbox.loupe(arguments).fails(2, &parts);
    }
    assert_eq!(sandbox.list("."), ["bad.toml", "data"]);
}

#[test]
fn numbers_that_go_astray_are_traced() {
    let sandbox = Sandbox::new();
    let parts = ["the loss of step ", "was the first: ", "layer ", "Linear(784, 200)", "least"];
    sandbox.loupe("train --model mlp --loss mse --lr 1e30").fails(1, &parts);
    assert!(sandbox.list("runs").is_empty(), "nothing is left of a run without a checkpoint");

    // The first epoch is good, the second has a rate beyond reason.
    sandbox.write("steep.toml", "epochs = 2\nnetwork = \"mlp\"\nloss = \"MSELoss\"\n[schedule]\ntype = \"StepLR\"\nstep_size = 1\ngamma = 1e34\n");
    let parts = ["step 2 of epoch 2 (learning rate ", "run keeps the checkpoint and the weights"];
    sandbox.loupe("train --config steep.toml --out run").fails(1, &parts);
    sandbox.loupe("eval run").succeeds();
    sandbox.loupe("train --config steep.toml --epochs 1 --out good").succeeds();
    assert!(sandbox.read("run/weights.safetensors") == sandbox.read("good/weights.safetensors"));
}

#[test]
fn the_best_weights_are_kept_and_patience_ends() {
    let sandbox = Sandbox::new();
    let stdout = sandbox
        .loupe(
            "train --validation 0.25 --patience 3 --epochs 1000 --lr 0.01 --batch-size 8 --out run",
        )
        .succeeds();
    assert!(stdout.contains("\nstopped early: no better score for 3 epochs\n"), "{stdout}");
    let epochs: Vec<&str> = stdout.lines().filter(|line| line.starts_with("epoch ")).collect();
    let best = epochs.iter().rposition(|line| line.ends_with("  best")).unwrap();
    assert_eq!(best + 1 + 3, epochs.len(), "{stdout}");
    assert!(epochs.iter().all(|line| line.contains("  validation ")), "{stdout}");
    assert!(
        stdout.contains(&format!("\nbest epoch {} (run/best.safetensors): ", best + 1)),
        "{stdout}"
    );
    assert_ne!(sandbox.read("run/best.safetensors"), sandbox.read("run/weights.safetensors"));
    sandbox.loupe("eval run/best.safetensors --model cnn").succeeds();
}
