#![no_main]

use loupe_fuzz_targets::picture;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    picture::run(bytes);
});
