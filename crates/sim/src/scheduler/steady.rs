//! A scheduler for figures, as those of the Mesos paper's section 6.5: it starts one task on each agent that it is
//! offered, of normally distributed length, and does nothing else.

use std::collections::HashSet;

use model::task_state;
use proto::v1::{
    self,
    scheduler::{Event, event},
};
use stdx::{Rng, Tick};

use super::{Say, Scheduler, accept, acknowledge, amount, decline, info, launch, scalar, shell};
use crate::{scenario::FrameworkPlan, world::executor::data_of};

const MEAN_SECS: f64 = 30.0;
const DEVIATION_SECS: f64 = 10.0;

pub(crate) struct Steady {
    plan: FrameworkPlan,
    info: v1::FrameworkInfo,
    rng: Rng,
    name: String,
    launched: u64,
    /// Never walked through.
    live: HashSet<String>,
}

impl Steady {
    pub fn new(index: u32, plan: FrameworkPlan, rng: Rng) -> Steady {
        let name = format!("f{index}");
        let info = info(&name, &plan.role, &[v1::framework_info::capability::Type::PartitionAware]);
        Steady { plan, info, rng, name, launched: 0, live: HashSet::new() }
    }

    /// Box and Muller's way from two even draws to a normal one.
    fn draw_secs(&mut self) -> f64 {
        let (a, b) = (1.0 - self.rng.unit(), self.rng.unit());
        let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
        (MEAN_SECS + DEVIATION_SECS * normal).max(1.0)
    }

    fn on_offer(&mut self, offer: &v1::Offer, out: &mut Vec<Say>) {
        let fits = amount(offer, "cpus") >= self.plan.cpus && amount(offer, "mem") >= self.plan.mem_mb;
        let takes = fits && self.live.len() < self.plan.parallel as usize;
        let task = takes.then(|| self.new_task(offer));
        let offers = vec![offer.id.clone()];
        out.push(Say::Call(match task {
            None => decline(offers, 60.0),
            Some(task) => accept(offers, vec![launch(vec![task])], 0.0),
        }));
    }

    fn new_task(&mut self, offer: &v1::Offer) -> v1::TaskInfo {
        self.launched += 1;
        let id = format!("{}-{}", self.name, self.launched);
        self.live.insert(id.clone());
        v1::TaskInfo {
            name: String::new(),
            task_id: v1::TaskId { value: id },
            agent_id: offer.agent_id.clone(),
            resources: vec![scalar(offer, "cpus", self.plan.cpus), scalar(offer, "mem", self.plan.mem_mb)],
            data: Some(data_of(self.draw_secs(), false)),
            command: Some(shell()),
            ..Default::default()
        }
    }
}

impl Scheduler for Steady {
    fn info(&self) -> &v1::FrameworkInfo {
        &self.info
    }

    fn on_event(&mut self, _: Tick, event: &Event, out: &mut Vec<Say>) {
        if event.r#type() == event::Type::Offers {
            event.offers.iter().flat_map(|offers| &offers.offers).for_each(|offer| self.on_offer(offer, out));
        } else if let Some(update) = &event.update {
            let status = &update.status;
            out.extend(acknowledge(status).map(Say::Call));
            if task_state::is_terminal(status.state()) {
                self.live.remove(&status.task_id.value);
            }
        }
    }

    fn on_wake(&mut self, _: Tick, _: &mut Vec<Say>) {}

    fn next_deadline(&self) -> Option<Tick> {
        None
    }

    fn renew(&mut self) {
        self.live.clear();
    }

    fn is_hungry(&self) -> bool {
        self.live.len() < self.plan.parallel as usize
    }
}
