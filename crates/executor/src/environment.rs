//! The environment that a task's command, and whatever checks the task, runs in. Pure.

use proto::v1::{self, environment::Variable};

/// The role whose resources a task uses.
const ALLOCATION_ROLE: &str = "MESOS_ALLOCATION_ROLE";

/// What a task's processes find in their environment besides what their executor has: what the task sets, then what it
/// is promised. Later ones win.
pub fn of_task(task: &v1::TaskInfo, container_ip: Option<&str>) -> Vec<Variable> {
    let set = task.command.as_ref().and_then(|command| command.environment.as_ref());
    let mut variables = set.map(|environment| environment.variables.clone()).unwrap_or_default();
    variables.extend(container_ip.map(|ip| variable("MESOS_CONTAINER_IP", ip)));
    let allocated = task.resources.iter().find_map(|resource| resource.allocation_info.as_ref()?.role.as_deref());
    variables.extend(allocated.map(|role| variable(ALLOCATION_ROLE, role)));
    variables
}

/// `command` as the task's own: as its user and with its environment, unless the command says otherwise.
pub fn beside_task(command: &v1::CommandInfo, task: &v1::TaskInfo) -> v1::CommandInfo {
    let mut command = command.clone();
    let own = command.environment.take().map(|environment| environment.variables).unwrap_or_default();
    let mut variables = of_task(task, None);
    variables.extend(own);
    if !variables.is_empty() {
        command.environment = Some(v1::Environment { variables });
    }
    if command.user.is_none() {
        command.user = task.command.as_ref().and_then(|of_task| of_task.user.clone());
    }
    command
}

fn variable(name: &str, value: &str) -> Variable {
    Variable { name: name.to_owned(), value: Some(value.to_owned()), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> v1::TaskInfo {
        let resource = v1::Resource {
            name: "cpus".into(),
            allocation_info: Some(v1::resource::AllocationInfo { role: Some("eng/web".into()) }),
            ..Default::default()
        };
        let environment =
            v1::Environment { variables: vec![variable("A", "of the task"), variable("B", "of the task")] };
        v1::TaskInfo {
            command: Some(v1::CommandInfo {
                user: Some("ann".into()),
                environment: Some(environment),
                ..Default::default()
            }),
            resources: vec![v1::Resource { name: "ports".into(), ..Default::default() }, resource],
            ..Default::default()
        }
    }

    fn texts(variables: &[Variable]) -> Vec<String> {
        variables.iter().map(|variable| format!("{}={}", variable.name, variable.value())).collect()
    }

    #[test]
    fn a_task_finds_what_it_sets_and_what_it_is_promised() {
        let wanted = ["A=of the task", "B=of the task", "MESOS_CONTAINER_IP=10.0.0.7", "MESOS_ALLOCATION_ROLE=eng/web"];
        assert_eq!(texts(&of_task(&task(), Some("10.0.0.7"))), wanted);
        assert!(of_task(&v1::TaskInfo::default(), None).is_empty());
    }

    #[test]
    fn a_check_runs_as_its_task_unless_it_says_otherwise() {
        let environment = Some(v1::Environment { variables: vec![variable("B", "of the check")] });
        let check = v1::CommandInfo { value: Some("true".into()), environment, ..Default::default() };
        let beside = beside_task(&check, &task());
        let variables = &beside.environment.as_ref().expect("set").variables;
        let wanted = ["A=of the task", "B=of the task", "MESOS_ALLOCATION_ROLE=eng/web", "B=of the check"];
        assert_eq!(texts(variables), wanted);
        assert_eq!((beside.value(), beside.user()), ("true", "ann"));
        let own = v1::CommandInfo { user: Some("bob".into()), ..check };
        assert_eq!(beside_task(&own, &task()).user(), "bob");
    }
}
