//! A predictor of a file that is mapped into memory.

use super::Predictor;
use crate::Error;
use crate::weights::WeightsError;
use loupe_engine::Context;
use memmap2::Mmap;
use std::fs::File;
use std::path::Path;

impl Predictor {
    /// As [`Predictor::open`], but maps the file into memory instead of reading it: its pages are touched once,
    /// while values are taken out of them, and several processes share them.
    ///
    /// # Safety
    /// Nobody changes or shortens the file during the call. Rust takes the mapped bytes for constant ones, and
    /// touching a page behind the end of a shortened file ends the process. Afterwards the file is not needed.
    ///
    /// # Errors
    /// As [`Predictor::open`].
    #[allow(unsafe_code)]
    pub unsafe fn open_mapped(cx: Context, path: &Path) -> Result<Predictor, Error> {
        let read = |reason| WeightsError::reading(path, reason);
        let file = File::open(path).map_err(read)?;
        // SAFETY: the caller promises that the file stays as it is while it is mapped.
        let bytes = unsafe { Mmap::map(&file) }.map_err(read)?;
        Predictor::from_bytes(cx, &bytes).map_err(|error| error.in_file(path))
    }
}
