//! How every command reaches a cluster: the options that name it, the credential shown to it, and what a failed call
//! means to the person who typed it. The calls themselves are the `client` crate's, saved clusters are `context`'s.

use std::{
    future::Future,
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    path::Path,
    process::ExitCode,
    sync::OnceLock,
    time::Duration,
};

use client::{AgentClient, Credential, Error, MasterClient, Masters, Options, SchedulerClient};

use crate::{context, output::fail, runtime::runtime};

const DEFAULT_MASTER: &str = "127.0.0.1:5050";
const MASTER_VARIABLE: &str = "MESETA_MASTER";
const CREDENTIAL_VARIABLE: &str = "MESETA_CREDENTIAL";

/// Which cluster, and who asks.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Which cluster")]
pub struct Connect {
    /// The master; several have commas between them. Or where masters meet: zk://host:port/path, etcd://host:port/path.
    /// Without it MESETA_MASTER, then the context in use, then 127.0.0.1:5050.
    #[arg(long, value_name = "HOST:PORT")]
    master: Option<String>,
    /// A file with a principal and its secret, as {"principal": "…", "secret": "…"} or in one line. Without it
    /// MESETA_CREDENTIAL, then what the context has.
    #[arg(long, value_name = "FILE")]
    credential: Option<String>,
    /// A cluster saved with `meseta context set`. Without it MESETA_CONTEXT, then the one in use.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// What stood before the command: `meseta --master HOST:PORT status`.
static BEFORE_COMMAND: OnceLock<Connect> = OnceLock::new();

/// A cluster that was decided on.
#[derive(Clone)]
pub struct Target {
    pub masters: Masters,
    pub credential: Option<Credential>,
}

impl Connect {
    /// Takes options that stood before the command as if they stood behind it.
    pub fn set_before_command(self) {
        let _ = BEFORE_COMMAND.set(self);
    }

    /// Whether the command line itself says which cluster is meant.
    pub fn is_given(&self) -> bool {
        let all = self.clone().or_before();
        all.master.is_some() || all.context.is_some()
    }

    fn or_before(self) -> Connect {
        let before = BEFORE_COMMAND.get().cloned().unwrap_or_default();
        Connect {
            master: self.master.or(before.master),
            credential: self.credential.or(before.credential),
            context: self.context.or(before.context),
        }
    }

