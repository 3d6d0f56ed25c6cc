//! Trainings that are interrupted and go on, and what a run folder holds then.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use support::Sandbox;
use support::runs::assert_same_runs;

/// Options of trainings in which everything is at work that has a state.
const OPTIONS: [&str; 3] = [
    "",
    "--batch-size 7 --shuffle --lr 0.01 --validation 0.25",
    "--optimizer sgd --momentum 0.9 --lr 0.1 --batch-size 16 --shuffle --shift 2 --rotate 10 --seed 5",
];

#[test]
fn more_epochs_are_those_of_one_training() {
    let sandbox = Sandbox::new();
    for (i, options) in OPTIONS.iter().enumerate() {
        sandbox.loupe(&format!("train {options} --epochs 5 --out whole{i}")).succeeds();
        sandbox.loupe(&format!("train {options} --epochs 2 --out parts{i}")).succeeds();
        let run = format!("parts{i}");
        for epochs in [3, 5] {
            let stdout =
                sandbox.loupe(&format!("train --resume {run} --epochs {epochs}")).succeeds();
            let first = stdout.lines().next().unwrap();
            assert!(first.starts_with("cnn: 3,720 parameters, "), "{stdout}");
            assert!(first.contains("; goes on after epoch "), "{stdout}");
            assert!(stdout.ends_with(&format!("wrote {run}\n")), "{stdout}");
        }
        assert_same_runs(&sandbox, &format!("whole{i}"), &run);
    }
}

#[test]
fn time_that_is_up_stops_between_steps() {
    let sandbox = Sandbox::new();
    let stdout = sandbox.loupe("train --epochs 1000000 --max-seconds 0.2 --out run").succeeds();
    let line = stdout.lines().find(|line| line.starts_with("stopped after ")).unwrap();
    assert!(line.ends_with("; go on with: loupe train --resume run"), "{stdout}");
    assert!(stdout.contains("\nbatch statistics "), "what has been learnt is scored: {stdout}");
    let epochs = epochs_of(&sandbox, "run") + 2;
    sandbox.loupe(&format!("train --resume run --epochs {epochs}")).succeeds();
    sandbox.loupe(&format!("train --epochs {epochs} --out whole")).succeeds();
    assert_same_runs(&sandbox, "whole", "run");
}

/// Epochs that are over, by the log.
fn epochs_of(sandbox: &Sandbox, run: &str) -> usize {
    let metrics = String::from_utf8(sandbox.read(&format!("{run}/metrics.csv"))).unwrap();
    metrics.lines().count() - 1
}

#[cfg(unix)]
#[test]
fn ctrl_c_finishes_the_step_and_saves() {
    let sandbox = Sandbox::new();
    for (i, signal) in ["INT", "TERM"].into_iter().enumerate() {
        let run = format!("run{i}");
        let mut child = Command::new(env!("CARGO_BIN_EXE_loupe"))
            .args(["train", "--epochs", "1000000", "--out", &run])
            .current_dir(sandbox.path("."))
            .env_remove("LOUPE_ISA")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        while !text.contains("epoch 2/") {
            assert_ne!(stdout.read_line(&mut text).unwrap(), 0, "it ended by itself: {text}");
        }
        let kill =
            Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        stdout.read_to_string(&mut text).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{text}");
        let last = text.lines().last().unwrap();
        assert!(last.starts_with("interrupted after "), "{text}");
        assert!(last.ends_with(&format!("; go on with: loupe train --resume {run}")), "{text}");

        let epochs = epochs_of(&sandbox, &run) + 1;
        sandbox.loupe(&format!("eval {run}")).succeeds();
        sandbox.loupe(&format!("train --resume {run} --epochs {epochs}")).succeeds();
        let whole = format!("whole{i}");
        sandbox.loupe(&format!("train --epochs {epochs} --out {whole}")).succeeds();
        assert_same_runs(&sandbox, &whole, &run);
    }
}

