//! Every tier, backend and block size against exact sums.

use super::*;
use crate::{Isa, Threads};

/// Small whole numbers: every partial sum is exact, so any order of summation gives equal bits.
fn whole_numbers(len: usize, seed: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7919 + seed * 104_729) % 17) as f32 - 8.0).collect()
}

/// `[M, N, K]` with strides of A, B and C, all views into larger slices.
#[derive(Debug)]
struct Case {
    size: [usize; 3],
    a: [usize; 2],
    b: [usize; 2],
    c: usize,
}

fn naive(case: &Case, a: &[f32], b: &[f32], c: &[f32], options: GemmOptions) -> Vec<f32> {
    let [m, n, k] = case.size;
    let mut out = c.to_vec();
    for i in 0..m {
        for j in 0..n {
            let product: f32 = (0..k)
                .map(|p| a[i * case.a[0] + p * case.a[1]] * b[p * case.b[0] + j * case.b[1]])
                .sum();
            let old = if options.beta == 0.0 { 0.0 } else { options.beta * c[i * case.c + j] };
            out[i * case.c + j] = options.alpha * product + old;
        }
    }
    out
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    // Around the tiles of all tiers (2, 6, 14 rows; 16, 32 columns), the tiny blocks of the test
    // and the real ones, with empty sizes.
    let sizes = [
        [0, 3, 2],
        [3, 0, 2],
        [3, 2, 0],
        [1, 1, 1],
        [5, 15, 3],
        [6, 16, 8],
        [7, 17, 9],
        [10, 144, 25],
        [10, 25, 90],
        [12, 32, 7],
        [13, 33, 31],
        [15, 31, 9],
        [25, 47, 64],
        [3, 200, 5],
        [100, 1, 7],
        [97, 193, 257],
    ];
    for [m, n, k] in sizes {
        cases.push(Case { size: [m, n, k], a: [k, 1], b: [n, 1], c: n });
        cases.push(Case { size: [m, n, k], a: [1, m + 1], b: [1, k + 2], c: n + 3 });
    }
    cases.push(Case { size: [4, 20, 6], a: [0, 1], b: [1, 0], c: 20 });
    cases
}

/// Gaps between C's rows and, where beta is 0, C itself hold NaN: they must be neither read nor
/// written.
fn check(
    isa: Isa,
    threads: &Threads,
    run: impl Fn(&Context, &Case, &[f32], &[f32], &mut [f32], GemmOptions),
) {
    let cx = Context::new(isa, threads.clone());
    for case in cases() {
        let [m, n, k] = case.size;
        let a = whole_numbers(m * case.a[0].max(1) + k * case.a[1] + 1, 1);
        let b = whole_numbers(k * case.b[0].max(1) + n * case.b[1] + 1, 2);
        for (alpha, beta) in [(1.0, 0.0), (1.0, 1.0), (-2.0, 0.5)] {
            let options = GemmOptions { alpha, beta, backend: Backend::Loupe };
            let mut c = vec![f32::NAN; m * case.c];
            for i in 0..m * usize::from(beta != 0.0) {
                c[i * case.c..][..n].copy_from_slice(&whole_numbers(n, i));
            }
            let expected = naive(&case, &a, &b, &c, options);
            run(&cx, &case, &a, &b, &mut c, options);
            let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            // -0 and 0 are both right: compare as numbers, NaN with NaN.
            let same = c.iter().zip(&expected).all(|(x, y)| x == y || (x.is_nan() && y.is_nan()));
            assert!(same, "{isa:?} {case:?} {options:?}: {:?} {:?}", bits(&c), bits(&expected));
        }
    }
}

#[test]
fn every_tier_gives_exact_sums_with_small_and_real_blocks() {
    let three = Threads::new(3).unwrap();
    let tiny = Blocks { depth: 4, columns: 32, rows: 4 };
    for isa in Isa::available() {
        for threads in [&Threads::serial(), &three] {
            for blocks in [tiny, Blocks::default()] {
                check(isa, threads, |cx, case, a, b, c, options| {
                    let [m, n, k] = case.size;
                    let a = Matrix::new(a, [m, k], case.a).unwrap();
                    let b = Matrix::new(b, [k, n], case.b).unwrap();
                    let c = MatrixMut::new(c, [m, n], case.c).unwrap();
                    packed(cx, a, b, c, options, blocks);
                });
            }
        }
    }
}

