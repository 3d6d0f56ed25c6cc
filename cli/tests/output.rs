//! What is written to standard output and standard error, and what happens when it cannot be.

mod support;

use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::Write;
use support::Sandbox;

#[test]
fn help_names_every_option_and_its_default() {
    let sandbox = Sandbox::new();
    let help = |arguments: &str| {
        let text = sandbox.loupe(arguments).succeeds();
        // However the lines are broken.
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let common = [("--threads <N>", "[default: the number of cores]"), ("--help", "")];
    let train = [
        ("--model <NAME|FILE>", "[default: cnn]"),
        ("--epochs <N>", "[default: 3]"),
        ("--batch-size <N>", "[default: 1]"),
        ("--lr <RATE>", "[default: 0.001]"),
        ("--seed <N>", "[default: 0]"),
        ("--shuffle", "instead of file order"),
        ("--data <DIR>", "[default: data/mnist]"),
        ("--out <DIR>", "[default: runs/MODEL-N, the first N that is free]"),
    ];
    let eval = [
        ("<RUN>", "A folder that `train` has written"),
        ("--model <NAME|FILE>", "[default: the network of the folder or file]"),
        ("--split <SPLIT>", "[default: test] [possible values: train, test]"),
        ("--data <DIR>", "[default: that of the run, if there is one, or else data/mnist]"),
    ];
    for (command, own) in [("train", &train[..]), ("eval", &eval[..])] {
        for flag in ["--help", "-h"] {
            let text = help(&format!("{command} {flag}"));
            // What is said of an option stands between its name and the next name.
            let mut rest = &text[..];
            let mut default = "Usage: loupe";
            for (name, next_default) in own.iter().chain(&common) {
                let (about, after) =
                    rest.split_once(name).unwrap_or_else(|| panic!("{name}: {text}"));
                assert!(about.contains(default), "{default} before {name}: {text}");
                (rest, default) = (after, next_default);
            }
        }
    }
    let text = help("--help");
    for part in [
        "train",
        "compare",
        "eval",
        "predict",
        "data",
        "bench",
        "explain",
        "doctor",
        "summary",
        "export",
        "inspect",
        "convolve",
        "completions",
        "man",
        "Exit status: 0",
        "LOUPE_ISA=portable|avx2|avx512",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(help("--version").starts_with("loupe 0."));
}

#[test]
fn no_escape_codes_without_a_terminal() {
    let sandbox = Sandbox::new();
    // `succeeds` wants an empty standard error: there is no progress bar.
    let stdout = sandbox.loupe("train").env("TERM", "xterm-256color").succeeds();
    assert!(!stdout.contains(['\x1b', '\r']), "{stdout:?}");
    let message = sandbox.loupe("train --epoch 1").env("TERM", "xterm-256color").fails(2, &[]);
    assert!(!message.contains(['\x1b', '\r']), "{message:?}");
}

#[test]
fn a_reader_that_goes_away_does_not_stop_the_training() {
    let sandbox = Sandbox::new();
    for arguments in ["train --out run", "eval run"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        sandbox.loupe(arguments).stdout(writer).succeeds();
    }
    sandbox.assert_run("run", &[]);
    sandbox.loupe("train --out heard").succeeds();
    assert_eq!(sandbox.read("run/weights.safetensors"), sandbox.read("heard/weights.safetensors"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_but_does_not_stop_the_training() {
    let sandbox = Sandbox::new();
    for arguments in ["train --out run", "eval run"] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let parts = ["loupe: cannot write to standard output: "];
        sandbox.loupe(arguments).stdout(full).fails(1, &parts);
    }
    sandbox.assert_run("run", &[]);
}

/// Packed files are unpacked into the cache folder or, where there can be none, into memory.
#[test]
fn packed_data_is_cached_where_possible() {
    let sandbox = Sandbox::new();
    sandbox.loupe("train --epochs 1 --out run").succeeds();
    let plain = sandbox.loupe("eval run").succeeds();
    for name in sandbox.list("data/mnist") {
        let name = format!("data/mnist/{name}");
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(&sandbox.read(&name)).unwrap();
        sandbox.write(&format!("{name}.gz"), packed.finish().unwrap());
        fs::remove_file(sandbox.path(&name)).unwrap();
    }
    assert!(!sandbox.has("cache"));
    for _ in 0..2 {
        assert_eq!(sandbox.loupe("eval run").succeeds(), plain);
        assert_eq!(sandbox.list("cache/loupe").len(), 2);
    }
    sandbox.write("file", "");
    let uncached = sandbox.loupe("eval run").env("XDG_CACHE_HOME", sandbox.path("file"));
    assert_eq!(uncached.succeeds(), plain);
}
