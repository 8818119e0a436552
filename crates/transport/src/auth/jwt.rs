//! JSON Web Tokens (RFC 7519) signed with HMAC-SHA256, as `Authorization: Bearer` carries them. What the claims of a
//! token allow is decided elsewhere. Expiry (`exp`) is kept; no other algorithm is taken, `none` least of all.

use std::{collections::BTreeMap, fmt, path::Path};

use base64::{Engine, alphabet, engine::GeneralPurposeConfig, engine::general_purpose::GeneralPurpose};
use hmac::{Hmac, KeyInit, Mac};
use hyper::{HeaderMap, header::AUTHORIZATION};
use serde_json::Value;
use sha2::Sha256;

/// Written without padding; read with and without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);

/// The most bytes of a token; its claims are a few ids.
const TOKEN_BYTES_MAX: usize = 16 << 10;

/// What a token says of its bearer.
pub type Claims = BTreeMap<String, String>;

/// Signs tokens, and knows its own again. The secret is not shown by `Debug`.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

/// Why a token proves nothing. Nothing of the token is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("Expected 3 components in token")]
    Components,
    #[error("Failed to decode token header")]
    Header,
    #[error("Token 'alg' value does not match, expected \"HS256\"")]
    Algorithm,
    #[error("Token 'crit' field is unsupported")]
    Critical,
    #[error("Failed to decode token payload")]
    Payload,
    #[error("JSON payload 'exp' field is not a number")]
    Expiry,
    #[error("Token has expired")]
    Expired,
    #[error("Token signature does not match")]
    Signature,
    #[error("JWT claims missing")]
    NoClaims,
}

/// Why a file holds no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("{0}")]
    File(#[from] std::io::Error),
    #[error("it is empty; it should hold a random secret of at least 32 bytes")]
    Empty,
}

impl Key {
    pub fn new(secret: &[u8]) -> Option<Key> {
        Hmac::new_from_slice(secret).ok().map(Key)
    }

    /// The key in a file: all of its bytes, a line's end included, as Mesos reads it. The flag gives a path, or
    /// `file://` and a path.
    pub fn read(flag: &str) -> Result<Key, KeyError> {
        let path = Path::new(flag.strip_prefix("file://").unwrap_or(flag));
        let secret = std::fs::read(path)?;
        super::credentials::warn_if_others_read(path)?;
        if secret.iter().all(u8::is_ascii_whitespace) {
            return Err(KeyError::Empty);
        }
        Key::new(&secret).ok_or(KeyError::Empty)
    }

    /// A token with these claims that does not expire.
    pub fn sign(&self, claims: &Claims) -> String {
        let payload = serde_json::to_vec(claims).unwrap_or_default();
        let signed = format!("{}.{}", BASE64.encode(br#"{"alg":"HS256","typ":"JWT"}"#), BASE64.encode(payload));
        let signature = self.0.clone().chain_update(&signed).finalize().into_bytes();
        format!("{signed}.{}", BASE64.encode(signature))
    }

    /// The claims of a token that this key signed.
    pub fn verify(&self, token: &str, now_secs: u64) -> Result<Claims, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Components);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Components)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Components)?;
        if payload.contains('.') {
            return Err(TokenError::Components);
        }
        let header = object(header).ok_or(TokenError::Header)?;
        if header.get("alg").and_then(Value::as_str) != Some("HS256") {
            return Err(TokenError::Algorithm);
        }
        if header.contains_key("crit") {
            return Err(TokenError::Critical);
        }
        let signature = BASE64.decode(signature).map_err(|_| TokenError::Signature)?;
        self.0.clone().chain_update(signed).verify_slice(&signature).map_err(|_| TokenError::Signature)?;
        let payload = object(payload).ok_or(TokenError::Payload)?;
        if let Some(expiry) = payload.get("exp") {
            let expiry = expiry.as_f64().ok_or(TokenError::Expiry)?;
            if expiry < now_secs as f64 {
                return Err(TokenError::Expired);
            }
        }
        if payload.is_empty() {
            return Err(TokenError::NoClaims);
        }
        let text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        Ok(payload.into_iter().map(|(name, value)| (name, text(value))).collect())
    }
}

