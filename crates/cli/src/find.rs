//! Which task, framework or agent a person means: its whole id, its name, or a short id that only it has. Pure.

use model::task_state::is_terminal;
use proto::v1;

use crate::{
    cluster::{AgentRow, Cluster, FrameworkRow, address, short_state},
    ids,
    sandbox::{self, Place},
};

const CANDIDATES_MAX: usize = 10;

/// Among which tasks to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Among {
    All,
    NotEnded,
}

/// Why there is not exactly one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotFound {
    Nothing(String),
    Several(String),
}

impl From<NotFound> for String {
    fn from(why: NotFound) -> String {
        match why {
            NotFound::Nothing(text) | NotFound::Several(text) => text,
        }
    }
}

/// The one task that is meant by `text`: the one of this id, else the one of this name, else the one whose id begins
/// so; and where several are meant, the only one that has not ended. `framework` narrows the search if ids repeat.
pub fn task<'a>(
    cluster: &'a Cluster,
    text: &str,
    among: Among,
    framework: Option<&str>,
) -> Result<&'a v1::Task, NotFound> {
    let all = cluster
        .tasks()
        .filter(|task| among == Among::All || !is_terminal(task.state()))
        .filter(|task| framework.is_none_or(|id| ids::is_meant(&task.framework_id.value, id)));
    let mut found = best(all, |task| rank(&task.task_id.value, &task.name, text));
    // The master may remember earlier tasks of the same framework under the same id; the last is meant.
    found.reverse();
    found.dedup_by(|a, b| a.task_id == b.task_id && a.framework_id == b.framework_id);
    if found.len() > 1 {
        let open: Vec<&v1::Task> = found.iter().copied().filter(|task| !is_terminal(task.state())).collect();
        if open.len() == 1 {
            found = open;
        }
    }
    match &found[..] {
        [task] => Ok(task),
        [] => Err(NotFound::Nothing(match among {
            Among::All => format!("no task has the id or the name '{text}'; `meseta tasks --all` lists them"),
            Among::NotEnded => {
                format!("no task has the id or the name '{text}', or it has ended; `meseta tasks` lists them")
            }
        })),
        several => {
            let lines = several.iter().map(|task| {
                let state = short_state(task.state().as_str_name());
                format!("  {} ({state}, framework {})", task.task_id.value, task.framework_id.value)
            });
            let equal = several.windows(2).all(|pair| matches!(pair, [a, b] if a.task_id == b.task_id));
            let hint = if equal { "say of which framework with --framework ID" } else { "write more of the id" };
            Err(several_mean(text, lines.collect(), hint))
        }
    }
}

/// The one framework that is meant: by its id, its name, or a short id.
pub fn framework(cluster: &Cluster, text: &str) -> Result<FrameworkRow, NotFound> {
    let mut rows = best(cluster.framework_rows(false), |row| rank(&row.id, &row.name, text));
    match rows.len() {
        1 => Ok(rows.remove(0)),
        0 => Err(NotFound::Nothing(format!(
            "no framework has the id or the name '{text}'; `meseta frameworks` lists them"
        ))),
        _ => {
            let lines = rows.iter().map(|row| format!("  {} ({})", row.id, row.name));
            Err(several_mean(text, lines.collect(), "write more of the id"))
        }
    }
}

/// The one agent that is meant: by its id, its hostname, or a short id.
pub fn agent<'a>(rows: &'a [AgentRow], text: &str) -> Result<&'a AgentRow, NotFound> {
    let found = best(rows, |row| rank(&row.id, &row.hostname, text));
    match found.as_slice() {
        [] => {
            Err(NotFound::Nothing(format!("no agent has the id or the hostname '{text}'; `meseta agents` lists them")))
        }
        [row] => Ok(row),
        several => {
            let lines = several.iter().map(|row| format!("  {} ({})", row.id, row.hostname));
            Err(several_mean(text, lines.collect(), "write more of the id"))
        }
    }
}

/// How exactly `text` means something with this id and this name; lower is more exact.
fn rank(id: &str, name: &str, text: &str) -> Option<u8> {
    match () {
        () if id == text => Some(0),
        () if name == text && !text.is_empty() => Some(1),
        () if ids::is_meant(id, text) => Some(2),
        () => None,
    }
}

/// All that are meant as exactly as any is.
fn best<T>(all: impl IntoIterator<Item = T>, rank: impl Fn(&T) -> Option<u8>) -> Vec<T> {
    let mut found: Vec<(u8, T)> = all.into_iter().filter_map(|one| Some((rank(&one)?, one))).collect();
    let least = found.iter().map(|(rank, _)| *rank).min();
    found.retain(|(rank, _)| Some(*rank) == least);
    found.into_iter().map(|(_, one)| one).collect()
}

