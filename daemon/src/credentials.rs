//! What a person put in: one struct for each secret type, read field by field and checked whole.
//!
//! A value of [`Credentials`] is well formed. Nothing here reads a clock, a file or the network, and no
//! error repeats input. Dates are judged by the caller, lifetimes by [`crate::exchange::judge`].

mod artifact;
mod certificate;
mod consent;
mod field;
mod fixed;
mod key;
mod oauth2;
mod pem;

pub(crate) use artifact::Artifact;
pub(crate) use certificate::Certificate;
pub(crate) use consent::Consent;
pub(crate) use field::{Plain, Seconds, Texts, endpoint, host_name, is_loopback};
pub(crate) use fixed::{ApiKey, BearerToken, ClientCredentials, KeyValue, SimpleHttp, Token};
pub(crate) use key::{normal_form, private_key_der};
pub(crate) use oauth2::{ClientAuth, ClientCredentialsGrant, Jwt};

use crate::issuer::named;
use bursar_proto::fields::{Fields, Invalid};
use bursar_proto::kind::{ExchangePolicy, Issuer, SecretType};
use bursar_proto::sensitive::Sensitive;
use bursar_proto::time::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// The most bytes of JSON that credentials, and the artifact made of them, may take. A record stays under
/// 64 KiB, and the rest of it needs room too.
pub(crate) const STORED_MAX: usize = 48 * 1024;

/// What one secret type adds to its fields.
trait Kind: Serialize + Sized {
    /// Checks what concerns several fields or costs time, and brings keys into one form.
    fn check(&mut self, policy: Option<ExchangePolicy>) -> Result<(), Invalid> {
        let _ = policy;
        Ok(())
    }

    /// What is handed out, for types that need no issuer.
    fn artifact(&self) -> Option<Artifact> {
        None
    }
}

/// The names of a type's fields.
fn names(kind: SecretType) -> Vec<&'static str> {
    kind.fields().iter().map(|field| field.name).collect()
}

