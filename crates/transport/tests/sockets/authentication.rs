//! Who proves what to whom over libprocess.

use std::time::Duration;

use proto::{Message as _, internal, upid::Upid, wire};
use tokio::sync::mpsc;
use transport::{
    Message,
    auth::{
        authenticatee::{Authenticatee, Outcome},
        authenticator::{PeerAuthenticator, Progress},
        cram_md5,
        credentials::Credential,
    },
};

use super::{harness::soon, libprocess::Process};

/// A master, what it is told, and an agent.
struct Pair {
    server: Process,
    client: Process,
    authenticator: PeerAuthenticator,
    told: mpsc::UnboundedReceiver<Progress>,
}

impl Pair {
    async fn new(credentials: Option<Vec<Credential>>, timeout: Duration) -> Pair {
        let (server, client) = (Process::start().await, Process::start().await);
        let (sender, told) = mpsc::unbounded_channel();
        let tell = Box::new(move |progress| sender.send(progress).is_ok());
        let authenticator = PeerAuthenticator::new(credentials, timeout, "h".into(), server.node.clone(), tell);
        Pair { server, client, authenticator, told }
    }

    fn known() -> Option<Vec<Credential>> {
        Some(vec![Credential::new("alice", "s3cret")])
    }

    async fn told(&mut self) -> Progress {
        soon("progress", self.told.recv()).await.unwrap()
    }

    /// Sends what the client says, and gives it what the server answers.
    fn say(&self, actor: &str, to: &Upid, message: &impl proto::Message) {
        self.client.node.send(actor, to, name(message), &wire::encode(message));
    }

    /// Gives the server one message.
    async fn serve(&mut self) -> bool {
        let message = self.server.receive().await;
        self.authenticator.deliver(&message)
    }

    /// One round with an authenticatee of this credential.
    async fn prove(&mut self, credential: Credential) -> Outcome {
        let (sender, mut ends) = mpsc::unbounded_channel();
        let tell = Box::new(move |_, outcome| drop(sender.send(outcome)));
        let authenticatee = Authenticatee::new(credential, self.client.node.clone(), tell);
        authenticatee.begin(&self.server.upid("master"), "slave(1)");
        loop {
            tokio::select! {
                message = self.server.receive() => assert!(self.authenticator.deliver(&message)),
                message = self.client.receive() => assert!(authenticatee.deliver(&message)),
                outcome = ends.recv() => return outcome.unwrap(),
            }
        }
    }
}

fn name<M: proto::Message>(_: &M) -> &'static str {
    M::full_name()
}

const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn the_right_secret_proves_and_a_wrong_one_does_not() {
    let mut pair = Pair::new(Pair::known(), LONG).await;
    let agent = pair.client.upid("slave(1)");
    assert_eq!(pair.prove(Credential::new("alice", "s3cret")).await, Outcome::Proved);
    assert_eq!(pair.told().await, Progress::Begun(agent.clone()));
    assert_eq!(pair.told().await, Progress::Proved(agent.clone(), "alice".into()));
    for wrong in [Credential::new("alice", "S3cret"), Credential::new("bob", "s3cret")] {
        assert_eq!(pair.prove(wrong).await, Outcome::Refused);
        assert_eq!(pair.told().await, Progress::Begun(agent.clone()));
        assert_eq!(pair.told().await, Progress::Failed(agent.clone()));
    }
}

#[tokio::test]
async fn a_server_without_credentials_says_so() {
    let mut pair = Pair::new(None, LONG).await;
    let outcome = pair.prove(Credential::new("alice", "s3cret")).await;
    assert_eq!(outcome, Outcome::Error("No authenticator loaded".into()));
}

#[tokio::test]
async fn who_takes_too_long_has_failed_and_a_new_attempt_ends_the_old() {
    let mut pair = Pair::new(Pair::known(), Duration::from_millis(50)).await;
    let (agent, master) = (pair.client.upid("slave(1)"), pair.server.upid("master"));
    let ask = internal::AuthenticateMessage { pid: agent.to_string() };
    pair.say("crammd5-authenticatee(7)", &master, &ask);
    pair.say("crammd5-authenticatee(8)", &master, &ask);
    assert!(pair.serve().await && pair.serve().await);
    assert_eq!(pair.told().await, Progress::Begun(agent.clone()));
    assert_eq!(pair.told().await, Progress::Begun(agent.clone()));
    assert_eq!(pair.told().await, Progress::Failed(agent.clone()));
    assert!(pair.told.try_recv().is_err());
}

