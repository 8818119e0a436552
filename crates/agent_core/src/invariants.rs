//! Laws that hold after every step, whatever peers send. Tests and the simulator check them; production does not pay.

use crate::{
    agent::Agent,
    listener::Listener,
    pending::Pending,
    state::{
        Connection, ContainerLife, Executor, ExecutorPhase, Framework, FrameworkPhase, Phase, Progress, Stage,
        TaskPhase,
    },
    timers::Timer,
};
use model::{FrameworkId, TaskId, task_state};

macro_rules! law {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            return Err(format!($($text)+));
        }
    };
}

impl Agent {
    /// Says which law is broken.
    pub fn check_invariants(&self) -> Result<(), String> {
        if self.exited || !self.recovered {
            return Ok(());
        }
        for framework in self.state.frameworks.values() {
            self.check_framework(framework)?;
        }
        for (container, (framework, id)) in &self.roots {
            let row = self.state.find_executor(framework, id);
            law!(row.is_some_and(|row| row.container == *container), "{container} belongs to no executor");
        }
        for (conn, listener) in &self.conns {
            match listener {
                Listener::Executor(framework, id) => {
                    let row = self.state.find_executor(framework, id);
                    let listens = row.is_some_and(|row| row.connection == Some(Connection::Stream(*conn)));
                    law!(listens, "stream {conn} belongs to nobody");
                }
                Listener::Session(container) => {
                    let live = self.state.containers.get(container);
                    let live = live.is_some_and(|row| !matches!(row.life, ContainerLife::Ended(_)));
                    law!(live, "session {conn} outlives {container}");
                }
                Listener::Wait(container) => {
                    law!(self.waits.contains_key(container), "wait {conn} for {container} is not kept");
                }
            }
        }
        for (address, (framework, id)) in &self.drivers {
            let row = self.state.find_executor(framework, id);
            let listens = row.is_some_and(|row| row.connection == Some(Connection::Driver(address.clone())));
            law!(listens, "the driver at {address} belongs to nobody");
        }
        for container in self.waits.keys() {
            let live = match self.state.containers.get(container) {
                Some(row) => !matches!(row.life, ContainerLife::Ended(_)),
                None => self.roots.contains_key(container),
            };
            law!(live, "somebody waits for {container}, which does not live");
        }
        for container in self.launches.keys() {
            let row = self.state.containers.get(container);
            let launching =
                row.is_some_and(|row| matches!(row.life, ContainerLife::Launching | ContainerLife::Destroying));
            law!(launching, "a launch of {container} is never answered");
        }
        law!(self.state.drain.is_none() || !self.is_empty(), "nothing is left to drain");
        self.check_streams()?;
        self.check_timers()
    }

    fn check_framework(&self, framework: &Framework) -> Result<(), String> {
        let id = &framework.id;
        let idle =
            framework.executors.is_empty() && (!self.has_updates(id) || framework.phase == FrameworkPhase::Terminating);
        law!(!idle, "framework {id} has nothing to do here");
        law!(framework.recorded || !framework.checkpoints(), "framework {id} is not in the journal");
        let keep = self.config.max_completed_executors_per_framework;
        law!(framework.completed_executors.len() <= keep, "the history of {id} grows without bound");
        for executor in framework.executors.values() {
            self.check_executor(framework, executor)?;
        }
        Ok(())
    }

