//! Frameworks, tasks, executors and groups: each rule once, broken.

use model::{
    AgentCapabilities,
    parse::{check, container, executor, framework, group, operation, resources as rules, task},
};
use proto::v1::{
    self, CommandInfo, ContainerInfo, DurationInfo, ExecutorInfo, FrameworkId, FrameworkInfo, LinuxInfo, Resource,
    TaskGroupInfo, TaskInfo, container_info, executor_info, framework_info, health_check, offer, resource, scheduler,
    value,
};
use resources::Resources;

/// What is broken, and the words for it.
type Cases<T> = Vec<(&'static dyn Fn(&mut T), &'static str)>;

fn scalar(name: &str, amount: f64) -> Resource {
    let mut resource = Resource {
        name: name.into(),
        scalar: Some(value::Scalar { value: amount }),
        allocation_info: Some(resource::AllocationInfo { role: Some("r".into()) }),
        ..Default::default()
    };
    resource.set_type(value::Type::Scalar);
    resource
}

fn ports(begin: u64, end: u64) -> Resource {
    let range = vec![value::Range { begin, end }];
    let mut resource = Resource { ranges: Some(value::Ranges { range }), scalar: None, ..scalar("ports", 0.0) };
    resource.set_type(value::Type::Ranges);
    resource
}

fn volume(id: &str) -> Resource {
    let mut reservation = resource::ReservationInfo { role: Some("r".into()), ..Default::default() };
    reservation.set_type(resource::reservation_info::Type::Dynamic);
    let disk = resource::DiskInfo {
        persistence: Some(resource::disk_info::Persistence { id: id.into(), principal: None }),
        volume: Some(v1::Volume { container_path: "data".into(), ..Default::default() }),
        source: None,
    };
    Resource { reservations: vec![reservation], disk: Some(Box::new(disk)), ..scalar("disk", 10.0) }
}

fn revocable(resource: Resource) -> Resource {
    Resource { revocable: Some(resource::RevocableInfo::default()), ..resource }
}

fn command(value: &str) -> CommandInfo {
    CommandInfo { value: Some(value.into()), ..Default::default() }
}

fn command_task() -> TaskInfo {
    let mut task = TaskInfo {
        resources: vec![scalar("cpus", 1.0), scalar("mem", 64.0)],
        command: Some(command("true")),
        ..Default::default()
    };
    task.task_id.value = "t".into();
    task
}

fn custom_executor() -> ExecutorInfo {
    let mut executor = ExecutorInfo {
        framework_id: Some(FrameworkId { value: "f".into() }),
        command: Some(command("run")),
        resources: vec![scalar("cpus", 0.1)],
        ..Default::default()
    };
    executor.executor_id.value = "e".into();
    executor
}

fn sharing(share: bool) -> ContainerInfo {
    let mut info = ContainerInfo {
        linux_info: Some(LinuxInfo { share_cgroups: Some(share), ..Default::default() }),
        ..Default::default()
    };
    info.set_type(container_info::Type::Mesos);
    info
}

