//! What the numbers mean, by name: for Prometheus, which wants a sentence and whether a number only grows. Names are
//! Mesos's, with what names a thing in angle brackets, as `prometheus` makes them; a `*` at the end stands for the last
//! part.

use super::Kind::{self, Counter, Gauge};

/// What is known of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    pub pattern: &'static str,
    pub kind: Kind,
    pub help: &'static str,
}

/// The description of the numbers that come under such a name.
pub fn describe(source: &str) -> Option<&'static Description> {
    let exact = CATALOG.iter().find(|known| known.pattern == source);
    let parent = || source.rsplit_once('/').map(|(parent, _)| parent);
    exact.or_else(|| {
        let parent = parent()?;
        CATALOG.iter().find(|known| known.pattern.strip_suffix("/*") == Some(parent))
    })
}

const fn d(pattern: &'static str, kind: Kind, help: &'static str) -> Description {
    Description { pattern, kind, help }
}

pub(super) const CATALOG: &[Description] = &[
    // Frameworks and agents of a master.
    d("master/elected", Gauge, "Whether this master leads or is about to: 1 or 0."),
    d("master/uptime_secs", Gauge, "Seconds since this master started."),
    d("master/slaves_connected", Gauge, "Agents with a working connection."),
    d("master/slaves_disconnected", Gauge, "Agents that are registered and whose connection is broken."),
    d("master/slaves_active", Gauge, "Agents whose resources are offered."),
    d("master/slaves_inactive", Gauge, "Agents that are registered and not offered."),
    d("master/slaves_unreachable", Gauge, "Agents that stopped answering and may come back."),
    d("master/frameworks_connected", Gauge, "Frameworks with an open subscription."),
    d("master/frameworks_disconnected", Gauge, "Frameworks that are waited for."),
    d("master/frameworks_active", Gauge, "Frameworks that get offers."),
    d("master/frameworks_inactive", Gauge, "Frameworks that get no offers."),
    d("master/outstanding_offers", Gauge, "Offers that nobody has answered yet."),
    d("master/slave_registrations", Counter, "Agents that registered for the first time."),
    d("master/slave_reregistrations", Counter, "Agents that came back."),
    d("master/slave_removals", Counter, "Agents that were removed."),
    d("master/slave_removals/reason_<reason>", Counter, "Agents that were removed, by reason."),
    d("master/slave_shutdowns_scheduled", Counter, "Agents that were to be shut down because they stopped answering."),
    d("master/slave_shutdowns_completed", Counter, "Agents that were shut down."),
    d("master/slave_shutdowns_canceled", Counter, "Agents that answered again before they were shut down."),
    d("master/slave_unreachable_scheduled", Counter, "Agents that were to be marked unreachable."),
    d("master/slave_unreachable_completed", Counter, "Agents that were marked unreachable."),
    d("master/slave_unreachable_canceled", Counter, "Agents that answered again before they were marked unreachable."),
    d("master/recovery_slave_removals", Counter, "Agents that did not come back after a failover."),
    // Resources of a master's agents.
    d("master/cpus_total", Gauge, "Processors that agents offer."),
    d("master/cpus_used", Gauge, "Processors in use."),
    d("master/cpus_percent", Gauge, "Which part of them is in use, 0 to 1."),
    d("master/cpus_revocable_total", Gauge, "Processors that may be taken back that agents offer."),
    d("master/cpus_revocable_used", Gauge, "Processors that may be taken back in use."),
    d("master/cpus_revocable_percent", Gauge, "Which part of them is in use, 0 to 1."),
    d("master/gpus_total", Gauge, "GPUs that agents offer."),
    d("master/gpus_used", Gauge, "GPUs in use."),
    d("master/gpus_percent", Gauge, "Which part of them is in use, 0 to 1."),
    d("master/gpus_revocable_total", Gauge, "GPUs that may be taken back that agents offer."),
    d("master/gpus_revocable_used", Gauge, "GPUs that may be taken back in use."),
    d("master/gpus_revocable_percent", Gauge, "Which part of them is in use, 0 to 1."),
    d("master/mem_total", Gauge, "Megabytes of memory that agents offer."),
    d("master/mem_used", Gauge, "Megabytes of memory in use."),
    d("master/mem_percent", Gauge, "Which part of them is in use, 0 to 1."),
    d("master/mem_revocable_total", Gauge, "Megabytes of memory that may be taken back that agents offer."),
    d("master/mem_revocable_used", Gauge, "Megabytes of memory that may be taken back in use."),
    d("master/mem_revocable_percent", Gauge, "Which part of them is in use, 0 to 1."),
    d("master/disk_total", Gauge, "Megabytes of disk that agents offer."),
    d("master/disk_used", Gauge, "Megabytes of disk in use."),
    d("master/disk_percent", Gauge, "Which part of them is in use, 0 to 1."),
    d("master/disk_revocable_total", Gauge, "Megabytes of disk that may be taken back that agents offer."),
    d("master/disk_revocable_used", Gauge, "Megabytes of disk that may be taken back in use."),
    d("master/disk_revocable_percent", Gauge, "Which part of them is in use, 0 to 1."),
    // Tasks of a master.
    d("master/tasks_staging", Gauge, "Tasks on their way to an agent or being fetched."),
    d("master/tasks_starting", Gauge, "Tasks that their executors are starting."),
    d("master/tasks_running", Gauge, "Tasks that run."),
    d("master/tasks_killing", Gauge, "Tasks that are being killed."),
    d("master/tasks_unreachable", Gauge, "Tasks on agents that stopped answering."),
    d("master/tasks_finished", Counter, "Tasks that ended well."),
    d("master/tasks_failed", Counter, "Tasks that failed."),
    d("master/tasks_killed", Counter, "Tasks that were killed."),
    d("master/tasks_lost", Counter, "Tasks that were lost."),
    d("master/tasks_error", Counter, "Tasks that were refused because their description is wrong."),
    d("master/tasks_dropped", Counter, "Tasks that could not be launched and never ran."),
    d("master/tasks_gone", Counter, "Tasks on agents that are gone."),
    d("master/tasks_gone_by_operator", Counter, "Tasks on agents that an operator marked gone."),
    d("master/task_dropped/source_<source>/reason_<reason>", Counter, "Dropped tasks by who said so and why."),
    d("master/task_error/source_<source>/reason_<reason>", Counter, "Erroneous tasks by who said so and why."),
    d("master/task_failed/source_<source>/reason_<reason>", Counter, "Failed tasks by who said so and why."),
    d("master/task_finished/source_<source>/reason_<reason>", Counter, "Finished tasks by who said so and why."),
    d("master/task_gone/source_<source>/reason_<reason>", Counter, "Gone tasks by who said so and why."),
    d(
        "master/task_gone_by_operator/source_<source>/reason_<reason>",
        Counter,
        "Tasks on agents marked gone by who said so and why.",
    ),
    d("master/task_killed/source_<source>/reason_<reason>", Counter, "Killed tasks by who said so and why."),
    d("master/task_lost/source_<source>/reason_<reason>", Counter, "Lost tasks by who said so and why."),
    // Messages and calls.
    d("master/dropped_messages", Counter, "Messages that came when they meant nothing, and were dropped."),
    d("master/messages_authenticate", Counter, "Requests to be authenticated."),
    d("master/messages_deactivate_framework", Counter, "Frameworks that asked for no more offers by disconnecting."),
    d("master/messages_decline_offers", Counter, "Calls that declined offers."),
    d("master/messages_executor_to_framework", Counter, "Messages from executors to frameworks."),
    d("master/messages_exited_executor", Counter, "Ends of executors that agents told."),
    d("master/messages_framework_to_executor", Counter, "Messages from frameworks to executors."),
    d("master/messages_kill_task", Counter, "Calls that killed tasks."),
    d("master/messages_launch_tasks", Counter, "Calls that launched tasks in the old way."),
    d("master/messages_operation_status_update", Counter, "Updates of operations that agents sent."),
    d("master/messages_operation_status_update_acknowledgement", Counter, "Acknowledgements of operations' updates."),
    d("master/messages_reconcile_operations", Counter, "Calls that asked after operations."),
    d("master/messages_reconcile_tasks", Counter, "Calls that asked after tasks."),
    d("master/messages_register_framework", Counter, "Frameworks that subscribed for the first time."),
    d("master/messages_register_slave", Counter, "Requests of agents to register."),
    d("master/messages_reregister_framework", Counter, "Frameworks that subscribed again."),
    d("master/messages_reregister_slave", Counter, "Requests of agents to register again."),
    d("master/messages_resource_request", Counter, "Calls that asked for resources."),
    d("master/messages_revive_offers", Counter, "Calls that revived offers."),
    d("master/messages_status_update", Counter, "Updates of tasks that agents sent."),
    d("master/messages_status_update_acknowledgement", Counter, "Acknowledgements of tasks' updates."),
    d("master/messages_suppress_offers", Counter, "Calls that suppressed offers."),
    d("master/messages_unregister_framework", Counter, "Frameworks that tore themselves down."),
    d("master/messages_unregister_slave", Counter, "Agents that unregistered."),
    d("master/messages_update_slave", Counter, "Agents that told of other resources."),
    d("master/valid_framework_to_executor_messages", Counter, "Messages to executors that were sent on."),
    d("master/invalid_framework_to_executor_messages", Counter, "Messages to executors that were dropped."),
    d("master/valid_executor_to_framework_messages", Counter, "Messages to frameworks that were sent on."),
    d("master/invalid_executor_to_framework_messages", Counter, "Messages to frameworks that were dropped."),
    d("master/valid_status_updates", Counter, "Updates of tasks that were taken."),
    d("master/invalid_status_updates", Counter, "Updates of tasks that were dropped."),
    d("master/valid_status_update_acknowledgements", Counter, "Acknowledgements that were sent on."),
    d("master/invalid_status_update_acknowledgements", Counter, "Acknowledgements that were dropped."),
    d("master/valid_operation_status_updates", Counter, "Updates of operations that were taken."),
    d("master/invalid_operation_status_updates", Counter, "Updates of operations that were dropped."),
    d(
        "master/valid_operation_status_update_acknowledgements",
        Counter,
        "Acknowledgements of operations that were sent on.",
    ),
    d(
        "master/invalid_operation_status_update_acknowledgements",
        Counter,
        "Acknowledgements of operations that were dropped.",
    ),
    d("master/http_cache_hits", Counter, "Reads that shared the rendering of another one."),
    d("master/event_queue_messages", Gauge, "Messages that wait for the master's loop."),
    d("master/event_queue_http_requests", Gauge, "Requests that wait for the master's loop."),
    d("master/event_queue_dispatches", Gauge, "Outcomes that wait for the master's loop."),
    d("master/operator_event_stream_subscribers", Gauge, "Subscribers to the operators' events."),
    d("master/operations/*", Gauge, "Operations by state; those that ended are counted for good."),
    d("master/operations/create/*", Gauge, "Operations that create volumes, by state."),
    d("master/operations/create_disk/*", Gauge, "Operations that create disks, by state."),
    d("master/operations/destroy/*", Gauge, "Operations that destroy volumes, by state."),
    d("master/operations/destroy_disk/*", Gauge, "Operations that destroy disks, by state."),
    d("master/operations/grow_volume/*", Gauge, "Operations that grow volumes, by state."),
    d("master/operations/reserve/*", Gauge, "Operations that reserve, by state."),
    d("master/operations/shrink_volume/*", Gauge, "Operations that shrink volumes, by state."),
    d("master/operations/unreserve/*", Gauge, "Operations that give reservations up, by state."),
    // Frameworks one by one; those that are over are not shown.
    d("master/frameworks/<name>/<id>/subscribed", Gauge, "Whether a framework has an open subscription: 1 or 0."),
    d("master/frameworks/<name>/<id>/calls", Counter, "Calls of a framework."),
    d("master/frameworks/<name>/<id>/calls/*", Counter, "Calls of a framework, by kind."),
    d("master/frameworks/<name>/<id>/events", Counter, "Events told to a framework."),
    d("master/frameworks/<name>/<id>/events/*", Counter, "Events told to a framework, by kind."),
    d("master/frameworks/<name>/<id>/operations", Counter, "Operations of a framework."),
    d("master/frameworks/<name>/<id>/operations/*", Counter, "Operations of a framework, by kind."),
    d("master/frameworks/<name>/<id>/offers/*", Counter, "Offers to a framework, by what became of them."),
    d("master/frameworks/<name>/<id>/tasks/active/*", Gauge, "Tasks of a framework, by state."),
    d("master/frameworks/<name>/<id>/tasks/terminal/*", Counter, "Ended tasks of a framework, by state."),
    d(
        "master/frameworks/<name>/<id>/roles/<role>/suppressed",
        Gauge,
        "Whether a framework wants no offers for a role: 1 or 0.",
    ),
    d("frameworks/<principal>/messages_received", Counter, "Messages of drivers whose frameworks have a principal."),
    d("frameworks/<principal>/messages_processed", Counter, "Those of them that were acted upon."),
    d("frameworks_not_shown", Gauge, "Frameworks without figures of their own here, because there are too many."),
    // The allocator.
    d("allocator/event_queue_dispatches", Gauge, "Always 0: the master calls its allocator, nothing waits for it."),
    d(
        "allocator/mesos/event_queue_dispatches",
        Gauge,
        "Always 0: the master calls its allocator, nothing waits for it.",
    ),
    d("allocator/mesos/allocation_runs", Counter, "Runs of the allocator."),
    d("allocator/mesos/allocation_run", Gauge, "How long runs of the allocator took."),
    d("allocator/mesos/allocation_run_latency", Gauge, "How late runs of the allocator began."),
    d(
        "allocator/mesos/roles/<role>/shares/dominant",
        Gauge,
        "A role's share of the resource of which it has the most.",
    ),
    d("allocator/mesos/offer_filters/roles/<role>/active", Gauge, "Filters of a role's frameworks that are in force."),
    d("allocator/mesos/resources/<resource>/total", Gauge, "All of a resource that agents have."),
    d("allocator/mesos/resources/<resource>/offered_or_allocated", Gauge, "What of a resource is offered or in use."),
    d(
        "allocator/mesos/quota/roles/<role>/resources/<resource>/guarantee",
        Gauge,
        "What a role is guaranteed of a resource.",
    ),
    d(
        "allocator/mesos/quota/roles/<role>/resources/<resource>/limit",
        Gauge,
        "The most a role may have of a resource.",
    ),
    d(
        "allocator/mesos/quota/roles/<role>/resources/<resource>/offered_or_allocated",
        Gauge,
        "What of a resource a role is offered or uses.",
    ),
    d(
        "allocator/mesos/quota/roles/<role>/resources/<resource>/consumed",
        Gauge,
        "What counts for a role's quota of a resource.",
    ),
    d("allocator/groups/<group>/held_units", Gauge, "What a resource group holds, in its units."),
    d("allocator/groups/<group>/supply", Gauge, "What could be of a resource group, in its units."),
    d("allocator/groups/<group>/won", Counter, "Agents that a resource group won."),
    d("allocator/groups/<group>/returned", Counter, "Agents that a resource group gave back."),
    // The registry.
    d("registrar/queued_operations", Gauge, "Changes to the registry that are being stored."),
    d("registrar/registry_size_bytes", Gauge, "Bytes of the registry."),
    d("registrar/state_fetch", Gauge, "How long reading the registry took."),
    d("registrar/state_store", Gauge, "How long storing changes to the registry took."),
    d("registrar/log/recovered", Gauge, "Whether the registry is read: 1 or 0."),
    d("registrar/log/ensemble_size", Gauge, "Always 1: the registry's store answers as one."),
    // Agents.
    d("slave/registered", Gauge, "Whether the agent is registered: 1 or 0."),
    d("slave/uptime_secs", Gauge, "Seconds since this agent started."),
    d("slave/recovery_errors", Gauge, "What could not be recovered at the start."),
    d("slave/recovery_time_secs", Gauge, "How long recovering at the start took."),
    d(
        "slave/executor_directory_max_allowed_age_secs",
        Gauge,
        "How old sandboxes may get with the disk as full as it is.",
    ),
    d("slave/container_launch_errors", Counter, "Containers that could not be started."),
    d("slave/valid_status_updates", Counter, "Updates of tasks that were taken."),
    d("slave/invalid_status_updates", Counter, "Updates of tasks that were refused."),
    d("slave/valid_framework_messages", Counter, "Messages between frameworks and executors that were sent on."),
    d("slave/invalid_framework_messages", Counter, "Messages between frameworks and executors that were dropped."),
    d("slave/frameworks_active", Gauge, "Frameworks with executors here."),
    d("slave/executors_registering", Gauge, "Executors that have not subscribed yet."),
    d("slave/executors_running", Gauge, "Executors that run."),
    d("slave/executors_terminating", Gauge, "Executors that are being ended."),
    d("slave/executors_terminated", Counter, "Executors that ended."),
    d("slave/executors_preempted", Counter, "Executors that were ended to make room."),
    d("slave/tasks_staging", Gauge, "Tasks that are on their way to their executor."),
    d("slave/tasks_starting", Gauge, "Tasks that their executors are starting."),
    d("slave/tasks_running", Gauge, "Tasks that run."),
    d("slave/tasks_killing", Gauge, "Tasks that are being killed."),
    d("slave/tasks_finished", Counter, "Tasks that ended well."),
    d("slave/tasks_failed", Counter, "Tasks that failed."),
    d("slave/tasks_killed", Counter, "Tasks that were killed."),
    d("slave/tasks_lost", Counter, "Tasks that were lost or dropped."),
    d("slave/tasks_gone", Counter, "Tasks that were gone."),
    d("containerizer/mesos/container_destroy_errors", Counter, "Containers that could not be destroyed."),
    d(
        "containerizer/mesos/provisioner/bind/remove_rootfs_errors",
        Counter,
        "Root file systems of containers that could not be removed.",
    ),
    d("containerizer/fetcher/task_fetches_succeeded", Counter, "Containers whose files were fetched."),
    d("containerizer/fetcher/task_fetches_failed", Counter, "Containers whose files could not be fetched."),
    d("containerizer/fetcher/cache_size_total_bytes", Gauge, "How large the cache of fetched files may get."),
    d("containerizer/fetcher/cache_size_used_bytes", Gauge, "What the cache of fetched files takes."),
    d("gc/path_removals_pending", Gauge, "Sandboxes that wait to be removed."),
    d("gc/path_removals_succeeded", Counter, "Sandboxes that were removed."),
    d("gc/path_removals_failed", Counter, "Attempts to remove a sandbox that failed."),
    // Resources of an agent.
    d("slave/cpus_total", Gauge, "Processors that the agent offers."),
    d("slave/cpus_used", Gauge, "Processors in use."),
    d("slave/cpus_percent", Gauge, "Which part of them is in use, 0 to 1."),
    d("slave/cpus_revocable_total", Gauge, "Processors that may be taken back that the agent offers."),
    d("slave/cpus_revocable_used", Gauge, "Processors that may be taken back in use."),
    d("slave/cpus_revocable_percent", Gauge, "Which part of them is in use, 0 to 1."),
    d("slave/gpus_total", Gauge, "GPUs that the agent offers."),
    d("slave/gpus_used", Gauge, "GPUs in use."),
    d("slave/gpus_percent", Gauge, "Which part of them is in use, 0 to 1."),
    d("slave/gpus_revocable_total", Gauge, "GPUs that may be taken back that the agent offers."),
    d("slave/gpus_revocable_used", Gauge, "GPUs that may be taken back in use."),
    d("slave/gpus_revocable_percent", Gauge, "Which part of them is in use, 0 to 1."),
    d("slave/mem_total", Gauge, "Megabytes of memory that the agent offers."),
    d("slave/mem_used", Gauge, "Megabytes of memory in use."),
    d("slave/mem_percent", Gauge, "Which part of them is in use, 0 to 1."),
    d("slave/mem_revocable_total", Gauge, "Megabytes of memory that may be taken back that the agent offers."),
    d("slave/mem_revocable_used", Gauge, "Megabytes of memory that may be taken back in use."),
    d("slave/mem_revocable_percent", Gauge, "Which part of them is in use, 0 to 1."),
    d("slave/disk_total", Gauge, "Megabytes of disk that the agent offers."),
    d("slave/disk_used", Gauge, "Megabytes of disk in use."),
    d("slave/disk_percent", Gauge, "Which part of them is in use, 0 to 1."),
    d("slave/disk_revocable_total", Gauge, "Megabytes of disk that may be taken back that the agent offers."),
    d("slave/disk_revocable_used", Gauge, "Megabytes of disk that may be taken back in use."),
    d("slave/disk_revocable_percent", Gauge, "Which part of them is in use, 0 to 1."),
    // Containers one by one.
    d("container/cpus_user_seconds", Counter, "Processor time that a container spent in its programs."),
    d("container/cpus_system_seconds", Counter, "Processor time that a container spent in the kernel."),
    d("container/cpus_limit", Gauge, "The most processors that a container may use."),
    d("container/cpus_periods", Counter, "Periods in which a container with a limit ran."),
    d("container/cpus_throttled_periods", Counter, "Periods in which a container used up its processors."),
    d(
        "container/cpus_throttled_seconds",
        Counter,
        "How long a container had to wait because it used up its processors.",
    ),
    d("container/memory_bytes", Gauge, "Memory that a container uses, with the kernel's for it."),
    d("container/memory_rss_bytes", Gauge, "Memory of a container's processes."),
    d("container/memory_limit_bytes", Gauge, "The most memory that a container may use."),
    d("container/disk_used_bytes", Gauge, "Disk that a container's sandbox takes, where it has a limit."),
    d("container/disk_limit_bytes", Gauge, "The disk that a container was given."),
    d("container/oom_kills", Counter, "Processes of a container that were killed because its memory was used up."),
    d("container/processes", Gauge, "Processes of a container."),
    d("containers_not_shown", Gauge, "Containers without figures here, because there are too many."),
    // Several masters.
    d("coordination/epoch", Gauge, "The number of the present leader's reign."),
    d("coordination/standbys", Gauge, "Masters that stand by."),
    d("coordination/elections", Counter, "Changes of the leader that this master saw."),
    d("coordination/replica/commit", Gauge, "The last change of the registry that a standby's copy has."),
    d("coordination/replica/silence_secs", Gauge, "Since when a standby's copy heard nothing of the leader."),
    // The process and the machine.
    d("inbox/dropped_messages", Counter, "Messages that could not be understood, or for which there was no room."),
    d("never_reached", Counter, "How often a branch was reached that never should be; each is a bug."),
    d("process/resident_memory_bytes", Gauge, "Memory of this process."),
    d("process/threads", Gauge, "Threads of this process."),
    d("process/open_fds", Gauge, "Open descriptors of this process."),
    d("process/cpu_seconds", Counter, "Processor time of this process."),
    d("system/cpus_total", Gauge, "Processors of this machine."),
    d("system/load_1min", Gauge, "The load of this machine in the last minute."),
    d("system/load_5min", Gauge, "The load of this machine in the last 5 minutes."),
    d("system/load_15min", Gauge, "The load of this machine in the last 15 minutes."),
    d("system/mem_total_bytes", Gauge, "Memory of this machine."),
    d("system/mem_free_bytes", Gauge, "Memory of this machine that nothing uses."),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_described_once_and_by_a_sentence() {
        let patterns: BTreeSet<&str> = CATALOG.iter().map(|known| known.pattern).collect();
        assert_eq!(patterns.len(), CATALOG.len());
        for known in CATALOG {
            let sentence = known.help.starts_with(|c: char| c.is_ascii_uppercase()) && known.help.ends_with('.');
            assert!(sentence && !known.help.contains(['\n', '\\']), "{known:?}");
        }
    }

    #[test]
    fn the_last_part_may_be_any() {
        assert_eq!(describe("master/operations/reserve/pending").map(|known| known.kind), Some(Gauge));
        assert_eq!(describe("master/operations/total").map(|known| known.pattern), Some("master/operations/*"));
        assert_eq!(describe("master/frameworks/<name>/<id>/calls/accept").map(|known| known.kind), Some(Counter));
        assert_eq!(describe("master/nothing"), None);
    }
}
