//! Compiles `proto/*.proto` without protoc.
use std::{fs, io::Result, path::PathBuf};

fn main() -> Result<()> {
    println!("cargo:rerun-if-changed=proto");
    let mut files: Vec<PathBuf> = fs::read_dir("proto")?.map(|e| Ok(e?.path())).collect::<Result<_>>()?;
    files.sort();
    let set = protox::compile(&files, ["proto"]).map_err(std::io::Error::other)?;
    prost_build::Config::new().bytes(["."]).btree_map(["."]).compile_fds(set)?;
    Ok(())
}
