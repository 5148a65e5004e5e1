//! The client credentials grant: RFC 6749 section 4.4.

use super::form::{Form, encode};
use super::http::{Http, TokenRequest};
use super::wire::Sent;
use super::{Failure, Granted};
use crate::clock::Clock;
use crate::credentials::{ClientAuth, ClientCredentialsGrant};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Asks the issuer for a token.
pub(super) async fn exchange(
    grant: &ClientCredentialsGrant,
    clock: &dyn Clock,
    http: &Http,
) -> Result<Granted, Failure> {
    let mut form = Form::new("client_credentials");
    let authorization = match grant.client_auth {
        ClientAuth::Basic => Some(basic(grant.client_id.as_str(), grant.client_secret.expose())),
        ClientAuth::Post => {
            form.push("client_id", grant.client_id.as_str());
            form.push("client_secret", grant.client_secret.expose());
            None
        }
    };
    form.options(grant.options.as_ref());
    let authorization = authorization.as_ref().map(|header| header.as_str());
    let url = grant.token_url.url();
    let turn = http.turn(url, clock).await;
    let sent = Sent { secrets: vec![grant.client_secret.expose()], person: None };
    http.token(&turn, TokenRequest { url, form: &form, sent, authorization, mark: None }).await
}

/// The Authorization header of RFC 6749 section 2.3.1: id and secret are encoded as in a form first, but a blank
/// as `%20`: some issuers read them back as a URL, where a `+` stays one.
fn basic(id: &str, secret: &str) -> Zeroizing<String> {
    let mut pair = Zeroizing::new(String::new());
    encode(&mut pair, id);
    pair.push(':');
    encode(&mut pair, secret);
    let pair = Zeroizing::new(pair.replace('+', "%20"));
    let mut header = Zeroizing::new("Basic ".to_owned());
    STANDARD.encode_string(pair.as_bytes(), &mut header);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_and_secret_are_encoded_before_they_are_joined() {
        let header = basic("a:b", "c d%é");
        let pair = STANDARD.decode(header.strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(pair, b"a%3Ab:c%20d%25%C3%A9");
    }
}
