//! Any numbers as a matrix product: refused, or, if it is small, computed exactly, on every tier, on one thread and on
//! three, and nothing else written.

use crate::Taken;
use crate::number::{Number, get};
use arbitrary::Arbitrary;
use loupe_engine::gemm::{Backend, GemmOptions, Matrix, MatrixMut, gemm};
use loupe_engine::reference::gemm as oracle;
use loupe_engine::reference::random::Random;
use loupe_engine::{Context, Isa, Threads};
use std::sync::LazyLock;

/// Matrices in longer slices are not computed.
const MAX_LEN: usize = 40_000;
/// Nor are products of more products. Each is a whole number of at most 16, so every sum is exact.
const MAX_PRODUCTS: usize = 500_000;

static THREE: LazyLock<Threads> = LazyLock::new(|| Threads::new(3).expect("three threads"));

/// How the elements of an operand lie.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Layout {
    /// Row by row.
    Rows,
    /// Column by column.
    Columns,
    /// By these strides.
    Strides([Number; 2]),
}

/// A product.
#[derive(Arbitrary, Debug)]
pub struct Problem {
    /// M, N, K.
    size: [Number; 3],
    a: Layout,
    b: Layout,
    /// Between the rows of C.
    gap: Number,
    /// Alpha and beta, in halves.
    factors: [i8; 2],
    backend: u8,
    seed: u64,
}

struct Operand {
    shape: [usize; 2],
    strides: [usize; 2],
    data: Vec<f32>,
}

impl Operand {
    /// None if its slice would be long.
    fn new(shape: [usize; 2], layout: Layout, random: &mut Random) -> Option<Operand> {
        let strides = match layout {
            Layout::Rows => [shape[1], 1],
            Layout::Columns => [1, shape[0]],
            Layout::Strides(strides) => get(&strides),
        };
        let data = random.whole_f32(extent(shape, strides)?, 4);
        Some(Operand { shape, strides, data })
    }

    fn matrix(&self) -> Matrix<'_> {
        Matrix::new(&self.data, self.shape, self.strides).expect("the slice is long enough")
    }

    /// Row by row.
    fn dense(&self) -> Vec<f64> {
        let ([rows, cols], [down, right]) = (self.shape, self.strides);
        let element = |at: usize| f64::from(self.data[at / cols * down + at % cols * right]);
        (0..rows * cols).map(element).collect()
    }
}

/// How long a slice must be; none if that is long.
fn extent([rows, cols]: [usize; 2], [down, right]: [usize; 2]) -> Option<usize> {
    let (Some(rows), Some(cols)) = (rows.checked_sub(1), cols.checked_sub(1)) else {
        return Some(0);
    };
    let last = rows.checked_mul(down)?.checked_add(cols.checked_mul(right)?)?;
    (last < MAX_LEN).then(|| last + 1)
}

/// Computes the product.
pub fn run(problem: &Problem) -> Taken {
    let [m, n, k] = get(&problem.size);
    let mut random = Random::new(problem.seed);
    let [alpha, beta] = problem.factors.map(|factor| f32::from(factor % 8) / 2.0);
    let backend = [Backend::Auto, Backend::Loupe, Backend::MatrixMultiply];
    let backend = backend[usize::from(problem.backend % 3)];
    let options = GemmOptions { alpha, beta, backend };

    refuse(problem, [m, n, k]);
    let a = Operand::new([m, k], problem.a, &mut random)?;
    let b = Operand::new([k, n], problem.b, &mut random)?;
    let stride = n.checked_add(problem.gap.get())?;
    let c = random.whole_f32(extent([m, n], [stride, 1])?, 4);
    // Nor do the oracle's loops over nothing end soon.
    let [rows, columns, depth] = [m, n, k].map(|size| size.max(1));
    let products = rows.saturating_mul(columns).saturating_mul(depth);
    if products > MAX_PRODUCTS || rows.max(columns).saturating_mul(depth) > MAX_LEN {
        return nothing(a.matrix(), b.matrix(), [m, n], stride, options);
    }

    let dims = oracle::GemmDims { m, n, k };
    let mut expected: Vec<f64> = (0..m * n).map(|at| c[at / n * stride + at % n].into()).collect();
    let factors = [alpha, beta].map(f64::from);
    oracle::gemm(&dims, factors[0], &a.dense(), &b.dense(), factors[1], &mut expected);
    for isa in Isa::available() {
        for threads in [Threads::serial(), THREE.clone()] {
            let cx = Context::new(isa, threads);
            let mut found = c.clone();
            for at in 0..m * n {
                // Then it must not be read.
                if beta == 0.0 {
                    found[at / n * stride + at % n] = f32::NAN;
                }
            }
            let out = MatrixMut::new(&mut found, [m, n], stride).expect("it is long enough");
            gemm(&cx, a.matrix(), b.matrix(), out, options).expect("the shapes fit each other");
            for (at, found) in found.iter().enumerate() {
                let is_gap = n == 0 || at % stride >= n;
                let expected =
                    if is_gap { c[at].into() } else { expected[at / stride * n + at % stride] };
                assert_eq!(f64::from(*found), expected, "{at} on {cx:?} {options:?}");
            }
        }
    }
    Some(())
}

/// A product of large sizes, if there is nothing of it to compute.
fn nothing(
    a: Matrix<'_>,
    b: Matrix<'_>,
    size: [usize; 2],
    stride: usize,
    options: GemmOptions,
) -> Taken {
    let out = size.contains(&0).then(|| MatrixMut::new(&mut [], size, stride))?;
    let out = out.expect("it is empty");
    gemm(&Context::serial(), a, b, out, options).expect("the shapes fit each other");
    None
}

/// Slices that are too short, whatever the sizes.
fn refuse(problem: &Problem, [m, n, k]: [usize; 3]) {
    let mut short = [0.0; 3];
    for (shape, layout) in [([m, k], problem.a), ([k, n], problem.b)] {
        let Layout::Strides(strides) = layout else { continue };
        let strides = get(&strides);
        let fits = extent(shape, strides).is_some_and(|len| len <= short.len());
        assert_eq!(Matrix::new(&short, shape, strides).is_ok(), fits, "{shape:?} {strides:?}");
    }
    let stride = problem.gap.get();
    let fits = extent([m, n], [stride, 1]).is_some_and(|len| len <= short.len());
    let is_apart = m <= 1 || stride >= n;
    assert_eq!(MatrixMut::new(&mut short, [m, n], stride).is_ok(), fits && is_apart);
}
