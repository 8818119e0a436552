//! One launch, from the specification to a running process: sandbox, fetching, record, cgroups, fork. Everything up to
//! the fork is undone when a step fails. What happens once it runs is in `supervise`.

use crate::{
    Class, ContainerId, LaunchError, LaunchSpec, Launched, Output, Program, State, Termination,
    cgroups::Door,
    fetcher,
    handle::{Container, Inner, Live, lock},
    isolators::{
        capabilities,
        memory::{self, MemoryShape},
        namespaces,
        seccomp::{self, SeccompWish},
    },
    launcher::zygote::{self, Request},
    record::{self, CgroupUse, Launch, Restrictions, UserIds},
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
pub(crate) async fn live(
    inner: Arc<Inner>,
    container: Arc<Container>,
    spec: LaunchSpec,
    reply: oneshot::Sender<Result<Launched, LaunchError>>,
) {
    match launch(&inner, &container, spec).await {
        Ok(launched) => {
            container.state.send_replace(State::Running);
            if container.is_doomed() {
                container.kill.notify_one();
            }
            let _ = reply.send(Ok(launched));
            supervise::watch(inner, container).await;
        }
        Err(error) => {
            inner.table().remove(&container.id);
            container
                .state
                .send_replace(State::Terminated(Termination { message: error.to_string(), ..Termination::default() }));
            let _ = reply.send(Err(error));
        }
    }
}

async fn launch(inner: &Arc<Inner>, container: &Arc<Container>, spec: LaunchSpec) -> Result<Launched, LaunchError> {
    let broken = || io_error("launch", io::Error::other("the work broke off"));
    let (job_inner, job_container) = (inner.clone(), container.clone());
    if spec.uris.is_empty() {
        let job = move || {
            let room = prepare(&job_inner, &spec)?;
            start(&job_inner, &job_container, spec, room)
        };
        return inner.workers.run(job).await.unwrap_or_else(|| Err(broken()));
    }

    let job = move || prepare(&job_inner, &spec).map(|room| (spec, room));
    let (spec, room) = inner.workers.run(job).await.unwrap_or_else(|| Err(broken()))?;
    container.state.send_replace(State::Fetching);
    let fetched = fetch(inner, container, spec, room).await;
    inner.counters.add_fetch(fetched.is_ok());
    let (spec, room) = fetched?;
    let (job_inner, job_container) = (inner.clone(), container.clone());
    let job = move || start(&job_inner, &job_container, spec, room);
    inner.workers.run(job).await.unwrap_or_else(|| Err(broken()))
}

/// The sandbox, opened, and who it is for.
struct Room {
    user: Option<UserIds>,
    directory: OwnedFd,
}

fn prepare(inner: &Inner, spec: &LaunchSpec) -> Result<Room, LaunchError> {
    let user = find_user(inner, spec)?;
    let trusted = inner.trusted_above(&spec.id);
    let directory = sandbox::open(&spec.sandbox, trusted.as_deref())
        .and_then(|directory| match (&trusted, &user) {
            (Some(trusted), Some(user)) => sandbox::let_through(&spec.sandbox, trusted, user).map(|()| directory),
            _ => Ok(directory),
        })
        .map_err(|error| io_error(format!("create the sandbox '{}'", spec.sandbox.display()), error))?;
    for volume in &spec.volumes {
        let ids = user.as_ref().map(|user| (user.uid, user.gid));
        sandbox::link(&directory, volume, ids)
            .map_err(|error| io_error(format!("link the volume '{}'", volume.path.display()), error))?;
    }
    Ok(Room { user, directory })
}

fn find_user(inner: &Inner, spec: &LaunchSpec) -> Result<Option<UserIds>, LaunchError> {
    let Some(name) = spec.command.user.as_ref().filter(|_| inner.config.switch_user) else { return Ok(None) };
    let refuse = |why: String| LaunchError::User { user: name.clone(), why };
    let ids = inner.users.find(name).map_err(refuse)?;
    if ids.uid == credentials::own_ids().0 {
        return Ok(None);
    }
    if !inner.host.may_switch_user {
        return Err(refuse(
            "the agent does not run as root and cannot switch users; start it with --no-switch_user to run everything \
             as its own user"
                .to_owned(),
        ));
    }
    Ok(Some(ids))
}

async fn fetch(
    inner: &Arc<Inner>,
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
        bytes_max: None,
    };
    let wanted = container.clone();
    let fetched = inner.fetcher.run(order, move || wanted.is_doomed(), container.kill.notified()).await;
    match fetched {
        _ if container.is_doomed() => Err(LaunchError::Destroyed),
        Ok(Ok(())) => Ok((spec, room)),
        Ok(Err(failure)) => Err(LaunchError::Fetch { uri: failure.uri, why: failure.why }),
        Err(error) => Err(io_error("fetch", error)),
    }
}

