//! What run folders hold.

use super::{Sandbox, assert_log_equal};
use safetensors::SafeTensors;

const FILES: [&str; 4] =
    ["weights.safetensors", "best.safetensors", "checkpoint.safetensors", "config.toml"];

/// Asserts that both runs have come to the same, byte by byte.
#[track_caller]
pub(crate) fn assert_same_runs(sandbox: &Sandbox, a: &str, b: &str) {
    for file in FILES {
        let [a, b] = [a, b].map(|run| format!("{run}/{file}"));
        assert_eq!(sandbox.has(&a), sandbox.has(&b), "{file}");
        if sandbox.has(&a) {
            assert!(sandbox.read(&a) == sandbox.read(&b), "{file}");
        }
    }
    assert_log_equal(sandbox, a, b);
}

/// Epochs and steps of the run's checkpoint, which must be whole; none if it has none.
#[track_caller]
pub(crate) fn saved(sandbox: &Sandbox, run: &str) -> Option<[u64; 2]> {
    let path = format!("{run}/checkpoint.safetensors");
    if !sandbox.has(&path) {
        return None;
    }
    let bytes = sandbox.read(&path);
    let file = SafeTensors::deserialize(&bytes).expect("the checkpoint is whole");
    let position = file.tensor("position").unwrap();
    let (numbers, _) = position.data().as_chunks();
    Some([0, 1].map(|i| u64::from_le_bytes(numbers[i])))
}

/// Temporary files that a killed training has left in its folder.
pub(crate) fn leftovers(sandbox: &Sandbox, run: &str) -> usize {
    sandbox.list(run).iter().filter(|name| name.starts_with(".loupe-")).count()
}
