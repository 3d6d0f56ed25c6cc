#![no_main]

use loupe_fuzz_targets::conv_transpose_geometry;

libfuzzer_sys::fuzz_target!(|problem: conv_transpose_geometry::Problem| {
    conv_transpose_geometry::run(&problem);
});