fn object(encoded: &str) -> Option<serde_json::Map<String, Value>> {
    match serde_json::from_slice(&BASE64.decode(encoded).ok()?).ok()? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

/// The token of the Authorization header, if its scheme is Bearer.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::new(b"a secret of some length").unwrap()
    }

    fn claims() -> Claims {
        [("fid", "f-1"), ("eid", "e 2"), ("cid", "c3")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }

    #[test]
    fn a_token_is_what_mesos_makes_of_the_same_claims() {
        // Signed by `openssl dgst -sha256 -hmac`, header and payload as Mesos prints them.
        let token = Key::new(b"s3cret").unwrap().sign(&[("cid".into(), "c".into()), ("fid".into(), "f".into())].into());
        assert_eq!(
            token,
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJjaWQiOiJjIiwiZmlkIjoiZiJ9.M3VjlSEJcHMUAXg_Yw1NEnPZ_ZS0zETHDg8kw_aBdPc"
        );
    }

    #[test]
    fn only_what_this_key_signed_is_taken() {
        let token = key().sign(&claims());
        assert_eq!(key().verify(&token, 0), Ok(claims()));
        assert_eq!(Key::new(b"another").unwrap().verify(&token, 0), Err(TokenError::Signature));
        let parts: Vec<&str> = token.split('.').collect();
        let resigned = |header: &str, payload: &str| {
            let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
            let signature = key().0.chain_update(&signed).finalize().into_bytes();
            format!("{signed}.{}", BASE64.encode(signature))
        };
        let hs256 = r#"{"alg":"HS256"}"#;
        for (token, error) in [
            (String::new(), TokenError::Components),
            ("a.b".into(), TokenError::Components),
            (format!("{token}.x"), TokenError::Components),
            ("x".repeat(TOKEN_BYTES_MAX + 1), TokenError::Components),
            (format!("!.{}.{}", parts[1], parts[2]), TokenError::Header),
            (format!("{}.{}.", parts[0], parts[1]), TokenError::Signature),
            (format!("{}.{}.{}", parts[0], BASE64.encode(r#"{"fid":"other"}"#), parts[2]), TokenError::Signature),
            (format!("{}.{}.", BASE64.encode(r#"{"alg":"none"}"#), parts[1]), TokenError::Algorithm),
            (resigned(r#"{"typ":"JWT"}"#, "{}"), TokenError::Algorithm),
            (resigned(r#"{"alg":"HS256","crit":["x"]}"#, "{}"), TokenError::Critical),
            (resigned(hs256, "[]"), TokenError::Payload),
            (resigned(hs256, "{}"), TokenError::NoClaims),
            (resigned(hs256, r#"{"exp":"x"}"#), TokenError::Expiry),
            (resigned(hs256, r#"{"exp":99,"fid":"f"}"#), TokenError::Expired),
        ] {
            assert_eq!(key().verify(&token, 100), Err(error), "{token}");
        }
        assert_eq!(key().verify(&resigned(hs256, r#"{"exp":100,"n":3}"#), 100).unwrap()["n"], "3");
    }

    #[test]
    fn the_header_is_bearer_and_a_token() {
        let headers = |value: &str| HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
        assert_eq!(bearer(&headers("Bearer a.b.c")), Some("a.b.c"));
        assert_eq!(bearer(&headers("bearer  a.b.c ")), Some("a.b.c"));
        for other in ["Basic YTpi", "Bearer", "a.b.c"] {
            assert_eq!(bearer(&headers(other)), None);
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }

    #[test]
    fn a_key_is_never_printed() {
        assert_eq!(format!("{:?}", key()), "Key { .. }");
    }
}
