//! artifact.get and artifact.watch: the one decision on what may be handed out.
//!
//! Nothing that is inactive, unbound, expired or never exchanged leaves here. The artifact is sealed in the
//! form in which it is answered, so opening it is writing the reply.

use super::fault::{explained, failed, inactive, needs_authorization};
use super::request::Request;
use super::secret::named;
use super::{Agent, Answer, environment_id, no_secret, secret_id};
use crate::exchange::Cause;
use crate::policy::Authorized;
use crate::refresh::{Flight, plan};
use crate::server::peer::Caller;
use crate::server::session::Party;
use crate::vault::Unlocked;
use crate::vault::catalog::{Catalog, Secret};
use crate::vault::record::Saved;
use crate::vault::store::Id;
use crate::vault::store::RECORD_MAX;
use bursar_proto::call::{ArtifactGet, ArtifactWatch, QuickGet};
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::kind::Status;
use bursar_proto::name::Qualified;
use bursar_proto::time::{Timestamp, in_words};
use std::hint::black_box;
use std::sync::Arc;
use zeroize::Zeroizing;

/// How long an artifact must still be valid if the caller does not say, in seconds.
pub(super) const MIN_VALIDITY: i64 = 1;

/// The room for an opened artifact, in bytes: most tokens fit without growing.
pub(super) const ARTIFACT_ROOM: usize = 4_096;

/// What came of a get.
pub(crate) enum Got {
    /// The `result` was written.
    Written,
    /// An exchange has to land first.
    Waits(Flight),
}

/// Who is handed an artifact.
#[derive(Clone, Copy)]
enum Taker<'a> {
    /// An owner, by the short way.
    Quick(&'a Party),
    /// Whoever made a request, which is recorded when it is answered.
    Asked(&'a Request),
}

impl Taker<'_> {
    fn caller(&self) -> &Caller {
        match self {
            Self::Quick(party) => &party.caller,
            Self::Asked(request) => &request.party.caller,
        }
    }
}

/// Whether an artifact may be handed out now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Serve,
    /// An exchange is needed: join or start it.
    Exchange,
    /// Not at all; [`refusal`] has the words.
    Refuse,
}

impl Agent {
    /// Hands out an artifact at once if that is possible: writes the `result` object to `out`.
    pub(crate) fn get_now(
        self: &Arc<Self>,
        call: Authorized<QuickGet<'_>>,
        party: &Party,
        out: &mut Vec<u8>,
    ) -> Result<Got, CallError> {
        let QuickGet { secret, min_validity } = call.into_inner();
        let mut vault = self.vault();
        let unlocked = vault.unlocked()?;
        let id = match secret.split_once('/') {
            Some((organization, name)) => unlocked.catalog.secret_id(organization, name),
            None => unlocked.catalog.secret_id(self.config().organization.as_str(), secret),
        };
        let Some(id) = id else {
            // not there, or no name at all: the long way has the words
            let name = self.resolve(secret.parse().map_err(|error: bursar_proto::name::NameError| {
                CallError::from(bursar_proto::fields::Invalid::field("secret", error))
            })?);
            return Err(no_secret(&name));
        };
        self.hand_out(unlocked, id, min_validity, Taker::Quick(party), true, out)
    }

    /// Hands out an artifact, after an exchange if need be.
    pub(super) async fn artifact_get(self: &Arc<Self>, call: ArtifactGet, request: &Request) -> Answer {
        let name = self.resolve(call.secret);
        let environment = call.environment.map(|environment| environment.within(&name.organization));
        let find = |unlocked: &mut Unlocked| {
            let id = secret_id(unlocked, &name)?;
            match &environment {
                Some(environment) => bound_to(&unlocked.catalog, &id, environment),
                None => Ok(id),
            }
        };
        self.hand_out_in_time(find, call.min_validity, request).await
    }

