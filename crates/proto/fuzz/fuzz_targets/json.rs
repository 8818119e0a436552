//! `cargo +nightly fuzz run json`: the first byte picks the message, the rest is decoded.
#![no_main]

#[path = "../checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let [which, bytes @ ..] = data {
        checks::json(*which, bytes);
    }
});
