//! One access: as it is noted, as the store keeps it, as it is answered.

use crate::policy::{GrantedBy, Principal};
use crate::server::session::Party;
use crate::vault::record::AuditEntryV1;
use crate::vault::store::Id;
use bursar_proto::call::{CredentialGet, Method as _, PackageGet};
use bursar_proto::client_secret::PublicId;
use bursar_proto::name::Qualified;
use bursar_proto::reply::AuditEntry;
use bursar_proto::time::Timestamp;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The longest path of an executable that is kept, in bytes.
const EXECUTABLE_MAX: usize = 512;

/// The outcome of what was done.
pub(crate) const OK: &str = "ok";

/// One access.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) at: Timestamp,
    pub(crate) principal: Cow<'static, str>,
    pub(crate) uid: Option<u32>,
    pub(crate) pid: Option<u32>,
    pub(crate) executable: Option<Arc<str>>,
    pub(crate) method: &'static str,
    pub(crate) subject: Option<Arc<str>>,
    /// The secret; its id where there is one of that name.
    pub(crate) secret: Option<(Option<Id>, Qualified)>,
    pub(crate) client_secret: Option<PublicId>,
    /// The command by which that client secret is used, where this is the first that it allowed on its connection.
    pub(crate) used_for: Option<Arc<str>>,
    /// How many uses that are, where several are counted together.
    pub(crate) uses: u64,
    pub(crate) outcome: &'static str,
    pub(crate) count: u64,
    pub(crate) ci: Option<Arc<BTreeMap<String, String>>>,
}

impl Entry {
    /// Something that the agent did by itself.
    pub(crate) fn of_agent(
        method: &'static str,
        secret: (Id, Qualified),
        outcome: &'static str,
        at: Timestamp,
    ) -> Self {
        Self {
            at,
            principal: "agent".into(),
            uid: None,
            pid: None,
            executable: None,
            method,
            subject: None,
            secret: Some((Some(secret.0), secret.1)),
            client_secret: None,
            used_for: None,
            uses: 1,
            outcome,
            count: 1,
            ci: None,
        }
    }

    /// A request of `party`, as `principal`, allowed by `by`.
    pub(crate) fn of_request(
        party: &Party,
        principal: &Principal,
        by: Option<&GrantedBy>,
        method: &'static str,
        at: Timestamp,
    ) -> Self {
        let client_secret = match by {
            Some(GrantedBy::Secret(id)) => Some(id.clone()),
            Some(GrantedBy::Rule(_)) => None,
            None => party.session.as_ref().and_then(|session| session.secrets.first().cloned()),
        };
        let used_for = party.session.as_ref().zip(client_secret.as_ref().filter(|_| by.is_some())).and_then(
            |(session, id)| {
                let command = session.command.clone().unwrap_or_else(|| method.into());
                session.first_use(id).then_some(command)
            },
        );
        let executable = party.caller.executable().map(|path| {
            if path.len() > EXECUTABLE_MAX {
                path[..path.floor_char_boundary(EXECUTABLE_MAX)].into()
            } else {
                path.clone()
            }
        });
        Self {
            at,
            principal: told(principal, by),
            uid: Some(party.caller.uid()),
            pid: party.caller.pid().and_then(|pid| pid.try_into().ok()),
            executable,
            method,
            subject: None,
            secret: None,
            client_secret,
            used_for,
            uses: 1,
            outcome: OK,
            count: 1,
            ci: None,
        }
    }

    /// As the store keeps it.
    pub(crate) fn record(&self) -> AuditEntryV1 {
        AuditEntryV1 {
            at: self.at.seconds(),
            principal: self.principal.to_string(),
            uid: self.uid,
            pid: self.pid,
            executable: self.executable.as_deref().map(str::to_owned),
            method: self.method.to_owned(),
            subject: self.subject.as_deref().map(str::to_owned),
            secret: self.secret.as_ref().map(|(id, name)| (id.unwrap_or_default(), name.to_string())),
            client_secret: self.client_secret.as_ref().map(ToString::to_string),
            outcome: self.outcome.to_owned(),
            count: self.count,
            ci: self
                .ci
                .as_ref()
                .map(|facts| facts.iter().map(|(name, text)| (name.clone(), text.clone())).collect()),
        }
    }

    /// Whether it is about what a unit is handed.
    pub(crate) fn is_of_unit(&self) -> bool {
        self.method == CredentialGet::NAME && self.client_secret.is_none()
    }

    /// Whether it is kept as it is however many there are: an owner's, the agent's own, and values that are handed out.
    pub(super) fn is_kept_whole(&self) -> bool {
        let gives_a_value =
            matches!(self.method, PackageGet::NAME | CredentialGet::NAME) && self.outcome == OK;
        gives_a_value || matches!(&*self.principal, "owner" | "agent")
    }

    /// Whether `next` is the same but for its count. A use that is counted stays an entry of its own.
    pub(super) fn same_as(&self, next: &Self) -> bool {
        let Self { at, principal, uid, pid, executable, method, subject, secret, .. } = self;
        let Self { client_secret, outcome, ci, .. } = self;
        next.used_for.is_none()
            && (at, pid, uid, method, outcome)
                == (&next.at, &next.pid, &next.uid, &next.method, &next.outcome)
            && (secret, subject) == (&next.secret, &next.subject)
            && (principal, client_secret) == (&next.principal, &next.client_secret)
            && (executable, ci) == (&next.executable, &next.ci)
    }
}

/// As whom, in words.
fn told(principal: &Principal, by: Option<&GrantedBy>) -> Cow<'static, str> {
    match (principal, by) {
        (_, Some(by)) => by.to_string().into(),
        (Principal::Own | Principal::Owner, None) => "owner".into(),
        (Principal::Admitted(grants) | Principal::Secrets(grants), None) => {
            grants.first().map_or("nobody".into(), |grant| grant.by.to_string().into())
        }
        (Principal::Stranger, None) => "nobody".into(),
    }
}

/// An entry as it is answered. A record that was written by us reads; a name that does not is left out.
pub(crate) fn shown(number: u64, entry: &AuditEntryV1) -> AuditEntry {
    let secret = entry.secret.as_ref().and_then(|(_, name)| name.parse::<Qualified>().ok());
    AuditEntry {
        number,
        at: Timestamp::from_seconds(entry.at),
        principal: entry.principal.clone(),
        uid: entry.uid,
        pid: entry.pid,
        executable: entry.executable.clone(),
        method: entry.method.clone(),
        subject: entry.subject.clone().or_else(|| Some(secret.as_ref()?.to_string())),
        secret,
        outcome: entry.outcome.clone(),
        count: entry.count,
        ci: entry.ci.as_ref().map(|facts| facts.iter().cloned().collect()),
    }
}