/// The last stretch, on one thread.
fn start(inner: &Arc<Inner>, container: &Container, spec: LaunchSpec, room: Room) -> Result<Launched, LaunchError> {
    if container.is_doomed() {
        return Err(LaunchError::Destroyed);
    }
    let (output, ends) = open_output(&spec, &room)?;
    if let Some(user) = &room.user {
        sandbox::give(&room.directory, user)
            .map_err(|error| io_error(format!("give the sandbox to user {}", user.uid), error))?;
    }
    drop(room.directory);

    let host = &inner.host;
    let parent = match spec.id.parent() {
        Some(parent) => Some(inner.find(&parent).map_err(|_| LaunchError::NoParent(spec.id.clone()))?),
        None => None,
    };
    let parent = parent.as_ref().and_then(|parent| parent.live.get());
    if spec.id.is_nested() && parent.is_none() {
        return Err(LaunchError::NoParent(spec.id.clone()));
    }

    let mut plan = namespaces::plan(&spec, host.isolation, host.user_namespace);
    let shares = spec.id.is_nested() && (spec.share_cgroups || spec.class == Class::Debug);
    let limits = !shares && (host.isolation.cpu || host.isolation.memory || host.isolation.pids);
    plan.setup.cgroups = CgroupUse::new(limits, !plan.setup.own_pid && host.process_cgroups);
    let used = plan.setup.cgroups;
    let limited_by = if limits { Some(spec.id.clone()) } else { parent.and_then(|parent| parent.limited_by.clone()) };

    let restrictions = restrict(inner, &spec, room.user.as_ref(), plan.setup)?;
    let launch = plan_record(inner, &spec, room.user, plan.setup, restrictions);
    let slot = inner.shelf.take(&launch).map_err(|error| io_error("write the container's record", error))?;
    let mut undo = Undo { inner, id: &spec.id, used, slot: Some(slot) };
    let door = match &host.cgroups {
        Some(cgroups) => {
            cgroups
                .create(&spec.id, used, &inner.shape(&spec.limits))
                .map_err(|error| io_error("create the container's cgroups", error))?;
            let processes = used.processes().then_some(&spec.id);
            cgroups.open(limited_by.as_ref(), processes).map_err(|error| io_error("open the cgroups", error))?
        }
        None => Door::default(),
    };

    let child = match &undo.slot {
        Some(slot) => fork_launcher(inner, &spec.id, &plan, &door, &output, slot.file().as_fd(), parent)?,
        None => return Err(LaunchError::Destroyed),
    };
    *lock(&container.record) = undo.slot.take();
    let live = Live { pid: child.pid, pidfd: Arc::new(child.pidfd), setup: plan.setup, limited_by };
    let _ = container.live.set(live);
    let (stdout, stderr) = ends.unzip();
    Ok(Launched { pid: child.pid, stdout, stderr })
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

/// What the container is kept from, by its own wish within the agent's settings.
fn restrict(
    inner: &Inner,
    spec: &LaunchSpec,
    user: Option<&UserIds>,
    setup: record::Setup,
) -> Result<Restrictions, LaunchError> {
    let (host, config) = (&inner.host, &inner.config);
    let refuse = |what: &str, why: String| LaunchError::Refused { what: what.to_owned(), why };
    let capabilities = host.capabilities.map(|permitted| capabilities::bounds(spec.capabilities, config, permitted));
    let capabilities = capabilities.transpose().map_err(|why| refuse("the container's capabilities", why))?;
    let seccomp = host.isolation.seccomp
        && match &spec.seccomp {
            SeccompWish::Default => true,
            SeccompWish::Named(name) if name == seccomp::DEFAULT_PROFILE => true,
            SeccompWish::Named(name) => {
                let why = format!("there is no profile '{name}', only '{}'", seccomp::DEFAULT_PROFILE);
                return Err(refuse("the container's filter of system calls", why));
            }
            SeccompWish::Unconfined if config.allow_unconfined => false,
            SeccompWish::Unconfined => {
                let why = "the agent's --seccomp_allow_unconfined is not set".to_owned();
                return Err(refuse("a container without a filter of system calls", why));
            }
        };
    // Who is not root, and cannot become it, may not write there anyway.
    let may_be_root = user.is_none_or(|user| user.uid == 0) || !host.isolation.no_new_privileges;
    Ok(Restrictions {
        capabilities,
        no_new_privileges: host.isolation.no_new_privileges,
        seccomp,
        kernel_files: capabilities.is_some() && setup.own_mounts && may_be_root,
    })
}

fn plan_record(
    inner: &Inner,
    spec: &LaunchSpec,
    user: Option<UserIds>,
    setup: record::Setup,
    restrictions: Restrictions,
) -> Launch {
    let mut env = spec.command.env.clone();
    if !setup.own_pid {
        env.push(inner.marker(&spec.id));
    }
    // A debug container is at home where its parent is.
    let parent = spec.id.parent().filter(|_| spec.class == Class::Debug).and_then(|parent| inner.find(&parent).ok());
    let home = parent.as_ref().map_or(&spec.sandbox, |parent| &parent.sandbox);
    let cwd = match &spec.command.cwd {
        Some(cwd) => home.join(cwd),
        None => home.clone(),
    };
    // Only as root may a score be lowered below the agent's own.
    let oom_score_adj =
        memory::oom_score_adj(&spec.limits, inner.host.machine_bytes).filter(|_| inner.host.may_switch_user);
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
        rlimits: spec.rlimits.clone(),
        hostname: spec.hostname.clone().filter(|_| inner.host.isolation.uts_namespace),
        setup,
        shm_bytes: spec.shm_bytes.or(MemoryShape::new(&spec.limits).hard.filter(|bytes| *bytes != u64::MAX)),
        oom_score_adj,
        limits: spec.limits,
        restrictions,
    }
}

/// Removes what a failed launch has made.
struct Undo<'a> {
    inner: &'a Inner,
    id: &'a ContainerId,
    used: CgroupUse,
    slot: Option<Slot>,
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take() else { return };
        if let Some(cgroups) = &self.inner.host.cgroups
            && let Err(error) = cgroups.remove(self.id, self.used)
        {
            tracing::warn!("Failed to remove the cgroups of container '{}' that was not launched: {error}", self.id);
        }
        slot.discard();
    }
}

fn fork_launcher(
    inner: &Inner,
    id: &ContainerId,
    plan: &namespaces::NamespacePlan,
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
    inner.zygote.fork(request, &inner.marker(id).1, &fds).map_err(|error| io_error("create a process", error))
}

fn io_error(what: impl Into<String>, source: io::Error) -> LaunchError {
    LaunchError::Io { what: what.into(), source }
}
