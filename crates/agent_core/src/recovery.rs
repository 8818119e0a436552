//! What survives a crash. `record` is the journal's vocabulary, `replay` adds records up, `snapshot` writes a short
//! journal of the same meaning, `compatible` judges a changed configuration. Here the agent takes up what was replayed.

mod compatible;
pub(crate) mod record;
pub(crate) mod replay;
mod snapshot;

pub use record::{Record, RecordError};
pub use replay::{RecoveredState, replay};

use crate::{
    agent::Agent,
    config::{EXECUTOR_HEARTBEAT_INTERVAL, Recover},
    container_id::ContainerId,
    effect::{Effect, Effects},
    event::{Found, Life, Termination},
    launch::{paths, spec::Class},
    operations::volumes::volumes,
    state::{Container, ContainerLife, ExecutorPhase, FrameworkPhase, Phase, Stage},
    timers::Timer,
};
use model::{AgentId, ExecutorId, FrameworkId, Refusal};
use proto::v1;
use resources::{Resources, conversion};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Mesos's own bound on how long executors may take to come back.
const REREGISTRATION_MAX: Duration = Duration::from_secs(15);

/// What an executor's container is taken for.
fn as_found(life: Life) -> Life {
    stdx::bug!("running_taken_for_ended", return ended(life));
    life
}

/// What has ended as it did, and what runs for ended, nobody knows how.
fn ended(life: Life) -> Life {
    match life {
        Life::Running { .. } => Life::Ended(Termination::default()),
        Life::Ended(termination) => Life::Ended(termination),
    }
}

impl Agent {
    pub(crate) fn on_recovered(
        &mut self,
        mut recovered: RecoveredState,
        found: Vec<Found>,
        boot_id: String,
        out: &mut Effects,
    ) {
        if std::mem::replace(&mut self.recovered, true) {
            stdx::never!("the agent was told twice what it had recovered");
            return;
        }
        self.state.metrics.recovery_errors = recovered.oddities;
        self.timers.set(self.now, self.config.disk_watch_interval, Timer::DiskWatch);
        self.timers.set(self.now, EXECUTOR_HEARTBEAT_INTERVAL, Timer::ExecutorHeartbeat);
        if self.config.recover == Recover::Cleanup {
            return self.clean_up(found, out);
        }
        let same_boot = recovered.boot_id.as_ref() == Some(&boot_id);
        if !same_boot {
            self.record(Record::Boot(record::Boot { boot_id: boot_id.clone() }), out);
        }
        self.boot_id = boot_id;
        if let Some(former) = recovered.agent.take() {
            match compatible::check(self.config.reconfiguration_policy, &former, &self.config.info) {
                Ok(()) => self.take_up_identity(former, out),
                // Nothing survived the boot that the old identity would be needed for.
                Err(why) if !same_boot => {
                    tracing::warn!("starting as a new agent: {why}");
                    self.record(Record::Forgotten(record::Nothing {}), out);
                    recovered = recovered.forget();
                }
                Err(why) => {
                    let hint = "restore the old flags, or choose another --reconfiguration_policy, or start as a new \
                                agent by removing the journal from the work directory (its tasks are then lost)";
                    return self.exit(
                        1,
                        format!("the agent's configuration is not compatible with its past: {why}; {hint}"),
                        out,
                    );
                }
            }
        }
        if let Err(why) = self.take_up_resources(&mut recovered, out) {
            return self.exit(1, why, out);
        }
        self.state.drain = recovered.drain.take();
        self.streams = std::mem::take(&mut recovered.streams);
        self.state.frameworks = Arc::new(std::mem::take(&mut recovered.frameworks));
        let mut found: BTreeMap<ContainerId, Found> =
            found.into_iter().map(|found| (found.container.clone(), found)).collect();
        self.take_up_executors(&mut found, same_boot, out);
        self.take_up_containers(recovered.containers, &mut found, out);
        self.destroy_orphans(found, out);
        let ids: Vec<FrameworkId> = self.state.frameworks.keys().cloned().collect();
        for id in ids {
            self.retire_framework_if_idle(&id, out);
        }
        if self.exited {
            return;
        }
        if self.waits_for_executors() {
            let wait = self.config.executor_reregistration_timeout.min(REREGISTRATION_MAX);
            self.timers.set(self.now, wait, Timer::ExecutorReregistration);
        } else {
            self.finish_recovery(out);
        }
    }

