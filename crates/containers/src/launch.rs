//! One launch, from the specification to a running process: sandbox, fetching, record, cgroups, fork. Everything up to
//! the fork is undone when a step fails. What happens once it runs is in `supervise`.

use crate::{
    Class, ContainerId, Gap, LaunchError, LaunchSpec, Launched, Output, Program, State, Termination,
    cgroups::Door,
    container::{Container, Live},
    engine::Engine,
    fetcher,
    isolator::{Ask, Plan, Subject},
    launcher::zygote::{self, Request},
    mutex::lock,
    namespaces::{self, NamespacePlan, Position},
    record::{CgroupUse, Launch, Setup, UserIds},
    sandbox,
    shelf::Slot,
    supervise,
};
use kernel::{clone::Child, credentials, files};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};
use tokio::sync::oneshot;

/// The life of one container, as a task.
pub async fn live(
    engine: Arc<Engine>,
    container: Arc<Container>,
    spec: LaunchSpec,
    reply: oneshot::Sender<Result<Launched, LaunchError>>,
) {
    match launch(&engine, &container, spec).await {
        Ok(launched) => {
            container.state.send_replace(State::Running);
            if container.is_doomed() {
                container.kill.notify_one();
            }
            let _ = reply.send(Ok(launched));
            supervise::watch(engine, container).await;
        }
        Err(error) => {
            engine.table().remove(&container.id);
            container
                .state
                .send_replace(State::Terminated(Termination { message: error.to_string(), ..Termination::default() }));
            let _ = reply.send(Err(error));
        }
    }
}

async fn launch(engine: &Arc<Engine>, container: &Arc<Container>, spec: LaunchSpec) -> Result<Launched, LaunchError> {
    let broken = || io_error("launch", io::Error::other("the work broke off"));
    let (job_engine, job_container) = (engine.clone(), container.clone());
    if spec.uris.is_empty() {
        let job = move || {
            let room = prepare(&job_engine, &spec)?;
            start(&job_engine, &job_container, spec, room)
        };
        return engine.workers.run(job).await.unwrap_or_else(|| Err(broken()));
    }

    let job = move || prepare(&job_engine, &spec).map(|room| (spec, room));
    let (spec, room) = engine.workers.run(job).await.unwrap_or_else(|| Err(broken()))?;
    container.state.send_replace(State::Fetching);
    let fetched = fetch(engine, container, spec, room).await;
    engine.counters.add_fetch(fetched.is_ok());
    let (spec, room) = fetched?;
    let (job_engine, job_container) = (engine.clone(), container.clone());
    let job = move || start(&job_engine, &job_container, spec, room);
    engine.workers.run(job).await.unwrap_or_else(|| Err(broken()))
}

/// The sandbox, opened, and who it is for.
struct Room {
    user: Option<UserIds>,
    directory: OwnedFd,
}

fn prepare(engine: &Engine, spec: &LaunchSpec) -> Result<Room, LaunchError> {
    let user = find_user(engine, spec)?;
    let trusted = engine.trusted_above(&spec.id);
    let directory = sandbox::open(&spec.sandbox, trusted.as_deref())
        .and_then(|directory| match (&trusted, &user) {
            (Some(trusted), Some(user)) => sandbox::let_through(&spec.sandbox, trusted, user).map(|()| directory),
            _ => Ok(directory),
        })
        .map_err(|error| io_error(format!("create the sandbox '{}'", spec.sandbox.display()), error))?;
    if let Some(user) = &user {
        check_way(spec, user)?;
    }
    for volume in &spec.volumes {
        let ids = user.as_ref().map(|user| (user.uid, user.gid));
        sandbox::link(&directory, volume, ids)
            .map_err(|error| io_error(format!("link the volume '{}'", volume.path.display()), error))?;
    }
    Ok(Room { user, directory })
}

/// A program that cannot come to its own directory could only fail in silence.
fn check_way(spec: &LaunchSpec, user: &UserIds) -> Result<(), LaunchError> {
    let barrier = kernel::credentials::find_barrier(&spec.sandbox, user.uid, user.gid, &user.groups)
        .map_err(|error| io_error(format!("look at the way to the sandbox '{}'", spec.sandbox.display()), error))?;
    let Some(directory) = barrier else { return Ok(()) };
    let directory = directory.display();
    Err(LaunchError::User {
        user: spec.command.user.clone().unwrap_or_default(),
        why: format!(
            "it may not come through the directory '{directory}', which its sandbox is in; let others pass with 'chmod o+x \
             {directory}', or start the agent with another --work_dir"
        ),
    })
}