/// A driver of libmesos proves who it is through a process of its own, which has another port.
#[tokio::test]
async fn another_process_of_the_host_may_prove_for_an_actor() {
    let mut pair = Pair::new(Pair::known(), LONG).await;
    let (driver, master) = (Upid::new("scheduler(1)", "127.0.0.1", 1), pair.server.upid("master"));
    pair.say("crammd5-authenticatee(1)", &master, &internal::AuthenticateMessage { pid: driver.to_string() });
    assert!(pair.serve().await);
    assert_eq!(pair.told().await, Progress::Begun(driver.clone()));
    let answer = pair.client.receive().await;
    assert_eq!(answer.name, internal::AuthenticationMechanismsMessage::full_name());
    let start = internal::AuthenticationStartMessage { mechanism: "CRAM-MD5".into(), data: None };
    pair.say("crammd5-authenticatee(1)", &answer.from, &start);
    assert!(pair.serve().await);
    let challenge = pair.client.receive().await;
    let step = wire::decode::<internal::AuthenticationStepMessage>(&challenge.body).unwrap();
    let data = cram_md5::respond(&Credential::new("alice", "s3cret"), &step.data).unwrap();
    pair.say("crammd5-authenticatee(1)", &answer.from, &internal::AuthenticationStepMessage { data: data.into() });
    assert!(pair.serve().await);
    assert_eq!(pair.told().await, Progress::Proved(driver, "alice".into()));
}

#[tokio::test]
async fn nobody_speaks_for_another_process_or_out_of_turn() {
    let mut pair = Pair::new(Pair::known(), LONG).await;
    let (agent, master) = (pair.client.upid("slave(1)"), pair.server.upid("master"));
    let error = async |pair: &mut Pair| {
        let Message { name, body, .. } = pair.client.receive().await;
        assert_eq!(name, internal::AuthenticationErrorMessage::full_name());
        wire::decode::<internal::AuthenticationErrorMessage>(&body).unwrap().error.unwrap()
    };
    for (pid, why) in [("slave(1)@127.0.0.2:1", "'pid' is an actor on another host"), ("x", "Malformed 'pid'")] {
        pair.say("crammd5-authenticatee(1)", &master, &internal::AuthenticateMessage { pid: pid.into() });
        assert!(pair.serve().await);
        assert_eq!(error(&mut pair).await, why);
    }

    let begin = internal::AuthenticateMessage { pid: agent.to_string() };
    for (message, why) in [(Some("PLAIN"), "Unsupported"), (None, "Unexpected authentication 'step' received")] {
        pair.say("crammd5-authenticatee(1)", &master, &begin);
        assert!(pair.serve().await);
        let answering = pair.client.receive().await.from;
        // Another actor of the process has no part in it.
        pair.say("crammd5-authenticatee(2)", &answering, &internal::AuthenticationStepMessage { data: "x".into() });
        assert!(pair.serve().await);
        match message {
            Some(mechanism) => {
                let start = internal::AuthenticationStartMessage { mechanism: mechanism.into(), data: None };
                pair.say("crammd5-authenticatee(1)", &answering, &start);
            }
            None => pair.say(
                "crammd5-authenticatee(1)",
                &answering,
                &internal::AuthenticationStepMessage { data: "x".into() },
            ),
        }
        assert!(pair.serve().await);
        assert!(error(&mut pair).await.starts_with(why));
        assert_eq!(pair.told().await, Progress::Begun(agent.clone()));
        assert_eq!(pair.told().await, Progress::Failed(agent.clone()));
    }
}

#[tokio::test]
async fn only_the_server_that_was_asked_gets_an_answer_to_its_challenge() {
    let mut asked = Process::start().await;
    let (mut client, stranger) = (Process::start().await, Process::start().await);
    let tell = Box::new(|_, _| {});
    let authenticatee = Authenticatee::new(Credential::new("alice", "s3cret"), client.node.clone(), tell);
    authenticatee.begin(&asked.upid("master"), "slave(1)");
    let client_actor = asked.receive().await.from;
    let step = internal::AuthenticationStepMessage { data: "<1@h>".into() };
    for server in [&stranger, &asked] {
        server.node.send("crammd5-authenticator(1)", &client_actor, name(&step), &wire::encode(&step));
        assert!(authenticatee.deliver(&client.receive().await));
    }
    let answer = asked.receive().await;
    assert_eq!((answer.from, answer.to.as_str()), (client_actor, "crammd5-authenticator(1)"));
    assert_eq!(stranger.site.running.counters().accepted.load(std::sync::atomic::Ordering::Relaxed), 0);
}
