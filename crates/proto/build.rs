//! Compiles `proto/*.proto` without protoc: the message types through prost, and the tables of `src/descriptor.rs`.

use std::{env, fs, io, path::PathBuf};

#[path = "build/tables.rs"]
mod tables;

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build");
    let mut files: Vec<PathBuf> = fs::read_dir("proto")?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.sort();
    let mut set = protox::compile(&files, ["proto"]).map_err(io::Error::other)?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is not set"))?);
    fs::write(out.join("tables.rs"), tables::render(&set))?;
    forget_deprecation(&mut set);
    prost_build::Config::new().bytes(["."]).btree_map(["."]).compile_fds(set)
}

/// Deprecated fields still travel, so their uses must not warn; only the JSON tables need to know.
fn forget_deprecation(set: &mut prost_types::FileDescriptorSet) {
    fn visit(message: &mut prost_types::DescriptorProto) {
        for field in &mut message.field {
            if let Some(options) = &mut field.options {
                options.deprecated = None;
            }
        }
        message.nested_type.iter_mut().for_each(visit);
    }
    set.file.iter_mut().flat_map(|file| &mut file.message_type).for_each(visit);
}
