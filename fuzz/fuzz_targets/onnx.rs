#![no_main]

use loupe_fuzz_targets::onnx;

libfuzzer_sys::fuzz_target!(|problem: onnx::Problem| {
    onnx::run(&problem);
});
