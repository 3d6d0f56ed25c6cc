#![no_main]

use loupe_fuzz_targets::config;

libfuzzer_sys::fuzz_target!(|text: &str| {
    config::run(text);
});
