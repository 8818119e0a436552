//! ACCEPT: offers are taken, each operation is judged and applied in order, and the allocator hears the sum in one
//! call. `launch`, `launch_group` and `convert` apply; what makes an operation wrong is in `validate/operation`,
//! `validate/task` and `model::parse::operation`.

mod convert;
mod launch;
mod launch_group;

pub(crate) use convert::label;

use std::sync::Arc;

use allocator::{Settlement, refusal_duration};
use model::{AgentId, FrameworkId, OfferId, Refusal, TaskId, parse::operation::complete};
use proto::v1::{
    self, OperationState, TaskInfo,
    offer::{Operation, operation::Type},
    scheduler::call::Accept,
    task_status::Source,
};
use resources::{Resources, conversion::Conversion};

use crate::{
    Master, Step,
    counters::Counter,
    frameworks::{events, send::send_event},
    offers::Offers,
    state::Link,
    tasks::Tasks,
    tasks::status::{News, master_status},
    validate,
};

/// The resources of one ACCEPT while its operations are applied.
pub(crate) struct Basket {
    pub(crate) agent: AgentId,
    pub(crate) role: Arc<str>,
    /// What the offers held.
    pub(crate) offered: Resources,
    /// What no operation has used yet.
    pub(crate) remaining: Resources,
    /// The shared ones of the offers and those made since: any number of tasks may use them.
    pub(crate) shared: Resources,
    /// What tasks and new executors use.
    pub(crate) used: Resources,
    pub(crate) conversions: Vec<Conversion>,
}

impl Basket {
    /// What a task may use.
    pub(crate) fn available(&self) -> Resources {
        if self.shared.is_empty() { self.remaining.clone() } else { self.remaining.non_shared() + &self.shared }
    }

    pub(crate) fn take(&mut self, consumed: &Resources) {
        self.remaining -= consumed;
        self.used += consumed;
    }
}

impl Master {
    pub(crate) fn on_accept(&mut self, id: &FrameworkId, call: Accept, step: &mut Step<'_>) {
        for operation in &call.operations {
            if operation.r#type() == Type::Launch {
                let launches = operation.launch.as_ref().is_some_and(|launch| !launch.task_infos.is_empty());
                let counter = if launches { Counter::MessagesLaunchTasks } else { Counter::MessagesDeclineOffers };
                self.state.counters.add(counter);
            }
        }
        if let Err(why) = validate::offers::check(&self.state, id, &call.offer_ids) {
            self.refuse_accept(id, call, &why, step);
            return;
        }
        let Some(mut basket) = self.offers().fill_basket(id, &call.offer_ids) else { return };
        let wire_id = id.to_proto();
        let by_driver = self.state.frameworks.get(id).is_some_and(|row| matches!(row.link, Link::Driver { .. }));
        let mut valid = Vec::with_capacity(call.operations.len());
        for mut operation in call.operations {
            match validate::operation::check(&mut operation, by_driver) {
                Ok(()) => {
                    complete(&mut operation, &basket.role, &wire_id);
                    valid.push(operation);
                }
                Err(why) => self.tasks().refuse_operation(id, operation, &why, step),
            }
        }
        for operation in valid {
            match operation.r#type() {
                Type::Launch => {
                    for task in operation.launch.map(|launch| launch.task_infos).unwrap_or_default() {
                        self.tasks().launch_task(id, task, &mut basket, step);
                    }
                }
                Type::LaunchGroup => {
                    if let Some(group) = operation.launch_group {
                        self.tasks().launch_group(id, *group, &mut basket, step);
                    }
                }
                _ => self.convert(id, operation, &mut basket, step),
            }
        }
        let settlement = Settlement {
            offered: basket.offered,
            conversions: basket.conversions,
            used: basket.used,
            filter: refusal_duration(call.filters.and_then(|filters| filters.refuse_seconds)),
        };
        self.allocator.settle(step.now, id, &basket.agent, settlement);
    }

    /// One wrong offer spoils them all: those that are there go back unfiltered, and nothing is launched.
    fn refuse_accept(&mut self, id: &FrameworkId, call: Accept, why: &str, step: &mut Step<'_>) {
        tracing::warn!(framework = %id, why, "ACCEPT with invalid offers");
        for offer in &call.offer_ids {
            let offer = OfferId::from(offer);
            if self.state.offers.get(&offer).is_some_and(|offer| offer.framework == *id) {
                self.offers().discard(&offer, None, step);
            }
        }
        for operation in call.operations {
            match operation.r#type() {
                Type::Launch | Type::LaunchGroup => {
                    let why = format!("Task launched with invalid offers: {why}");
                    for task in tasks_of(&operation) {
                        self.tasks().refuse_task(id, task, Refusal::InvalidOffers, &why, step);
                    }
                }
                _ => {
                    let why = format!("Operation attempted with invalid offers: {why}");
                    self.tasks().send_operation_error(id, &operation, &why, step);
                }
            }
        }
    }
}