    pub fn target(&self) -> Result<Target, String> {
        self.clone().or_before().resolve(&|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// A context counts when it was asked for, or when nothing else names a master: its credential goes nowhere else.
    fn resolve(self, variable: &dyn Fn(&str) -> Option<String>) -> Result<Target, String> {
        let asked =
            self.context.clone().or_else(|| if self.master.is_none() { variable(context::VARIABLE) } else { None });
        let master = match asked {
            Some(_) => self.master,
            None => self.master.or_else(|| variable(MASTER_VARIABLE)),
        };
        let saved = match (&asked, &master) {
            (Some(name), _) => Some(context::Contexts::load()?.get(name)?),
            (None, None) => context::Contexts::load()?.current()?,
            (None, Some(_)) => None,
        };
        let master = match (master, &saved) {
            (Some(master), _) => parse_masters(&master)?,
            (None, Some(saved)) => saved.masters()?,
            (None, None) => parse_masters(DEFAULT_MASTER)?,
        };
        let file = self.credential.or_else(|| variable(CREDENTIAL_VARIABLE));
        let credential = match file.or_else(|| saved.and_then(|saved| saved.credential)) {
            Some(file) => Some(read_credential(&file)?),
            None => None,
        };
        Ok(Target { masters: master, credential })
    }

    pub fn client(&self) -> Result<MasterClient, String> {
        Ok(self.target()?.client())
    }

    /// The cluster as messages name it, without secrets.
    pub fn shown(&self) -> String {
        self.target().map_or_else(|_| "the master".to_owned(), |target| target.masters.to_string())
    }

    /// The cause and the next step.
    pub fn explain(&self, error: &Error) -> String {
        match self.target() {
            Ok(target) => target.explain(error),
            Err(why) => why,
        }
    }
}

impl Target {
    pub fn options(&self) -> Options {
        Options { credential: self.credential.clone(), ..Options::default() }
    }

    pub fn client(&self) -> MasterClient {
        MasterClient::with_options(self.masters.clone(), self.options())
    }

    pub fn scheduler(&self) -> SchedulerClient {
        SchedulerClient::with_options(self.masters.clone(), self.options())
    }

    /// Agents are shown the same credential.
    pub fn agent(&self, address: &str) -> Result<AgentClient, Error> {
        AgentClient::with_options(address, self.options())
    }

    pub fn principal(&self) -> Option<&str> {
        self.credential.as_ref().map(|credential| credential.principal.as_str())
    }

    /// What went wrong with a master, and what to try.
    pub fn explain(&self, error: &Error) -> String {
        let at = &self.masters;
        match error {
            Error::Transport(_) if error.to_string().starts_with("cannot connect") => format!(
                "{error}\nIs a master running there? `meseta dev` starts a cluster on this machine; --master, MESETA_MASTER or \
                 `meseta context use` names another ({at} now)"
            ),
            Error::NoLeader(_) => format!("{error}\nA master that has just started needs a moment; try again"),
            Error::Refused { status, .. } if status.as_u16() == 401 => match self.principal() {
                None => format!(
                    "{error}\nThe master wants to know who asks: --credential FILE or MESETA_CREDENTIAL names a file with \
                     principal and secret, and `meseta context set NAME --master {at} --credential FILE` keeps it"
                ),
                Some(principal) => {
                    format!("{error}\nThe master does not know the principal '{principal}', or it has another secret")
                }
            },
            Error::Refused { status, .. } if status.as_u16() == 403 => match self.principal() {
                None => {
                    format!("{error}\nThe master does not allow this to everybody; --credential FILE says who asks")
                }
                Some(principal) => format!("{error}\nThe master does not allow this to the principal '{principal}'"),
            },
            Error::Transport(_) | Error::Malformed(_) | Error::Refused { .. } => match self.agent_among() {
                Some(agent) => format!(
                    "{agent} is an agent; give the address of its master (`curl http://{agent}/state` shows it as \
                     \"master_hostname\")"
                ),
                None if matches!(error, Error::Refused { .. }) => error.to_string(),
                None => format!("{error}\nIs {at} a master's address? Another service may be listening there"),
            },
            Error::Address(_) | Error::Framework(_) | Error::Ended(_) | Error::NotSubscribed => error.to_string(),
        }
    }

    /// The address that turns out to be an agent's, if one is.
    fn agent_among(&self) -> Option<&String> {
        self.masters.addresses().iter().find(|address| is_agent(address))
    }
}

/// The text may hold a secret, so it is not repeated.
fn parse_masters(text: &str) -> Result<Masters, String> {
    let is_url = text.contains("://");
    if text.contains('@') && !(is_url && Masters::is_place(text)) {
        return Err(
            "an address of a master is HOST:PORT, without a user or a secret: everybody on this machine could read \
                    those in the list of processes. --credential FILE or MESETA_CREDENTIAL names a file that holds them"
                .to_owned(),
        );
    }
    text.parse().map_err(|error: Error| error.to_string())
}

/// A file, or (in a variable, where secrets are handed to programs in containers) the JSON itself.
fn read_credential(text: &str) -> Result<Credential, String> {
    if text.trim_start().starts_with('{') {
        return Credential::parse(text).map_err(|why| format!("{CREDENTIAL_VARIABLE}: {why}"));
    }
    let path = Path::new(text.strip_prefix("file://").unwrap_or(text));
    let content = crate::files::read_text(path, crate::files::WRITTEN_MAX)?;
    Credential::parse(&content).map_err(|why| format!("the credential in {}: {why}", path.display()))
}

/// Whether an agent of Meseta or Mesos answers at an address. Asked only when something has gone wrong already.
fn is_agent(address: &str) -> bool {
    const PATIENCE: Duration = Duration::from_secs(2);
    const MOST: u64 = 4 << 20;
    let ask = || -> std::io::Result<Vec<u8>> {
        let found = address.to_socket_addrs()?.next().ok_or(std::io::ErrorKind::NotFound)?;
        let mut stream = TcpStream::connect_timeout(&found, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        write!(stream, "GET /metrics/snapshot HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.take(MOST).read_to_end(&mut answer)?;
        Ok(answer)
    };
    let mark = b"\"slave/";
    ask().is_ok_and(|answer| answer.windows(mark.len()).any(|window| window == mark))
}

/// Runs a command to its end; an `Err` is printed and becomes exit code 1.
pub fn run<F: Future<Output = Result<ExitCode, String>>>(command: F) -> ExitCode {
    let result = runtime().and_then(|runtime| {
        let result = runtime.block_on(command);
        // A thread that waits for a terminal or a pipe must not keep the command from ending.
        runtime.shutdown_background();
        result
    });
    result.unwrap_or_else(|why| fail(&why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(master: &str) -> Connect {
        Connect { master: Some(master.to_owned()), ..Connect::default() }
    }

    #[test]
    fn a_master_that_is_not_there_is_told_with_the_next_step() {
        let connect = to("127.0.0.1:1");
        let error = runtime()
            .expect("a runtime")
            .block_on(async { connect.client().expect("an address").get_health().await })
            .expect_err("nothing listens on port 1");
        let text = connect.explain(&error);
        assert!(text.contains("cannot connect to 127.0.0.1:1") && text.contains("meseta dev"), "{text}");
    }

    #[test]
    fn a_wrong_address_is_told_before_anything_is_sent() {
        let error = to("a b").client().map(drop).expect_err("no address");
        assert!(error.contains("host:port"), "{error}");
    }

    #[test]
    fn a_secret_in_an_address_is_refused_and_not_repeated() {
        for master in ["me:s3cret@h:5050", "http://me:s3cret@h:5050", "h:5050,me:s3cret@i", "ftp://me:s3cret@h"] {
            let error = to(master).client().map(drop).expect_err(master);
            assert!(!error.contains("s3cret") && error.contains("--credential"), "{error}");
        }
        let shown = to("zk://me:s3cret@h:2181/mesos").shown();
        assert_eq!(shown, "zk://h:2181/mesos");
    }

    #[test]
    fn what_is_said_last_wins_and_a_credential_may_come_as_a_variable() {
        let environment = |name: &str| match name {
            MASTER_VARIABLE => Some("variable:1".to_owned()),
            CREDENTIAL_VARIABLE => Some(r#"{"principal": "ops", "secret": "s3cret"}"#.to_owned()),
            _ => None,
        };
        let target = to("option:2").resolve(&environment).expect("sound");
        assert_eq!((target.masters.to_string().as_str(), target.principal()), ("option:2", Some("ops")));
        let target = Connect::default().resolve(&environment).expect("sound");
        assert_eq!(target.masters.to_string(), "variable:1");
        let missing = Connect { credential: Some("/nowhere".to_owned()), ..to("option:2") };
        assert!(missing.resolve(&environment).map(drop).expect_err("no file").contains("/nowhere"));
    }
}
