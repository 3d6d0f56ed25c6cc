//! Convolution alone: three kernels, made by hand, find the lines of a picture.
//!
//! A kernel moves over the picture like a magnifier. Where what it sees is like the kernel, its sum is large.
//!
//! ```text
//! cargo run -p loupe-engine --example magnifier
//! ```

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "it shows what it computes")]

use loupe_engine::conv::{Conv2d, Conv2dOptions, Conv2dParameters, conv2d};
use loupe_engine::{Context, Error};

const SIZE: usize = 12;

/// A seven: pixels are 1 where there is a `#`, and 0 elsewhere.
const SEVEN: [&str; SIZE] = [
    "............",
    ".##########.",
    "..........#.",
    ".........#..",
    "........#...",
    ".......#....",
    "......#.....",
    ".....#......",
    "....#.......",
    "...#........",
    "..#.........",
    "............",
];

/// Kernels of 3 × 3: what is on the line counts, what is beside it counts against it.
const KERNELS: [(&str, [f32; 9]); 3] = [
    ("horizontal line", [-1.0, -1.0, -1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0]),
    ("diagonal down", [1.0, -1.0, -1.0, -1.0, 1.0, -1.0, -1.0, -1.0, 1.0]),
    ("diagonal up", [-1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0, -1.0]),
];

fn main() -> Result<(), Error> {
    let pixels = SEVEN.iter().flat_map(|row| row.bytes());
    let picture: Vec<f32> = pixels.map(|byte| f32::from(u8::from(byte == b'#'))).collect();
    let weight: Vec<f32> = KERNELS.iter().flat_map(|(_, kernel)| *kernel).collect();

    // One channel to one map for each kernel. One row of zeros around the picture keeps its size.
    let mut options = Conv2dOptions::new(1, KERNELS.len(), [3, 3]);
    options.padding = [1, 1];
    let geometry = Conv2d::new(options, [SIZE, SIZE])?;
    let parameters = Conv2dParameters { weight: &weight, bias: None };
    let mut maps = vec![0.0; geometry.output_len()];
    conv2d(&Context::serial(), &geometry, &picture, parameters, &mut maps)?;

    // All three pixels of a line give 3.
    println!("@ is 3, + is 2, . is less\n");
    for ((name, _), map) in KERNELS.iter().zip(maps.chunks_exact(SIZE * SIZE)) {
        println!("{name}");
        for row in map.chunks_exact(SIZE) {
            let row: String = row.iter().map(|&value| mark(value)).collect();
            println!("{row}");
        }
        println!();
    }
    Ok(())
}

fn mark(value: f32) -> char {
    match value {
        3.0.. => '@',
        2.0..3.0 => '+',
        _ => '.',
    }
}