fn several_mean(text: &str, mut lines: Vec<String>, hint: &str) -> NotFound {
    let count = lines.len();
    lines.truncate(CANDIDATES_MAX);
    if count > CANDIDATES_MAX {
        lines.push(format!("  and {} more", count - CANDIDATES_MAX));
    }
    NotFound::Several(format!("'{text}' may mean any of {count}; {hint}:\n{}", lines.join("\n")))
}

/// Where a task's files and its container are, if its agent can be asked.
pub fn place(cluster: &Cluster, task: &v1::Task) -> Result<Place, String> {
    let id = &task.task_id.value;
    let agent = cluster.find_agent(&task.agent_id.value).ok_or_else(|| {
        format!(
            "the agent of {id} ({}) is not registered now; `meseta agents` lists those that are",
            task.agent_id.value
        )
    })?;
    let address = address(agent).ok_or_else(|| format!("the master does not know the address of the agent of {id}"))?;
    Ok(Place {
        address,
        agent_id: task.agent_id.value.clone(),
        framework_id: task.framework_id.value.clone(),
        executor_id: sandbox::executor_of(id, task.executor_id.as_ref()),
        container: task.statuses.iter().rev().find_map(sandbox::container_of),
    })
}

#[cfg(test)]
mod tests {
    use proto::v1::{TaskState, master::response::GetTasks};

    use super::*;

    fn cluster(tasks: &[(&str, &str, TaskState)]) -> Cluster {
        let task = |(id, framework, state): &(&str, &str, TaskState)| v1::Task {
            task_id: v1::TaskId { value: (*id).to_owned() },
            framework_id: v1::FrameworkId { value: (*framework).to_owned() },
            agent_id: v1::AgentId { value: "A".to_owned() },
            state: *state as i32,
            ..Default::default()
        };
        let (ended, open) = tasks.iter().map(task).partition(|task| is_terminal(task.state()));
        Cluster { tasks: GetTasks { tasks: open, completed_tasks: ended, ..Default::default() }, ..Default::default() }
    }

    fn found(cluster: &Cluster, text: &str, among: Among) -> Result<String, String> {
        task(cluster, text, among, None).map(|task| task.task_id.value.clone()).map_err(String::from)
    }

    #[test]
    fn an_exact_name_comes_before_beginnings_and_then_the_only_one_that_runs() {
        use TaskState::{TaskFinished as Ended, TaskRunning as Open};
        let mut cluster =
            cluster(&[("web-1", "F", Open), ("web-12", "F", Open), ("job-1", "F", Ended), ("job-2", "F", Open)]);
        cluster.tasks.tasks[0].name = "web".to_owned();
        assert_eq!(found(&cluster, "web", Among::All).expect("its name"), "web-1");
        assert_eq!(found(&cluster, "job", Among::All).expect("the one that runs"), "job-2");
        cluster.tasks.tasks[1].name = "web".to_owned();
        assert!(found(&cluster, "web", Among::All).expect_err("two run").contains("any of 2"));
    }

    #[test]
    fn a_beginning_that_one_task_has_finds_it() {
        use TaskState::{TaskFinished as Ended, TaskRunning as Open};
        let cluster = cluster(&[("web-1", "F", Open), ("web-12", "F", Open), ("web-2", "F", Ended), ("x", "F", Ended)]);
        assert_eq!(found(&cluster, "web-1", Among::All).expect("exact"), "web-1");
        assert_eq!(found(&cluster, "web-12", Among::All).expect("exact"), "web-12");
        assert_eq!(found(&cluster, "x", Among::All).expect("ended"), "x");
        let why = found(&cluster, "web", Among::All).expect_err("three");
        assert!(why.contains("any of 3") && why.contains("web-2 (finished, framework F)"), "{why}");
        let why = found(&cluster, "x", Among::NotEnded).expect_err("ended");
        assert!(why.contains("has ended"), "{why}");
        assert!(found(&cluster, "nope", Among::All).expect_err("none").contains("meseta tasks --all"));
    }

    #[test]
    fn equal_ids_of_two_frameworks_are_told_apart() {
        use TaskState::TaskRunning as Open;
        let cluster = cluster(&[("0", "F1", Open), ("0", "F2", Open)]);
        assert!(found(&cluster, "0", Among::All).expect_err("two").contains("--framework"));
        let one = task(&cluster, "0", Among::All, Some("F2")).expect("one");
        assert_eq!(one.framework_id.value, "F2");
    }

    #[test]
    fn long_lists_of_candidates_are_cut() {
        let ids: Vec<String> = (0..30).map(|i| format!("t{i}")).collect();
        let tasks: Vec<_> = ids.iter().map(|id| (id.as_str(), "F", TaskState::TaskRunning)).collect();
        let why = found(&cluster(&tasks), "t", Among::All).expect_err("many");
        assert!(why.contains("and 20 more"), "{why}");
    }
}
