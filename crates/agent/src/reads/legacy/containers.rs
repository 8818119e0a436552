//! What containers use: `/containers`, and the older `/monitor/statistics`. In both, keys are in the order of the
//! alphabet.

use ::containers::{Gap, Usage};
use agent_core::{Executor, ExecutorPhase, State};
use proto::json::Writer;

use crate::reads::{Seen, Usages};

/// The body of `/containers`: the containers of executors.
pub fn containers(state: &State, usage: &Usages) -> Vec<u8> {
    list(state, usage, |json, executor, seen| {
        json.field("container_id", executor.container.name());
        write_owner(json, executor);
        if !seen.gaps.is_empty() {
            json.array_field("isolation_not_enforced", seen.gaps.iter(), |json, Gap { isolator, asked, why }| {
                json.object(|json| {
                    json.field("asked", asked.as_str());
                    json.field("isolator", isolator.as_str());
                    json.field("why", why.as_str());
                });
            });
        }
        write_usage(json, &seen.usage);
        json.object_field("status", |json| {
            json.object_field("container_id", |json| json.field("value", executor.container.name()));
            json.optional_field("executor_pid", executor.pid.as_ref());
        });
    })
}

/// The body of `/monitor/statistics`.
pub fn statistics(state: &State, usage: &Usages) -> Vec<u8> {
    list(state, usage, |json, executor, seen| {
        write_owner(json, executor);
        write_usage(json, &seen.usage);
    })
}

/// Readers expect statistics of every container: one that has none yet, or no more, is not shown.
fn list(state: &State, usage: &Usages, write: impl Fn(&mut Writer, &Executor, &Seen)) -> Vec<u8> {
    let mut json = Writer::v0();
    let live = state.executors().filter(|executor| executor.phase != ExecutorPhase::Terminated);
    let shown = live.filter_map(|executor| Some((executor, usage.get(&executor.container)?)));
    json.array(|json| shown.for_each(|(executor, usage)| json.object(|json| write(json, executor, usage))));
    json.into_bytes()
}

fn write_owner(json: &mut Writer, executor: &Executor) {
    json.field("executor_id", executor.id.as_str());
    json.field("executor_name", executor.info.name());
    json.field("framework_id", executor.framework.as_str());
    json.field("source", executor.info.source());
}

fn write_usage(json: &mut Writer, usage: &Usage) {
    macro_rules! known {
        ($json:ident, $($name:ident)*) => {
            $($json.optional_field(stringify!($name), usage.$name.as_ref());)*
        };
    }
    json.object_field("statistics", |json| {
        known!(json, cpus_limit cpus_nr_periods cpus_nr_throttled cpus_soft_limit cpus_system_time_secs);
        known!(json, cpus_throttled_time_secs cpus_user_time_secs disk_limit_bytes disk_used_bytes mem_anon_bytes);
        known!(json, mem_cache_bytes mem_file_bytes mem_limit_bytes mem_mapped_file_bytes mem_rss_bytes mem_soft_limit_bytes mem_swap_bytes);
        known!(json, mem_total_bytes mem_unevictable_bytes processes threads);
        json.field("timestamp", &usage.timestamp);
    });
}
