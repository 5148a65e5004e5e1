//! What comes of an exchange that is over: it is taken into the secret's record, and once that is durable it is told.

use super::person::{PersonsJob, granted, ungranted};
use super::plan;
use crate::agent::Agent;
use crate::audit::{Entry, OK};
use crate::credentials::Artifact;
use crate::exchange::{By, Cause, Failure, Granted, Lifetime, Reach, Rotated};
use crate::hook::{Event, Occasion};
use crate::vault::catalog::{Catalog, Secret};
use crate::vault::store::Id;
use crate::vault::{Change, VaultError};
use bursar_proto::error::split_hint;
use bursar_proto::kind::{Change as Happened, RefreshStatus, Status};
use bursar_proto::time::Timestamp;
use tracing::field::display;

/// An exchange that is over: of which revision, by what, how it went.
pub(super) struct Over {
    pub(super) revision: u64,
    pub(super) by: Option<By>,
    pub(super) person: Option<PersonsJob>,
    pub(super) sent_at: Timestamp,
    pub(super) outcome: Outcome,
}

impl Over {
    /// Whether the record has to learn of it, however long the vault is locked or the disk is full: a token that only this
    /// process knows, an answer that the mark waits for, a code that is spent. Otherwise the secret is pending or due as it
    /// was, and the next unlock takes it up.
    pub(super) fn must_be_kept(&self) -> bool {
        match (self.by, &self.outcome) {
            (None, _) => false,
            (Some(By::RefreshToken), Err(failure)) => failure.reach == Reach::Answered,
            (Some(By::RefreshToken), Ok(_)) | (Some(By::Code), _) => true,
        }
    }
}

/// What came of it.
pub(super) type Outcome = Result<(Granted, Lifetime), Failure>;

/// What became of an outcome.
pub(super) enum Settled {
    /// The outcome is on disk, or there is nothing left to write it to.
    Durable,
    /// The credentials were changed meanwhile: exchange the new ones.
    Superseded,
    /// The disk did not take it.
    NotWritten,
    /// The vault is locked.
    Locked,
}

impl Agent {
    /// Takes an outcome into the record and waits until that is durable.
    pub(super) async fn settle(&self, id: Id, over: &Over) -> Settled {
        let written = 'write: {
            let mut vault = self.vault();
            let Ok(unlocked) = vault.unlocked() else { return Settled::Locked };
            let name = match unlocked.catalog.secrets.get(&id) {
                None => return Settled::Durable,
                Some(secret) if secret.revision != over.revision => break 'write None,
                Some(secret) => secret.full_name(),
            };
            let number = unlocked.audit_bounds().1;
            let word = over.outcome.as_ref().map_or("failed", |_| OK);
            let entry = [Entry::of_agent("exchange", (id, name), word, self.clock.now()).record()];
            let written = unlocked.write(&entry, |catalog| {
                let mut changes = grant_changes(catalog, id, over)?;
                let mut happened = None;
                catalog.update_secret(&id, |secret| {
                    secret.in_flight = false;
                    let (what, artifact) = settled(secret, over);
                    happened = Some(what);
                    if let Some((expires_at, artifact)) = artifact {
                        changes.push(Change::Artifact(id, Some((Some(expires_at), artifact))));
                    }
                });
                changes.push(Change::Secret(id));
                Ok::<_, VaultError>((changes, happened))
            });
            Some(written.map(|written| (written, number, entry)))
        };
        let Some(written) = written else { return self.superseded(id, over).await };
        let happened = match written {
            Ok(((committed, happened), number, entry)) => match self.durable(committed).await {
                Ok(()) => {
                    self.audit.tell(number, &entry);
                    happened
                }
                Err(_) => return Settled::NotWritten,
            },
            Err(error) => {
                tracing::error!(reason = %error, "the outcome of an exchange could not be written");
                self.unspoil();
                return Settled::NotWritten;
            }
        };
        let mut vault = self.vault();
        if let Ok(unlocked) = vault.unlocked()
            && let Some(secret) = unlocked.catalog.secrets.get(&id)
            && let Some(happened) = happened
        {
            log(&unlocked.catalog, secret, happened);
            self.tell(secret, happened);
            if let Some(occasion) = occasion(&unlocked.catalog, secret, happened, self.clock.now()) {
                self.hooks.fire(occasion);
            }
        }
        Settled::Durable
    }

    /// The secret was changed meanwhile: of the outcome nothing counts but that there was an answer, and a refresh token in the
    /// place of one that is gone.
    async fn superseded(&self, id: Id, over: &Over) -> Settled {
        let Some(person) = over.person.as_ref().filter(|_| over.by == Some(By::RefreshToken)) else {
            return Settled::Superseded;
        };
        let (answered, token) = match &over.outcome {
            Ok((granted, _)) => (true, granted.refresh_token.as_ref()),
            Err(failure) => (failure.reach == Reach::Answered, failure.rotated.as_ref().map(Rotated::token)),
        };
        if answered && !self.keep_rotated(id, person, token).await {
            return Settled::NotWritten;
        }
        Settled::Superseded
    }
}