fn capable(info: &mut FrameworkInfo) {
    let kind = framework_info::capability::Type::MultiRole;
    info.capabilities.push(framework_info::Capability { r#type: Some(kind.into()) });
}

#[test]
fn each_rule_of_a_framework() {
    type Change = fn(&mut FrameworkInfo);
    let good: [Change; 6] = [
        |_| {},
        |f| f.role = Some("a/b".into()),
        capable,
        |f| {
            capable(f);
            f.roles = vec!["a".into(), "*".into()];
        },
        |f| f.id = Some(FrameworkId::default()),
        |f| f.failover_timeout = Some(1e9),
    ];
    for change in good {
        let mut info = FrameworkInfo::default();
        change(&mut info);
        assert_eq!(framework::framework_info(&info), Ok(()));
    }
    let bad: [(Change, &str); 13] = [
        (
            |f| f.roles = vec!["a".into()],
            "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable",
        ),
        (
            |f| {
                capable(f);
                f.role = Some("*".into());
            },
            "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable",
        ),
        (
            |f| {
                capable(f);
                f.roles = ["b", "a", "b", "a"].map(Into::into).to_vec();
            },
            "'FrameworkInfo.roles' contains duplicate items: { a, b }",
        ),
        (
            |f| {
                capable(f);
                f.roles = vec!["/a".into()];
            },
            "'FrameworkInfo.roles' contains invalid role: Role '/a' cannot start with a slash",
        ),
        (|f| f.role = Some("a/".into()), "'FrameworkInfo.role' is not a valid role: Role 'a/' cannot end with a slash"),
        (|f| f.id = Some(FrameworkId { value: "a/b".into() }), "'a/b' contains invalid characters"),
        (|f| f.failover_timeout = Some(1e20), "The framework failover_timeout (1e+20) is invalid"),
        (|f| f.failover_timeout = Some(-1e12), "The framework failover_timeout (-1e+12) is invalid"),
        (|f| f.failover_timeout = Some(f64::NAN), "The framework failover_timeout (nan) is invalid"),
        (|f| filter(f, None), "Resource quantities must contain at least one quantity"),
        (|f| filter(f, Some(-1.0)), "Invalid resource quantity for 'cpus': Negative values not supported"),
        (|f| filter(f, Some(f64::INFINITY)), "Invalid resource quantity for 'cpus': Infinite values not supported"),
        (|f| filter(f, Some(1e-310)), "Invalid resource quantity for 'cpus': Subnormal values not supported"),
    ];
    for (change, why) in bad {
        let mut info = FrameworkInfo::default();
        change(&mut info);
        assert_eq!(framework::framework_info(&info), Err(why.into()));
    }
}

fn filter(info: &mut FrameworkInfo, cpus: Option<f64>) {
    let quantities = cpus.map(|value| ("cpus".to_owned(), value::Scalar { value })).into_iter().collect();
    let set = v1::offer_filters::ResourceQuantities { quantities };
    let minimum = v1::offer_filters::MinAllocatableResources { quantities: vec![set] };
    let filters = v1::OfferFilters { min_allocatable_resources: Some(minimum) };
    info.offer_filters.insert("r".into(), filters);
}

#[test]
fn only_own_roles_are_suppressed_and_constraints_have_a_shape() {
    use scheduler::{
        AttributeConstraint, OfferConstraints,
        attribute_constraint::{Predicate, Selector, predicate, selector},
        offer_constraints::{RoleConstraints, role_constraints::Group},
    };
    let roles = ["a".to_owned(), "b".to_owned()];
    assert_eq!(framework::suppressed_roles(&["b".into()], &roles), Ok(()));
    assert_eq!(
        framework::suppressed_roles(&["z".into(), "a".into(), "y".into()], &roles),
        Err("Suppressed role 'y' is not contained in the list of roles".into())
    );

    let exists = Predicate { predicate: Some(predicate::Predicate::Exists(predicate::Exists::default())) };
    let rack = Selector { selector: Some(selector::Selector::AttributeName("rack".into())) };
    let nowhere = Selector { selector: Some(selector::Selector::PseudoattributeType(0)) };
    let judge = |role: &str, groups: Vec<Vec<(&Selector, &Predicate)>>| {
        let constraint = |(selector, predicate): (&Selector, &Predicate)| AttributeConstraint {
            selector: selector.clone(),
            predicate: predicate.clone(),
        };
        let group = |all: Vec<_>| Group { attribute_constraints: all.into_iter().map(constraint).collect() };
        let groups = groups.into_iter().map(group).collect();
        let role_constraints = [(role.to_owned(), RoleConstraints { groups })].into_iter().collect();
        framework::offer_constraints(&OfferConstraints { role_constraints })
    };
    assert_eq!(judge("a", vec![vec![(&rack, &exists)]]), Ok(()));
    let bad = [
        (
            judge("a", vec![]),
            "'OfferConstraints::role_constraints' has an empty 'RoleConstraints::groups' \
             for role a",
        ),
        (
            judge("a", vec![vec![]]),
            "'OfferConstraints::RoleConstraints::groups' for role acontains an empty \
             RoleConstraints::Group",
        ),
        (
            judge("a", vec![vec![(&nowhere, &exists)]]),
            "A role a has an invalid 'AttributeConstraint': Unknown pseudoattribute type",
        ),
        (
            judge("a", vec![vec![(&rack, &Predicate::default())]]),
            "A role a has an invalid 'AttributeConstraint': Unknown predicate type",
        ),
    ];
    for (outcome, why) in bad {
        assert_eq!(outcome, Err(why.into()));
    }
}

#[test]
fn what_a_framework_cannot_change() {
    let old = FrameworkInfo { user: "u".into(), principal: Some("p".into()), ..Default::default() };
    let mut new = FrameworkInfo { name: "other".into(), ..old.clone() };
    assert_eq!(framework::framework_update(&old, &new), Ok(()));
    new.checkpoint = Some(true);
    assert_eq!(
        framework::framework_update(&old, &new),
        Err("Updating 'FrameworkInfo.checkpoint' is unsupported; attempted to update from 'false' to 'true'".into())
    );
    new.user = "v".into();
    assert_eq!(
        framework::framework_update(&old, &new),
        Err("Updating 'FrameworkInfo.user' is unsupported; attempted to update from 'u' to 'v'".into())
    );
    let mut kept = new.clone();
    framework::preserve_immutable(&old, &mut kept);
    assert_eq!((kept.user.as_str(), kept.checkpoint(), kept.name.as_str()), ("u", false, "other"));
    new.principal = None;
    assert_eq!(
        framework::framework_principal(&old, &new),
        Err("Changing framework's principal is not allowed.".into())
    );
}

fn limit(task: &mut TaskInfo, name: &str, value: f64) {
    task.limits.insert(name.into(), value::Scalar { value });
}

const NEGATIVE: Option<DurationInfo> = Some(DurationInfo { nanoseconds: -1 });

#[test]
fn each_rule_of_a_task() {
    let judge = |change: &dyn Fn(&mut TaskInfo)| {
        let mut task = command_task();
        change(&mut task);
        task::task_info(&task, AgentCapabilities::ALL).map(drop)
    };
    let good: Vec<&dyn Fn(&mut TaskInfo)> = vec![
        &|_| {},
        &|t| t.resources.push(scalar("gpus", 2.0)),
        &|t| t.resources = vec![scalar("cpus", 0.0)],
        &|t| t.resources.push(volume("v")),
        &|t| limit(t, "cpus", 1.0),
        &|t| limit(t, "cpus", f64::INFINITY),
        &|t| limit(t, "mem", 64.0),
    ];
    for change in good {
        assert_eq!(judge(change), Ok(()));
    }
    let bad: Cases<TaskInfo> = vec![
        (
            &|t| t.kill_policy = Some(v1::KillPolicy { grace_period: NEGATIVE }),
            "Task's 'kill_policy.grace_period' must be non-negative",
        ),
        (&|t| t.max_completion_time = NEGATIVE, "Task's `max_completion_time` must be non-negative"),
        (
            &|t| t.check = Some(Box::new(v1::CheckInfo::default())),
            "Task uses invalid check: CheckInfo must specify 'type'",
        ),
        (
            &|t| t.health_check = Some(Box::new(v1::HealthCheck::default())),
            "Task uses invalid health check: HealthCheck must specify 'type'",
        ),
        (&|t| t.resources.clear(), "Task uses no resources"),
        (
            &|t| t.resources.push(scalar("mem", -1.0)),
            "Task uses invalid resources: Invalid resources: Resource 'mem(allocated: r):-1' is invalid: Invalid scalar \
             resource: value <= 0",
        ),
        (
            &|t| t.resources.push(scalar("gpus", 0.5)),
            "Task uses invalid resources: Invalid 'gpus' resource: The 'gpus' resource must be an unsigned integer",
        ),
        (
            &|t| t.resources.push(Resource { reservations: vec![], ..volume("v") }),
            "Task uses invalid resources: Invalid DiskInfo: Persistent volumes cannot be created from unreserved resources",
        ),
        (
            &|t| t.resources.push(revocable(volume("v"))),
            "Task uses invalid resources: Invalid DiskInfo: Persistent volumes cannot be created from revocable resources",
        ),
        (
            &|t| t.resources.push(volume("a/b")),
            "Task uses invalid resources: Invalid DiskInfo: Invalid persistence ID for persistent volume: 'a/b' contains \
             invalid characters",
        ),
        (
            &|t| {
                let mut disk = scalar("disk", 1.0);
                disk.disk = Some(Box::new(resource::DiskInfo::default()));
                t.resources.push(disk);
            },
            "Task uses invalid resources: Invalid DiskInfo: DiskInfo is set but empty",
        ),
        (
            &|t| t.resources.extend([volume("v"), volume("v")]),
            "Task uses duplicate persistence ID: Persistence ID 'v' is not unique",
        ),
        (
            &|t| t.resources[0].allocation_info = None,
            "Invalid task resources: The resources are not allocated to a role",
        ),
        (
            &|t| t.resources[0].allocation_info = Some(resource::AllocationInfo { role: Some("q".into()) }),
            "Invalid task resources: The resources have multiple allocation roles ('r' and 'q') but only one allocation role \
             is allowed",
        ),
        (
            &|t| t.resources.push(revocable(scalar("cpus", 1.0))),
            "Task mixes revocable and non-revocable resources: Cannot use both revocable and non-revocable 'cpus' at the \
             same time",
        ),
        (
            &|t| {
                let variables = vec![v1::environment::Variable { name: "X".into(), ..Default::default() }];
                t.command = Some(CommandInfo { environment: Some(v1::Environment { variables }), ..command("true") });
            },
            "Task's `CommandInfo` is invalid: Environment variable 'X' of type 'VALUE' must have a value set",
        ),
        (
            &|t| {
                let mut info = ContainerInfo::default();
                info.set_type(container_info::Type::Docker);
                t.container = Some(Box::new(info));
            },
            "Task's `ContainerInfo` is invalid: DockerInfo 'docker' is not set for DOCKER typed ContainerInfo",
        ),
        (&|t| limit(t, "disk", 1.0), "Only cpus and mem may be included in a task's resource limits"),
        (&|t| limit(t, "cpus", 0.5), "The cpu limit must be greater than or equal to the cpu request"),
        (&|t| limit(t, "cpus", f64::NAN), "The cpu limit must be greater than or equal to the cpu request"),
        (&|t| limit(t, "mem", 63.0), "The memory limit must be greater than or equal to the memory request"),
        (
            &|t| {
                t.resources.remove(1);
                t.limits.insert("mem".into(), value::Scalar { value: 64.0 });
            },
            "When a memory limit is specified, a memory request must also be specified",
        ),
    ];
    for (change, why) in bad {
        assert_eq!(judge(change), Err(why.into()));
    }
    let mut task = command_task();
    task.limits.insert("cpus".into(), value::Scalar { value: 2.0 });
    assert_eq!(
        task::task_info(&task, AgentCapabilities::default()).map(drop),
        Err("Agent is not capable of handling task resource limits".into())
    );
    task.task_id.value = "a/b".into();
    assert_eq!(task::task_id(&task), Err("'a/b' contains invalid characters".into()));
    task.container = Some(Box::new(sharing(false)));
    assert_eq!(
        task::outside_group(&task),
        Err("Only tasks in a task group may have 'share_cgroups' set to 'false'".into())
    );
}

#[test]
fn a_task_has_a_command_or_an_executor() {
    let judge = |change: &dyn Fn(&mut TaskInfo, &mut ExecutorInfo), existing: Option<&ExecutorInfo>| {
        let (mut task, mut executor) = (TaskInfo { command: None, ..command_task() }, custom_executor());
        change(&mut task, &mut executor);
        task.executor = Some(Box::new(executor));
        let resources = Resources::from_protos(&task.resources).expect("valid");
        task::task_executor(&task, &resources, "f", existing).map(drop)
    };
    let alone = command_task();
    assert_eq!(task::task_executor(&alone, &Resources::default(), "f", None), Ok(Resources::default()));
    let neither = TaskInfo { command: None, ..command_task() };
    let one = "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present";
    assert_eq!(task::task_executor(&neither, &Resources::default(), "f", None), Err(one.into()));
    assert_eq!(judge(&|_, _| {}, None), Ok(()));
    assert_eq!(judge(&|_, _| {}, Some(&custom_executor())), Ok(()));

    type Change<'a> = &'a dyn Fn(&mut TaskInfo, &mut ExecutorInfo);
    let bad: Vec<(Change<'_>, &str)> = vec![
        (&|t, _| t.command = Some(command("x")), one),
        (
            &|_, e| e.set_type(executor_info::Type::Default),
            "'ExecutorInfo.command' must not be set for 'DEFAULT' executor",
        ),
        (&|_, e| e.set_type(executor_info::Type::Unknown), "'ExecutorInfo.type' must be 'CUSTOM'"),
        (&|_, e| e.executor_id.value.clear(), "ID must not be empty"),
        (
            &|_, e| e.shutdown_grace_period = Some(DurationInfo { nanoseconds: -1 }),
            "ExecutorInfo's 'shutdown_grace_period' must be non-negative",
        ),
        (&|_, e| e.framework_id = None, "'ExecutorInfo.framework_id' must be set"),
        (
            &|_, e| e.framework_id = Some(FrameworkId { value: "g".into() }),
            "ExecutorInfo has an invalid FrameworkID (Actual: g vs Expected: f)",
        ),
        (
            &|_, e| e.resources[0].allocation_info = None,
            "Invalid executor resources: The resources are not allocated to a role",
        ),
        (&|_, e| e.command = None, "'ExecutorInfo.command' must be set"),
        (
            &|_, e| e.container = Some(Box::new(sharing(true))),
            "The 'share_cgroups' field cannot be set to 'true' on executor containers",
        ),
        (
            &|t, e| {
                t.resources.push(ports(1, 5));
                e.resources.push(ports(5, 6));
            },
            "There are overlapping resources in the task resources cpus(allocated: r):1; mem(allocated: r):64; \
             ports(allocated: r):[1-5] and executor resources cpus(allocated: r):0.1; ports(allocated: r):[5-6]",
        ),
        (
            &|t, e| {
                t.resources.push(volume("v"));
                e.resources.push(volume("v"));
            },
            "Task and its executor use duplicate persistence ID: Persistence ID 'v' is not unique",
        ),
        (
            &|_, e| e.resources = vec![revocable(scalar("cpus", 1.0))],
            "Task and its executor mix revocable and non-revocable resources: Cannot use both revocable and non-revocable \
             'cpus' at the same time",
        ),
    ];
    for (change, why) in bad {
        assert_eq!(judge(change, None), Err(why.into()));
    }
    let other = ExecutorInfo { name: Some("other".into()), ..custom_executor() };
    assert!(judge(&|_, _| {}, Some(&other)).is_err_and(|why| {
        why.starts_with("ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.\n-----")
    }));
}

#[test]
fn one_executor_may_be_told_in_several_ways() {
    let executor = custom_executor();
    let same = ExecutorInfo {
        resources: vec![scalar("cpus", 0.05), scalar("cpus", 0.05)],
        name: Some(String::new()),
        labels: Some(v1::Labels::default()),
        ..executor.clone()
    };
    assert!(executor::is_same(&executor, &same));
    assert!(!executor::is_same(&executor, &ExecutorInfo { command: Some(command("else")), ..executor.clone() }));
    assert!(!executor::is_same(&executor, &ExecutorInfo { resources: vec![], ..executor.clone() }));
}

#[test]
fn each_rule_of_a_group() {
    let pod_executor = || {
        let mut executor = ExecutorInfo {
            command: None,
            resources: vec![scalar("cpus", 0.1), scalar("mem", 32.0), scalar("disk", 1.0)],
            ..custom_executor()
        };
        executor.set_type(executor_info::Type::Default);
        executor
    };
    let member = |change: &dyn Fn(&mut TaskInfo)| {
        let mut task = TaskInfo { executor: Some(Box::new(pod_executor())), ..command_task() };
        change(&mut task);
        group::group_task(&task, AgentCapabilities::ALL).map(drop)
    };
    assert_eq!(member(&|_| {}), Ok(()));
    assert_eq!(member(&|t| t.executor = None), Err("'TaskInfo.executor' must be set".into()));
    let limit = |t: &mut TaskInfo| limit(t, "cpus", 2.0);
    let unlimited = "Resource limits may only be set for tasks within a task group when the 'share_cgroups' field is set to \
                     'false'.";
    assert_eq!(member(&limit), Err(unlimited.into()));
    assert_eq!(
        member(&|t| {
            limit(t);
            t.container = Some(Box::new(sharing(false)));
        }),
        Ok(())
    );
    let in_docker = |t: &mut TaskInfo| {
        let docker = v1::container_info::DockerInfo { image: "x".into(), ..Default::default() };
        let mut info = ContainerInfo { docker: Some(docker), ..Default::default() };
        info.set_type(container_info::Type::Docker);
        t.container = Some(Box::new(info));
    };
    assert_eq!(member(&in_docker), Err("Docker ContainerInfo is not supported on the task".into()));
    let over_network = |t: &mut TaskInfo| {
        t.container =
            Some(Box::new(ContainerInfo { network_infos: vec![v1::NetworkInfo::default()], ..sharing(true) }));
        let mut check = v1::HealthCheck { tcp: Some(health_check::TcpCheckInfo::default()), ..Default::default() };
        check.set_type(health_check::Type::Tcp);
        t.health_check = Some(Box::new(check));
    };
    let nested = "HTTP and TCP health checks are not supported for nested containers not joining parent's network";
    assert_eq!(member(&over_network), Err(nested.into()));
    assert_eq!(group::in_task(&command_task(), "why"), "Task 't' is invalid: why");

    let judge = |change: &dyn Fn(&mut TaskGroupInfo, &mut ExecutorInfo)| {
        let (mut group, mut executor) = (TaskGroupInfo { tasks: vec![command_task()] }, pod_executor());
        change(&mut group, &mut executor);
        for task in &mut group.tasks {
            task.executor.get_or_insert_with(|| Box::new(executor.clone()));
        }
        let read = |task: &TaskInfo| Resources::from_protos(&task.resources).expect("valid");
        let tasks: Vec<Resources> = group.tasks.iter().map(read).collect();
        group::group_executor(&group, &tasks, &executor, "f", None)?;
        group::one_way_of_cgroups(&group, &executor, [])
    };
    assert_eq!(judge(&|_, _| {}), Ok(()));
    type Change<'a> = &'a dyn Fn(&mut TaskGroupInfo, &mut ExecutorInfo);
    let bad: Vec<(Change<'_>, &str)> = vec![
        (&|_, e| e.r#type = None, "'ExecutorInfo.type' must be set"),
        (&|_, e| e.set_type(executor_info::Type::Unknown), "Unknown executor type"),
        (&|_, e| e.set_type(executor_info::Type::Custom), "'ExecutorInfo.command' must be set for 'CUSTOM' executor"),
        (
            &|g, _| g.tasks[0].executor = Some(Box::new(custom_executor())),
            "The `ExecutorInfo` of task 't' is different from executor 'e'",
        ),
        (
            &|_, e| e.resources[0] = scalar("cpus", 0.001),
            "Executor 'e' uses less CPUs (0.001) than the minimum required (0.01)",
        ),
        (&|_, e| drop(e.resources.remove(0)), "Executor 'e' uses less CPUs (None) than the minimum required (0.01)"),
        (
            &|_, e| e.resources[1] = scalar("mem", 16.0),
            "Executor 'e' uses less memory (16MB) than the minimum required (32MB)",
        ),
        (&|_, e| drop(e.resources.pop()), "Executor 'e' uses no disk"),
        (
            &|g, _| {
                let mut second = TaskInfo { container: Some(Box::new(sharing(false))), ..command_task() };
                second.task_id.value = "u".into();
                g.tasks.push(second);
            },
            "If set, the value of 'share_cgroups' must be the same for all tasks in each task group and under a single \
             executor",
        ),
        (
            &|g, e| {
                g.tasks[0].resources = vec![ports(1, 2)];
                e.resources.push(ports(2, 3));
            },
            "There are overlapping resources in the task group's task resources { ports(allocated: r):[1-2] } and/or executor \
             resources cpus(allocated: r):0.1; mem(allocated: r):32; disk(allocated: r):1; ports(allocated: r):[2-3]",
        ),
        (
            &|_, e| e.container = Some(Box::new(sharing(true))),
            "The 'share_cgroups' field cannot be set to 'true' on executor containers",
        ),
    ];
    for (change, why) in bad {
        assert_eq!(judge(change), Err(why.into()));
    }
}

#[test]
fn a_shared_volume_is_no_overlap() {
    let shared = Resource { shared: Some(resource::SharedInfo::default()), ..volume("v") };
    let one = Resources::from_protos(&[shared]).expect("valid");
    assert!(!rules::overlap([&one, &one]));
    let port = Resources::from_protos(&[ports(1, 1)]).expect("valid");
    assert!(rules::overlap([&port, &port]));
}

fn http(check: &mut v1::HealthCheck, info: health_check::HttpCheckInfo) {
    check.set_type(health_check::Type::Http);
    check.http = Some(info);
}

#[test]
fn each_rule_of_health_checks_and_checks() {
    use health_check::{HttpCheckInfo, Type};
    let judge = |change: &dyn Fn(&mut v1::HealthCheck)| {
        let mut check = v1::HealthCheck { command: Some(command("true")), ..Default::default() };
        check.set_type(Type::Command);
        change(&mut check);
        check::health_check(&check)
    };
    assert_eq!(judge(&|_| {}), Ok(()));
    assert_eq!(judge(&|c| http(c, HttpCheckInfo::default())), Ok(()));
    let bad: Cases<v1::HealthCheck> = vec![
        (&|c| c.r#type = None, "HealthCheck must specify 'type'"),
        (&|c| c.set_type(Type::Unknown), "'UNKNOWN' is not a valid health check type"),
        (&|c| c.command = None, "Expecting 'command' to be set for COMMAND health check"),
        (&|c| c.command = Some(CommandInfo::default()), "Command health check must contain 'shell command'"),
        (
            &|c| c.command = Some(CommandInfo { shell: Some(false), ..Default::default() }),
            "Command health check must contain 'executable path'",
        ),
        (&|c| c.set_type(Type::Http), "Expecting 'http' to be set for HTTP health check"),
        (&|c| c.set_type(Type::Tcp), "Expecting 'tcp' to be set for TCP health check"),
        (
            &|c| http(c, HttpCheckInfo { scheme: Some("ftp".into()), ..Default::default() }),
            "Unsupported HTTP health check scheme: 'ftp'",
        ),
        (
            &|c| http(c, HttpCheckInfo { path: Some("x".into()), ..Default::default() }),
            "The path 'x' of HTTP health check must start with '/'",
        ),
        (&|c| c.delay_seconds = Some(-1.0), "Expecting 'delay_seconds' to be non-negative"),
        (&|c| c.grace_period_seconds = Some(-1.0), "Expecting 'grace_period_seconds' to be non-negative"),
        (&|c| c.interval_seconds = Some(-1.0), "Expecting 'interval_seconds' to be non-negative"),
        (&|c| c.timeout_seconds = Some(f64::NAN), "Expecting 'timeout_seconds' to be non-negative"),
    ];
    for (change, why) in bad {
        assert_eq!(judge(change), Err(why.into()));
    }

    let mut check = v1::CheckInfo::default();
    check.set_type(v1::check_info::Type::Command);
    assert_eq!(check::check_info(&check), Err("Expecting 'command' to be set for COMMAND check".into()));
    check.command = Some(v1::check_info::Command::default());
    assert_eq!(check::check_info(&check), Err("Command check must contain 'shell command'".into()));
    check.command = Some(v1::check_info::Command { command: command("true") });
    assert_eq!(check::check_info(&check), Ok(()));
    check.set_type(v1::check_info::Type::Http);
    check.http = Some(v1::check_info::Http { path: Some("x".into()), ..Default::default() });
    assert_eq!(check::check_info(&check), Err("The path 'x' of HTTP check must start with '/'".into()));

    let mut status = v1::CheckStatusInfo::default();
    status.set_type(v1::check_info::Type::Tcp);
    assert_eq!(check::check_status(&status), Err("Expecting 'tcp' to be set for TCP check's status".into()));
}

#[test]
fn each_rule_of_volumes_and_secrets() {
    use v1::{environment::variable, secret, volume::source};
    let source = |kind: source::Type| {
        let mut origin = v1::volume::Source::default();
        origin.set_type(kind);
        container::volume(&v1::Volume { source: Some(origin), ..Default::default() })
    };
    let one = "Only one of them should be set: 'host_path', 'image' and 'source'";
    assert_eq!(container::volume(&v1::Volume::default()), Err(one));
    assert_eq!(container::volume(&v1::Volume { host_path: Some("/x".into()), ..Default::default() }), Ok(()));
    assert_eq!(source(source::Type::Unknown), Err("'source.type' is unknown"));
    assert_eq!(source(source::Type::DockerVolume), Err("'source.docker_volume' is not set for DOCKER_VOLUME volume"));
    assert_eq!(source(source::Type::HostPath), Err("'source.host_path' is not set for HOST_PATH volume"));
    assert_eq!(source(source::Type::SandboxPath), Err("'source.sandbox_path' is not set for SANDBOX_PATH volume"));
    assert_eq!(source(source::Type::Secret), Err("'source.secret' is not set for SECRET volume"));
    assert_eq!(source(source::Type::CsiVolume), Err("'source.csi_volume' is not set for CSI volume"));

    let judge = |change: &dyn Fn(&mut v1::environment::Variable)| {
        let mut held = v1::Secret { value: Some(secret::Value { data: "x".into() }), ..Default::default() };
        held.set_type(secret::Type::Value);
        let mut variable = v1::environment::Variable { name: "X".into(), secret: Some(held), ..Default::default() };
        variable.set_type(variable::Type::Secret);
        change(&mut variable);
        container::environment(&v1::Environment { variables: vec![variable] })
    };
    assert_eq!(judge(&|_| {}), Ok(()));
    let bad: Cases<v1::environment::Variable> = vec![
        (&|v| v.set_type(variable::Type::Unknown), "Environment variable of type 'UNKNOWN' is not allowed"),
        (&|v| v.secret = None, "Environment variable 'X' of type 'SECRET' must have a secret set"),
        (&|v| v.value = Some("y".into()), "Environment variable 'X' of type 'SECRET' must not have a value set"),
        (
            &|v| {
                v.value = Some("y".into());
                v.set_type(variable::Type::Value);
            },
            "Environment variable 'X' of type 'VALUE' must not have a secret set",
        ),
        (
            &|v| v.secret.get_or_insert_default().value = None,
            "Environment variable 'X' specifies an invalid secret: Secret of type VALUE must have the 'value' field set",
        ),
        (
            &|v| v.secret.get_or_insert_default().set_type(secret::Type::Reference),
            "Environment variable 'X' specifies an invalid secret: Secret of type REFERENCE must have the 'reference' field \
             set",
        ),
        (
            &|v| v.secret.get_or_insert_default().value = Some(secret::Value { data: "a\0b".into() }),
            "Environment variable 'X' specifies a secret containing null bytes, which is not allowed in the environment",
        ),
    ];
    for (change, why) in bad {
        assert_eq!(judge(change), Err(why.into()));
    }
}

#[test]
fn an_operation_is_upgraded_and_completed() {
    use offer::{Operation, operation::Type};
    let mut operation = Operation::default();
    assert_eq!(operation::upgrade(&mut operation), Err("Unknown offer operation".into()));
    for (kind, why) in [
        (Type::Launch, "A LAUNCH offer operation must have the Offer.Operation.launch field set."),
        (Type::LaunchGroup, "A LAUNCH_GROUP offer operation must have the Offer.Operation.launch_group field set."),
        (Type::Unreserve, "An UNRESERVE offer operation must have the Offer.Operation.unreserve field set."),
        (Type::GrowVolume, "A GROW_VOLUME operation must have the Offer.Operation.grow_volume field set"),
        (Type::ShrinkVolume, "A SHRINK_VOLUME offer operation must have the Offer.Operation.shrink_volume field set"),
    ] {
        operation.set_type(kind);
        assert_eq!(operation::upgrade(&mut operation), Err(why.into()));
    }

    let old_format = Resource { role: Some("r".into()), allocation_info: None, ..scalar("cpus", 1.0) };
    let executor = ExecutorInfo { framework_id: None, ..custom_executor() };
    let health_check = v1::HealthCheck { command: Some(command("true")), ..Default::default() };
    let task = TaskInfo {
        resources: vec![old_format.clone()],
        executor: Some(Box::new(executor)),
        health_check: Some(Box::new(health_check)),
        ..command_task()
    };
    operation.set_type(Type::Launch);
    operation.launch = Some(offer::operation::Launch { task_infos: vec![task] });
    assert_eq!(operation::upgrade(&mut operation), Ok(()));
    let framework_id = FrameworkId { value: "f".into() };
    operation::complete(&mut operation, "r/s", &framework_id);
    let task = &operation.launch.as_ref().expect("set above").task_infos[0];
    let read = Resources::from_protos(&task.resources).expect("upgraded");
    assert_eq!(read.to_string(), "cpus(allocated: r/s)(reservations: [(STATIC,r)]):1");
    assert_eq!(task.resources[0].role, None);
    assert_eq!(task.health_check.as_ref().map(|check| check.r#type()), Some(health_check::Type::Command));
    assert_eq!(task.executor.as_ref().and_then(|executor| executor.framework_id.clone()), Some(framework_id.clone()));

    let mut group = Operation::default();
    group.set_type(Type::LaunchGroup);
    group.launch_group = Some(Box::new(offer::operation::LaunchGroup {
        executor: custom_executor(),
        task_group: TaskGroupInfo { tasks: vec![command_task()] },
    }));
    operation::complete(&mut group, "r", &framework_id);
    let group = group.launch_group.expect("set above");
    assert_eq!(group.task_group.tasks[0].executor, Some(Box::new(custom_executor())));

    let mut broken = Operation::default();
    broken.set_type(Type::Reserve);
    let resources = vec![Resource { role: Some("/".into()), ..old_format }];
    broken.reserve = Some(offer::operation::Reserve { resources, ..Default::default() });
    assert_eq!(
        operation::upgrade(&mut broken),
        Err("Resource 'cpus:1' is invalid: Role '/' cannot start with a slash".into())
    );
}
