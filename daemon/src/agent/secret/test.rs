//! secret.test: an exchange that is reported and changes nothing, but for the refresh token that an issuer puts in the place of
//! ours.

use super::named;
use crate::agent::fault::{failed, inactive};
use crate::agent::{Agent, secret_id};
use crate::exchange::{Failure, Granted, Reach, Rotated};
use crate::refresh::{Job, Next, Unreadable};
use crate::vault::catalog::Secret;
use crate::vault::crypto::hex;
use crate::vault::store::Id;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::fields::Invalid;
use bursar_proto::kind::Status;
use bursar_proto::name::Reference;
use bursar_proto::reply;
use ring::digest;
use std::sync::Arc;
use tokio::sync::oneshot;

impl Agent {
    pub(in crate::agent) async fn secret_test(
        self: &Arc<Self>,
        secret: Reference,
    ) -> Result<reply::ExchangeTest, CallError> {
        let name = self.resolve(secret);
        let id = {
            let mut vault = self.vault();
            let unlocked = vault.unlocked()?;
            let id = secret_id(unlocked, &name)?;
            let secret = named(&unlocked.catalog, &id)?;
            if !secret.kind.is_oauth2() {
                return Err(Invalid::new(format!(
                    "{name} is a {}, and only an oauth2 secret has an exchange to test",
                    secret.kind
                ))
                .into());
            }
            if !secret.active {
                return Err(inactive(&name));
            }
            if secret.status != Status::Succeeded {
                return Err(CallError::new(
                    ErrorName::Failed,
                    format!("{name} has no exchange that succeeded to test: its status is {}", secret.status),
                )
                .hint(format!("see why: bursar secret show {name}")));
            }
            id
        };
        // on the tracker: a caller who leaves must not cut off what may put another refresh token in the place of ours
        let (tell, told) = oneshot::channel();
        self.tasks.spawn(self.clone().exchange_test(id, tell));
        let granted = told.await.map_err(|_| {
            CallError::new(ErrorName::Internal, "the exchange stopped in the middle of its work")
        })??;
        let sum = digest::digest(&digest::SHA256, granted.access_token.expose().as_bytes());
        let fingerprint = hex(&sum.as_ref()[..8]);
        Ok(reply::ExchangeTest {
            secret: name,
            expires_in: granted.expires_in,
            token_type: granted.token_type,
            scope: granted.scope,
            fingerprint,
        })
    }

    /// Exchanges a secret once, tells how that went, and keeps nothing of it but a refresh token that the issuer put in the
    /// place of ours.
    async fn exchange_test(self: Arc<Self>, id: Id, tell: oneshot::Sender<Result<Granted, CallError>>) {
        let _turn = self.flights.turn(id).await;
        let mut tell = Some(tell);
        // whoever asked may have left
        let mut tell = |outcome| drop(tell.take().map(|tell| tell.send(outcome)));
        let job = match self.test_job(id) {
            Ok(job) => job,
            Err(error) => return tell(Err(error)),
        };
        let granted = self.issuers().exchange(job.offer(), self.clock.clone()).await;
        let answered = granted.as_ref().err().is_none_or(|failure| failure.reach == Reach::Answered);
        if let Some(person) = job.person.as_ref().filter(|_| answered) {
            let token = match &granted {
                Ok(granted) => granted.refresh_token.as_ref(),
                Err(failure) => failure.rotated.as_ref().map(Rotated::token),
            };
            let late = || {
                let error =
                    CallError::new(ErrorName::StoreFailed, "what the issuer answered could not be kept");
                tell(Err(error.hint("see the agent's log and the disk; it is tried again by itself")));
            };
            self.keep_rotated_at_last(id, person, token, late).await;
        }
        let judged = granted.and_then(|granted| job.judged(granted)).map(|(granted, _)| granted);
        tell(judged.map_err(|failure| self.test_failed(&id, failure)));
    }

    /// What a test exchanges.
    fn test_job(self: &Arc<Self>, id: Id) -> Result<Job, CallError> {
        // it waited: what a person allowed meanwhile is not for a test
        let tested = |secret: &Secret| secret.active && secret.status == Status::Succeeded;
        if !tested(named(&self.vault().unlocked()?.catalog, &id)?) {
            return Err(CallError::new(ErrorName::Conflict, "the secret was changed by another caller")
                .hint("look at it and try again"));
        }
        match self.next(id) {
            Ok((_, Next::Exchange(job))) => Ok(job),
            Ok((_, Next::Known(failure, _))) => Err(self.test_failed(&id, failure)),
            Ok((_, Next::Nothing)) => {
                Err(CallError::new(ErrorName::Failed, "there is nothing to exchange any more"))
            }
            Err(Unreadable) => Err(CallError::new(ErrorName::StoreFailed, "the credentials cannot be read")),
        }
    }

    fn test_failed(&self, id: &Id, failure: Failure) -> CallError {
        let mut vault = self.vault();
        let unlocked = match vault.unlocked() {
            Ok(unlocked) => unlocked,
            Err(error) => return error.into(),
        };
        match named(&unlocked.catalog, id) {
            Ok(secret) => {
                let failure = failure.of(&secret.full_name());
                failed(secret, failure.cause, &failure.details)
            }
            Err(error) => error,
        }
    }
}
