//! HTTP Basic: principal and secret in the Authorization header, compared in time that tells nothing about the secret.

use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::{HeaderMap, header::AUTHORIZATION};

use super::{
    Authenticator, Principal, Unauthenticated,
    credentials::{Credential, same_bytes},
};

/// Lets in who shows one of the credentials.
#[derive(Clone, Debug, Default)]
pub struct Basic {
    credentials: Vec<Credential>,
}

impl Basic {
    pub fn new(credentials: Vec<Credential>) -> Basic {
        Basic { credentials }
    }

    /// The principal whose credential this is. Every credential is compared, whichever matches.
    fn find_principal(&self, principal: &[u8], secret: &[u8]) -> Option<Principal> {
        let mut found = None;
        for credential in &self.credentials {
            let same = same_bytes(credential.principal.as_bytes(), principal) & same_bytes(&credential.secret, secret);
            if same && found.is_none() {
                found = Some(credential.principal.clone());
            }
        }
        found
    }
}

impl Authenticator for Basic {
    fn authenticate(&self, realm: &'static str, headers: &HeaderMap) -> Result<Option<Principal>, Unauthenticated> {
        parse(headers)
            .and_then(|(principal, secret)| self.find_principal(&principal, &secret))
            .map(Some)
            .ok_or(Unauthenticated { realm })
    }
}

/// Principal and secret of the Authorization header.
pub fn parse(headers: &HeaderMap) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let plain = STANDARD.decode(encoded.trim()).ok()?;
    let colon = plain.iter().position(|byte| *byte == b':')?;
    let (principal, secret) = plain.split_at(colon);
    Some((principal.to_vec(), secret.get(1..)?.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn only_a_known_pair_is_let_in() {
        let auth = Basic::new(vec![Credential::new("alice", "s3cret"), Credential::new("bob", "a:b")]);
        let ask = |text: &str| auth.authenticate("r", &headers(&format!("Basic {}", STANDARD.encode(text))));
        assert_eq!(ask("alice:s3cret").unwrap().as_deref(), Some("alice"));
        assert_eq!(ask("bob:a:b").unwrap().as_deref(), Some("bob"));
        for wrong in ["alice:s3cre", "alice:s3crets", "alice:", "alice", ":", "", "bob:s3cret", "carol:s3cret"] {
            assert_eq!(ask(wrong), Err(Unauthenticated { realm: "r" }), "{wrong}");
        }
    }

    #[test]
    fn other_headers_prove_nobody() {
        assert_eq!(parse(&HeaderMap::new()), None);
        for value in ["Basic", "Basic ", "Basic !!!", "Bearer YTpi", "YTpi", "Basic YQ=="] {
            assert_eq!(parse(&headers(value)), None, "{value}");
        }
        assert_eq!(parse(&headers("basic YTpi")), Some((b"a".to_vec(), b"b".to_vec())));
    }
}
