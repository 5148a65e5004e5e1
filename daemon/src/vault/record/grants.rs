//! Records of what a person granted: refresh tokens, the clients of named issuers, and what a secret knows of both.

use super::{PartV1, SecretV1, Versioned};
use bursar_proto::sensitive::{Sensitive, expose};
use serde::{Deserialize, Serialize};

/// A secret's attributes with those of its authorization. The grant's content is in its part.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SecretV2 {
    pub(crate) attributes: SecretV1,
    /// Until when a person may authorize; of the last time that one was asked.
    pub(crate) authorization_expires_at: Option<i64>,
    /// The request that was sent and whose answer is not known.
    pub(crate) unanswered: Option<UnansweredV1>,
    /// One part, a [`GrantV1`]; none without a grant.
    pub(crate) grant: Vec<PartV1>,
}

/// A request with a code or a refresh token that left this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnansweredV1 {
    pub(crate) at: i64,
    pub(crate) by: u8,
}

impl From<SecretV1> for SecretV2 {
    fn from(attributes: SecretV1) -> Self {
        Self { attributes, authorization_expires_at: None, unanswered: None, grant: Vec::new() }
    }
}

/// What a person granted, and to which client at which issuer. The token is wiped on drop.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GrantV1 {
    #[serde(serialize_with = "expose")]
    pub(crate) refresh_token: Sensitive,
    pub(crate) client_id: String,
    pub(crate) token_url: String,
}

/// The client of a named issuer. Its secret is in its part.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IssuerV1 {
    pub(crate) issuer: u8,
    pub(crate) client_id: String,
    pub(crate) authorization_url: String,
    pub(crate) token_url: String,
    pub(crate) updated_at: i64,
    /// One part, an [`IssuerClientV1`].
    pub(crate) client: Vec<PartV1>,
}

/// The secret of a named issuer's client; wiped on drop.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct IssuerClientV1 {
    #[serde(serialize_with = "expose")]
    pub(crate) client_secret: Sensitive,
}

impl Versioned for SecretV2 {
    const VERSION: u8 = 2;
}
impl Versioned for GrantV1 {}
impl Versioned for IssuerV1 {}
impl Versioned for IssuerClientV1 {}