#[test]
fn operands_that_stay_in_place_give_exact_sums() {
    let three = Threads::new(3).unwrap();
    let tiny = Blocks { depth: 4, columns: 32, rows: 4 };
    for isa in Isa::available() {
        for (threads, blocks) in [(&Threads::serial(), tiny), (&three, Blocks::default())] {
            check(isa, threads, |cx, case, a, b, c, options| {
                let [m, n, k] = case.size;
                let a = Matrix::new(a, [m, k], case.a).unwrap();
                // What follows the last element may not be read: it is not there.
                let stride = case.c;
                let mut rows = vec![f32::NAN; k.saturating_sub(1) * stride + n * k.min(1)];
                for (p, row) in rows.chunks_mut(stride.max(1)).enumerate() {
                    for (j, x) in row.iter_mut().take(n).enumerate() {
                        *x = b[p * case.b[0] + j * case.b[1]];
                    }
                }
                let b = Matrix::new(&rows, [k, n], [stride, 1]).unwrap();
                let c = MatrixMut::new(c, [m, n], case.c).unwrap();
                in_place(cx, a, b, c, options, blocks);
            });
        }
    }
}

#[test]
fn narrow_products_give_exact_sums() {
    let three = Threads::new(3).unwrap();
    let mut taken = 0;
    for isa in Isa::available() {
        for (m, threads) in [16, 17, 31, 32, 33, 47, 64, 65, 100]
            .iter()
            .zip([&Threads::serial(), &three].into_iter().cycle())
        {
            let cx = Context::new(isa, threads.clone());
            for n in 1..=11 {
                for (k, alpha) in [(15, 1.0), (16, 1.0), (17, -2.0), (31, 0.5), (48, 1.0)] {
                    let case =
                        Case { size: [*m, n, k], a: [k + 3, 1], b: [2, 2 * k + 1], c: n + 2 };
                    // Each operand ends with its last element.
                    let a = whole_numbers((m - 1) * case.a[0] + k, 1);
                    let b = whole_numbers((k - 1) * case.b[0] + (n - 1) * case.b[1] + 1, 2);
                    let mut c = vec![f32::NAN; (m - 1) * case.c + n];
                    let options = GemmOptions { alpha, ..GemmOptions::default() };
                    let expected = naive(&case, &a, &b, &c, options);
                    let a = Matrix::new(&a, [*m, k], case.a).unwrap();
                    let b = Matrix::new(&b, [k, n], case.b).unwrap();
                    if let Some(product) = Narrow::new(isa, a, b, alpha) {
                        product.run(&cx, &mut c, case.c);
                        let same = |(x, y): (&f32, &f32)| x == y || (x.is_nan() && y.is_nan());
                        assert!(c.iter().zip(&expected).all(same), "{isa:?} {case:?} {alpha}");
                        taken += 1;
                    }
                }
            }
        }
    }
    // On every tier, those of one and two columns.
    assert!(taken >= Isa::available().count() * 9 * 2 * 4, "{taken}");
}

/// Large enough for the pool: both ways, on one thread and on three, give the same bits on the tiers
/// that round a multiply-add once.
#[test]
fn no_cut_changes_a_bit() {
    let [m, n, k] = [150, 200, 600];
    let numbers = |len: usize| (0..len).map(|i| ((i * 7919) % 1013) as f32 / 37.0 - 13.0);
    let (a, b): (Vec<f32>, Vec<f32>) = (numbers(m * k).collect(), numbers(k * n).collect());
    let mut results = Vec::new();
    for isa in Isa::available().filter(|isa| isa.tier() != Tier::Portable) {
        for threads in [Threads::serial(), Threads::new(3).unwrap()] {
            let cx = Context::new(isa, threads);
            for product in [in_place, packed] {
                let mut c = vec![f32::NAN; m * n];
                let a = Matrix::row_major(&a, [m, k]).unwrap();
                let b = Matrix::row_major(&b, [k, n]).unwrap();
                let out = MatrixMut::row_major(&mut c, [m, n]).unwrap();
                product(&cx, a, b, out, GemmOptions::default(), Blocks::default());
                results.push(c);
            }
        }
    }
    assert!(results.iter().all(|c| c == &results[0] && c.iter().all(|x| x.is_finite())));
}

