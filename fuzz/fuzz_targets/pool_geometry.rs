#![no_main]

use loupe_fuzz_targets::pool_geometry;

libfuzzer_sys::fuzz_target!(|problem: pool_geometry::Problem| {
    pool_geometry::run(&problem);
});
