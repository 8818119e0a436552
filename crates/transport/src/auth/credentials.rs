//! Principals and their secrets, and the files they come in: Mesos's JSON, or the older text with one pair a line.

use std::{fmt, path::Path, sync::Arc};

use super::Principal;

/// A principal and its secret. The secret is not shown by `Debug`.
#[derive(Clone)]
pub struct Credential {
    pub principal: Principal,
    pub secret: Box<[u8]>,
}

impl Credential {
    pub fn new(principal: impl Into<Arc<str>>, secret: impl AsRef<[u8]>) -> Credential {
        Credential { principal: principal.into(), secret: secret.as_ref().into() }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("principal", &self.principal).finish_non_exhaustive()
    }
}

/// Why a file of credentials cannot be used. Nothing that stands in the file is repeated.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error("{0}")]
    File(#[from] std::io::Error),
    #[error(
        "it holds neither JSON, {{\"credentials\": [{{\"principal\": \"...\", \"secret\": \"...\"}}]}}, nor one principal and \
         secret a line"
    )]
    Malformed,
    #[error("it names the principal '{0}' twice")]
    Twice(Principal),
    #[error("it holds {0} credentials where one is needed")]
    NotOne(usize),
}

/// The credentials of a server, from a file as `--credentials` names it: a path, or `file://` and a path.
pub fn read_all(flag: &str) -> Result<Vec<Credential>, CredentialsError> {
    let credentials = parse(&read(flag)?)?;
    for (i, one) in credentials.iter().enumerate() {
        if credentials.iter().skip(i + 1).any(|other| other.principal == one.principal) {
            return Err(CredentialsError::Twice(one.principal.clone()));
        }
    }
    Ok(credentials)
}

/// The one credential of a client, as `--credential` names it; in JSON it may stand alone.
pub fn read_one(flag: &str) -> Result<Credential, CredentialsError> {
    parse_one(&read(flag)?)
}

/// The same from the text itself.
pub fn parse_one(text: &str) -> Result<Credential, CredentialsError> {
    let mut all = match parse_json_one(text) {
        Some(one) => vec![one],
        None => parse(text)?,
    };
    match (all.pop(), all.len()) {
        (Some(one), 0) => Ok(one),
        (None, _) => Err(CredentialsError::NotOne(0)),
        (Some(_), others) => Err(CredentialsError::NotOne(others + 1)),
    }
}

fn read(flag: &str) -> Result<String, CredentialsError> {
    let path = Path::new(flag.strip_prefix("file://").unwrap_or(flag));
    let text = std::fs::read_to_string(path)?;
    warn_if_others_read(path)?;
    Ok(text)
}

/// As Mesos does; a file of secrets that anybody may read is used all the same.
pub(super) fn warn_if_others_read(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if std::fs::metadata(path)?.permissions().mode() & 0o007 != 0 {
        tracing::warn!(path = %path.display(), "others can read this file of secrets; take their permissions away");
    }
    Ok(())
}

fn parse(text: &str) -> Result<Vec<Credential>, CredentialsError> {
    if text.trim_start().starts_with('{') {
        return parse_json(text).ok_or(CredentialsError::Malformed);
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let pair = |line: &str| {
        let mut words = line.split_whitespace();
        let pair = Credential::new(words.next()?, words.next()?);
        words.next().is_none().then_some(pair)
    };
    lines.map(pair).collect::<Option<_>>().ok_or(CredentialsError::Malformed)
}

fn parse_json(text: &str) -> Option<Vec<Credential>> {
    let file: serde_json::Value = serde_json::from_str(text).ok()?;
    file.get("credentials")?.as_array()?.iter().map(of_json).collect()
}

fn parse_json_one(text: &str) -> Option<Credential> {
    of_json(&serde_json::from_str(text).ok()?)
}

fn of_json(value: &serde_json::Value) -> Option<Credential> {
    let principal = value.get("principal")?.as_str().filter(|name| !name.is_empty())?;
    // A principal without a secret is one that anybody may be.
    let secret = value.get("secret")?.as_str()?;
    Some(Credential::new(principal, secret))
}

/// Compares without stopping at the first difference. The time tells the length of `shown` only.
pub(super) fn same_bytes(known: &[u8], shown: &[u8]) -> bool {
    let mut difference = u8::from(known.len() != shown.len());
    for (i, byte) in shown.iter().enumerate() {
        difference |= byte ^ known.get(i).copied().unwrap_or(!byte);
    }
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Option<Vec<(String, String)>> {
        let all = parse(text).ok()?;
        let text = |c: &Credential| (c.principal.to_string(), String::from_utf8_lossy(&c.secret).into_owned());
        Some(all.iter().map(text).collect())
    }

    fn owned(pairs: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
        Some(pairs.iter().map(|(p, s)| ((*p).to_owned(), (*s).to_owned())).collect())
    }

    #[test]
    fn both_formats_say_the_same() {
        let expected = owned(&[("alice", "s3cret"), ("bob", "x")]);
        assert_eq!(pairs("alice s3cret\n\n bob\tx \n"), expected);
        let json = r#" {"credentials":[{"principal":"alice","secret":"s3cret"},{"principal":"bob","secret":"x"}]}"#;
        assert_eq!(pairs(json), expected);
        assert_eq!(pairs(""), owned(&[]));
    }

    #[test]
    fn what_is_no_credential_is_refused() {
        for wrong in [
            "alice",
            "alice s3cret more",
            "{",
            r#"{"credentials":[{"principal":"alice"}]}"#,
            r#"{"credentials":[{"principal":"","secret":"x"}]}"#,
            r#"{"principal":"alice","secret":"x"}"#,
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn files_are_named_by_path_or_url_and_mistakes_repeat_no_secret() {
        let path = std::env::temp_dir().join(format!("meseta-credentials-{}", std::process::id()));
        let name = path.display().to_string();
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        write(r#"{"principal":"alice","secret":"s3cret"}"#);
        let one = read_one(&format!("file://{name}")).unwrap();
        assert_eq!((&*one.principal, &*one.secret), ("alice", &b"s3cret"[..]));
        write("alice s3cret\nalice other");
        for error in [read_all(&name).unwrap_err(), read_one(&name).unwrap_err()] {
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
        write("alice s3cret s4cret");
        assert!(!read_all(&name).unwrap_err().to_string().contains("cret s4"));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(read_all(&name), Err(CredentialsError::File(_))));
    }

    #[test]
    fn a_secret_is_never_printed() {
        assert!(!format!("{:?}", Credential::new("alice", "s3cret")).contains("s3cret"));
    }
}
