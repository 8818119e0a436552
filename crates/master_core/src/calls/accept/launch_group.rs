//! LAUNCH_GROUP: all tasks of the group, or none.

use model::{FrameworkId, Refusal};
use proto::{
    internal::RunTaskGroupMessage,
    v1::{
        self,
        offer::operation::{LaunchGroup, Type},
    },
};

use super::{
    Basket,
    launch::{downgrade, resource_versions},
};
use crate::{Step, tasks::Tasks, validate, weight};

impl Tasks<'_> {
    pub(super) fn launch_group(
        &mut self,
        id: &FrameworkId,
        group: LaunchGroup,
        basket: &mut Basket,
        step: &mut Step<'_>,
    ) {
        let (Some(framework), Some(agent)) = (self.frameworks.get(id), self.agents.get(&basket.agent)) else {
            return;
        };
        let mut tasks = group.task_group.tasks.iter();
        let checked = tasks
            .try_for_each(|task| weight::check_task(self.config, task))
            .and_then(|()| weight::check_executor(self.config, &group.executor))
            .and_then(|()| validate::task_group::check(&group, framework, agent, &basket.remaining));
        let checked = match checked {
            Ok(checked) => checked,
            Err(why) => {
                for task in &group.task_group.tasks {
                    self.refuse_task(id, task, Refusal::TaskGroupInvalid, &why, step);
                }
                return;
            }
        };
        let mut message = RunTaskGroupMessage {
            framework: v1::FrameworkInfo::clone(&framework.info),
            executor: group.executor,
            task_group: group.task_group,
            resource_version_uuids: resource_versions(agent),
            launch_executor: Some(checked.new_executor.is_some()),
        };
        let (pid, refines) = (agent.pid.clone(), agent.capabilities.reservation_refinement);
        if let Some(resources) = checked.new_executor {
            basket.take(&resources);
            self.add_executor(id, &basket.agent, message.executor.clone(), resources);
        }
        for (task, resources) in message.task_group.tasks.iter().zip(checked.tasks) {
            basket.take(&resources);
            self.add_task(id, task, &basket.agent, resources, step);
        }
        self.count_operation(id, Type::LaunchGroup);
        if !refines {
            message.task_group.tasks.iter_mut().for_each(downgrade);
            for resource in &mut message.executor.resources {
                let _ = resources::format::downgrade(resource);
            }
        }
        step.send(&pid, message);
    }
}
