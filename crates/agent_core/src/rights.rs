//! What a caller may do to executors and containers, by where its call comes from: a container speaks for its own
//! executor and acts on what is inside it, and nobody gets at a user that was not meant. Where a call comes from is
//! found out by the program (`Caller`).

use crate::{
    agent::Agent,
    container_id::ContainerId,
    effect::Reply,
    event::Caller,
    state::{ContainerLife, Executor},
};
use proto::v1::agent::{Call, call};

impl Agent {
    /// Whether `caller` may make calls on the executor API in this executor's name.
    pub(crate) fn check_speaks_for(&self, caller: &Caller, executor: &Executor) -> Result<(), Reply> {
        let how = "an executor calls from its own container, or with the token that it was started with";
        let why = match caller {
            Caller::Operator => return Ok(()),
            Caller::Container(container) if *container == executor.container => return Ok(()),
            Caller::Container(_) => format!("the call comes from another container; {how}"),
            Caller::Network => format!("the call comes over the network without a token; {how}"),
            Caller::User(uid) => {
                format!("the call comes from user {uid} of this machine, and from no container; {how}")
            }
            Caller::Stranger(why) => format!("{why}; {how}"),
        };
        Err(Reply::Forbidden(format!("Not allowed to speak for executor '{}': {why}", executor.id)))
    }

    /// Whether `caller` may do this to the container `id`.
    pub(crate) fn check_container_call(&self, caller: &Caller, call: &Call, id: &ContainerId) -> Result<(), Reply> {
        let launches = launches(call);
        let why = match caller {
            Caller::Operator => return Ok(()),
            Caller::Stranger(why) => why.clone(),
            Caller::Container(own) if id.is_inside(own) || (id == own && !launches) => {
                return if launches { self.check_user(call, id) } else { Ok(()) };
            }
            Caller::Container(_) => "a container may act on itself and on what is inside it only".to_owned(),
            Caller::Network | Caller::User(_) if !launches => return Ok(()),
            Caller::User(uid) => format!("user {uid} is neither root nor the agent's own, and shows no credential"),
            Caller::Network if id.is_nested() => return self.check_user(call, id),
            Caller::Network => {
                "standalone containers are launched with a credential, or by this machine's root".to_owned()
            }
        };
        let kind = call.r#type().as_str_name();
        Err(Reply::Forbidden(format!("Not allowed to {kind} on container '{id}': {why}")))
    }

    /// A container starts with its parent's user, or with one that a task of its executor names. Whoever is root
    /// already may start anybody.
    fn check_user(&self, call: &Call, id: &ContainerId) -> Result<(), Reply> {
        let (Some(wanted), Some(parent)) = (user_of(call), id.parent()) else { return Ok(()) };
        if !self.config.switch_user {
            return Ok(());
        }
        let executor = self.roots.get(&id.root()).and_then(|(framework, id)| self.state.find_executor(framework, id));
        let user = match self.state.containers.get(&parent) {
            Some(row) if matches!(row.life, ContainerLife::Ended(_)) => return Ok(()),
            Some(row) => row.user.as_deref(),
            None => match executor.filter(|row| row.container == parent) {
                Some(row) => row.user.as_deref(),
                // The launch will be refused for want of a parent.
                None => return Ok(()),
            },
        };
        let mut named = executor.into_iter().flat_map(|row| row.tasks.values()).filter_map(|task| {
            let command = task.info.command.as_ref()?;
            command.user.as_deref()
        });
        match user {
            None | Some("root") => Ok(()),
            Some(user) if user == wanted || named.any(|named| named == wanted) => Ok(()),
            Some(user) => Err(Reply::Forbidden(format!(
                "Not allowed to launch container '{id}' as user '{wanted}': its parent runs as '{user}'"
            ))),
        }
    }
}

fn launches(call: &Call) -> bool {
    use call::Type;
    matches!(call.r#type(), Type::LaunchContainer | Type::LaunchNestedContainer | Type::LaunchNestedContainerSession)
}

fn user_of(call: &Call) -> Option<&str> {
    let command = match call.r#type() {
        call::Type::LaunchContainer => call.launch_container.as_ref()?.command.as_ref(),
        call::Type::LaunchNestedContainer => call.launch_nested_container.as_ref()?.command.as_ref(),
        call::Type::LaunchNestedContainerSession => call.launch_nested_container_session.as_ref()?.command.as_ref(),
        _ => None,
    };
    command?.user.as_deref()
}
