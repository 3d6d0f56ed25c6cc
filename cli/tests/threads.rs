//! How many threads `loupe train` starts.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::thread::sleep;
use std::time::Duration;
use support::Sandbox;

/// The names of all threads that a process with these arguments is seen to have; none where the system does
/// not say.
fn threads_of(sandbox: &Sandbox, arguments: &str) -> Option<BTreeSet<String>> {
    let mut child = sandbox.loupe(arguments).starts();
    let folder = format!("/proc/{}/task", child.id());
    let mut names = BTreeSet::new();
    let status = loop {
        // A thread may end between two looks.
        let tasks = fs::read_dir(&folder).into_iter().flatten().flatten();
        let read = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
        names.extend(read.map(|name| name.trim_end().to_owned()));
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => sleep(Duration::from_micros(500)),
        }
    };
    assert!(status.success(), "{arguments}: {status}");
    (!names.is_empty()).then_some(names)
}

/// But the one that waits for Ctrl-C.
#[test]
fn one_thread_starts_no_thread() {
    let sandbox = Sandbox::new();
    let of = |threads: usize| {
        let train = "train --epochs 30 --batch-size 16";
        let names =
            threads_of(&sandbox, &format!("{train} --threads {threads} --out run{threads}"));
        names.map(|mut names| {
            names.remove("ctrl-c");
            names.into_iter().collect::<Vec<_>>()
        })
    };
    // Nothing can be tested where a system does not list the threads of a process.
    let Some(one) = of(1) else { return };
    assert_eq!(one, ["loupe"]);
    assert_eq!(of(3).unwrap(), ["loupe", "loupe-0", "loupe-1"]);
}
