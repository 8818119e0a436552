//! What masters, agents, frameworks and the run itself prove themselves with when `--authenticate` is given. Everything
//! that can ask for a proof then asks for it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::Result;
use client::Credential;

#[derive(Clone)]
pub struct Secrets {
    /// Everybody's, for the masters.
    credentials: PathBuf,
    /// The agents', for them.
    credential: PathBuf,
}

/// What frameworks, and the run when it writes, prove themselves with. The pair as HTTP's basic authentication has it.
const FRAMEWORK: (&str, &str) = ("chaos", "a-secret-of-frameworks");
pub const BASIC: &str = "Y2hhb3M6YS1zZWNyZXQtb2YtZnJhbWV3b3Jrcw==";
const AGENT: (&str, &str) = ("agent", "a-secret-of-agents");

impl Secrets {
    pub fn write(home: &Path) -> Result<Secrets> {
        let secrets = Secrets { credentials: home.join("credentials"), credential: home.join("credential") };
        let line = |(principal, secret): (&str, &str)| format!("{principal} {secret}\n");
        fs::write(&secrets.credentials, line(FRAMEWORK) + &line(AGENT))?;
        fs::write(&secrets.credential, serde_json::json!({"principal": AGENT.0, "secret": AGENT.1}).to_string())?;
        for path in [&secrets.credentials, &secrets.credential] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        }
        Ok(secrets)
    }

    pub fn flags_of_masters(&self) -> Vec<String> {
        let credentials = format!("--credentials={}", self.credentials.display());
        let asked = ["agents", "frameworks", "http_frameworks", "http_readwrite"];
        asked.iter().map(|whom| format!("--authenticate_{whom}")).chain([credentials]).collect()
    }

    pub fn flags_of_agents(&self) -> Vec<String> {
        vec![format!("--credential={}", self.credential.display())]
    }

    pub fn of_frameworks() -> Credential {
        Credential { principal: FRAMEWORK.0.into(), secret: FRAMEWORK.1.into() }
    }
}