    /// Hands out the artifact of the secret that `find` names, after an exchange if need be.
    pub(super) async fn hand_out_in_time(
        self: &Arc<Self>,
        find: impl Fn(&mut Unlocked) -> Result<Id, CallError>,
        min_validity: Option<u64>,
        request: &Request,
    ) -> Answer {
        let mut out = Zeroizing::new(Vec::with_capacity(ARTIFACT_ROOM));
        let mut may_wait = true;
        loop {
            let flight = {
                let mut vault = self.vault();
                let unlocked = vault.unlocked()?;
                let id = find(unlocked)?;
                match self.hand_out(unlocked, id, min_validity, Taker::Asked(request), may_wait, &mut out)? {
                    Got::Written => return Ok(out),
                    Got::Waits(flight) => flight,
                }
            };
            flight.landed().await;
            self.allowed_still(request)?;
            // what the exchange brought is all there is
            may_wait = false;
        }
    }

    fn hand_out(
        self: &Arc<Self>,
        unlocked: &mut Unlocked,
        id: Id,
        min_validity: Option<u64>,
        taker: Taker<'_>,
        may_wait: bool,
        out: &mut Vec<u8>,
    ) -> Result<Got, CallError> {
        let now = self.clock.now();
        let secret = named(&unlocked.catalog, &id)?;
        let need = i64::try_from(min_validity.unwrap_or_default()).unwrap_or(i64::MAX).max(MIN_VALIDITY);
        let start = out.len();
        write_head(out, secret);
        let artifact = unlocked.artifact(&id, out);
        let verdict = match &artifact {
            Ok(saved) => judge(secret, saved.as_ref(), need, may_wait, now),
            Err(_) => Verdict::Refuse,
        };
        if let Verdict::Serve = verdict {
            out.push(b'}');
            let recorded = match taker {
                Taker::Quick(party) => self.record_get(party, &id, || secret.full_name(), now),
                Taker::Asked(request) => {
                    request.about_secret(id, secret.full_name());
                    Ok(())
                }
            };
            if let Err(refused) = recorded {
                unwrite(out, start);
                return Err(refused.into());
            }
            self.note_caller(id, taker.caller(), now);
            self.used(now);
            return Ok(Got::Written);
        }
        unwrite(out, start);
        match verdict {
            Verdict::Exchange => Ok(Got::Waits(self.join(id, unlocked))),
            _ => Err(refusal(secret, artifact?.as_ref(), need, now)),
        }
    }

    /// Whether a watch may begin, and which secret it is for; `None` for all of them.
    pub(crate) fn watch(&self, call: &ArtifactWatch) -> Result<Option<Qualified>, CallError> {
        let only = call.secret.clone().map(|secret| self.resolve(secret));
        let mut vault = self.vault();
        let unlocked = vault.unlocked()?;
        if let Some(name) = &only {
            secret_id(unlocked, name)?;
        }
        Ok(only)
    }
}

/// The secret itself, if it is bound to the environment for which it was asked.
fn bound_to(catalog: &Catalog, id: &Id, environment: &Qualified) -> Result<Id, CallError> {
    let wanted = environment_id(catalog, environment)?;
    let secret = named(catalog, id)?;
    if secret.environment == Some(wanted) {
        return Ok(*id);
    }
    let message = format!("{} is not bound to {environment}", secret.full_name());
    Err(CallError::new(ErrorName::Unbound, message)
        .hint(format!("see what it is bound to: bursar secret show {}", secret.full_name())))
}

/// Decides; `need` is in seconds. The words are [`refusal`]'s.
pub(super) fn judge(
    secret: &Secret,
    saved: Option<&Saved>,
    need: i64,
    may_wait: bool,
    now: Timestamp,
) -> Verdict {
    if !secret.active || secret.environment.is_none() || secret.ended(now) {
        return Verdict::Refuse;
    }
    if saved.is_some_and(|saved| left(saved, now) >= need) {
        // no exchange makes the secret itself last longer
        return if outlives(secret, need, now) { Verdict::Serve } else { Verdict::Refuse };
    }
    if !may_wait || !outlives(secret, need, now) || lifetime(secret).is_some_and(|lifetime| need > lifetime) {
        return Verdict::Refuse;
    }
    match secret.status {
        Status::Pending => Verdict::Exchange,
        Status::Succeeded if plan::may_start(secret, now) => Verdict::Exchange,
        Status::Succeeded | Status::Failed | Status::ManualAuthorization => Verdict::Refuse,
    }
}

