#![no_main]

use loupe_fuzz_targets::gemm;

libfuzzer_sys::fuzz_target!(|problem: gemm::Problem| {
    gemm::run(&problem);
});