/// What an outcome changes of what a person granted.
fn grant_changes(catalog: &mut Catalog, id: Id, over: &Over) -> Result<Vec<Change>, VaultError> {
    match (&over.outcome, &over.person) {
        (Ok((Granted { refresh_token: Some(token), .. }, _)), Some(person)) => {
            granted(catalog, id, &person.client, token)
        }
        // the issuer said so; what was never asked for may be good yet
        (Err(Failure { cause: Cause::Withdrawn, .. }), Some(_)) => Ok(ungranted(catalog, id)),
        (Err(Failure { rotated: Some(rotated), .. }), Some(person)) => {
            granted(catalog, id, &person.client, rotated.token())
        }
        _ => Ok(Vec::new()),
    }
}

/// Takes an outcome into a record: pure. Answers what happened and the artifact to save.
fn settled(secret: &mut Secret, over: &Over) -> (Happened, Option<(Timestamp, Artifact)>) {
    // a code is a beginning, whatever was there before
    let first = secret.status == Status::Pending || over.by == Some(By::Code);
    let sent_at = over.sent_at;
    match &over.outcome {
        Ok((granted, lifetime)) => {
            let seconds = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
            let expires_at = sent_at.plus(seconds(lifetime.expires_in));
            secret.status = Status::Succeeded;
            secret.status_details = None;
            secret.expires_at = Some(expires_at);
            secret.refresh_at = Some(expires_at.plus(-seconds(lifetime.refresh_offset)));
            secret.refresh_status = (!first).then_some(RefreshStatus::Succeeded);
            secret.refresh_status_details = None;
            secret.failed_attempts = 0;
            secret.last_attempt_at = Some(sent_at);
            secret.last_failure = None;
            secret.recover = false;
            secret.unanswered = None;
            let artifact = secret.environment.is_some().then(|| {
                secret.activated_at = Some(sent_at);
                (expires_at, Artifact::access_token(granted.access_token.copy()))
            });
            (Happened::Refreshed, artifact)
        }
        Err(failure) => {
            let mut failure = failure.clone().of(&secret.full_name());
            if over.by == Some(By::Code) && !secret.grant.is_empty() {
                failure.details += "; or go on with what was allowed before: bursar secret retry ";
                failure.details += &secret.full_name().to_string();
            }
            match (failure.reach, &over.person) {
                (Reach::Answered, _) => secret.unanswered = None,
                // marked, and then it did not leave
                (Reach::Unsent, Some(person)) => secret.unanswered = person.unanswered_before,
                _ => {}
            }
            (failed(secret, &failure, first, sent_at), None)
        }
    }
}

/// Takes a failure into a record.
fn failed(secret: &mut Secret, failure: &Failure, first: bool, now: Timestamp) -> Happened {
    if !first {
        plan::refresh_failed(secret, failure.cause, &failure.details, now);
        if failure.cause != Cause::Withdrawn {
            return Happened::RefreshFailed;
        }
        secret.refresh_status = Some(RefreshStatus::Failed);
    }
    let withdrawn = failure.cause == Cause::Withdrawn;
    secret.status = if withdrawn { Status::ManualAuthorization } else { Status::Failed };
    secret.status_details = Some(failure.details.as_str().into());
    secret.last_attempt_at = Some(now);
    secret.last_failure = Some(failure.cause);
    secret.recover = false;
    if withdrawn { Happened::NeedsAuthorization } else { Happened::Failed }
}

/// What the hook is told of.
fn occasion(catalog: &Catalog, secret: &Secret, happened: Happened, now: Timestamp) -> Option<Occasion> {
    let event = match happened {
        Happened::NeedsAuthorization => Event::NeedsAuthorization,
        Happened::Refreshed => Event::Refreshed,
        Happened::RefreshFailed => Event::RefreshFailed,
        _ => return None,
    };
    let name = secret.full_name();
    let details = secret.refresh_status_details.as_deref().or(secret.status_details.as_deref());
    let details = details.filter(|_| event != Event::Refreshed);
    let (details, hint) = match details.map(split_hint) {
        None => (None, None),
        Some((reason, None)) => (Some(reason), Some(format!("try again: bursar secret retry {name}"))),
        Some((reason, Some(hint))) => (Some(reason), Some(hint.to_owned())),
    };
    Some(Occasion {
        secret: Some(name),
        environment: secret.environment.and_then(|id| Some(catalog.environments.get(&id)?.name.clone())),
        expires_at: secret.expires_at,
        details: details.map(str::to_owned),
        hint,
        ..Occasion::new(event, now)
    })
}