impl Tasks<'_> {
    /// Tells the framework that an operation is not carried out, in the way that suits its kind.
    fn refuse_operation(&mut self, id: &FrameworkId, operation: Operation, why: &str, step: &mut Step<'_>) {
        let refusal = match operation.r#type() {
            Type::Launch => Refusal::TaskInvalid,
            Type::LaunchGroup => Refusal::TaskGroupInvalid,
            _ => {
                self.send_operation_error(id, &operation, why, step);
                return;
            }
        };
        for task in tasks_of(&operation) {
            self.refuse_task(id, task, refusal, why, step);
        }
    }

    pub(crate) fn refuse_task(
        &mut self,
        id: &FrameworkId,
        task: &TaskInfo,
        refusal: Refusal,
        why: &str,
        step: &mut Step<'_>,
    ) {
        let aware = self.frameworks.get(id).is_some_and(|f| f.capabilities.partition_aware);
        let news = News::of(refusal, aware, why);
        self.counters.add_end(news.state, Source::Master, Some(news.reason));
        let (task, agent) = (TaskId::from(&task.task_id), AgentId::from(&task.agent_id));
        let status = master_status(&task, Some(&agent), None, news, step.wall);
        self.forward(id, status, step);
    }

    /// Only operations with an id are answered; they name no agent and carry no uuid.
    pub(super) fn send_operation_error(
        &mut self,
        id: &FrameworkId,
        operation: &Operation,
        why: &str,
        step: &mut Step<'_>,
    ) {
        tracing::warn!(framework = %id, operation = operation.r#type().as_str_name(), why, "dropping an operation");
        self.counters.add_operation(operation.r#type(), OperationState::OperationError);
        if operation.id.is_some() {
            let status = v1::OperationStatus {
                operation_id: operation.id.clone(),
                state: OperationState::OperationError.into(),
                message: Some(why.to_owned()),
                ..Default::default()
            };
            send_event(self.frameworks, self.agents, id, events::update_operation_status(status), step);
        }
    }
}

impl Offers<'_> {
    /// Takes the offers, which have been checked, out of the tables.
    fn fill_basket(&mut self, id: &FrameworkId, offers: &[v1::OfferId]) -> Option<Basket> {
        let mut basket: Option<Basket> = None;
        for offer in offers {
            let Some(offer) = self.take(&OfferId::from(offer)) else { continue };
            let basket = basket.get_or_insert_with(|| Basket {
                agent: offer.agent.clone(),
                role: Arc::clone(&offer.role),
                offered: Resources::default(),
                remaining: Resources::default(),
                shared: Resources::default(),
                used: Resources::default(),
                conversions: Vec::new(),
            });
            basket.offered += &offer.resources;
        }
        let mut basket = basket?;
        basket.remaining = basket.offered.clone();
        basket.shared = basket.offered.shared();
        if let Some(framework) = self.frameworks.get_mut(id) {
            framework.counters.offers_accepted += offers.len() as u64;
        }
        Some(basket)
    }
}

fn tasks_of(operation: &Operation) -> &[TaskInfo] {
    match operation.r#type() {
        Type::Launch => operation.launch.as_ref().map(|launch| launch.task_infos.as_slice()).unwrap_or_default(),
        Type::LaunchGroup => {
            operation.launch_group.as_ref().map(|group| group.task_group.tasks.as_slice()).unwrap_or_default()
        }
        _ => &[],
    }
}
