//! Records of who may do what and who did what: client secrets, the record of accesses, usage, tombstones.

use super::{CONTENT_MAX, Versioned};
use crate::vault::store::Id;
use serde::{Deserialize, Serialize};

/// A client secret. Its value is not in it: only an HMAC under a key of its own.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClientSecretV1 {
    pub(crate) public: String,
    pub(crate) organization: Id,
    /// An environment, which may be gone: then it counts for nothing.
    pub(crate) environment: Option<Id>,
    pub(crate) description: String,
    pub(crate) role: u8,
    pub(crate) analytics: u8,
    pub(crate) created_at: i64,
    pub(crate) expires_at: i64,
    pub(crate) revoked_at: Option<i64>,
    /// Set once somebody came with it after its end, so that a clock that is set back does not revive it.
    pub(crate) lapsed: bool,
    pub(crate) last_used_at: Option<i64>,
    pub(crate) successor: Option<String>,
    pub(crate) key: [u8; 32],
    pub(crate) hash: [u8; 32],
}

/// A secret that was deleted, while its values may still lie somewhere. Its id is the secret's.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TombstoneV1 {
    pub(crate) secret: String,
    pub(crate) deleted_at: i64,
    /// Whether the store's log and the snapshots may hold its sealed values.
    pub(crate) stored: bool,
}

/// Some entries of the record of accesses: written at once, never again.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AuditBlockV1 {
    /// The chain before it.
    pub(crate) before: [u8; 32],
    /// An encoded [`AuditEntriesV1`].
    pub(crate) entries: Vec<u8>,
    /// The chain after it: the HMAC of both.
    pub(crate) mac: [u8; 32],
}

/// The entries of a block, numbered from that of its place on.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AuditEntriesV1 {
    pub(crate) entries: Vec<AuditEntryV1>,
}

/// One access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AuditEntryV1 {
    pub(crate) at: i64,
    pub(crate) principal: String,
    pub(crate) uid: Option<u32>,
    pub(crate) pid: Option<u32>,
    pub(crate) executable: Option<String>,
    pub(crate) method: String,
    pub(crate) subject: Option<String>,
    pub(crate) secret: Option<(Id, String)>,
    pub(crate) client_secret: Option<String>,
    pub(crate) outcome: String,
    pub(crate) count: u64,
    pub(crate) ci: Option<Vec<(String, String)>>,
}

/// How often something was used in one month. Its place is its id with the month added.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UsageMonthV1 {
    pub(crate) last_used_at: i64,
    /// The days on which it was, by day of the month.
    pub(crate) days: Vec<UsageDayV1>,
}

/// One day: how often, by method or command.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UsageDayV1 {
    pub(crate) day: u8,
    pub(crate) by: Vec<(String, u64)>,
}

impl Versioned for ClientSecretV1 {}
impl Versioned for TombstoneV1 {}
impl Versioned for AuditBlockV1 {}
impl Versioned for AuditEntriesV1 {
    const MAX: usize = CONTENT_MAX;
}
impl Versioned for UsageMonthV1 {}
