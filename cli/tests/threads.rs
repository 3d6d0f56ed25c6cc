//! How many threads `loupe train` starts.

mod support;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::thread::sleep;
use std::time::Duration;
use support::Sandbox;

/// The threads that a process with these arguments is seen to have, by their numbers; none where the system does
/// not say. Names would tell less: a new thread has its parent's until it gives itself one.
fn threads_of(sandbox: &Sandbox, arguments: &str) -> BTreeSet<OsString> {
    let mut child = sandbox.loupe(arguments).starts();
    let folder = format!("/proc/{}/task", child.id());
    let mut threads = BTreeSet::new();
    let status = loop {
        let tasks = fs::read_dir(&folder).into_iter().flatten().flatten();
        threads.extend(tasks.map(|task| task.file_name()));
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => sleep(Duration::from_micros(500)),
        }
    };
    assert!(status.success(), "{arguments}: {status}");
    threads
}

#[test]
fn one_thread_starts_no_thread() {
    let sandbox = Sandbox::new();
    let of = |threads: usize| {
        let train = "train --epochs 30 --batch-size 16";
        threads_of(&sandbox, &format!("{train} --threads {threads} --out run{threads}")).len()
    };
    match of(1) {
        // Nothing can be tested where a system does not list the threads of a process.
        0 => {}
        one => {
            assert_eq!(one, 1);
            // That threads are seen at all; some live only as long as a picture is drawn.
            assert!(of(3) >= 3);
        }
    }
}
