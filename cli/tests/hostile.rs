//! Files that somebody else has damaged, or still needs: refused before anything is computed or replaced.

mod support;

use safetensors::SafeTensors;
use std::fs;
use support::digits::pgm;
use support::{RUN_FILES, Sandbox};

/// The bytes of a safetensors file with the first number of a tensor replaced.
fn with_number<const N: usize>(bytes: &[u8], tensor: &str, number: [u8; N]) -> Vec<u8> {
    let file = SafeTensors::deserialize(bytes).unwrap();
    let data = file.tensor(tensor).unwrap().data();
    let start = data.as_ptr() as usize - bytes.as_ptr() as usize;
    let mut bytes = bytes.to_vec();
    bytes[start..start + N].copy_from_slice(&number);
    bytes
}

#[test]
fn a_training_replaces_no_file_of_the_user() {
    let sandbox = Sandbox::new();
    sandbox.write("config.toml", "epochs = 0");
    for name in ["config.toml", "classes.txt", "best.safetensors"].iter().chain(&RUN_FILES[2..9]) {
        sandbox.write(&format!("mine/{name}"), "epochs = 0");
        let message =
            sandbox.loupe("train --config config.toml --out mine").fails(1, &["mine: ", name]);
        assert!(message.contains("--out"), "{message}");
        assert_eq!(sandbox.list("mine"), [name.to_string()]);
        assert_eq!(sandbox.read(&format!("mine/{name}")), b"epochs = 0");
        fs::remove_file(sandbox.path(&format!("mine/{name}"))).unwrap();
    }
    // Other files do not matter.
    sandbox.write("mine/notes.txt", "");
    sandbox.loupe("train --epochs 0 --out mine").succeeds();
}

#[cfg(unix)]
#[test]
fn one_training_at_a_time_writes_to_a_folder() {
    let sandbox = Sandbox::new();
    sandbox.loupe("train --epochs 1 --out run").succeeds();
    let files =
        || ["checkpoint.safetensors", "steps.csv"].map(|f| sandbox.read(&format!("run/{f}")));
    let before = files();
    let folder = fs::File::open(sandbox.path("run")).unwrap();
    folder.lock().unwrap();
    let parts = ["run: another training is at work in this folder"];
    sandbox.loupe("train --resume run --epochs 2").fails(1, &parts);
    assert!(files() == before);
    sandbox.loupe("eval run").succeeds();
    drop(folder);
    sandbox.loupe("train --resume run --epochs 2").succeeds();
}

#[test]
fn a_history_that_never_was() {
    let sandbox = Sandbox::new();
    sandbox.loupe("train --epochs 1 --out run").succeeds();
    let whole = sandbox.read("run/checkpoint.safetensors");
    let parts = ["run/checkpoint.safetensors: the checkpoint contradicts itself"];
    for number in [1e300, f64::INFINITY, f64::NAN, -1.0, 0.0, 1.5, 2.0] {
        let damaged = with_number(&whole, "history.epochs", number.to_le_bytes());
        sandbox.write("run/checkpoint.safetensors", damaged);
        sandbox.loupe("train --resume run --epochs 2").fails(1, &parts);
    }
    let damaged = with_number(&whole, "history.losses", f32::NAN.to_le_bytes());
    sandbox.write("run/checkpoint.safetensors", damaged);
    sandbox.loupe("train --resume run --epochs 2").fails(1, &parts);
    sandbox.write("run/checkpoint.safetensors", whole);
    sandbox.loupe("train --resume run --epochs 2").succeeds();
}

/// A score of numbers that are none would be that of class 0.
#[test]
fn weights_that_compute_nothing() {
    let sandbox = Sandbox::new();
    sandbox.loupe("train --epochs 0 --out run").succeeds();
    let whole = sandbox.read("run/weights.safetensors");
    for (tensor, number, found) in [
        ("3.weight", f32::NAN, "3.weight holds NaN; expected finite numbers"),
        ("7.bias", f32::INFINITY, "7.bias holds inf; expected finite numbers"),
        ("2.running_var", -1.0, "2.running_var holds -1; expected variances of at least 0"),
    ] {
        let damaged = with_number(&whole, tensor, number.to_le_bytes());
        sandbox.write("run/weights.safetensors", damaged);
        for command in [
            "eval run",
            "eval run/weights.safetensors --model cnn --json",
            "doctor run",
            "inspect run",
            "export run --out net.safetensors",
            "export run --out net.onnx",
            "predict run data/mnist/t10k-images-idx3-ubyte",
        ] {
            let start = format!("loupe: run/weights.safetensors: {found}\n");
            assert_eq!(sandbox.loupe(command).fails(1, &[]), start, "{command}");
        }
    }
    assert!(!sandbox.has("net.safetensors") && !sandbox.has("net.onnx"));
}

/// Finite weights can still leave the range of numbers.
#[test]
fn outputs_that_are_no_numbers() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "logits.toml",
        "input = [1, 28, 28]\n[[layers]]\ntype = \"View\"\nshape = 784\n\
         [[layers]]\ntype = \"Linear\"\nin_features = 784\nout_features = 10\n",
    );
    sandbox.loupe("train --model logits.toml --loss cross-entropy --epochs 0 --out run").succeeds();
    let whole = sandbox.read("run/weights.safetensors");
    let mut row = [0; 784 * 4];
    row.as_chunks_mut().0.fill(3e38f32.to_le_bytes());
    sandbox.write("run/weights.safetensors", with_number(&whole, "1.weight", row));
    let file = "data/mnist/t10k-images-idx3-ubyte";
    let message = format!("loupe: {file}[0]: the network gives inf; expected finite numbers\n");
    assert_eq!(sandbox.loupe(&format!("predict run {file}")).fails(1, &[]), message);
}

