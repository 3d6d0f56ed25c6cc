//! Trainings that are killed at any moment and go on as if nothing had happened.
#![cfg(unix)]

mod support;

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};
use support::Sandbox;
use support::runs::{assert_same_runs, leftovers, saved};

const KILLS: usize = 200;

/// Everything that has a state, and so little data that half of the time goes into saving.
const OPTIONS: &str = "--optimizer sgd --momentum 0.9 --lr 0.05 --batch-size 16 --shuffle --shift 2 --seed 5 \
                       --validation 0.25";

/// SplitMix64.
struct Random(u64);

impl Random {
    /// From 0 to 1.
    fn number(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ bits >> 31) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// While it starts, learns, saves or writes its report.
#[test]
fn a_training_that_is_killed_is_the_training_that_was_not() {
    let sandbox = Sandbox::new();
    let began = Instant::now();
    sandbox.loupe(&format!("train {OPTIONS} --epochs 8 --out timed")).succeeds();
    let life = began.elapsed();

    let mut random = Random(17);
    let (mut kills, mut before) = (0, None);
    while kills < KILLS {
        // Now and then all over again, for the moments before the first checkpoint.
        if kills % 10 == 0 && sandbox.has("run") {
            fs::remove_dir_all(sandbox.path("run")).unwrap();
            before = None;
        }
        let begun = sandbox.has("run/network.toml") && sandbox.has("run/config.toml");
        if !begun && sandbox.has("run") {
            // A moment in which there was nothing to go on with.
            assert!(sandbox.list("run").len() <= 2, "{:?}", sandbox.list("run"));
            fs::remove_dir_all(sandbox.path("run")).unwrap();
        }
        let epochs = before.map_or(0, |[epochs, _]: [u64; 2]| epochs) + 8;
        let arguments = match begun {
            true => format!("train --resume run --epochs {epochs}"),
            false => format!("train {OPTIONS} --epochs {epochs} --out run"),
        };
        let mut child = sandbox.loupe(&arguments).starts();
        let part = if before.is_none() { 0.25 } else { 1.0 };
        sleep(life.mul_f64(part * random.number()));
        child.kill().unwrap();
        match child.wait().unwrap().code() {
            None => kills += 1,
            Some(0) => {}
            Some(code) => panic!("{code}: {arguments}, after {kills} kills"),
        }
        if !sandbox.has("run") {
            continue;
        }
        let now = saved(&sandbox, "run");
        assert!(now >= before, "{now:?} after {before:?}");
        // As many as files are written at a time: those of the kill before are gone.
        assert!(leftovers(&sandbox, "run") <= 3, "{:?}", sandbox.list("run"));
        before = now;
    }

    let epochs = before.map_or(0, |[epochs, _]| epochs) + 1;
    sandbox.write("run/.loupe-0.tmp", "what a killed training may have left");
    sandbox.loupe(&format!("train --resume run --epochs {epochs}")).succeeds();
    sandbox.assert_run("run", &["best.safetensors"]);
    sandbox.loupe(&format!("train {OPTIONS} --epochs {epochs} --out whole")).succeeds();
    assert_same_runs(&sandbox, "whole", "run");
}

#[test]
fn of_two_trainings_in_one_folder_the_second_is_refused() {
    let sandbox = Sandbox::new();
    let mut child = sandbox.loupe("train --epochs 1000000 --out run").starts();
    let began = Instant::now();
    while saved(&sandbox, "run").is_none() {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing happens");
        sleep(Duration::from_millis(1));
    }
    let parts = ["run: another training is at work in this folder"];
    for second in ["--resume run --epochs 2000000", "--out run"] {
        sandbox.loupe(&format!("train {second}")).fails(1, &parts);
    }
    assert_eq!(child.try_wait().unwrap(), None, "the first goes on");
    child.kill().unwrap();
    child.wait().unwrap();
    let [epochs, _] = saved(&sandbox, "run").unwrap();
    sandbox.loupe(&format!("train --resume run --epochs {}", epochs + 1)).succeeds();
}

/// Whatever was there before the first checkpoint.
#[test]
fn a_training_that_had_saved_nothing_begins_again() {
    let sandbox = Sandbox::new();
    sandbox.loupe(&format!("train {OPTIONS} --epochs 2 --out whole")).succeeds();
    for lost in [&["best.safetensors", "weights.safetensors", "report.html"][..], &["steps.csv"]] {
        sandbox.loupe(&format!("train {OPTIONS} --epochs 2 --out run")).succeeds();
        for name in [&["checkpoint.safetensors"], lost].concat() {
            fs::remove_file(sandbox.path(&format!("run/{name}"))).unwrap();
        }
        if lost.len() == 1 {
            // There are weights, which somebody may want to keep.
            let parts = ["run/checkpoint.safetensors: cannot read; expected the checkpoint"];
            sandbox.loupe("train --resume run").fails(1, &parts);
            continue;
        }
        let stdout = sandbox.loupe("train --resume run").succeeds();
        assert!(stdout.contains("\nnothing was saved: the training begins again\n"), "{stdout}");
        sandbox.assert_run("run", &["best.safetensors"]);
        assert_same_runs(&sandbox, "whole", "run");
        fs::remove_dir_all(sandbox.path("run")).unwrap();
    }
}
