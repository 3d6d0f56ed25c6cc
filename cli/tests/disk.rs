//! Disks that are full and files that cannot be replaced: what was there stays, and the training can go on.
#![cfg(unix)]

mod support;

use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};
use support::Sandbox;
use support::runs::{assert_same_runs, leftovers, saved};

#[test]
fn a_full_disk_leaves_no_folder() {
    let sandbox = Sandbox::new();
    for out in ["--out new", ""] {
        let run = sandbox.loupe(&format!("train --epochs 0 {out}"));
        let full = run.through_shell(r#"trap '' XFSZ; ulimit -f 0; exec "$0" "$@""#);
        full.fails(1, &["network.toml: cannot write: "]);
    }
    assert!(!sandbox.has("new"));
    assert_eq!(sandbox.list("runs"), [""; 0]);
}

#[test]
fn a_full_disk_leaves_the_last_checkpoint() {
    let sandbox = Sandbox::new();
    // Files of at most 20 KiB, or 40 where the shell counts in KiB: the weights fit, a checkpoint does not.
    let full = "trap '' XFSZ; ulimit -f 40; exec \"$0\" \"$@\"";
    let parts = ["loupe: ", "checkpoint.safetensors: cannot write: "];
    sandbox.loupe("train --epochs 1 --out new").through_shell(full).fails(1, &parts);
    assert!(!sandbox.has("new"), "nothing is left of a run without a checkpoint");

    sandbox.loupe("train --epochs 1 --out run").succeeds();
    let before = sandbox.read("run/checkpoint.safetensors");
    let files = sandbox.list("run");
    let parts = ["cannot write: ", "run keeps the checkpoint and the weights that were saved last"];
    sandbox.loupe("train --resume run --epochs 3").through_shell(full).fails(1, &parts);
    assert!(sandbox.read("run/checkpoint.safetensors") == before);
    assert_eq!(sandbox.list("run"), files, "no temporary file remains");
    sandbox.loupe("train --resume run --epochs 3").succeeds();
    sandbox.loupe("train --epochs 3 --out whole").succeeds();
    assert_same_runs(&sandbox, "whole", "run");
}

/// Files of at most so many blocks; a shell counts in 512 or 1024 bytes.
fn at_most(blocks: usize) -> String {
    format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"")
}

/// Whichever file is the one that does not fit.
#[test]
fn a_disk_that_is_full_at_any_moment() {
    let sandbox = Sandbox::new();
    let options = "--validation 0.25 --batch-size 8 --shuffle --epochs 3";
    sandbox.loupe(&format!("train {options} --out whole")).succeeds();
    // Trainings that left nothing, those that can go on, and those that lacked nothing.
    let mut ends = [0; 3];
    for blocks in [0, 1, 2, 3, 8, 24, 32, 40, 64, 68, 72, 76, 128, 136, 144, 152, 160, 192, 8192] {
        let run = format!("run{blocks}");
        let train = format!("train {options} --out {run}");
        let (code, message) = sandbox.loupe(&train).through_shell(&at_most(blocks)).ends();
        let again = match (code, sandbox.has(&run)) {
            (Some(0), _) => {
                ends[2] += 1;
                continue;
            }
            (Some(1), false) => {
                ends[0] += 1;
                train
            }
            (Some(1), true) => {
                assert!(saved(&sandbox, &run).is_some(), "{blocks}: {message}");
                assert_eq!(leftovers(&sandbox, &run), 0, "{blocks}: {message}");
                ends[1] += 1;
                format!("train --resume {run}")
            }
            _ => panic!("{blocks}: {code:?}\n{message}"),
        };
        for part in ["cannot write", "File too large"] {
            assert!(message.contains(part), "{blocks}: {message}");
        }
        sandbox.loupe(&again).succeeds();
        sandbox.assert_run(&run, &["best.safetensors"]);
        assert_same_runs(&sandbox, "whole", &run);
    }
    assert!(ends.iter().all(|&count| count > 0), "{ends:?}");
}

/// A file cannot be renamed over a folder, whoever asks for it.
#[test]
fn a_file_that_cannot_be_replaced() {
    let sandbox = Sandbox::new();
    let options = "--validation 0.25 --batch-size 8";
    sandbox.loupe(&format!("train {options} --epochs 1 --out run")).succeeds();
    sandbox.loupe(&format!("train {options} --epochs 9 --out whole")).succeeds();
    let names = [
        "best.safetensors",
        "config.toml",
        "confusion.svg",
        "loss.png",
        "metrics.csv",
        "metrics.jsonl",
        "report.html",
        "steps.csv",
        "weights.safetensors",
    ];
    for (epochs, name) in (2..).zip(names) {
        let [path, aside] = ["", ".aside"].map(|end| sandbox.path(&format!("run/{name}{end}")));
        fs::rename(&path, &aside).unwrap();
        fs::create_dir(&path).unwrap();
        fs::write(path.join("file"), "mine").unwrap();
        let before = saved(&sandbox, "run");
        let train = format!("train --resume run --epochs {epochs}");
        let message = sandbox.loupe(&train).fails(1, &[&format!("run/{name}: "), "directory"]);
        assert!(saved(&sandbox, "run") >= before, "{name}: {message}");
        assert_eq!(leftovers(&sandbox, "run"), 0, "{name}");
        assert_eq!(fs::read(path.join("file")).unwrap(), b"mine");
        fs::remove_dir_all(&path).unwrap();
        fs::rename(&aside, &path).unwrap();
        sandbox.loupe(&train).succeeds();
    }
    sandbox.loupe("train --resume whole --epochs 10").succeeds();
    assert_same_runs(&sandbox, "whole", "run");
}

/// While the training runs.
#[test]
fn a_checkpoint_that_cannot_be_replaced() {
    let sandbox = Sandbox::new();
    let mut child = sandbox.loupe("train --epochs 1000000 --out run").starts();
    let path = sandbox.path("run/checkpoint.safetensors");
    wait_for(&mut child, || path.exists());
    let aside = sandbox.path("aside");
    // The next one may come in between.
    while fs::rename(&path, &aside).is_err() || fs::create_dir(&path).is_err() {}
    wait_for(&mut child, || false);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(leftovers(&sandbox, "run"), 0);
    fs::remove_dir(&path).unwrap();
    fs::rename(&aside, &path).unwrap();
    let [epochs, _] = saved(&sandbox, "run").unwrap();
    sandbox.loupe(&format!("train --resume run --epochs {}", epochs + 2)).succeeds();
    sandbox.loupe(&format!("train --epochs {} --out whole", epochs + 2)).succeeds();
    assert_same_runs(&sandbox, "whole", "run");
}

/// Waits until something has happened or the program has ended.
#[track_caller]
fn wait_for(child: &mut Child, happened: impl Fn() -> bool) {
    let began = Instant::now();
    while !happened() && child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing happens");
        std::thread::sleep(Duration::from_millis(1));
    }
}
