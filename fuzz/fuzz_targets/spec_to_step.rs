#![no_main]

use loupe_fuzz_targets::spec_to_step;

libfuzzer_sys::fuzz_target!(|text: &str| {
    spec_to_step::run(text);
});
