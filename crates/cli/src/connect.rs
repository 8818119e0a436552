//! How every command reaches a cluster: the `--master` option, and what a failed call means to the person who typed it.
//! The calls themselves are the `client` crate's.

use std::{future::Future, process::ExitCode};

use client::{Error, MasterClient, Masters};

use crate::servers::{fail, runtime};

/// Which cluster.
#[derive(clap::Args, Clone, Debug)]
pub struct Connect {
    /// The master; several have commas between them. Or where masters meet: zk://host:port/path, etcd://host:port/path.
    #[arg(long, env = "MESETA_MASTER", default_value = "127.0.0.1:5050", value_name = "HOST:PORT")]
    pub master: String,
}

impl Connect {
    pub fn masters(&self) -> Result<Masters, String> {
        self.master.parse().map_err(|error: Error| error.to_string())
    }

    pub fn client(&self) -> Result<MasterClient, String> {
        Ok(MasterClient::new(self.masters()?))
    }

    /// The cause and the next step.
    pub fn explain(&self, error: &Error) -> String {
        explain(&self.master, error)
    }
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

/// What went wrong with a master, and what to try.
pub fn explain(master: &str, error: &Error) -> String {
    match error {
        Error::Transport(_) if error.to_string().starts_with("cannot connect") => format!(
            "{error}\nIs a master running there? `meseta dev` starts a cluster on this machine; --master or MESETA_MASTER \
             names another ({master} now)"
        ),
        Error::Transport(_) | Error::Malformed(_) => {
            format!("{error}\nIs {master} a master's address? An agent or another service may be listening there")
        }
        Error::NoLeader(_) => format!("{error}\nA master that has just started needs a moment; try again"),
        Error::Refused { status, .. } if status.as_u16() == 401 || status.as_u16() == 403 => {
            format!("{error}\nThe master does not allow this to everybody")
        }
        Error::Address(_) | Error::Refused { .. } | Error::Framework(_) | Error::Ended(_) | Error::NotSubscribed => {
            error.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_that_is_not_there_is_told_with_the_next_step() {
        let connect = Connect { master: "127.0.0.1:1".to_owned() };
        let error = runtime()
            .expect("a runtime")
            .block_on(async { connect.client().expect("an address").get_health().await })
            .expect_err("nothing listens on port 1");
        let text = connect.explain(&error);
        assert!(text.contains("cannot connect to 127.0.0.1:1") && text.contains("meseta dev"), "{text}");
    }

    #[test]
    fn a_wrong_address_is_told_before_anything_is_sent() {
        let error = Connect { master: "a b".to_owned() }.client().map(drop).expect_err("no address");
        assert!(error.contains("host:port"), "{error}");
    }
}
