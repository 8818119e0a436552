//! `cargo +nightly fuzz run recordio`: a stream that arrives in pieces.
#![no_main]

#[path = "../checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    checks::records(data);
});
