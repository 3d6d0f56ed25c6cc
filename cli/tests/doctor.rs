//! `loupe doctor` from the outside.

mod support;

use serde_json::Value;
use support::digits::TRAIN_ITEMS;
use support::{Sandbox, scores};

#[test]
fn both_scores_and_what_lies_between_them() {
    let sandbox = Sandbox::new();
    let train = "train --epochs 5 --lr 0.01 --out run";
    let trained = scores(&sandbox.loupe(train).succeeds());
    let text = sandbox.loupe("doctor run").succeeds();
    assert_eq!(scores(&text), trained);
    for part in ["2  BatchNorm2d(10)", "5  BatchNorm2d(10)", "What to do:", "--reestimate"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(sandbox.loupe("doctor run --threads 1").succeeds(), text);
    let report: Value =
        serde_json::from_str(&sandbox.loupe("doctor run --json").succeeds()).unwrap();
    let layers = report["before"]["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 2);
    for layer in layers {
        // There are too few test digits for a batch of 64.
        let sizes: Vec<_> = layer["spreads"].as_array().unwrap().iter().collect();
        assert_eq!(sizes.len(), 2);
        assert!(sizes.iter().all(|spread| spread["mean_distance"].as_f64().unwrap() > 0.0));
    }
    assert!(report["reestimated"].is_null());
}

#[test]
fn running_statistics_are_averaged_anew_and_written_only_when_asked() {
    let sandbox = Sandbox::new();
    sandbox.loupe("train --epochs 5 --lr 0.01 --out run").succeeds();
    let before = sandbox.read("run/weights.safetensors");
    let text = sandbox.loupe("doctor run --reestimate --batch-size 16").succeeds();
    let over = format!("averaged over 4 batches of 16 ({TRAIN_ITEMS} training images)");
    assert!(text.contains(&over) && text.contains("nothing was written"), "{text}");
    sandbox.assert_run("run", &[]);

    let mend = "doctor run --reestimate --out mended.safetensors";
    let text = sandbox.loupe(mend).succeeds();
    assert!(text.ends_with("wrote mended.safetensors\n"), "{text}");
    assert_eq!(sandbox.read("run/weights.safetensors"), before);
    let after = text.lines().find(|line| line.ends_with("  after")).unwrap();
    let score = sandbox.loupe("eval mended.safetensors --quiet --statistics running").succeeds();
    assert_eq!(after.trim_end_matches("  after"), score.trim_end());

    sandbox.loupe(mend).fails(1, &["mended.safetensors: there is a file already", "--force"]);
    sandbox.loupe(&format!("{mend} --force")).succeeds();
    let own = "doctor run --reestimate --out run/weights.safetensors";
    sandbox.loupe(own).fails(1, &["run/weights.safetensors: there is a file already"]);
    assert_eq!(sandbox.read("run/weights.safetensors"), before);
}

#[test]
fn a_network_without_batch_normalisation_has_nothing_to_mend() {
    let sandbox = Sandbox::new();
    sandbox.loupe("train --model mlp --epochs 1 --out run").succeeds();
    for arguments in ["doctor run", "doctor run --reestimate"] {
        let text = sandbox.loupe(arguments).succeeds();
        assert!(text.contains("no batch normalisation"), "{text}");
    }
    let report = sandbox.loupe("doctor run --json --reestimate").succeeds();
    assert!(report.contains("\"reestimated\": null"), "{report}");
}

#[test]
fn options_that_need_others() {
    let sandbox = Sandbox::new();
    for arguments in ["doctor run --out file", "doctor run --batch-size 4"] {
        sandbox.loupe(arguments).fails(2, &["--reestimate"]);
    }
    sandbox.loupe("doctor nowhere").fails(1, &["nowhere: not found"]);
    sandbox.loupe("doctor").fails(2, &["<RUN>"]);
}