#[test]
fn what_cannot_go_on_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.loupe("train --epochs 1 --out run").succeeds();
    let parts = ["run: the training is over after epoch 1;", "--epochs"];
    sandbox.loupe("train --resume run").fails(1, &parts);
    let parts = ["patience needs items to judge by", "--validation"];
    sandbox.loupe("train --resume run --epochs 2 --patience 2").fails(1, &parts);
    let parts = ["nowhere/checkpoint.safetensors: cannot read", "the checkpoint of a training"];
    sandbox.loupe("train --resume nowhere").fails(1, &parts);
    let parts = ["'--resume <RUN>' cannot be used with", "--lr"];
    sandbox.loupe("train --resume run --lr 0.1").fails(2, &parts);

    let checkpoint = sandbox.read("run/checkpoint.safetensors");
    sandbox.write("run/checkpoint.safetensors", &checkpoint[..checkpoint.len() / 2]);
    let parts = ["run/checkpoint.safetensors: not a safetensors file"];
    sandbox.loupe("train --resume run --epochs 2").fails(1, &parts);
    sandbox.write("run/checkpoint.safetensors", sandbox.read("run/weights.safetensors"));
    let parts = ["run/checkpoint.safetensors: a safetensors file, but not a loupe checkpoint"];
    sandbox.loupe("train --resume run --epochs 2").fails(1, &parts);
    sandbox.write("run/checkpoint.safetensors", &checkpoint);

    let config = String::from_utf8(sandbox.read("run/config.toml")).unwrap();
    sandbox.write("run/config.toml", config.replace("lr = 0.001", "lr = 0.002"));
    let parts =
        ["the checkpoint is of a training with optimizer Adam(lr=0.001,", "not Adam(lr=0.002,"];
    sandbox.loupe("train --resume run --epochs 2").fails(1, &parts);
    sandbox.write("run/config.toml", config.replace("epochs", "epoch"));
    sandbox.loupe("train --resume run --epochs 2").fails(1, &["run/config.toml", "epoch"]);
    sandbox.write("run/config.toml", config);

    // The run is as it was.
    sandbox.loupe("train --resume run --epochs 2").succeeds();
    let parts = ["run: the training is over after epoch 2; a larger number of --epochs goes on"];
    sandbox.loupe("train --resume run --epochs 1").fails(1, &parts);
}

#[test]
fn patience_that_is_at_its_end_can_be_prolonged() {
    let sandbox = Sandbox::new();
    let options = "--validation 0.25 --epochs 1000 --lr 0.01 --batch-size 8";
    sandbox.loupe(&format!("train {options} --patience 2 --out run")).succeeds();
    let files = sandbox.list("run");
    let before = sandbox.read("run/report.html");
    let parts = ["run: 2 epochs without a better score are over", "--patience"];
    sandbox.loupe("train --resume run").fails(1, &parts);
    assert!(sandbox.list("run") == files && sandbox.read("run/report.html") == before);
    sandbox.loupe("train --resume run --patience 4").succeeds();
    sandbox.loupe(&format!("train {options} --patience 4 --out whole")).succeeds();
    assert_same_runs(&sandbox, "whole", "run");
}

#[test]
fn results_that_were_not_written_are_made_up_for() {
    let sandbox = Sandbox::new();
    let first = sandbox.loupe("train --epochs 1 --out run").succeeds();
    let scores = first.lines().find(|line| line.starts_with("batch statistics ")).unwrap();
    std::fs::remove_file(sandbox.path("run/report.html")).unwrap();
    let stdout = sandbox.loupe("train --resume run").succeeds();
    assert!(stdout.lines().any(|line| line == scores), "{stdout}");
    sandbox.assert_run("run", &[]);
    let report = String::from_utf8(sandbox.read("run/report.html")).unwrap();
    assert!(!report.contains("images per second"), "no step was taken");
}

#[test]
fn a_report_of_fewer_steps_is_written_anew() {
    let sandbox = Sandbox::new();
    sandbox.loupe("train --epochs 1 --out run").succeeds();
    let before = sandbox.read("run/report.html");
    sandbox.loupe("train --resume run --epochs 2").succeeds();
    // As if the training had been killed before it wrote its report.
    sandbox.write("run/report.html", &before);
    sandbox.loupe("train --resume run").succeeds();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let after = sandbox.read("run/report.html");
    assert!(text(&before).contains(": epoch 1</p>") && text(&after).contains(": epoch 2</p>"));
    sandbox.loupe("train --resume run").fails(1, &["the training is over after epoch 2"]);
}