/// As above for a product of few columns.
#[test]
fn lanes_that_are_rows_do_not_change_a_bit() {
    let [m, n, k] = [150, 6, 203];
    let numbers = |len: usize| (0..len).map(|i| ((i * 7919) % 1013) as f32 / 37.0 - 13.0);
    let (a, b): (Vec<f32>, Vec<f32>) = (numbers(m * k).collect(), numbers(k * n).collect());
    let a = Matrix::row_major(&a, [m, k]).unwrap();
    let b = Matrix::row_major(&b, [k, n]).unwrap();
    let mut results = Vec::new();
    for isa in Isa::available().filter(|isa| isa.tier() != Tier::Portable) {
        for threads in [Threads::serial(), Threads::new(3).unwrap()] {
            let cx = Context::new(isa, threads);
            let mut c = vec![f32::NAN; m * n];
            Narrow::new(isa, a, b, 1.5).unwrap().run(&cx, &mut c, n);
            results.push(c);
            let mut c = vec![f32::NAN; m * n];
            let out = MatrixMut::row_major(&mut c, [m, n]).unwrap();
            let options = GemmOptions { alpha: 1.5, ..GemmOptions::default() };
            in_place(&cx, a, b, out, options, Blocks::default());
            results.push(c);
        }
    }
    assert!(results.iter().all(|c| c == &results[0] && c.iter().all(|x| x.is_finite())));
}

#[test]
fn the_public_function_is_exact_with_every_backend() {
    for isa in Isa::available() {
        for backend in [Backend::Auto, Backend::Loupe, Backend::MatrixMultiply] {
            check(isa, &Threads::serial(), |cx, case, a, b, c, options| {
                let [m, n, k] = case.size;
                let a = Matrix::new(a, [m, k], case.a).unwrap();
                let b = Matrix::new(b, [k, n], case.b).unwrap();
                let c = MatrixMut::new(c, [m, n], case.c).unwrap();
                gemm(cx, a, b, c, GemmOptions { backend, ..options }).unwrap();
            });
        }
    }
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let (cx, data) = (Context::serial(), [0.0; 12]);
    let a = Matrix::row_major(&data, [3, 4]).unwrap();
    let b = Matrix::row_major(&data, [3, 4]).unwrap();
    let mut c = [0.0; 16];
    let c = MatrixMut::row_major(&mut c, [3, 4]).unwrap();
    let error = gemm(&cx, a, b, c, GemmOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "gemm: the rows of B must have 4 elements, found 3");
}

/// Empty products return at once, and the stride of a single row may be any number.
#[test]
fn extreme_sizes_and_strides_are_no_trouble() {
    for isa in Isa::available() {
        let cx = Context::new(isa, Threads::serial());
        for backend in [Backend::Auto, Backend::Loupe, Backend::MatrixMultiply] {
            let options = GemmOptions { backend, ..GemmOptions::default() };
            let many = 1 << 36;
            let a = Matrix::row_major(&[], [many, 0]).unwrap();
            let b = Matrix::row_major(&[], [0, 0]).unwrap();
            let c = MatrixMut::row_major(&mut [], [many, 0]).unwrap();
            gemm(&cx, a, b, c, options).unwrap();
            let a = Matrix::new(&[], [0, usize::MAX], [0, 0]).unwrap();
            let b = Matrix::new(&[1.0], [usize::MAX, 5], [0, 0]).unwrap();
            let c = MatrixMut::row_major(&mut [], [0, 5]).unwrap();
            gemm(&cx, a, b, c, options).unwrap();
            for stride in [0, 1 << 56, usize::MAX] {
                let mut c = [f32::NAN; 4];
                let a = Matrix::new(&[2.0, 3.0], [1, 2], [stride, 1]).unwrap();
                let b =
                    Matrix::row_major(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], [2, 4]).unwrap();
                let out = MatrixMut::new(&mut c, [1, 4], stride).unwrap();
                gemm(&cx, a, b, out, options).unwrap();
                assert_eq!(c, [17.0, 22.0, 27.0, 32.0]);
            }
            let mut c = vec![f32::NAN; 600 * 2];
            let a = Matrix::new(&[], [600, 0], [usize::MAX, usize::MAX]).unwrap();
            let b = Matrix::row_major(&[], [0, 2]).unwrap();
            let out = MatrixMut::row_major(&mut c, [600, 2]).unwrap();
            gemm(&cx, a, b, out, options).unwrap();
            assert!(c.iter().all(|&x| x == 0.0));
        }
    }
}
