//! The list of mistakes. `kind` says where such a mistake was seen or is warned of: a number is an item of the
//! semantics that reimplementations get wrong, "Jepsen" a published analysis.

/// One mistake.
#[derive(Debug, PartialEq, Eq)]
pub struct Bug {
    pub name: &'static str,
    pub what: &'static str,
    pub kind: &'static str,
}

const fn bug(name: &'static str, what: &'static str, kind: &'static str) -> Bug {
    Bug { name, what, kind }
}

pub const BUGS: &[Bug] = &[
    bug("ended_task_keeps_resources", "the first terminal update gives nothing back", "resources (50)"),
    bug("resources_recovered_twice", "a task that ends gives its resources back twice", "resources (50)"),
    bug("more_than_offered", "a task may use more than was offered", "offers (30)"),
    bug("offer_stays_with_agent", "a taken offer stays in its agent's row", "offers (30)"),
    bug("disconnected_agent_offered", "a disconnected agent is offered", "agents (73)"),
    bug("kills_of_the_absent_forgotten", "a KILL of a task whose agent is away is forgotten", "tasks (48)"),
    bug("unproved_agents_ended", "an agent that is not authenticated is told to end", "authentication"),
    bug("disconnected_framework_offered", "a disconnected framework is offered something", "failover (19)"),
    bug("task_id_taken_twice", "a task may have the id of one that lives", "tasks (47)"),
    bug("task_forgotten_at_its_first_update", "the master forgets a task when it starts", "tasks (49)"),
    bug("any_acknowledgement_ends_a_task", "the master forgets a task at any acknowledgement", "tasks (49)"),
    bug("acknowledgement_made_up", "the master passes on another uuid than the framework's", "updates (53)"),
    bug("failed_write_ignored", "the master goes on after a failed write to the registry", "registry (74)"),
    bug("deposed_leads_on", "a deposed master goes on", "Jepsen: two leaders"),
    bug("any_master_obeyed", "an agent obeys a master that leads no longer", "Jepsen: locks without fencing"),
    bug("transitions_overlap", "an agent is given up while another transition of it is under way", "agents (74)"),
    bug("lost_launches_forgotten", "a launch that never arrived is not asked about", "reregistration (61)"),
    bug("unknown_tasks_left_out", "what an agent runs and the master gave up stays given up", "reregistration (60)"),
    bug(
        "failover_forgets_tasks",
        "a new master does not take in the tasks that agents report",
        "Jepsen: state lost at failover",
    ),
    bug(
        "recovered_agents_wait_forever",
        "agents that never come back after an election are waited for",
        "failover (75)",
    ),
    bug("address_stays_taken", "a removed agent's address stays taken", "agents (78)"),
    bug(
        "ids_without_master",
        "framework ids do not tell which master minted them",
        "ids (29); Jepsen: framework id lost",
    ),
    bug("offers_of_all_masters_alike", "offer ids do not tell which master minted them", "ids (29)"),
    bug("framework_lives_on", "agents are not told that a framework is over", "teardown (20)"),
    bug("acknowledged_before_durable", "an update goes on before it is on the disk", "durability"),
    bug("updates_not_recorded", "updates are not written to the journal", "durability"),
    bug("started_before_recorded", "a container starts before the journal knows it", "durability"),
    bug("running_taken_for_ended", "an agent that restarts takes what runs for ended", "recovery (86)"),
    bug("tasks_not_reported", "an agent does not report its tasks when it registers again", "recovery (60)"),
    bug("updates_stay_paused", "updates are not resent after a registration", "updates (52)"),
    bug("never_resent", "an update that got lost is not resent", "updates (52)"),
    bug("newest_first", "the newest update is sent first", "updates (52)"),
    bug("acknowledged_task_stays", "a task whose end is acknowledged stays with the agent", "updates (49)"),
    bug(
        "known_task_taken_again",
        "a task that is there is started once more when its launch comes twice",
        "duplicates",
    ),
    bug("end_kept_silent", "tasks of an executor that dies are not said to have ended", "executors (64)"),
    bug("group_without_end", "a group may hold more than its end", "groups"),
    bug("groups_forgotten_at_failover", "a new master does not know the registry's groups", "groups"),
    bug("deactivated_agent_offered", "a deactivated agent is offered all the same", "draining"),
    bug("doubles_live_on", "of two tasks of one name both live on", "tasks (47)"),
    bug("silent_about_the_unknown", "an agent does not answer for tasks it never got", "reregistration (61)"),
];
