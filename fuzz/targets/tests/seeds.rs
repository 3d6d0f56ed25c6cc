//! Every target on its seeds, and on what becomes of them by a few changes. A fuzzer does more, but this runs with any
//! compiler.

use loupe_engine::reference::random::Random;
use loupe_fuzz_targets::TARGETS;
use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

/// Longer seeds are slow ones for a fuzzer.
const MAX_BYTES: usize = 4096;

/// Changed inputs of each target.
const CHANGED: usize = 300;

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn names(folder: &Path) -> BTreeSet<String> {
    let stem = |path: PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    entries(folder).into_iter().map(stem).collect()
}

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let seeds = entries(&fuzz().join("corpus").join(target)).into_iter();
    seeds.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn each_target_has_its_files() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&fuzz().join("corpus")), targets);
    assert_eq!(names(&fuzz().join("fuzz_targets")), targets);
}

#[test]
fn some_seeds_are_taken_and_some_refused() {
    for (name, run) in TARGETS {
        let [mut taken, mut refused] = [0, 0];
        for (path, bytes) in seeds(name) {
            assert!(bytes.len() <= MAX_BYTES, "{}", path.display());
            match catch_unwind(|| run(&bytes)) {
                Ok(Some(())) => taken += 1,
                Ok(None) => refused += 1,
                Err(_) => panic!("{}", path.display()),
            }
        }
        // Else the seeds no longer say what the target takes.
        assert!(taken > 0 && refused > 0, "{name}: {taken} seeds taken, {refused} refused");
    }
}

/// As a fuzzer would change it, but blindly.
fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    const EXTREME: [u8; 6] = [0, 1, 0x7f, 0x80, 0xff, b'9'];
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len() + 1);
        let until = (at + 1 + random.below(8)).min(bytes.len());
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..until)),
            2 => bytes.insert(at, EXTREME[random.below(EXTREME.len())]),
            3 => bytes.extend_from_within(at..until),
            4 => bytes[at..until].fill(EXTREME[random.below(EXTREME.len())]),
            _ => bytes[at..until].iter_mut().for_each(|byte| *byte ^= 1 << random.below(8)),
        }
    }
}

#[test]
fn changed_seeds() {
    let mut random = Random::new(1);
    for (name, run) in TARGETS {
        let seeds = seeds(name);
        for _ in 0..CHANGED {
            let (_, mut bytes) = seeds[random.below(seeds.len())].clone();
            change(&mut bytes, &mut random);
            if catch_unwind(|| run(&bytes)).is_err() {
                panic!("{name}: {bytes:?}");
            }
        }
    }
}
