//! Credentials that are handed out as they are, or nearly: no issuer, no end of their own.

use super::artifact::{Artifact, copy};
use super::field::{Filled, HeaderName, HeaderValue, Plain, TEXT_MAX, Texts, is_header_value};
use super::{Kind, credentials};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bursar_proto::fields::{FromField, Invalid, Wrong};
use bursar_proto::kind::ExchangePolicy;
use bursar_proto::reply::Header;
use bursar_proto::sensitive::{Sensitive, expose};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

credentials! {
    /// RFC 7617 user and password. One of them may be empty, as some services want it.
    SimpleHttp {
        /// The user.
        username: String,
        /// The password.
        #[serde(serialize_with = "expose")]
        password: Sensitive,
    }
}

impl Kind for SimpleHttp {
    fn check(&mut self, _: Option<ExchangePolicy>) -> Result<(), Invalid> {
        let password = self.password.expose();
        if self.username.contains(':') {
            return Err(Invalid::field("username", "must not hold a colon (RFC 7617)"));
        }
        if self.username.len() > TEXT_MAX {
            return Err(Invalid::field("username", format!("is over {TEXT_MAX} bytes")));
        }
        for (name, text) in [("username", self.username.as_str()), ("password", password)] {
            if text.chars().any(char::is_control) {
                return Err(Invalid::field(name, "must not hold control characters (RFC 7617)"));
            }
        }
        if self.username.is_empty() && password.is_empty() {
            return Err(Invalid::field("password", "must not be empty where username is empty too"));
        }
        Ok(())
    }

    fn artifact(&self) -> Option<Artifact> {
        let pair = Zeroizing::new(format!("{}:{}", self.username, self.password.expose()));
        let basic = Sensitive::new(STANDARD.encode(pair.as_bytes()));
        Some(Artifact { value: Some(basic), fields: None, header: Some(authorization("Basic ")) })
    }
}

credentials! {
    /// One opaque text.
    Token {
        /// The text.
        #[serde(serialize_with = "expose")]
        token: Filled,
    }
}

impl Kind for Token {
    fn artifact(&self) -> Option<Artifact> {
        Some(Artifact::access_token(copy(self.token.expose())))
    }
}

credentials! {
    /// A header of its own name.
    ApiKey {
        /// The header's name.
        header_name: HeaderName,
        /// Its value.
        #[serde(serialize_with = "expose")]
        value: HeaderValue,
    }
}

impl Kind for ApiKey {
    fn artifact(&self) -> Option<Artifact> {
        Some(header("value", &self.header_name, &self.value))
    }
}

credentials! {
    /// A header whose value is sent as it is.
    BearerToken {
        /// The header's name.
        header_name: HeaderName,
        /// Its value.
        #[serde(serialize_with = "expose")]
        header_value: HeaderValue,
    }
}

impl Kind for BearerToken {
    fn artifact(&self) -> Option<Artifact> {
        Some(header("header_value", &self.header_name, &self.header_value))
    }
}

fn header(value_field: &str, name: &HeaderName, value: &HeaderValue) -> Artifact {
    let (name, value) = (name.as_str(), value.expose());
    Artifact {
        value: Some(copy(value)),
        fields: Some(vec![("header_name".to_owned(), copy(name)), (value_field.to_owned(), copy(value))]),
        header: Some(Header { name: name.to_string(), prefix: String::new() }),
    }
}

credentials! {
    /// An id and its secret.
    ClientCredentials {
        /// The client's id.
        client_id: Plain,
        /// Its secret.
        #[serde(serialize_with = "expose")]
        client_secret: Filled,
        /// What the client asks for.
        scopes: Option<Scopes>,
    }
}

impl Kind for ClientCredentials {
    fn artifact(&self) -> Option<Artifact> {
        let mut fields = vec![
            ("client_id".to_owned(), copy(self.client_id.as_str())),
            ("client_secret".to_owned(), copy(self.client_secret.expose())),
        ];
        // without scopes there is no such field: an empty text would pass where one is needed
        if let Some(Scopes(scopes)) = self.scopes.as_ref().filter(|scopes| !scopes.0.is_empty()) {
            fields.push(("scopes".to_owned(), Sensitive::new(scopes.join(" "))));
        }
        Some(Artifact { value: None, fields: Some(fields), header: None })
    }
}

/// Scopes, each a scope-token of RFC 6749 section 3.3, so that blanks can join them.
#[derive(serde::Serialize)]
#[serde(transparent)]
pub(crate) struct Scopes(Vec<String>);

impl Scopes {
    /// The scopes, in their order.
    pub(crate) fn list(&self) -> &[String] {
        &self.0
    }
}

impl FromField for Scopes {
    fn from_field(raw: Option<&RawValue>) -> Result<Self, Wrong> {
        let scopes = Vec::<String>::from_field(raw)?;
        let legal = |scope: &String| {
            !scope.is_empty() && scope.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
        };
        match scopes.iter().position(|scope| !legal(scope)) {
            None => Ok(Self(scopes)),
            Some(at) => Err(Wrong(
                format!(
                    "number {} is no scope: one or more of visible ascii but \" and \\, no blanks",
                    at + 1
                )
                .into(),
            )),
        }
    }
}

credentials! {
    /// Named texts.
    KeyValue {
        /// Names and texts.
        #[serde(serialize_with = "expose")]
        entries: Texts,
    }
}

impl Kind for KeyValue {
    fn check(&mut self, _: Option<ExchangePolicy>) -> Result<(), Invalid> {
        if self.entries.iter().next().is_none() {
            return Err(Invalid::field("entries", "must hold at least one entry"));
        }
        Ok(())
    }

    fn artifact(&self) -> Option<Artifact> {
        let entries = self.entries.iter();
        let fields = entries.map(|(name, value)| (name.to_owned(), copy(value.expose()))).collect();
        Some(Artifact { value: None, fields: Some(fields), header: None })
    }
}

/// How a token is sent, where it can stand in a header.
pub(super) fn bearer(token: &str) -> Option<Header> {
    is_header_value(token).then(|| authorization("Bearer "))
}

fn authorization(scheme: &str) -> Header {
    Header { name: "Authorization".to_owned(), prefix: scheme.to_owned() }
}
