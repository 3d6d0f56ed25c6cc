#![no_main]

use loupe_fuzz_targets::weights;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    weights::run(bytes);
});