fn find_user(engine: &Engine, spec: &LaunchSpec) -> Result<Option<UserIds>, LaunchError> {
    let Some(name) = spec.command.user.as_ref().filter(|_| engine.config.switch_user) else { return Ok(None) };
    let refuse = |why: String| LaunchError::User { user: name.clone(), why };
    let ids = engine.users.find(name).map_err(refuse)?;
    if ids.uid == credentials::own_ids().0 {
        return Ok(None);
    }
    if !engine.host.may_switch_user {
        return Err(refuse(
            "the agent does not run as root and cannot switch users; start it with --no-switch_user to run everything \
             as its own user"
                .to_owned(),
        ));
    }
    Ok(Some(ids))
}

async fn fetch(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    spec: LaunchSpec,
    room: Room,
) -> Result<(LaunchSpec, Room), LaunchError> {
    // What is fetched is written with the user's rights.
    let given = room.user.as_ref().map_or(Ok(()), |user| sandbox::give(&room.directory, user));
    let opened = given.and_then(|()| room.directory.try_clone());
    let order = fetcher::Order {
        uris: spec.uris.clone(),
        user: room.user.clone(),
        sandbox: opened.map_err(|error| io_error("give the sandbox to its user", error))?,
        bytes_max: spec.limits.disk.filter(|_| engine.config.isolation.disk && engine.config.enforce_disk),
    };
    let wanted = container.clone();
    let fetched = engine.fetcher.run(order, move || wanted.is_doomed(), container.kill.notified()).await;
    match fetched {
        _ if container.is_doomed() => Err(LaunchError::Destroyed),
        Ok(Ok(())) => Ok((spec, room)),
        Ok(Err(failure)) => Err(LaunchError::Fetch { uri: failure.uri, why: failure.why }),
        Err(error) => Err(io_error("fetch", error)),
    }
}

/// The last stretch, on one thread.
fn start(engine: &Arc<Engine>, container: &Container, spec: LaunchSpec, room: Room) -> Result<Launched, LaunchError> {
    if container.is_doomed() {
        return Err(LaunchError::Destroyed);
    }
    let (output, ends) = open_output(&spec, &room)?;
    if let Some(user) = &room.user {
        sandbox::give(&room.directory, user)
            .map_err(|error| io_error(format!("give the sandbox to user {}", user.uid), error))?;
    }
    drop(room.directory);

    let host = &engine.host;
    let parent = match spec.id.parent() {
        Some(parent) => Some(engine.find(&parent).map_err(|_| LaunchError::NoParent(spec.id.clone()))?),
        None => None,
    };
    let parent = parent.as_ref().and_then(|parent| parent.live.get());
    if spec.id.is_nested() && parent.is_none() {
        return Err(LaunchError::NoParent(spec.id.clone()));
    }

    let shares_cgroups = spec.id.is_nested() && (spec.share_cgroups || spec.class == Class::Debug);
    let (user, user_namespace) = (room.user.as_ref(), host.user_namespace);
    let mut plan = engine.isolators.prepare(&Ask { spec: &spec, user, shares_cgroups, user_namespace })?;
    plan.gaps.extend(user_gap(engine, &spec));
    let position = Position { nested: spec.id.is_nested(), debug: spec.class == Class::Debug, user_namespace };
    let mut namespaces = namespaces::plan(plan.namespaces, position);
    let used = CgroupUse::new(plan.own_limits, !namespaces.setup.own_pid && host.process_cgroups);
    (namespaces.setup.cgroups, namespaces.setup.own_shm) = (used, plan.own_shm);
    let limited_by = match plan.own_limits {
        true => Some(spec.id.clone()),
        false => parent.and_then(|parent| parent.limited_by.clone()),
    };

    let gaps = plan.gaps.clone();
    let launch = plan_record(engine, &spec, room.user, namespaces.setup, plan);
    let slot = engine.shelf.take(&launch).map_err(|error| io_error("write the container's record", error))?;
    let mut undo = Undo { engine, id: &spec.id, used, slot: Some(slot) };
    let mut door = Door::default();
    if let Some(cgroups) = &host.cgroups {
        cgroups.create(&spec.id, used).map_err(|error| io_error("create the container's cgroups", error))?;
    }
    let subject = Subject { id: &spec.id, sandbox: &spec.sandbox, cgroups: used, limited_by: limited_by.as_ref() };
    engine.isolators.isolate(subject, &spec.limits).map_err(|error| io_error("set the container's limits", error))?;
    if let Some(cgroups) = &host.cgroups {
        let processes = used.processes().then_some(&spec.id);
        door = cgroups.open(limited_by.as_ref(), processes).map_err(|error| io_error("open the cgroups", error))?;
    }

    let child = match &undo.slot {
        Some(slot) => fork_launcher(engine, &spec.id, &namespaces, &door, &output, slot.file().as_fd(), parent)?,
        None => return Err(LaunchError::Destroyed),
    };
    *lock(&container.record) = undo.slot.take();
    let (pid, setup) = (child.pid, namespaces.setup);
    let _ = container.live.set(Live { pid, pidfd: Arc::new(child.pidfd), setup, limited_by, gaps });
    let (stdout, stderr) = ends.unzip();
    Ok(Launched { pid, stdout, stderr, gaps: engine.gaps(container) })
}