#[test]
fn a_lost_environment_costs_no_report() {
    let sandbox = Sandbox::new();
    sandbox.loupe("train --epochs 1 --out run").succeeds();
    fs::remove_file(sandbox.path("run/report.html")).unwrap();
    sandbox.write("run/environment.json", "{");
    sandbox.loupe("train --resume run --epochs 2").succeeds();
    assert!(sandbox.has("run/report.html"));
}

/// The names of classes are kept as lines of a file.
#[cfg(unix)]
#[test]
fn names_that_are_no_lines() {
    let sandbox = Sandbox::new();
    for name in ["two\nlines", "bell\u{7}", " spaces "] {
        for (class, grey) in [("plain", 10), (name, 200)] {
            for item in 0..3 {
                let file = format!("odd/{class}/{item}.pgm");
                sandbox.write(&file, pgm([2, 2], &[grey, 0, item, 9]));
            }
        }
        let parts = ["odd: a folder is called ", &format!("{name:?}"), "one line of text"];
        sandbox.loupe("data info odd").fails(1, &parts);
        sandbox.loupe("train --data odd --epochs 0").fails(1, &parts);
        fs::remove_dir_all(sandbox.path("odd")).unwrap();
    }
}

#[test]
fn rates_that_no_float_holds() {
    let sandbox = Sandbox::new();
    for schedule in [
        "type = \"LinearLR\"\nstart_factor = 1e300",
        "type = \"LinearLR\"\nend_factor = 1e300",
        "type = \"CosineAnnealingLR\"\neta_min = 1e50",
        "type = \"StepLR\"\nstep_size = 1\ngamma = 1e30",
    ] {
        sandbox.write("c.toml", format!("epochs = 9\n[schedule]\n{schedule}\n"));
        let message = sandbox
            .loupe("train --config c.toml")
            .fails(1, &["schedule: the learning rate comes to "]);
        assert!(message.len() < 120, "{message}");
    }
    assert!(!sandbox.has("runs"));
}

#[test]
fn files_without_an_end() {
    let sandbox = Sandbox::new();
    sandbox.write("long.toml", vec![b' '; (1 << 22) + 1]);
    let parts = ["long.toml: cannot read the configuration: more than the 4194304 bytes"];
    sandbox.loupe("train --config long.toml").fails(1, &parts);
    let parts = ["long.toml: cannot read the network: more than the 4194304 bytes"];
    sandbox.loupe("summary long.toml").fails(1, &parts);
}

/// Before the data are read, as the other commands that write files do.
#[test]
fn pictures_of_samples_replace_nothing() {
    let sandbox = Sandbox::new();
    let verify = "data verify data/mnist --grid";
    sandbox.loupe(&format!("{verify} grid.txt")).fails(1, &["grid.txt: ", "ends in .png"]);
    sandbox.loupe(&format!("{verify} no/grid.png")).fails(1, &["no/grid.png: there is no folder"]);
    sandbox.write("grid.png", "mine");
    sandbox.loupe(&format!("{verify} grid.png")).fails(1, &["grid.png: ", "--force"]);
    assert_eq!(sandbox.read("grid.png"), b"mine");
    sandbox.loupe(&format!("{verify} grid.png --force")).ends();
    assert!(sandbox.read("grid.png").starts_with(b"\x89PNG"));
}

#[test]
fn weights_that_would_not_be_written() {
    let sandbox = Sandbox::new();
    sandbox.loupe("train --model mlp --epochs 0 --out mlp").succeeds();
    let parts = ["mlp: the network has no batch normalisation, so there is nothing to write"];
    sandbox.loupe("doctor mlp --reestimate --out new.safetensors").fails(1, &parts);
    sandbox.loupe("train --epochs 0 --out cnn").succeeds();
    let parts = ["new.txt: expected a name that ends in .safetensors"];
    sandbox.loupe("doctor cnn --reestimate --out new.txt").fails(1, &parts);
}

#[test]
fn negative_numbers_are_numbers() {
    let sandbox = Sandbox::new();
    for flag in ["--lr", "--validation", "--epochs", "--seed", "--shift", "--max-seconds"] {
        let parts = [&format!("invalid value '-1' for '{flag} <")[..]];
        sandbox.loupe(&format!("train {flag} -1")).fails(2, &parts);
    }
}

/// A configuration's network is named with its file.
#[test]
fn networks_within_configurations() {
    let sandbox = Sandbox::new();
    sandbox.write("c.toml", "[network]\ninput = [4]\nlayers = [{ type = \"View\", shape = 5 }]");
    let parts = ["c.toml: network: layer 0, View(5): "];
    sandbox.loupe("train --config c.toml").fails(1, &parts);
}

/// No batch has more items than the data.
#[test]
fn batches_of_all_there_is() {
    let sandbox = Sandbox::new();
    let train = "train --batch-size 4000000000 --epochs 60 --lr 0.01";
    let stdout = sandbox.loupe(train).succeeds();
    assert!(stdout.contains("statistics lose"), "{stdout}");
    assert!(!stdout.contains("batches of 4000000000"), "{stdout}");
}