    /// Reservations and volumes outlive the agent, and the boot too. Volumes that a crash left half made or half
    /// removed are made and removed now.
    fn take_up_resources(&mut self, recovered: &mut RecoveredState, out: &mut Effects) -> Result<(), String> {
        let checkpointed = std::mem::take(&mut recovered.checkpointed);
        let plain = Resources::from_protos(&self.config.info.resources).map_err(|error| error.to_string())?;
        conversion::apply_checkpointed(&plain, &checkpointed).map_err(|error| {
            format!(
                "the agent's resources no longer hold what was reserved of them: {error}; restore the old --resources, or \
                 start as a new agent by removing the journal from the work directory (its volumes are then lost)"
            )
        })?;
        let present = volumes(&self.config.work_dir, &checkpointed);
        for volume in &present {
            out.push(Effect::MakeVolume { path: volume.path.clone() });
        }
        for volume in std::mem::take(&mut recovered.removed).difference(&present).cloned() {
            out.push(Effect::RemoveVolume { path: volume.path, keep_directory: volume.is_mount });
        }
        self.state.checkpointed = checkpointed;
        self.state.operations = Arc::new(std::mem::take(&mut recovered.operations));
        Ok(())
    }

    /// Goes on under the id that masters know.
    fn take_up_identity(&mut self, former: v1::AgentInfo, out: &mut Effects) {
        let info = v1::AgentInfo { id: former.id.clone(), ..self.config.info.clone() };
        self.state.agent_id = former.id.as_ref().map(AgentId::from);
        if info != former {
            self.record(Record::Agent(record::AgentRecord { info: info.clone() }), out);
        }
        self.state.info = Arc::new(info);
    }

    /// Executors whose container lives are waited for; the others have ended, or have never begun.
    fn take_up_executors(&mut self, found: &mut BTreeMap<ContainerId, Found>, same_boot: bool, out: &mut Effects) {
        let known: Vec<(FrameworkId, ExecutorId, ContainerId)> =
            self.state.executors().map(|row| (row.framework.clone(), row.id.clone(), row.container.clone())).collect();
        for (framework, id, container) in known {
            let life = found.remove(&container).map(|found| as_found(found.life));
            let terminating =
                self.state.frameworks.get(&framework).is_some_and(|row| row.phase == FrameworkPhase::Terminating);
            let Some(row) = self.state.executor_mut(&framework, &id) else { continue };
            row.stage = Stage::Up;
            match life {
                Some(Life::Running { pid }) => {
                    row.pid = pid;
                    self.roots.insert(container, (framework.clone(), id.clone()));
                    if row.phase == ExecutorPhase::Terminating || terminating {
                        row.phase = ExecutorPhase::Terminating;
                        self.ask_to_shut_down(&framework, &id, out);
                    } else {
                        row.phase = ExecutorPhase::Registering;
                        if let Some(address) = row.address.clone() {
                            self.ask_back(address, out);
                        }
                    }
                }
                // The crash came between the record and the container: nothing of it has run, so it can run now.
                None if same_boot && !terminating && row.awaits_launch() => {
                    row.stage = Stage::Checkpointing;
                    self.roots.insert(container.clone(), (framework, id));
                    self.launch_executor(&container, out);
                }
                Some(Life::Ended(termination)) => self.executor_gone(&framework, &id, termination, out),
                None => self.executor_gone(&framework, &id, Termination::default(), out),
            }
        }
    }

