#![no_main]

use loupe_fuzz_targets::conv_geometry;

libfuzzer_sys::fuzz_target!(|problem: conv_geometry::Problem| {
    conv_geometry::run(&problem);
});
