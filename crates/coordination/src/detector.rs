//! Who leads, for agents, clients and tools: they watch the members and never become one.

use std::{sync::Arc, time::Duration};

use proto::v1::MasterInfo;
use tokio::sync::watch;

use crate::{
    announce,
    space::{Connect, Space, SpaceError},
    url::Place,
};

/// What is known of the leader.
#[derive(Clone, Debug, PartialEq)]
pub enum Detected {
    /// Nothing yet; why, if something is in the way.
    Unknown(Option<String>),
    /// The most senior member, if there is any.
    Leader(Option<Box<MasterInfo>>),
}

/// Watches until it is dropped. While the service does not answer, the last leader stays known.
#[derive(Debug)]
pub struct Detector {
    pub leader: watch::Receiver<Detected>,
    /// The service, for people.
    service: String,
    task: tokio::task::AbortHandle,
}

impl Drop for Detector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

const RETRY: Duration = Duration::from_millis(500);

impl Detector {
    /// Must be called on a runtime.
    pub fn start(place: Place, session_timeout: Duration) -> Detector {
        Detector::with(crate::connect(place, session_timeout))
    }

    pub fn with(connect: Arc<dyn Connect>) -> Detector {
        let (known, leader) = watch::channel(Detected::Unknown(None));
        let service = connect.describe();
        let task = tokio::spawn(async move {
            loop {
                let outcome = match connect.connect().await {
                    Ok(space) => follow(&*space, &known).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = outcome {
                    tracing::debug!(%error, "cannot see who leads");
                    known.send_if_modified(|detected| {
                        if matches!(detected, Detected::Unknown(_)) {
                            *detected = Detected::Unknown(Some(error.to_string()));
                            return true;
                        }
                        false
                    });
                }
                if known.is_closed() {
                    return;
                }
                tokio::time::sleep(RETRY).await;
            }
        });
        Detector { leader, service, task: task.abort_handle() }
    }

    /// The leader's `host:port`, as soon as there is one; else why there is none after `patience`.
    pub async fn wait(&mut self, patience: Duration) -> Result<String, String> {
        let leads = |detected: &Detected| matches!(detected, Detected::Leader(Some(_)));
        let found = tokio::time::timeout(patience, self.leader.wait_for(leads)).await.is_ok();
        match &*self.leader.borrow() {
            Detected::Leader(Some(info)) if found => Ok(announce::address(info)),
            Detected::Unknown(Some(why)) => Err(why.clone()),
            Detected::Unknown(None) => Err(format!(
                "{} does not answer; check that most of its servers run, and the hosts and ports in the URL",
                self.service
            )),
            Detected::Leader(_) => Err("no master is there".into()),
        }
    }
}

async fn follow(space: &dyn Space, known: &watch::Sender<Detected>) -> Result<(), SpaceError> {
    loop {
        let (members, changed) = space.members().await?;
        let leader = match members.first() {
            Some((member, info)) => {
                let read = announce::read(info);
                if read.is_none() {
                    tracing::warn!(name = member.name, "what the leading master tells of itself makes no sense");
                }
                read.map(Box::new)
            }
            None => None,
        };
        let detected = Detected::Leader(leader);
        known.send_if_modified(|former| {
            let new = *former != detected;
            *former = detected;
            new
        });
        tokio::select! {
            () = changed => {}
            why = space.ended() => return Err(SpaceError::Ended(why)),
            () = known.closed() => return Ok(()),
        }
    }
}
