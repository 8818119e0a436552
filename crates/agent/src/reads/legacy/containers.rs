//! What containers use: `/containers`, and the older `/monitor/statistics`. In both, keys are in the order of the
//! alphabet.

use ::containers::Usage;
use agent_core::{Executor, State};
use proto::json::Writer;

use crate::reads::Usages;

/// The body of `/containers`: the containers of executors.
pub fn containers(state: &State, usage: &Usages) -> Vec<u8> {
    list(state, |json, executor| {
        json.field("container_id", executor.container.name());
        write_owner(json, executor);
        write_usage(json, usage.get(&executor.container));
        json.object_field("status", |json| {
            json.object_field("container_id", |json| json.field("value", executor.container.name()));
            json.optional_field("executor_pid", executor.pid.as_ref());
        });
    })
}

/// The body of `/monitor/statistics`.
pub fn statistics(state: &State, usage: &Usages) -> Vec<u8> {
    list(state, |json, executor| {
        write_owner(json, executor);
        write_usage(json, usage.get(&executor.container));
    })
}

fn list(state: &State, write: impl Fn(&mut Writer, &Executor)) -> Vec<u8> {
    let mut json = Writer::v0();
    json.array(|json| state.executors().for_each(|executor| json.object(|json| write(json, executor))));
    json.into_bytes()
}

fn write_owner(json: &mut Writer, executor: &Executor) {
    json.field("executor_id", executor.id.as_str());
    json.field("executor_name", executor.info.name());
    json.field("framework_id", executor.framework.as_str());
    json.field("source", executor.info.source());
}

fn write_usage(json: &mut Writer, usage: Option<&Usage>) {
    let Some(usage) = usage else { return };
    macro_rules! known {
        ($json:ident, $($name:ident)*) => {
            $($json.optional_field(stringify!($name), usage.$name.as_ref());)*
        };
    }
    json.object_field("statistics", |json| {
        known!(json, cpus_limit cpus_nr_periods cpus_nr_throttled cpus_soft_limit cpus_system_time_secs);
        known!(json, cpus_throttled_time_secs cpus_user_time_secs mem_anon_bytes mem_cache_bytes mem_file_bytes);
        known!(json, mem_limit_bytes mem_mapped_file_bytes mem_rss_bytes mem_soft_limit_bytes mem_swap_bytes);
        known!(json, mem_total_bytes mem_unevictable_bytes processes threads);
        json.field("timestamp", &usage.timestamp);
    });
}
