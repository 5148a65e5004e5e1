//! What a person is asked to allow: the credentials of types whose grant comes from a browser.

use super::Kind;
use super::fixed::Scopes;
use crate::issuer::named;
use bursar_proto::fields::{Fields, Invalid};
use bursar_proto::kind::Issuer;
use serde::Serialize;

/// The scopes of a named issuer that a person is asked for. What was granted is kept apart from it.
#[derive(Serialize)]
pub(crate) struct Consent {
    #[serde(skip)]
    pub(crate) issuer: Issuer,
    /// At least one, each once, each among those that the issuer's row allows.
    pub(crate) scopes: Scopes,
}

impl Consent {
    pub(super) fn read(issuer: Issuer, fields: &Fields<'_>) -> Result<Self, Invalid> {
        let scopes: Scopes = fields.take("scopes")?;
        let allowed = named(issuer).scopes;
        let refused = |reason: String| Err(Invalid::field("scopes", reason));
        if scopes.list().is_empty() {
            return refused(format!("at least one is needed: {}", allowed.join(" or ")));
        }
        for (at, scope) in scopes.list().iter().enumerate() {
            if !allowed.contains(&scope.as_str()) {
                let list = allowed.join(", ");
                return refused(format!("number {} is not one of those that are allowed: {list}", at + 1));
            }
            if scopes.list()[..at].contains(scope) {
                return refused(format!("number {} is given twice", at + 1));
            }
        }
        Ok(Self { issuer, scopes })
    }
}

impl Kind for Consent {}
