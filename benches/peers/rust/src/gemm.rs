//! The crate `gemm`: products.

use loupe_benches::{Call, Case, Library, signed};

pub(crate) struct Gemm;

impl Library for Gemm {
    fn name(&self) -> &'static str {
        "gemm"
    }

    fn variants(&self, case: &Case) -> Vec<&'static str> {
        if matches!(case, Case::Gemm(_)) { vec!["plain"] } else { vec![] }
    }

    fn prepare(&self, case: &Case, _: &str, threads: usize) -> Call {
        let &Case::Gemm([m, n, k]) = case else { panic!("only products") };
        let (a, b) = (signed(1, m * k), signed(2, k * n));
        let mut c = vec![0.0; m * n];
        multiply([m, n, k], &a, &b, &mut c, threads);
        Call::new(c.clone(), move || multiply([m, n, k], &a, &b, &mut c, threads))
    }
}

fn multiply([m, n, k]: [usize; 3], a: &[f32], b: &[f32], c: &mut [f32], threads: usize) {
    assert!(a.len() == m * k && b.len() == k * n && c.len() == m * n);
    let parallelism =
        if threads > 1 { gemm::Parallelism::Rayon(threads) } else { gemm::Parallelism::None };
    // SAFETY: row-major matrices [m, n], [m, k], [k, n] without gaps have the lengths asserted above, and
    // c is borrowed mutably, so it overlaps neither a nor b.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            n as isize,
            false,
            a.as_ptr(),
            1,
            k as isize,
            b.as_ptr(),
            1,
            n as isize,
            0.0_f32,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}