/// How many seconds an artifact is still valid.
fn left(saved: &Saved, now: Timestamp) -> i64 {
    saved.expires_at.map_or(i64::MAX, |expires_at| expires_at.since(now))
}

/// Whether the secret's own date leaves as much as is needed.
fn outlives(secret: &Secret, need: i64, now: Timestamp) -> bool {
    secret.expiration_date.is_none_or(|date| date.since(now) >= need)
}

/// How long the last artifact lived, in seconds.
fn lifetime(secret: &Secret) -> Option<i64> {
    Some(secret.expires_at?.since(secret.activated_at?))
}

/// Why an artifact is not handed out: each case of [`judge`] in words.
pub(super) fn refusal(secret: &Secret, saved: Option<&Saved>, need: i64, now: Timestamp) -> CallError {
    let full = secret.full_name();
    let refuse = |name: ErrorName, message: String, hint: String| CallError::new(name, message).hint(hint);
    if !secret.active {
        return inactive(&full);
    }
    if secret.environment.is_none() {
        let hint = format!("bind it: bursar secret bind {full} ENVIRONMENT");
        return refuse(ErrorName::Unbound, format!("{full} is bound to no environment"), hint);
    }
    if let Some(date) = secret.expiration_date.filter(|_| secret.ended(now)) {
        let hint = format!("give it a later date: bursar secret edit {full} --expiration-date DATE");
        return refuse(ErrorName::Expired, format!("{full} expired at {date}"), hint);
    }
    if let Some(date) = secret.expiration_date.filter(|_| !outlives(secret, need, now)) {
        let message = format!("{full} ends at {date}, and {} were asked for", in_words(need));
        return refuse(ErrorName::ValidityTooLong, message, "ask for less: --min-validity".into());
    }
    if let Some(lifetime) = lifetime(secret).filter(|lifetime| need > *lifetime) {
        let message =
            format!("{full} is issued for {}, and {} were asked for", in_words(lifetime), in_words(need));
        return refuse(ErrorName::ValidityTooLong, message, "ask for less: --min-validity".into());
    }
    match secret.status {
        Status::Pending => {
            let hint = format!("wait for it: bursar wait {full}");
            refuse(ErrorName::Pending, format!("the exchange of {full} still runs"), hint)
        }
        Status::Failed => {
            let details = secret.status_details.as_deref().unwrap_or("no details");
            explained(ErrorName::Failed, &format!("the exchange of {full} failed: "), details, secret)
        }
        Status::ManualAuthorization => needs_authorization(secret),
        Status::Succeeded => stale(secret, saved.map_or(0, |saved| left(saved, now))),
    }
}

/// The error for an artifact that ran out, or soon will, while its refresh fails.
fn stale(secret: &Secret, left: i64) -> CallError {
    let full = secret.full_name();
    let details = secret.refresh_status_details.as_deref();
    if left > 0 {
        let reason = details.unwrap_or("the issuer gave no fresher one");
        return failed(secret, secret.last_failure.unwrap_or(Cause::Transient), reason);
    }
    let ended = secret.expires_at.map_or_else(String::new, |at| format!(" at {at}"));
    let expired = format!("the artifact of {full} expired{ended}");
    match details {
        Some(details) => {
            explained(ErrorName::Expired, &format!("{expired}, and its refresh failed: "), details, secret)
        }
        None => CallError::new(ErrorName::Expired, expired)
            .hint(format!("exchange it anew: bursar secret retry {full}")),
    }
}

/// Writes the beginning of the `result` object. Names and types hold nothing that JSON escapes.
pub(super) fn write_head(out: &mut Vec<u8>, secret: &Secret) {
    out.extend_from_slice(b"{\"secret\":\"");
    out.extend_from_slice(secret.organization.as_str().as_bytes());
    out.push(b'/');
    out.extend_from_slice(secret.name.as_str().as_bytes());
    out.extend_from_slice(b"\",\"type\":\"");
    out.extend_from_slice(secret.kind.as_str().as_bytes());
    out.extend_from_slice(b"\",");
}

