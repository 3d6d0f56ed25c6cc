//! The oracle: what every kernel of this crate has to compute, in `f64` and in plain loops.
//!
//! Tests, benches and fuzz targets judge the `f32` SIMD kernels by these functions. That only
//! means something while the two share no code, so this module imports `core` and `std` alone,
//! takes sizes as plain integers and works out every derived size itself. Where a choice of
//! meaning exists, PyTorch's is taken.
//!
//! - Tensors are row-major slices: images `[N, C, H, W]`, convolution weights
//!   `[O, C / groups, Kh, Kw]`, linear weights `[out, in]`.
//! - Gradients overwrite: a backward function returns new vectors.
//! - Wrong sizes panic. These are tools of tests, not of users.
//! - Every analytic gradient is itself checked against [`finite`] differences.
//!
//! # Example
//!
//! A matrix product in `f32`, judged by the worst case of its rounding errors:
//!
//! ```
//! use loupe_engine::reference::compare::{Tolerance, assert_close, magnitudes, widen};
//! use loupe_engine::reference::gemm::{GemmDims, gemm};
//!
//! let dims = GemmDims { m: 1, n: 1, k: 2 };
//! let (a, b) = ([0.1_f32, 0.2], [0.3_f32, 0.4]);
//! let actual = [a[0] * b[0] + a[1] * b[1]];
//!
//! let product = |a: &[f64], b: &[f64]| {
//!     let mut c = vec![0.0; dims.m * dims.n];
//!     gemm(&dims, 1.0, a, b, 0.0, &mut c);
//!     c
//! };
//! let (a, b) = (widen(&a), widen(&b));
//! let tolerance = Tolerance::rounding(dims.k, &product(&magnitudes(&a), &magnitudes(&b)));
//! assert_close("dot product", &actual, &product(&a, &b), &tolerance);
//! ```

pub mod activation;
pub mod batch_norm;
pub mod compare;
pub mod conv2d;
pub mod conv_transpose2d;
pub mod dropout;
pub mod finite;
pub mod gemm;
pub mod group_norm;
pub mod layer_norm;
pub mod linear;
pub mod loss;
pub mod network;
pub mod normal;
pub mod optim;
pub mod pad;
pub mod pool;
pub mod random;
pub mod softmax;
