//! The signed JWT: handed out itself, or exchanged by RFC 7523 section 2.1.

use super::form::Form;
use super::http::{Http, TokenRequest};
use super::wire::Sent;
use super::{Cause, Failure, Granted, signer, wire};
use crate::clock::Clock;
use crate::credentials::{Jwt, Plain};
use crate::vault::crypto::hex;
use bursar_proto::sensitive::Sensitive;
use bursar_proto::time::Timestamp;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Map, Value};

/// Random bits of a jti, over eight.
const JTI_BYTES: usize = 16;

/// Signs a JWT, and exchanges it where there is a token endpoint.
pub(super) async fn exchange(jwt: &Jwt, clock: &dyn Clock, http: &Http) -> Result<Granted, Failure> {
    let Some(token_url) = &jwt.token_url else {
        // the thread is shared, and this path never waits by itself
        tokio::task::yield_now().await;
        let now = clock.now();
        return wire::own(sign(jwt, now)?, jwt.ttl.count(), now);
    };
    // signed when its turn has come: an assertion must not grow old in a queue
    let turn = http.turn(token_url.url(), clock).await;
    let token = sign(jwt, turn.began_at)?;
    let mut form = Form::new("urn:ietf:params:oauth:grant-type:jwt-bearer");
    form.push("assertion", token.expose());
    form.options(jwt.options.as_ref());
    let sent = Sent { secrets: vec![token.expose()], person: None };
    let request = TokenRequest { url: token_url.url(), form: &form, sent, authorization: None, mark: None };
    http.token(&turn, request).await
}

fn sign(jwt: &Jwt, now: Timestamp) -> Result<Sensitive, Failure> {
    let mut random = [0; JTI_BYTES];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| Failure::new(Cause::Transient, "the system gave no random bytes for the jti claim"))?;
    let kid = jwt.private_key_id.as_ref().map(Plain::as_str);
    signer::sign(kid, &claims(jwt, now, &random), jwt.private_key.expose()).map(Sensitive::new).map_err(
        |_| {
            Failure::new(
                Cause::Permanent,
                "private_key does not sign; hint: give the key anew by an edit of the secret",
            )
        },
    )
}

fn claims(jwt: &Jwt, now: Timestamp, random: &[u8]) -> Map<String, Value> {
    let mut claims = Map::new();
    let mut set = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    set("iss", jwt.iss.as_str().into());
    set("aud", jwt.aud.as_str().into());
    if let Some(sub) = &jwt.sub {
        set("sub", sub.as_str().into());
    }
    set("iat", now.seconds().into());
    set("exp", now.seconds().saturating_add_unsigned(jwt.ttl.count()).into());
    set("jti", hex(random).into());
    // a jti of the person's own is kept; the other claims above cannot be custom
    let custom = jwt.custom_claims.iter().flat_map(|custom| &custom.0);
    claims.extend(custom.map(|(name, value)| (name.clone(), value.clone())));
    claims
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::Credentials;
    use crate::credentials::samples::{RSA_PKCS1, RSA_PKCS8};
    use crate::credentials::tests::parse_jwt;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use rsa::pkcs8::DecodePrivateKey as _;
    use serde_json::json;

    const NOW: i64 = 1_800_000_000;

    fn signed(members: &Value) -> String {
        let Credentials::Jwt(jwt) = parse_jwt(members).unwrap() else { panic!() };
        sign(&jwt, Timestamp::from_seconds(NOW)).unwrap().expose().to_owned()
    }

    fn part(token: &str, number: usize) -> Value {
        let part = token.split('.').nth(number).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    #[test]
    fn a_signature_verifies_by_another_library() {
        // RFC 8017 section 9.2: the DigestInfo of SHA-256
        let prefix = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
        for pem in [RSA_PKCS1, RSA_PKCS8] {
            let token = signed(&json!({"private_key": pem}));
            let (message, signature) = token.rsplit_once('.').unwrap();
            let digest = ring::digest::digest(&ring::digest::SHA256, message.as_bytes());
            let scheme = rsa::Pkcs1v15Sign { hash_len: Some(32), prefix: (*prefix).into() };
            let public = rsa::RsaPrivateKey::from_pkcs8_pem(RSA_PKCS8).unwrap().to_public_key();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            public.verify(scheme, digest.as_ref(), &signature).unwrap();
        }
    }

    #[test]
    fn claims_and_header_are_as_the_fields_say() {
        let token = signed(&json!({
            "sub": "robot", "private_key_id": "key-7", "custom_claims": {"nbf": 1, "admin": {"x": [true]}},
        }));
        assert_eq!(part(&token, 0), json!({"alg": "RS256", "typ": "JWT", "kid": "key-7"}));
        let mut claims = part(&token, 1);
        let jti = claims.as_object_mut().unwrap().remove("jti").unwrap();
        assert_eq!(jti.as_str().unwrap().len(), 32);
        assert_eq!(
            claims,
            json!({"iss": "me", "aud": "them", "sub": "robot", "iat": NOW, "exp": NOW + 3_600, "nbf": 1,
                "admin": {"x": [true]}})
        );
        assert_ne!(part(&signed(&json!({})), 1)["jti"], jti);
    }

    #[test]
    fn what_is_not_given_is_not_claimed() {
        let token = signed(&json!({}));
        assert!(part(&token, 0).get("kid").is_none() && part(&token, 1).get("sub").is_none());
    }
}
