//! Runs the real program in a folder of its own, on few digits.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod digits;
pub(crate) mod runs;
pub(crate) mod server;

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// A folder that programs are run in. It holds `data/mnist`, where they look for digits by default,
/// and the cache.
pub(crate) struct Sandbox(TempDir);

impl Sandbox {
    pub(crate) fn new() -> Sandbox {
        let sandbox = Sandbox(tempfile::tempdir().unwrap());
        digits::write(&sandbox.path("data/mnist"));
        sandbox
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
    }

    /// Names of the files and folders in `folder`, sorted.
    pub(crate) fn list(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap_or_else(|e| panic!("{folder}: {e}"));
        let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
        let mut names: Vec<_> = entries.map(|entry| name(entry.unwrap())).collect();
        names.sort();
        names
    }

    /// Asserts that a folder holds the files of a run on digits, and these.
    #[track_caller]
    pub(crate) fn assert_run(&self, run: &str, others: &[&str]) {
        let (events, rest): (Vec<String>, Vec<String>) =
            self.list(run).into_iter().partition(|name| name.starts_with("events.out.tfevents."));
        assert_eq!(events.len(), 1, "{events:?}");
        let mut expected = [&RUN_FILES, others].concat();
        expected.sort_unstable();
        assert_eq!(rest, expected);
    }

    /// A run with these arguments, which are separated by spaces.
    pub(crate) fn loupe(&self, arguments: &str) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loupe"));
        command
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .env_remove("LOUPE_ISA")
            .env("XDG_CACHE_HOME", self.path("cache"))
            .stdin(Stdio::null());
        Run(command)
    }
}

/// A network whose normalisation sees images of one pixel.
pub(crate) const ONE_PIXEL: &str = r#"
input = [1, 28, 28]
layers = [
    { type = "Conv2d", in_channels = 1, out_channels = 4, kernel_size = 28 },
    { type = "ReLU" },
    { type = "BatchNorm2d", num_features = 4 },
    { type = "View", shape = 4 },
    { type = "Linear", in_features = 4, out_features = 10 },
    { type = "Sigmoid" },
]
"#;

/// A program about to be run.
#[must_use]
pub(crate) struct Run(Command);

impl Run {
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Run {
        self.0.env(name, value);
        self
    }

    /// Reads standard input from `stdin`.
    pub(crate) fn stdin(mut self, stdin: impl Into<Stdio>) -> Run {
        self.0.stdin(stdin);
        self
    }

    /// Writes standard output to `stdout` instead of handing it over.
    pub(crate) fn stdout(mut self, stdout: impl Into<Stdio>) -> Run {
        self.0.stdout(stdout);
        self
    }

    /// Runs the program by this script of a shell, for which `"$0" "$@"` is the program and its arguments.
    pub(crate) fn through_shell(self, script: &str) -> Run {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).arg(self.0.get_program()).args(self.0.get_args());
        for (name, value) in self.0.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.current_dir(self.0.get_current_dir().unwrap()).stdin(Stdio::null());
        Run(shell)
    }

    /// Starts the program, and takes no notice of what it says.
    pub(crate) fn starts(mut self) -> Child {
        self.0.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Runs the program; its exit code and standard error.
    pub(crate) fn ends(self) -> (Option<i32>, String) {
        let (output, _) = self.finish();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    /// Runs the program, which must succeed and have nothing to complain of; its standard output.
    #[track_caller]
    pub(crate) fn succeeds(self) -> String {
        let (output, shown) = self.finish();
        assert_eq!(output.status.code(), Some(0), "{shown}");
        assert!(output.stderr.is_empty(), "a message without an error\n{shown}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs the program, which must end with this code and name all of `parts` in its message; the
    /// message.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, parts: &[&str]) -> String {
        let (output, shown) = self.finish();
        assert_eq!(output.status.code(), Some(code), "{shown}");
        let message = String::from_utf8(output.stderr).unwrap();
        for part in parts {
            assert!(message.contains(part), "the message lacks {part:?}\n{shown}");
        }
        message
    }

    fn finish(mut self) -> (Output, String) {
        let output = self.0.output().unwrap();
        let text = String::from_utf8_lossy;
        let shown = format!(
            "{:?}\n{}\n--- standard output\n{}\n--- standard error\n{}",
            self.0,
            output.status,
            text(&output.stdout),
            text(&output.stderr)
        );
        (output, shown)
    }
}

/// The lines of a run that say how many items were classified well: mode and score.
pub(crate) fn scores(stdout: &str) -> Vec<(String, String)> {
    let modes = ["batch statistics", "running statistics", "score"];
    let score = |line: &str| {
        let mode = modes.iter().find(|mode| line.starts_with(**mode))?;
        Some((mode.to_string(), line[mode.len()..].trim().to_owned()))
    };
    stdout.lines().filter_map(score).collect()
}

/// Asserts that a line says `<mode> <correct> <items> <correct / items>`.
#[track_caller]
pub(crate) fn assert_score((mode, score): &(String, String), expected_mode: &str, items: usize) {
    assert_eq!(mode, expected_mode);
    let parts: Vec<&str> = score.split(' ').collect();
    let &[correct, printed_items, ratio] = &parts[..] else { panic!("{mode} {score}") };
    let correct: usize = correct.parse().unwrap();
    assert_eq!(printed_items, items.to_string());
    assert!(correct <= items);
    assert_eq!(ratio, format!("{:.4}", correct as f64 / items as f64));
}

/// Names of the files of a run on digits, sorted, without TensorBoard's.
pub(crate) const RUN_FILES: [&str; 15] = [
    "checkpoint.safetensors",
    "config.toml",
    "confusion.png",
    "confusion.svg",
    "environment.json",
    "loss.png",
    "loss.svg",
    "metrics.csv",
    "metrics.jsonl",
    "mistakes.png",
    "mistakes.svg",
    "network.toml",
    "report.html",
    "steps.csv",
    "weights.safetensors",
];

/// Asserts that the logs of two runs say the same, but for the time.
#[track_caller]
pub(crate) fn assert_log_equal(sandbox: &Sandbox, a: &str, b: &str) {
    let steps = |run: &str| sandbox.read(&format!("{run}/steps.csv"));
    assert!(steps(a) == steps(b), "steps.csv");
    let timeless = |run: &str| {
        let text = String::from_utf8(sandbox.read(&format!("{run}/metrics.csv"))).unwrap();
        let cells = |line: &str| {
            let mut cells: Vec<String> = line.split(',').map(str::to_owned).collect();
            cells.remove(2);
            cells
        };
        text.lines().map(cells).collect::<Vec<_>>()
    };
    assert_eq!(timeless(a), timeless(b));
    let lines = |run: &str| {
        let text = String::from_utf8(sandbox.read(&format!("{run}/metrics.jsonl"))).unwrap();
        let timeless = |line: &str| {
            let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
            value.as_object_mut().unwrap().remove("seconds").unwrap();
            value
        };
        text.lines().map(timeless).collect::<Vec<_>>()
    };
    assert_eq!(lines(a), lines(b));
}