/// Makes a struct of credentials whose fields are read under their own names.
macro_rules! credentials {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(serde::Serialize)]
        pub(crate) struct $name { $($(#[$field_doc])* pub(crate) $field: $type),+ }

        impl $name {
            /// Takes the fields of this type; each one is checked by itself.
            pub(super) fn read(fields: &bursar_proto::fields::Fields<'_>) -> Result<Self, bursar_proto::fields::Invalid> {
                Ok(Self { $($field: fields.take(stringify!($field))?),+ })
            }
        }
    };
}
use credentials;

/// The credentials of one secret. Sensitive fields are wiped on drop.
pub(crate) enum Credentials {
    /// `oauth2-client_credentials`.
    ClientCredentialsGrant(ClientCredentialsGrant),
    /// `oauth2-jwt`.
    Jwt(Jwt),
    /// `oauth2-google`, and whatever else has a named issuer.
    Consent(Consent),
    /// `simple-http`.
    SimpleHttp(SimpleHttp),
    /// `token`.
    Token(Token),
    /// `api-key`.
    ApiKey(ApiKey),
    /// `bearer-token`.
    BearerToken(BearerToken),
    /// `client-credentials`.
    ClientCredentials(ClientCredentials),
    /// `certificate`.
    Certificate(Certificate),
    /// `key-value`.
    KeyValue(KeyValue),
}

/// Runs one expression on whichever variant is there.
macro_rules! each {
    ($credentials:expr, $inner:ident => $body:expr) => {
        match $credentials {
            Credentials::ClientCredentialsGrant($inner) => $body,
            Credentials::Jwt($inner) => $body,
            Credentials::Consent($inner) => $body,
            Credentials::SimpleHttp($inner) => $body,
            Credentials::Token($inner) => $body,
            Credentials::ApiKey($inner) => $body,
            Credentials::BearerToken($inner) => $body,
            Credentials::ClientCredentials($inner) => $body,
            Credentials::Certificate($inner) => $body,
            Credentials::KeyValue($inner) => $body,
        }
    };
}

impl Credentials {
    /// Reads what a person gave, and checks all of it.
    ///
    /// # Errors
    /// A field that is unknown, missing or wrong, by its name; never its content.
    pub(crate) fn parse(
        kind: SecretType,
        policy: Option<ExchangePolicy>,
        json: &str,
    ) -> Result<Self, Invalid> {
        // before anything else, so that the work below is bounded
        within_limit(json.len())?;
        let mut credentials = Self::read(kind, json)?;
        each!(&mut credentials, of_kind => of_kind.check(policy)?);
        within_limit(credentials.store().expose().len())?;
        if let Some(artifact) = credentials.artifact() {
            let mut out = Zeroizing::new(Vec::new());
            artifact.write_json(&mut out);
            within_limit(out.len())?;
        }
        Ok(credentials)
    }

    /// Reads what [`Credentials::store`] wrote. Keys, policies and the like were checked then.
    ///
    /// # Errors
    /// The text is none of ours.
    pub(crate) fn load(kind: SecretType, json: &str) -> Result<Self, Invalid> {
        Self::read(kind, json)
    }

    /// All fields as JSON, the sensitive ones included; for the sealed store alone.
    pub(crate) fn store(&self) -> Sensitive {
        // texts and numbers written to memory cannot fail; an empty text would be refused by `load`
        Sensitive::new(each!(self, of_kind => serde_json::to_string(of_kind)).unwrap_or_default())
    }

    /// The same with the members of `json` in the place of ours; null clears. Checked like [`Credentials::parse`].
    ///
    /// # Errors
    /// See [`Credentials::parse`].
    pub(crate) fn edited(
        &self,
        kind: SecretType,
        policy: Option<ExchangePolicy>,
        json: &str,
    ) -> Result<Self, Invalid> {
        within_limit(json.len())?;
        let stored = self.store();
        let ours = Fields::parse(Some(stored.expose()))?;
        let given = Fields::parse(Some(json))?;
        given.only(&names(kind))?;
        let mut merged = Zeroizing::new(String::with_capacity(stored.expose().len() + json.len()));
        for field in kind.fields() {
            let own = ours.raw(field.name);
            let Some(value) = given.raw(field.name).or(own) else { continue };
            let opening = if merged.is_empty() { "{\"" } else { ",\"" };
            merged.push_str(opening);
            merged.push_str(field.name);
            merged.push_str("\":");
            merged.push_str(value.get());
        }
        merged.push('}');
        Self::parse(kind, policy, &merged)
    }

    /// The fields that are not sensitive, all present, null where empty.
    pub(crate) fn public(&self) -> Map<String, Value> {
        if let Self::KeyValue(entries) = self {
            let names = entries.entries.iter().map(|(name, _)| name.into()).collect();
            return Map::from_iter([("entry_names".to_owned(), Value::Array(names))]);
        }
        let stored = self.store();
        let mut fields = Fields::parse(Some(stored.expose())).ok();
        let shown = self.kind().fields().iter().filter(|field| !field.sensitive);
        shown
            .map(|field| {
                let raw = fields.as_mut().and_then(|fields| fields.raw(field.name));
                let value = raw.and_then(|raw| serde_json::from_str(raw.get()).ok());
                (field.name.to_owned(), value.unwrap_or(Value::Null))
            })
            .collect()
    }

    /// When the credentials themselves end; known of certificates alone.
    pub(crate) fn expiration(&self) -> Option<Timestamp> {
        match self {
            Self::Certificate(certificate) => certificate.expiration(),
            _ => None,
        }
    }

    /// What is handed out; `None` for types whose artifact comes of an exchange.
    pub(crate) fn artifact(&self) -> Option<Artifact> {
        each!(self, of_kind => of_kind.artifact())
    }

    /// The type of these credentials.
    pub(crate) fn kind(&self) -> SecretType {
        match self {
            Self::ClientCredentialsGrant(_) => SecretType::ClientCredentialsGrant,
            Self::Jwt(_) => SecretType::Jwt,
            Self::Consent(consent) => named(consent.issuer).kind,
            Self::SimpleHttp(_) => SecretType::SimpleHttp,
            Self::Token(_) => SecretType::Token,
            Self::ApiKey(_) => SecretType::ApiKey,
            Self::BearerToken(_) => SecretType::BearerToken,
            Self::ClientCredentials(_) => SecretType::ClientCredentials,
            Self::Certificate(_) => SecretType::Certificate,
            Self::KeyValue(_) => SecretType::KeyValue,
        }
    }

    fn read(kind: SecretType, json: &str) -> Result<Self, Invalid> {
        let fields =
            Fields::parse(Some(json)).map_err(|fault| Invalid::new(format!("credentials: {fault}")))?;
        fields.only(&names(kind))?;
        let of = &fields;
        let credentials = match kind {
            SecretType::ClientCredentialsGrant => {
                Self::ClientCredentialsGrant(ClientCredentialsGrant::read(of)?)
            }
            SecretType::Jwt => Self::Jwt(Jwt::read(of)?),
            SecretType::Google => Self::Consent(Consent::read(Issuer::Google, of)?),
            SecretType::SimpleHttp => Self::SimpleHttp(SimpleHttp::read(of)?),
            SecretType::Token => Self::Token(Token::read(of)?),
            SecretType::ApiKey => Self::ApiKey(ApiKey::read(of)?),
            SecretType::BearerToken => Self::BearerToken(BearerToken::read(of)?),
            SecretType::ClientCredentials => Self::ClientCredentials(ClientCredentials::read(of)?),
            SecretType::Certificate => Self::Certificate(Certificate::read(of)?),
            SecretType::KeyValue => Self::KeyValue(KeyValue::read(of)?),
        };
        Ok(credentials)
    }
}

fn within_limit(bytes: usize) -> Result<(), Invalid> {
    if bytes <= STORED_MAX {
        return Ok(());
    }
    Err(Invalid::new(format!(
        "the credentials are too large: a secret holds {} KiB at most",
        STORED_MAX / 1024
    )))
}

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
pub(crate) mod tests;
