//! Credentials that an issuer, or our own signature, turns into an access token.

use super::field::{Filled, Plain, Seconds, Texts, TokenUrl};
use super::{Credentials, Kind, credentials, key};
use crate::exchange;
use bursar_proto::fields::{Fields, FromField, Invalid, Wrong};
use bursar_proto::kind::ExchangePolicy;
use bursar_proto::sensitive::expose;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The most bytes of JSON in `custom_claims`; a JWT that is handed out must fit a header.
const CLAIMS_MAX: usize = 8 * 1024;

/// Parameters of a token request that are not for options, because the grant sets them.
const RESERVED_OPTIONS: [&str; 4] = ["grant_type", "client_id", "client_secret", "assertion"];

/// Claims that are not for `custom_claims`, because fields set them.
const RESERVED_CLAIMS: [&str; 5] = ["iss", "aud", "sub", "exp", "iat"];

credentials! {
    /// RFC 6749 section 4.4.
    ClientCredentialsGrant {
        /// The client's id.
        client_id: Plain,
        /// The client's secret.
        #[serde(serialize_with = "expose")]
        client_secret: Filled,
        /// Where the grant is sent.
        token_url: TokenUrl,
        /// How long before its end a token is refreshed.
        refresh_offset: Option<Seconds>,
        /// Further parameters of the request.
        #[serde(serialize_with = "expose")]
        options: Option<Texts>,
        /// Where id and secret stand in the request.
        client_auth: ClientAuth,
    }
}

impl Kind for ClientCredentialsGrant {
    fn check(&mut self, _: Option<ExchangePolicy>) -> Result<(), Invalid> {
        check_options(self.options.as_ref())
    }
}

/// How a client proves itself: RFC 6749 section 2.3.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClientAuth {
    /// In the form.
    Post,
    /// In the Authorization header.
    Basic,
}

impl FromField for ClientAuth {
    fn from_field(raw: Option<&RawValue>) -> Result<Self, Wrong> {
        match Option::<String>::from_field(raw)?.as_deref() {
            None | Some("post") => Ok(Self::Post),
            Some("basic") => Ok(Self::Basic),
            Some(_) => Err(Wrong("expected one of: post, basic".into())),
        }
    }
}

credentials! {
    /// A JWT that we sign: an assertion by RFC 7523, or the token itself.
    Jwt {
        /// The issuer claim.
        iss: Plain,
        /// The audience claim.
        aud: Plain,
        /// The subject claim.
        sub: Option<Plain>,
        /// The lifetime of the JWT.
        ttl: Seconds,
        /// The algorithm.
        alg: Rs256,
        /// Further claims.
        custom_claims: Option<Claims>,
        /// Where the assertion is sent; without it the JWT is the token.
        token_url: Option<TokenUrl>,
        /// The kid header.
        private_key_id: Option<Plain>,
        /// The signing key: PKCS#8 PEM once it has been checked.
        #[serde(serialize_with = "expose")]
        private_key: Filled,
        /// How long before its end a token is refreshed.
        refresh_offset: Option<Seconds>,
        /// Further parameters of the request.
        #[serde(serialize_with = "expose")]
        options: Option<Texts>,
    }
}

impl Kind for Jwt {
    fn check(&mut self, policy: Option<ExchangePolicy>) -> Result<(), Invalid> {
        check_options(self.options.as_ref())?;
        if self.token_url.is_none() {
            // the lifetime is ours to choose, so what can never work is seen now
            exchange::judge_jwt(self, policy.unwrap_or(ExchangePolicy::Standard), self.ttl.count()).map_err(
                |failure| {
                    // there is no secret yet that could be edited
                    let details = failure
                        .details
                        .replace("bursar secret edit NAME --exchange-policy", "--exchange-policy");
                    Invalid::field("ttl", details)
                },
            )?;
        }
        let key = key::rsa_signing_key(self.private_key.expose())
            .map_err(|fault| Invalid::field("private_key", fault))?;
        self.private_key = key.into();
        Ok(())
    }
}

fn check_options(options: Option<&Texts>) -> Result<(), Invalid> {
    let mut names = options.into_iter().flat_map(Texts::iter).map(|(name, _)| name);
    match names.find_map(|name| RESERVED_OPTIONS.iter().find(|reserved| **reserved == name)) {
        Some(reserved) => Err(Invalid::field(
            "options",
            format!("{reserved} is set by the grant itself and cannot be an option"),
        )),
        None => Ok(()),
    }
}

/// The one signature algorithm.
#[derive(serde::Serialize)]
pub(crate) enum Rs256 {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
}

impl FromField for Rs256 {
    fn from_field(raw: Option<&RawValue>) -> Result<Self, Wrong> {
        match String::from_field(raw)?.as_str() {
            "RS256" => Ok(Self::Rs256),
            _ => Err(Wrong("only RS256 is supported".into())),
        }
    }
}

/// Claims beside those that fields set.
#[derive(serde::Serialize)]
#[serde(transparent)]
pub(crate) struct Claims(pub(crate) Map<String, Value>);

/// How deep custom claims may nest: answers hold them some levels deeper, and json readers have limits.
const NESTING_MAX: usize = 16;

fn nests_within(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(|item| nests_within(item, levels - 1)),
        Value::Object(members) => levels > 0 && members.values().all(|item| nests_within(item, levels - 1)),
        _ => true,
    }
}

impl FromField for Claims {
    fn from_field(raw: Option<&RawValue>) -> Result<Self, Wrong> {
        let raw = raw.ok_or(Wrong("is required".into()))?;
        if !raw.get().starts_with('{') {
            return Err(Wrong::expected("an object", raw));
        }
        if raw.get().len() > CLAIMS_MAX {
            return Err(Wrong(format!("is over {} KiB of json", CLAIMS_MAX / 1024).into()));
        }
        // a claim given twice must not win by its place
        let members = Fields::parse(Some(raw.get())).map_err(|fault| Wrong(fault.to_string().into()))?;
        if let Some(reserved) = RESERVED_CLAIMS.iter().find(|claim| members.has(claim)) {
            return Err(Wrong(
                format!("{reserved} has a field of its own, or is computed, and cannot be a custom claim")
                    .into(),
            ));
        }
        let claims: Map<String, Value> = serde_json::from_str(raw.get())
            .map_err(|_| Wrong("holds a value that json readers do not agree on".into()))?;
        if claims.values().all(|value| nests_within(value, NESTING_MAX)) {
            Ok(Self(claims))
        } else {
            Err(Wrong(format!("nests deeper than {NESTING_MAX} levels").into()))
        }
    }
}

impl Credentials {
    /// The offset that a person chose.
    pub(crate) fn refresh_offset(&self) -> Option<u64> {
        match self {
            Self::ClientCredentialsGrant(grant) => grant.refresh_offset.map(Seconds::count),
            Self::Jwt(jwt) => jwt.refresh_offset.map(Seconds::count),
            _ => None,
        }
    }
}
