//! Tests that need Mesos's own driver are built as ignored where nothing runs it, so that each run counts and names
//! them.

fn main() {
    println!("cargo::rerun-if-env-changed=MESETA_LIBMESOS");
    println!("cargo::rustc-check-cfg=cfg(libmesos)");
    if std::env::var_os("MESETA_LIBMESOS").is_some() {
        println!("cargo::rustc-cfg=libmesos");
    }
}
