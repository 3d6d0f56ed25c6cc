//! Which tiers exist, which of them this CPU has, and how a kernel gets to run on one.

#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Avx512};
use super::{Kernel, portable::Portable};
use crate::Error;

/// A set of CPU instructions that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Tier {
    /// What the compiler may assume on this architecture: SSE2, NEON, WASM SIMD or plain code.
    Portable,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX-512 F, VL, BW and DQ.
    Avx512,
}

impl Tier {
    /// Every tier, slowest first.
    pub const ALL: [Tier; 3] = [Tier::Portable, Tier::Avx2, Tier::Avx512];

    /// The name that `LOUPE_ISA` takes: `portable`, `avx2` or `avx512`.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Portable => "portable",
            Tier::Avx2 => "avx2",
            Tier::Avx512 => "avx512",
        }
    }
}

/// Proof that this CPU can run a [`Tier`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Token);

/// The tokens are private and are made only by [`Isa::of`], after asking the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Portable(Portable),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

impl Isa {
    /// The `Isa` of a tier, or `None` if this CPU lacks it.
    pub fn of(tier: Tier) -> Option<Isa> {
        let token = match tier {
            Tier::Portable => Token::Portable(Portable),
            #[cfg(target_arch = "x86_64")]
            Tier::Avx2 => Token::Avx2(Avx2::detect()?),
            #[cfg(target_arch = "x86_64")]
            Tier::Avx512 => Token::Avx512(Avx512::detect()?),
            #[cfg(not(target_arch = "x86_64"))]
            _ => return None,
        };
        Some(Isa(token))
    }

    /// The best tier of this CPU.
    pub fn best() -> Isa {
        Isa::available().last().expect("the portable tier always exists")
    }

    /// Every tier of this CPU, slowest first.
    pub fn available() -> impl Iterator<Item = Isa> {
        Tier::ALL.into_iter().filter_map(Isa::of)
    }

    /// The tier called `name`.
    ///
    /// # Errors
    /// [`Error::UnknownTier`] if no tier has this name, [`Error::UnsupportedTier`] if this CPU
    /// lacks it.
    pub fn named(name: &str) -> Result<Isa, Error> {
        let tier = Tier::ALL
            .into_iter()
            .find(|tier| tier.name() == name)
            .ok_or_else(|| Error::UnknownTier { name: name.to_owned() })?;
        Isa::of(tier).ok_or(Error::UnsupportedTier { tier })
    }

    /// The tier that the environment variable `LOUPE_ISA` names, or the best one if it is not set.
    ///
    /// # Errors
    /// As [`Isa::named`].
    pub fn from_env() -> Result<Isa, Error> {
        match std::env::var_os("LOUPE_ISA") {
            None => Ok(Isa::best()),
            Some(name) => Isa::named(&name.to_string_lossy()),
        }
    }

    /// The tier that this stands for.
    pub fn tier(self) -> Tier {
        match self.0 {
            Token::Portable(_) => Tier::Portable,
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(_) => Tier::Avx2,
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(_) => Tier::Avx512,
        }
    }

    /// Runs `kernel`, compiled for this tier, on the calling thread.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Token::Portable(simd) => kernel.run(simd),
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(simd) => simd.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(simd) => simd.run(kernel),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Simd;

    #[test]
    fn names_are_found_again() {
        for isa in Isa::available() {
            assert_eq!(Isa::named(isa.tier().name()), Ok(isa));
        }
    }

    #[test]
    fn an_unknown_name_is_an_error() {
        let error = Isa::named("avx3").unwrap_err();
        assert_eq!(error, Error::UnknownTier { name: "avx3".into() });
        assert!(error.to_string().contains("portable, avx2, avx512"));
    }

    struct LanesTimesTwo;

    impl Kernel for LanesTimesTwo {
        type Output = f32;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> f32 {
            simd.sum(simd.splat(2.0))
        }
    }

    #[test]
    fn a_kernel_runs_on_every_tier() {
        for isa in Isa::available() {
            assert_eq!(isa.run(LanesTimesTwo), 32.0);
        }
    }
}
