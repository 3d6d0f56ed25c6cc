//! Matrix products alone: small ones to look at, and one that is worth several threads.
//!
//! ```text
//! cargo run --release -p loupe-engine --example gemm
//! ```

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "it shows what it computes")]

use loupe_engine::gemm::{GemmOptions, Matrix, MatrixMut, gemm};
use loupe_engine::{Context, Error, Threads};
use std::time::Instant;

/// Rows and columns of the large matrices.
const SIZE: usize = 512;

fn main() -> Result<(), Error> {
    // The best instructions that this CPU has, on this thread.
    let one = Context::serial();

    // C ← A Aᵀ. The transposed matrix is the same memory with its strides exchanged.
    let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let a = Matrix::row_major(&a, [2, 3])?;
    let mut c = [0.0; 4];
    let product = GemmOptions::default();
    gemm(&one, a, a.transposed(), MatrixMut::row_major(&mut c, [2, 2])?, product)?;
    println!("A Aᵀ = {c:?}");

    // C ← 0.5 · A Aᵀ + 2 · C.
    let sum = GemmOptions { alpha: 0.5, beta: 2.0, ..product };
    gemm(&one, a, a.transposed(), MatrixMut::row_major(&mut c, [2, 2])?, sum)?;
    println!("0.5 · A Aᵀ + 2 · A Aᵀ = {c:?}");

    // A larger product: first on one thread, then on as many as there are cores.
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let all = Context::new(one.isa(), Threads::new(cores)?);
    let x: Vec<f32> = (0..SIZE * SIZE).map(|i| (i % 17) as f32 - 8.0).collect();
    let x = Matrix::row_major(&x, [SIZE, SIZE])?;
    let mut results = Vec::new();
    for cx in [&one, &all] {
        let mut y = vec![0.0; SIZE * SIZE];
        let start = Instant::now();
        gemm(cx, x, x.transposed(), MatrixMut::row_major(&mut y, [SIZE, SIZE])?, product)?;
        let rate = 2.0 * (SIZE as f64).powi(3) / start.elapsed().as_secs_f64() / 1e9;
        let (threads, tier) = (cx.threads().count(), cx.isa().tier().name());
        println!("{SIZE} × {SIZE} × {SIZE} by {tier}, threads {threads}: {rate:.0} GFLOP/s");
        results.push(y);
    }
    println!("the same bits: {}", results[0] == results[1]);
    Ok(())
}