    fn check_executor(&self, framework: &Framework, executor: &Executor) -> Result<(), String> {
        let name = format!("{}/{}", framework.id, executor.id);
        let gone = executor.stage == Stage::Gone;
        law!(
            gone == (executor.phase == ExecutorPhase::Terminated),
            "{name}: {:?} {:?}",
            executor.stage,
            executor.phase
        );
        law!(gone != self.roots.contains_key(&executor.container), "{name}: its container is not tracked");
        law!(!gone || executor.timer.is_none(), "{name}: gone, but waited for");
        law!(!gone || !executor.tasks.is_empty(), "{name}: gone and owes nothing, but is not history");
        match &executor.connection {
            None => {}
            Some(Connection::Stream(conn)) => {
                let listener = Listener::Executor(framework.id.clone(), executor.id.clone());
                law!(self.conns.get(conn) == Some(&listener), "{name}: its stream {conn} is not known");
            }
            Some(Connection::Driver(address)) => {
                let names = (framework.id.clone(), executor.id.clone());
                law!(self.drivers.get(address) == Some(&names), "{name}: its driver at {address} is not known");
                law!(executor.address.as_ref() == Some(address), "{name}: {address} is not kept");
            }
        }
        if executor.phase == ExecutorPhase::Registering && self.state.phase != Phase::Recovering {
            let waits = executor.timer.is_some() || executor.stage == Stage::Checkpointing;
            law!(waits, "{name}: nobody minds that it does not subscribe");
        }
        for (id, task) in &executor.tasks {
            let queued = executor.deliveries.iter().find(|delivery| delivery.tasks.contains(id));
            let state = task.row.state();
            let ended = task_state::is_terminal(state);
            let stream = self.streams.get(&(framework.id.clone(), id.clone()));
            let placed = stream.is_some_and(|stream| stream.executor.as_ref() == Some(&executor.id));
            law!(placed || framework.phase == FrameworkPhase::Terminating, "{name}: task {id} cannot be found");
            law!(ended == (task.phase == TaskPhase::Ended), "{name}: task {id} is {:?} in {state:?}", task.phase);
            match task.phase {
                TaskPhase::Queued => {
                    let waits = queued.is_some_and(|delivery| delivery.sent != Progress::Sent);
                    let recovered = queued.is_some() && executor.phase == ExecutorPhase::Registering;
                    law!(waits || recovered || gone || executor.is_ending(), "{name}: task {id} is queued nowhere");
                }
                TaskPhase::Launched => {
                    law!(
                        queued.is_none_or(|delivery| delivery.sent == Progress::Sent),
                        "{name}: {id} is launched and queued"
                    );
                    law!(!gone, "{name}: task {id} outlives its executor");
                }
                TaskPhase::Ended => {
                    law!(queued.is_none(), "{name}: task {id} has ended and is queued");
                    let told = self.is_end_open(&framework.id, id);
                    law!(told || framework.phase == FrameworkPhase::Terminating, "{name}: the end of {id} is not told");
                }
            }
        }
        for delivery in &executor.deliveries {
            law!(!delivery.tasks.is_empty(), "{name}: an empty delivery");
            if let Progress::Checkpointing(ticket) = delivery.sent {
                let expected = Pending::Deliver { container: executor.container.clone() };
                law!(self.tickets.get(ticket) == Some(&expected), "{name}: nothing continues delivery {ticket}");
            }
            if let Progress::Linking(ticket) = delivery.sent {
                let expected = Pending::LinkVolumes { container: executor.container.clone() };
                law!(self.tickets.get(ticket) == Some(&expected), "{name}: nothing continues the links of {ticket}");
            }
        }
        if executor.phase == ExecutorPhase::Running && executor.connection.is_some() {
            let next = executor.deliveries.iter().find(|delivery| delivery.sent != Progress::Sent);
            let held = next.is_none_or(|next| matches!(next.sent, Progress::Checkpointing(_) | Progress::Linking(_)));
            law!(held, "{name}: a ready delivery is not sent");
        }
        Ok(())
    }

    fn is_end_open(&self, framework: &FrameworkId, task: &TaskId) -> bool {
        let stream = self.streams.get(&(framework.clone(), task.clone()));
        stream.is_some_and(|stream| stream.open().any(|open| task_state::is_terminal(open.update.status.state())))
    }

    fn check_streams(&self) -> Result<(), String> {
        let registered = self.is_registered();
        for ((framework, task), stream) in &self.streams {
            let name = format!("{framework}/{task}");
            let due = stream.head().is_some() && registered && !stream.held;
            law!(stream.retry.is_some() == due, "{name}: its head is {}under way", if due { "not " } else { "" });
            let ends = stream.open().filter(|open| task_state::is_terminal(open.update.status.state())).count();
            law!(ends <= 1, "{name}: ends {ends} times");
            let last = stream.open().last();
            let last_ends = last.is_some_and(|open| task_state::is_terminal(open.update.status.state()));
            law!(ends == 0 || last_ends, "{name}: goes on after its end");
            let unordered = stream.open().skip_while(|open| open.durable).any(|open| open.durable);
            law!(!unordered, "{name}: a later update is durable before an earlier one");
        }
        Ok(())
    }

    fn check_timers(&self) -> Result<(), String> {
        let retries = self.timers.iter().filter(|(_, timer)| matches!(timer, Timer::UpdateRetry { .. })).count();
        let due = self.streams.values().filter(|stream| stream.retry.is_some()).count();
        law!(retries == due, "{retries} retry timers for {due} updates under way");
        let executors = self
            .timers
            .iter()
            .filter(|(_, timer)| matches!(timer, Timer::ExecutorRegistration { .. } | Timer::ShutdownGrace { .. }));
        let (armed, due) = (executors.count(), self.state.executors().filter(|row| row.timer.is_some()).count());
        law!(armed == due, "{armed} executor timers for {due} executors that are waited for");
        let connecting = self.link.register.is_some() || self.link.authentication.is_some();
        let wanted = self.state.phase == Phase::Disconnected && self.state.master.is_some();
        law!(connecting || !wanted, "nobody tries to register");
        Ok(())
    }
}
