//! CRAM-MD5 (RFC 2195): the server shows a challenge, the client answers with its principal and the HMAC-MD5 of the
//! challenge under its secret. The secret itself never travels. The conversation around it: `authenticator` and
//! `authenticatee`.

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;

use super::{Principal, credentials::Credential};

/// The mechanism's name.
pub const NAME: &str = "CRAM-MD5";

/// A challenge that was not there before: it holds randomness and the time.
pub fn challenge(now_secs: u64, hostname: &str) -> Vec<u8> {
    let nonce = [stdx::rng::system_seed(), stdx::rng::system_seed()];
    format!("<{:016x}{:016x}.{now_secs}@{hostname}>", nonce[0], nonce[1]).into_bytes()
}

/// What a client answers.
pub fn respond(credential: &Credential, challenge: &[u8]) -> Option<Vec<u8>> {
    let digest = keyed(&credential.secret, challenge)?.finalize().into_bytes();
    let mut response = credential.principal.as_bytes().to_vec();
    response.push(b' ');
    for byte in digest {
        response.extend(format!("{byte:02x}").bytes());
    }
    Some(response)
}

/// Who answered `challenge` with `response`; `None` if it proves nobody.
pub fn check(credentials: &[Credential], challenge: &[u8], response: &[u8]) -> Option<Principal> {
    // The name may hold blanks, the digest does not.
    let blank = response.iter().rposition(|byte| *byte == b' ')?;
    let (name, digest) = (response.get(..blank)?, unhex(response.get(blank + 1..)?)?);
    let known = credentials.iter().find(|credential| credential.principal.as_bytes() == name)?;
    keyed(&known.secret, challenge)?.verify_slice(&digest).ok()?;
    Some(known.principal.clone())
}

fn keyed(secret: &[u8], text: &[u8]) -> Option<Hmac<Md5>> {
    let mut mac = Hmac::<Md5>::new_from_slice(secret).ok()?;
    mac.update(text);
    Some(mac)
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        let tim = Credential::new("tim", "tanstaaftanstaaf");
        let challenge = b"<1896.697170952@postoffice.reston.mci.net>";
        let response = respond(&tim, challenge).unwrap();
        assert_eq!(response, b"tim b913a602c7eda7a495b4e6e7334d3890");
        assert_eq!(check(&[tim], challenge, &response).as_deref(), Some("tim"));
    }

    #[test]
    fn only_the_right_answer_to_this_challenge_proves_anybody() {
        let known = [Credential::new("al ice", "s"), Credential::new("bob", "x".repeat(200))];
        let (one, other) = (challenge(1, "h"), challenge(1, "h"));
        assert_ne!(one, other);
        for credential in &known {
            let response = respond(credential, &one).unwrap();
            assert_eq!(check(&known, &one, &response), Some(credential.principal.clone()));
            assert_eq!(check(&known, &other, &response), None);
            assert_eq!(check(&[], &one, &response), None);
            assert_eq!(check(&known, &one, &response[..response.len() - 1]), None);
        }
        let stranger = respond(&Credential::new("carol", "s"), &one).unwrap();
        let guess = respond(&Credential::new("bob", "s"), &one).unwrap();
        for wrong in [&stranger[..], &guess, b"", b"bob", b"bob ", b"bob zz", b" ", b"bob 00"] {
            assert_eq!(check(&known, &one, wrong), None);
        }
    }
}
