//! Compiles `proto/*.proto` without protoc: the message types through prost, and the tables of `src/descriptor.rs`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a build reads and writes files")]

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
    let mut config = prost_build::Config::new();
    config.bytes(["."]).btree_map(["."]);
    for field in RARE {
        config.boxed(field);
    }
    config.compile_fds(set)
}

/// Large messages that are seldom there: the room for them would be the most of what is made for every offer and task.
const RARE: [&str; 24] = [
    ".mesos.v1.Resource.disk",
    ".mesos.v1.Resource.reservation",
    ".mesos.v1.Task.container",
    ".mesos.v1.Task.health_check",
    ".mesos.v1.Task.discovery",
    ".mesos.v1.TaskInfo.executor",
    ".mesos.v1.TaskInfo.container",
    ".mesos.v1.TaskInfo.health_check",
    ".mesos.v1.TaskInfo.check",
    ".mesos.v1.TaskInfo.discovery",
    ".mesos.v1.ExecutorInfo.container",
    ".mesos.v1.ExecutorInfo.discovery",
    ".mesos.v1.Offer.Operation.launch_group",
    ".mesos.v1.Offer.Operation.grow_volume",
    ".mesos.v1.Offer.Operation.shrink_volume",
    ".mesos.v1.Offer.Operation.create_disk",
    ".mesos.v1.Offer.Operation.destroy_disk",
    ".mesos.v1.executor.Event.subscribed",
    ".mesos.v1.executor.Event.launch_group",
    ".mesos.v1.scheduler.Call.subscribe",
    ".mesos.v1.scheduler.Call.acknowledge_operation_status",
    ".mesos.v1.scheduler.Call.update_framework",
    ".mesos.v1.scheduler.Event.subscribed",
    ".mesos.v1.scheduler.Event.update_operation_status",
];

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
