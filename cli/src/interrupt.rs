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
    /// From now on the first Ctrl-C is only noted. The second ends the program at once. Where the program was
    /// started with such a signal ignored, as `nohup` does, all of them keep the meaning that they had.
    pub(crate) fn watch() -> Result<Interrupt> {
        let asked = Arc::new(AtomicBool::new(false));
        let flag = asked.clone();
        let watched = ctrlc::try_set_handler(move || {
            if flag.swap(true, Ordering::Relaxed) {
                std::process::exit(EXIT_CODE.into());
            }
        });
        match watched {
            Ok(()) | Err(ctrlc::Error::MultipleHandlers) => Ok(Interrupt(asked)),
            Err(error) => Err(error).context("cannot watch for Ctrl-C"),
        }
    }

    pub(crate) fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
