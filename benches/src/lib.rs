//! Shapes and helpers shared by the benchmarks.
