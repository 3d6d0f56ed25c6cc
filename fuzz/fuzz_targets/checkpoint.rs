#![no_main]

use loupe_fuzz_targets::checkpoint;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    checkpoint::run(bytes);
});
