//! Ctrl-C and termination, noticed between two steps.

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::ffi::c_int;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The status with which a program ends that Ctrl-C has stopped: 128 + SIGINT.
pub(crate) const EXIT_CODE: u8 = 130;

/// A hang-up comes last.
#[cfg(unix)]
const ENDS: [c_int; 3] = [SIGINT, SIGTERM, signal_hook::consts::SIGHUP];
#[cfg(not(unix))]
const ENDS: [c_int; 2] = [SIGINT, SIGTERM];

/// Whether the user has asked to stop.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on the first Ctrl-C, hang-up or request to terminate is only noted. The second ends the program at
    /// once. No thread is started for it.
    ///
    /// A program that was started with hang-ups ignored, as `nohup` has it, outlives its terminal: these stay ignored.
    pub(crate) fn watch() -> Result<Interrupt> {
        let asked = Arc::new(AtomicBool::new(false));
        let ends = if ignores_hang_up() { &ENDS[..2] } else { &ENDS[..] };
        ends.iter()
            .try_for_each(|&signal| note(signal, &asked))
            .context("cannot watch for Ctrl-C")?;
        Ok(Interrupt(asked))
    }

    pub(crate) fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is registered first is done first: when the signal comes, `asked` says whether one has come before.
fn note(signal: c_int, asked: &Arc<AtomicBool>) -> io::Result<()> {
    flag::register_conditional_shutdown(signal, EXIT_CODE.into(), asked.clone())?;
    flag::register(signal, asked.clone())?;
    Ok(())
}

/// Whether the program was started with SIGHUP ignored; no where the system does not say.
fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Bit 0 is signal 1.
    ignored
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}