#[test]
fn what_makes_another_training_is_said() {
    let sandbox = Sandbox::new();
    let warning = "\nthe learning rates go by the number of epochs: so far they were those of 2 epochs, from here \
                   on they are those of 3\n";
    for schedule in ["step", "linear", "cosine", "one-cycle"] {
        let out = format!("--schedule {schedule} --batch-size 8 --epochs 2 --out {schedule}");
        sandbox.loupe(&format!("train {out}")).succeeds();
        let stdout = sandbox.loupe(&format!("train --resume {schedule} --epochs 3")).succeeds();
        assert_eq!(stdout.contains(warning), schedule != "step", "{stdout}");
    }
    let portable = "train --epochs 1 --out run";
    sandbox.loupe(portable).env("LOUPE_ISA", "portable").succeeds();
    let again = sandbox.loupe("train --resume run --epochs 2").env("LOUPE_ISA", "portable");
    assert!(!again.succeeds().contains("rounds otherwise"));
    let stdout = sandbox.loupe("train --resume run --epochs 3").succeeds();
    let best = !stdout.lines().next().unwrap().contains("; portable, ");
    assert_eq!(stdout.contains("\nthe training was begun on portable; "), best, "{stdout}");
}

/// As with `nohup`.
#[cfg(target_os = "linux")]
#[test]
fn a_hang_up_that_is_ignored_stays_ignored() {
    let sandbox = Sandbox::new();
    let mut child = Command::new("sh")
        .args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_loupe")])
        .args(["train", "--epochs", "1000000", "--out", "run"])
        .current_dir(sandbox.path("."))
        .env_remove("LOUPE_ISA")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    let mut next = |text: &mut String| {
        assert_ne!(stdout.read_line(text).unwrap(), 0, "it ended by itself: {text}");
    };
    while !text.contains("epoch 2/") {
        next(&mut text);
    }
    let kill = Command::new("kill").args(["-HUP".to_owned(), child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    let epochs = epochs_of(&sandbox, "run") + 20;
    while epochs_of(&sandbox, "run") < epochs {
        next(&mut text);
    }
    // Other signals are still noted.
    let kill = Command::new("kill").args(["-TERM".to_owned(), child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(sandbox.path("run/checkpoint.safetensors").exists());
}

#[test]
fn a_resumed_run_keeps_its_name() {
    let sandbox = Sandbox::new();
    let network = "input = [1, 28, 28]\n[[layers]]\ntype = \"View\"\nshape = 784\n\
                   [[layers]]\ntype = \"Linear\"\nin_features = 784\nout_features = 10\n\
                   [[layers]]\ntype = \"Sigmoid\"\n";
    sandbox.write("small.toml", network);
    for (model, name) in
        [("cnn", "cnn: 3,720 parameters"), ("small.toml", "small: 7,850 parameters")]
    {
        let run = format!("{model}-run");
        sandbox.loupe(&format!("train --model {model} --epochs 1 --out {run}")).succeeds();
        let config = sandbox.read(&format!("{run}/config.toml"));
        for epochs in [2, 3] {
            let stdout =
                sandbox.loupe(&format!("train --resume {run} --epochs {epochs}")).succeeds();
            assert!(stdout.starts_with(name), "{stdout}");
        }
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (config, after) = (text(config), text(sandbox.read(&format!("{run}/config.toml"))));
        assert_eq!(after, config.replace("epochs = 1", "epochs = 3"));
    }
}

/// What is to be typed next is one word for a shell.
#[cfg(unix)]
#[test]
fn names_in_commands_are_quoted() {
    let sandbox = Sandbox::new();
    let run = sandbox.loupe("train --epochs 9 --max-seconds 1e-9 --out");
    let stdout = run.through_shell(r#""$0" "$@" "it's mine""#).succeeds();
    let line = stdout.lines().find(|line| line.starts_with("stopped after ")).unwrap();
    let command = line.split_once("go on with: loupe ").unwrap().1;
    assert_eq!(command, r"train --resume 'it'\''s mine'");
    let script = format!(r#""$0" {command} --epochs 1"#);
    sandbox.loupe("").through_shell(&script).succeeds();
}
