//! A journal written anew: the shortest records that add up to the present state.

use super::record::{self, Record};
use crate::{
    agent::Agent,
    state::{Container, ContainerLife, Executor, ExecutorPhase, Framework, FrameworkPhase},
};

impl Agent {
    pub(crate) fn write_snapshot(&self) -> Vec<Record> {
        let mut records = vec![Record::Boot(record::Boot { boot_id: self.boot_id.clone() })];
        if self.state.agent_id.is_some() {
            records.push(Record::Agent(record::AgentRecord { info: (*self.state.info).clone() }));
        }
        if let Some(drain) = &self.state.drain {
            records.push(Record::Drain(record::DrainRecord { config: Some(drain.config), since: drain.since.0 }));
        }
        if !self.state.checkpointed.is_empty() {
            let checkpointed = self.state.checkpointed.to_protos();
            records.push(Record::Resources(record::ResourcesRecord { checkpointed, ..Default::default() }));
        }
        for row in self.state.operations.values() {
            records.push(Record::Operation(record::OperationRecord { operation: row.proto.clone() }));
        }
        let completed = self.state.completed_frameworks.iter();
        for framework in completed.chain(self.state.frameworks.values()).filter(|row| row.recorded) {
            write_framework(framework, &mut records);
        }
        for (key, stream) in &self.streams {
            let recorded = self.state.frameworks.get(&key.0).is_some_and(|row| row.recorded && row.checkpoints());
            let mut open = stream.open().filter(|open| open.recorded).peekable();
            if recorded && (open.peek().is_some() || stream.acknowledged().next().is_some()) {
                records.push(Record::Stream(record::StreamRecord {
                    framework: key.0.as_str().into(),
                    task: key.1.as_str().into(),
                    open: open.map(|open| (*open.update).clone()).collect(),
                    acknowledged: stream.acknowledged().cloned().collect(),
                }));
            }
        }
        for container in self.state.containers.values().filter(|row| self.outlives_us(&row.id)) {
            write_container(container, &mut records);
        }
        records
    }
}

fn write_framework(framework: &Framework, records: &mut Vec<Record>) {
    let info = (*framework.info).clone();
    records.push(Record::Framework(record::FrameworkRecord { info, pid: framework.pid.clone() }));
    for executor in &framework.completed_executors {
        write_executor(executor, records);
        records.push(Record::ExecutorCompleted(name_of(executor)));
    }
    if framework.phase == FrameworkPhase::Terminating {
        let name = record::FrameworkName { framework: framework.id.as_str().into() };
        records.push(Record::FrameworkShutdown(name));
    }
    for executor in framework.executors.values() {
        write_executor(executor, records);
        if executor.phase == ExecutorPhase::Terminating {
            records.push(Record::ExecutorShutdown(name_of(executor)));
        }
    }
}

fn name_of(executor: &Executor) -> record::ExecutorName {
    record::ExecutorName { framework: executor.framework.as_str().into(), executor: executor.id.as_str().into() }
}

fn write_executor(executor: &Executor, records: &mut Vec<Record>) {
    let deliveries = executor.deliveries.iter().map(|delivery| record::DeliveryRecord {
        tasks: delivery.tasks.iter().filter_map(|id| executor.tasks.get(id)).map(|task| (*task.info).clone()).collect(),
        group: delivery.group,
    });
    records.push(Record::Executor(record::ExecutorRecord {
        framework: executor.framework.as_str().into(),
        info: (*executor.info).clone(),
        kind: record::kind_number(executor.kind),
        container: executor.container.as_str().into(),
        user: executor.user.clone(),
        sandbox: executor.sandbox.as_ref().into(),
        deliveries: deliveries.collect(),
    }));
    if let Some(address) = &executor.address {
        records.push(Record::ExecutorAddress(record::ExecutorAddress {
            framework: executor.framework.as_str().into(),
            executor: executor.id.as_str().into(),
            address: address.to_string(),
        }));
    }
    for row in &executor.completed_tasks {
        records.push(Record::CompletedTask(record::CompletedTaskRecord {
            framework: executor.framework.as_str().into(),
            executor: executor.id.as_str().into(),
            row: (**row).clone(),
        }));
    }
    for (id, task) in &executor.tasks {
        let kill = task.kill.as_ref().map(|kill| record::KillRecord {
            framework: executor.framework.as_str().into(),
            task: id.as_str().into(),
            policy: kill.policy,
        });
        records.push(Record::Task(Box::new(record::TaskRecord {
            executor: executor.id.as_str().into(),
            info: (*task.info).clone(),
            row: task.row.clone(),
            kill,
        })));
    }
}

fn write_container(container: &Container, records: &mut Vec<Record>) {
    records.push(Record::Container(record::ContainerRecord {
        container: container.id.as_str().into(),
        class: record::class_number(container.class),
        sandbox: container.sandbox.as_ref().into(),
        user: container.user.clone(),
    }));
    if let ContainerLife::Ended(termination) = &container.life {
        records.push(Record::ContainerEnded(record::ContainerEndRecord {
            container: container.id.as_str().into(),
            termination: record::TerminationRecord::of(termination),
        }));
    }
}
