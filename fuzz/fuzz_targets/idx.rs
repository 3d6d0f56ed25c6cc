#![no_main]

use loupe_fuzz_targets::idx;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    idx::run(bytes);
});