/// Takes back what was written from `start` on, and leaves no trace of it.
fn unwrite(out: &mut Vec<u8>, start: usize) {
    // the whole room that was written to: an opened artifact was longer than what is left of it
    let length = out.len();
    out.resize(out.capacity().min(length + RECORD_MAX), 0);
    out[start..].fill(0);
    black_box(&mut out[start..]);
    out.truncate(start);
}

#[cfg(test)]
mod tests {
    use super::*;
    use bursar_proto::kind::SecretType;

    const NOW: i64 = 1_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    /// A bound secret whose token was issued ten minutes ago for an hour.
    fn served() -> Secret {
        let mut secret = Secret::new(&"acme/x".parse().unwrap(), SecretType::Jwt, at(0));
        secret.status = Status::Succeeded;
        secret.environment = Some([1; 16]);
        secret.activated_at = Some(at(NOW - 600));
        secret.expires_at = Some(at(NOW + 3_000));
        secret.refresh_at = Some(at(NOW + 1_200));
        secret
    }

    fn verdict(secret: &Secret, need: i64, may_wait: bool) -> String {
        let saved = Saved { expires_at: secret.expires_at, length: 0 };
        match judge(secret, Some(&saved), need, may_wait, at(NOW)) {
            Verdict::Serve => "serve".into(),
            Verdict::Exchange => "exchange".into(),
            Verdict::Refuse => refusal(secret, Some(&saved), need, at(NOW)).name.to_string(),
        }
    }

    #[test]
    fn what_is_dead_is_refused_with_its_own_name() {
        let cases = [
            (|s: &mut Secret| s.active = false, "inactive"),
            (|s: &mut Secret| s.environment = None, "unbound"),
            (|s: &mut Secret| s.expiration_date = Some(at(NOW)), "expired"),
            (|s: &mut Secret| (s.status, s.expires_at) = (Status::Failed, Some(at(NOW))), "failed"),
        ] as [(fn(&mut Secret), _); 4];
        for (kill, name) in cases {
            let mut secret = served();
            assert_eq!(verdict(&secret, 1, true), "serve");
            kill(&mut secret);
            assert_eq!(verdict(&secret, 1, true), name);
        }
    }

    #[test]
    fn need_decides_between_serving_exchanging_and_refusing() {
        let secret = served();
        assert_eq!(verdict(&secret, 3_000, true), "serve");
        assert_eq!(verdict(&secret, 3_001, true), "exchange");
        assert_eq!(verdict(&secret, 3_600, true), "exchange");
        assert_eq!(verdict(&secret, 3_601, true), "validity_too_long");
        assert_eq!(verdict(&secret, 3_001, false), "failed");
    }

    #[test]
    fn nothing_expired_is_served_and_the_last_second_is_not_either() {
        let mut secret = served();
        secret.expires_at = Some(at(NOW));
        assert_eq!(verdict(&secret, 1, true), "exchange");
        assert_eq!(verdict(&secret, 1, false), "expired");
        secret.last_failure = Some(Cause::Permanent);
        assert_eq!(verdict(&secret, 1, true), "expired");
        secret.last_failure = Some(Cause::Unreachable);
        secret.last_attempt_at = Some(at(NOW - 59));
        assert_eq!(verdict(&secret, 1, true), "expired");
        secret.last_attempt_at = Some(at(NOW - 60));
        assert_eq!(verdict(&secret, 1, true), "exchange");
    }

    #[test]
    fn while_new_credentials_are_exchanged_the_old_artifact_is_served() {
        let mut secret = served();
        for status in [Status::Pending, Status::Failed] {
            secret.status = status;
            assert_eq!(verdict(&secret, 1, true), "serve");
        }
        assert_eq!(judge(&secret, None, 1, true, at(NOW)), Verdict::Refuse);
        assert_eq!(refusal(&secret, None, 1, at(NOW)).name, ErrorName::Failed);
    }
}
