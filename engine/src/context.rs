//! What every operation is handed: which instructions and which threads to use.

use crate::{Error, Isa, Threads};

/// The instructions and threads that operations run with.
///
/// ```
/// use loupe_engine::{Context, Threads};
///
/// let one_thread = Context::serial();
/// let two_threads = Context::new(one_thread.isa(), Threads::new(2)?);
/// # assert_eq!(two_threads.threads().count(), 2);
/// # Ok::<(), loupe_engine::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Context {
    isa: Isa,
    threads: Threads,
}

impl Context {
    /// A context of these instructions and threads.
    pub fn new(isa: Isa, threads: Threads) -> Context {
        Context { isa, threads }
    }

    /// The CPU's best tier on the calling thread.
    pub fn serial() -> Context {
        Context::new(Isa::best(), Threads::serial())
    }

    /// The tier that the environment variable `LOUPE_ISA` names (`portable`, `avx2` or `avx512`;
    /// the CPU's best if it is not set), on `threads`.
    ///
    /// # Errors
    /// [`Error::UnknownTier`] or [`Error::UnsupportedTier`].
    pub fn from_env(threads: Threads) -> Result<Context, Error> {
        Ok(Context::new(Isa::from_env()?, threads))
    }

    /// The instructions.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The threads.
    pub fn threads(&self) -> &Threads {
        &self.threads
    }
}