type Pair = (OwnedFd, OwnedFd);

/// Where the container writes, and for pipes where that can be read.
fn open_output(spec: &LaunchSpec, room: &Room) -> Result<(Pair, Option<Pair>), LaunchError> {
    match spec.output {
        Output::Files => {
            let files = sandbox::open_output(&room.directory, room.user.as_ref())
                .map_err(|error| io_error("open stdout and stderr in the sandbox", error))?;
            Ok((files, None))
        }
        Output::Pipes => {
            let pipe = || files::pipe().map_err(|error| io_error("make a pipe", error));
            let ((out_read, out_write), (err_read, err_write)) = (pipe()?, pipe()?);
            Ok(((out_write, err_write), Some((out_read, err_read))))
        }
    }
}

/// Where nobody is switched to, a container that names a user runs as the agent's.
fn user_gap(engine: &Engine, spec: &LaunchSpec) -> Option<Gap> {
    let user = spec.command.user.as_ref().filter(|_| !engine.config.switch_user)?;
    let own = credentials::own_ids().0;
    let is_own = engine.users.find(user).is_ok_and(|ids| ids.uid == own);
    (!is_own).then(|| Gap {
        isolator: "switch_user".to_owned(),
        asked: format!("to run as the user '{user}'"),
        why: "--no-switch_user is set".to_owned(),
    })
}

fn plan_record(engine: &Engine, spec: &LaunchSpec, user: Option<UserIds>, setup: Setup, plan: Plan) -> Launch {
    let mut env = spec.command.env.clone();
    let name = spec.command.user.as_deref().filter(|_| engine.config.switch_user);
    for (variable, value) in engine.users.environment(name) {
        if !env.iter().any(|(known, _)| *known == variable) {
            env.push((variable, value));
        }
    }
    if !setup.own_pid {
        env.push(engine.marker(&spec.id));
    }
    // A debug container is at home where its parent is.
    let parent = spec.id.parent().filter(|_| spec.class == Class::Debug).and_then(|parent| engine.find(&parent).ok());
    let home = parent.as_ref().map_or(&spec.sandbox, |parent| &parent.sandbox);
    let cwd = match &spec.command.cwd {
        Some(cwd) => home.join(cwd),
        None => home.clone(),
    };
    Launch {
        id: spec.id.clone(),
        tag: spec.tag.clone(),
        sandbox: spec.sandbox.clone(),
        program: match &spec.command.program {
            Program::Argv { path, argv } if argv.is_empty() => {
                Program::Argv { path: path.clone(), argv: vec![path.clone()] }
            }
            other => other.clone(),
        },
        env,
        cwd,
        user,
        rlimits: plan.rlimits,
        hostname: plan.hostname,
        setup,
        shm_bytes: plan.shm_bytes,
        oom_score_adj: plan.oom_score_adj,
        limits: spec.limits,
        restrictions: plan.restrictions,
        gaps: plan.gaps,
    }
}

/// Removes what a failed launch has made.
struct Undo<'a> {
    engine: &'a Engine,
    id: &'a ContainerId,
    used: CgroupUse,
    slot: Option<Slot>,
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take() else { return };
        if let Some(cgroups) = &self.engine.host.cgroups
            && let Err(error) = cgroups.remove(self.id, self.used)
        {
            tracing::warn!("Failed to remove the cgroups of container '{}' that was not launched: {error}", self.id);
        }
        self.engine.isolators.cleanup(self.id);
        slot.discard();
    }
}

fn fork_launcher(
    engine: &Engine,
    id: &ContainerId,
    plan: &NamespacePlan,
    door: &Door,
    output: &Pair,
    record: BorrowedFd<'_>,
    parent: Option<&Live>,
) -> Result<Child, LaunchError> {
    let mut fds = vec![output.0.as_fd(), output.1.as_fd(), record];
    let mut flags = 0;
    if let Some(parent) = parent.filter(|_| plan.setup.enter != 0 || plan.in_parent_pid) {
        fds.push(parent.pidfd.as_fd());
        flags |= zygote::PARENT;
        if plan.in_parent_pid {
            flags |= zygote::IN_PARENT_PID;
        }
    }
    if let Some(cgroup) = &door.birth {
        fds.push(cgroup.as_fd());
        flags |= zygote::CGROUP;
    }
    fds.extend(door.joins.iter().map(|join| join.as_fd()));
    let request = Request { create: plan.create, flags };
    engine.zygote.fork(request, &engine.marker(id).1, &fds).map_err(|error| io_error("create a process", error))
}

fn io_error(what: impl Into<String>, source: io::Error) -> LaunchError {
    LaunchError::Io { what: what.into(), source }
}