    fn take_up_containers(
        &mut self,
        known: BTreeMap<ContainerId, Arc<crate::state::Container>>,
        found: &mut BTreeMap<ContainerId, Found>,
        out: &mut Effects,
    ) {
        for (id, mut row) in known {
            // What lay inside a container that is gone goes with it.
            if id.parent().is_some_and(|parent| !self.is_live(&parent)) {
                self.record(Record::ContainerRemoved(record::ContainerName::of(&id)), out);
                continue;
            }
            let life = found.remove(&id).map(|found| found.life);
            let ended = match (&row.life, life) {
                (ContainerLife::Ended(_), _) => None,
                (_, Some(Life::Running { pid })) => {
                    let row = Arc::make_mut(&mut row);
                    row.life = ContainerLife::Running;
                    row.pid = pid;
                    None
                }
                (_, Some(Life::Ended(termination))) => Some(termination),
                (_, None) => Some(Termination::default()),
            };
            Arc::make_mut(&mut self.state.containers).insert(id.clone(), row);
            if let Some(termination) = ended {
                self.container_gone(&id, termination, out);
            }
        }
    }

    fn is_live(&self, id: &ContainerId) -> bool {
        let row = self.state.containers.get(id);
        self.roots.contains_key(id) || row.is_some_and(|row| !matches!(row.life, ContainerLife::Ended(_)))
    }

    /// Destroys what runs on this machine in our name and that we do not know: non-checkpointing executors, sessions,
    /// and what was launched in the last moment before a crash.
    fn destroy_orphans(&mut self, found: BTreeMap<ContainerId, Found>, out: &mut Effects) {
        for (container, found) in found {
            if let Some(path) = found.sandbox.filter(|_| !container.is_nested()) {
                out.push(Effect::RetireSandbox { path, at: self.wall });
            }
            let running = matches!(found.life, Life::Running { .. });
            self.take_up_session(&container, found.life);
            if running {
                tracing::info!(%container, "destroying a container that is not in the journal");
                out.push(Effect::Destroy { container });
            }
        }
    }

    /// Sessions are not in the journal, and end with the agent that they were asked of. Whoever looks after them may
    /// still ask how.
    fn take_up_session(&mut self, container: &ContainerId, life: Life) {
        let Some((inside, user)) = container.parent().and_then(|parent| self.find_parent(&parent)) else { return };
        let (life, ended) = match life {
            Life::Running { .. } => (ContainerLife::Destroying, None),
            Life::Ended(termination) => (ContainerLife::Ended(termination), Some(self.now)),
        };
        let row = Container {
            id: container.clone(),
            class: Class::Debug,
            sandbox: paths::nested(&inside, container).into(),
            user,
            pid: None,
            life,
            ended,
            environment: Arc::default(),
        };
        Arc::make_mut(&mut self.state.containers).insert(container.clone(), Arc::new(row));
    }

    fn clean_up(&mut self, found: Vec<Found>, out: &mut Effects) {
        self.state.phase = Phase::Terminating;
        self.record(Record::Forgotten(record::Nothing {}), out);
        for found in found {
            if matches!(found.life, Life::Running { .. }) && !found.container.is_nested() {
                self.cleanup.insert(found.container.clone());
                out.push(Effect::Destroy { container: found.container });
            }
        }
        if self.cleanup.is_empty() {
            self.exit(0, "there was nothing to clean up".into(), out);
        }
    }

    fn waits_for_executors(&self) -> bool {
        self.state.executors().any(|row| row.is_missing())
    }

    /// Nobody is missing any more: there is nothing to wait for.
    pub(crate) fn finish_recovery_early(&mut self, out: &mut Effects) {
        if self.state.phase == Phase::Recovering && !self.waits_for_executors() {
            self.finish_recovery(out);
        }
    }

    /// Gives up the executors that did not come back, and turns to the master.
    pub(crate) fn finish_recovery(&mut self, out: &mut Effects) {
        if self.state.phase != Phase::Recovering {
            return;
        }
        self.state.phase = Phase::Disconnected;
        let missing: Vec<ContainerId> =
            self.state.executors().filter(|row| row.is_missing()).map(|row| row.container.clone()).collect();
        let timeout = stdx::units::print_duration(self.config.executor_reregistration_timeout.min(REREGISTRATION_MAX));
        for container in missing {
            let message = format!("Executor did not reregister within {timeout}");
            self.give_up_executor(&container, Refusal::ExecutorReregistrationTimeout, message, out);
        }
        self.kill_for_drain(out);
        self.start_registration(out);
    }
}