/// Tells the log.
fn log(catalog: &Catalog, secret: &Secret, happened: Happened) {
    let environment = secret.environment.and_then(|id| catalog.environments.get(&id));
    let (name, environment) = (secret.full_name(), environment.map(|one| display(&one.name)));
    match happened {
        Happened::Refreshed => tracing::info!(secret = %name, environment, outcome = OK, "exchanged"),
        Happened::Failed => {
            let reason = secret.status_details.as_deref().unwrap_or_default();
            tracing::warn!(secret = %name, environment, reason, "the exchange failed");
        }
        Happened::NeedsAuthorization => {
            let reason = secret.status_details.as_deref().unwrap_or_default();
            tracing::warn!(secret = %name, environment, reason, "a person has to authorize it");
        }
        _ => {
            let (attempt, reason) =
                (secret.failed_attempts, secret.refresh_status_details.as_deref().unwrap_or_default());
            tracing::warn!(secret = %name, environment, attempt, reason, "an attempt to refresh failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Cause;
    use bursar_proto::kind::SecretType;
    use bursar_proto::sensitive::Sensitive;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[expect(clippy::unnecessary_wraps, reason = "an outcome, like `refused`")]
    fn granted(expires_in: u64, refresh_offset: u64) -> Outcome {
        let access_token = Sensitive::new("t".into());
        let granted = Granted {
            access_token,
            expires_in,
            token_type: None,
            scope: None,
            refresh_token: None,
            sent_at: at(0),
        };
        Ok((granted, Lifetime { expires_in, refresh_offset }))
    }

    fn refused(cause: Cause) -> Outcome {
        Err(Failure::new(cause, "no"))
    }

    fn over(outcome: Outcome, sent_at: Timestamp) -> Over {
        Over { revision: 0, by: None, person: None, sent_at, outcome }
    }

    fn secret(bound: bool) -> Secret {
        let mut secret = Secret::new(&"acme/x".parse().unwrap(), SecretType::Jwt, at(0));
        secret.environment = bound.then_some([1; 16]);
        secret
    }

    #[test]
    fn a_first_success_sets_the_times_and_saves_the_artifact_of_a_bound_secret() {
        let mut bound = secret(true);
        let (happened, artifact) = settled(&mut bound, &over(granted(36_000, 14_400), at(100)));
        assert_eq!((happened, artifact.is_some()), (Happened::Refreshed, true));
        assert_eq!((bound.expires_at, bound.refresh_at), (Some(at(36_100)), Some(at(21_700))));
        assert_eq!(
            (bound.status, bound.refresh_status, bound.activated_at),
            (Status::Succeeded, None, Some(at(100)))
        );
        let mut unbound = secret(false);
        let (_, artifact) = settled(&mut unbound, &over(granted(36_000, 14_400), at(100)));
        assert!(artifact.is_none() && unbound.activated_at.is_none());
    }

    #[test]
    fn a_refresh_that_fails_leaves_status_and_times_alone() {
        let mut secret = secret(true);
        settled(&mut secret, &over(granted(36_000, 14_400), at(0)));
        let (happened, _) = settled(&mut secret, &over(refused(Cause::Transient), at(21_600)));
        assert_eq!(
            (happened, secret.status, secret.failed_attempts),
            (Happened::RefreshFailed, Status::Succeeded, 1)
        );
        assert_eq!(secret.expires_at, Some(at(36_000)));
        let (_, _) = settled(&mut secret, &over(granted(36_000, 14_400), at(24_000)));
        assert_eq!((secret.refresh_status, secret.failed_attempts), (Some(RefreshStatus::Succeeded), 0));
        assert_eq!((secret.expires_at, secret.refresh_status_details), (Some(at(60_000)), None));
    }

    #[test]
    fn a_first_failure_is_explained() {
        let mut secret = secret(true);
        let (happened, _) = settled(&mut secret, &over(refused(Cause::Permanent), at(5)));
        assert_eq!((happened, secret.status), (Happened::Failed, Status::Failed));
        assert_eq!(secret.status_details.as_deref(), Some("no"));
    }
}
