//! Ctrl-C and termination, noticed between two steps.

use anyhow::{Context, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The status with which a program ends that Ctrl-C has stopped: 128 + SIGINT.
pub(crate) const EXIT_CODE: u8 = 130;

/// Whether the user has asked to stop.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on the first Ctrl-C is only noted. The second ends the program at once.
    ///
    /// Handlers of a hang-up, termination and Ctrl-C come together. With a hang-up that is ignored, as `nohup` has
    /// it, there is none: the program outlives its terminal, and the other two end it at once.
    pub(crate) fn watch() -> Result<Interrupt> {
        let asked = Arc::new(AtomicBool::new(false));
        if ignores_hang_up() {
            return Ok(Interrupt(asked));
        }
        let flag = asked.clone();
        ctrlc::set_handler(move || {
            if flag.swap(true, Ordering::Relaxed) {
                std::process::exit(EXIT_CODE.into());
            }
        })
        .context("cannot watch for Ctrl-C")?;
        Ok(Interrupt(asked))
    }

    pub(crate) fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
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
