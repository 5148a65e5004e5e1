//! What a flight needs where a person's grant is exchanged: which code or refresh token, the mark before it leaves, and what
//! the issuer put in its place.

use super::flight::Next;
use crate::agent::Agent;
use crate::authorization::{Answer, Arrived, Client};
use crate::credentials::Consent;
use crate::exchange::{By, Cause, Failure, Grant, Proof, Reach};
use crate::vault::catalog::{Catalog, Secret, Unanswered};
use crate::vault::record::{GrantV1, PartV1};
use crate::vault::store::Id;
use crate::vault::{Change, Unlocked, VaultError, part};
use bursar_proto::kind::Status;
use bursar_proto::sensitive::Sensitive;
use std::sync::Arc;
use url::Url;

/// What a secret of a named issuer is exchanged with.
pub(crate) struct PersonsJob {
    pub(super) grant: Arc<Grant>,
    pub(super) client: Client,
    /// Where the refresh token lay that it began with. Its tag is another under new keys.
    pub(super) began_with: Vec<Id>,
    /// The request whose answer was not known before this one.
    pub(super) unanswered_before: Option<Unanswered>,
}

impl Agent {
    /// What there is to exchange: the code that just came, or the refresh token that is kept.
    pub(super) fn persons_job(
        self: &Arc<Self>,
        unlocked: &Unlocked,
        id: Id,
        consent: &Consent,
    ) -> Result<Next<PersonsJob>, VaultError> {
        let Some(secret) = unlocked.catalog.secrets.get(&id) else { return Ok(Next::Nothing) };
        let Some((issuer, settings)) = unlocked.catalog.issuer(consent.issuer) else {
            return Ok(Next::Nothing);
        };
        let client = Client::of(settings);
        let proof = match self.authorizations.arrived(&id, secret.revision) {
            Some(arrived) if arrived.client != client => {
                return Ok(Next::Known(over("another OAuth client was set up meanwhile"), By::Code));
            }
            Some(arrived) => match proof_of(arrived) {
                Ok(proof) => proof,
                Err(failure) => return Ok(Next::Known(failure, By::Code)),
            },
            None if !matches!(secret.status, Status::Pending | Status::Succeeded) => {
                return Ok(Next::Nothing);
            }
            None => match unlocked.grant(&id)? {
                None => return Ok(Next::Known(withdrawn("nobody has allowed it"), By::RefreshToken)),
                Some(grant) if grant.client_id != client.client_id || grant.token_url != client.token_url => {
                    return Ok(Next::Known(of_another_client(), By::RefreshToken));
                }
                Some(grant) => Proof::RefreshToken(grant.refresh_token),
            },
        };
        let token_url =
            Url::parse(&settings.token_url).map_err(|_| VaultError::Tampered("a token url that is none"))?;
        let by = match proof {
            Proof::Code { .. } => By::Code,
            Proof::RefreshToken(_) => By::RefreshToken,
        };
        let agent = self.clone();
        let revision = secret.revision;
        let grant = Grant {
            issuer: consent.issuer,
            client_id: client.client_id.clone(),
            client_secret: unlocked.issuer_client(&issuer)?.client_secret,
            token_url,
            scopes: consent.scopes.list().to_vec(),
            proof,
            mark: Arc::new(move || {
                let agent = agent.clone();
                Box::pin(async move { agent.mark(id, revision, by).await })
            }),
        };
        Ok(Next::Exchange(PersonsJob {
            grant: Arc::new(grant),
            client,
            began_with: places(&secret.grant),
            unanswered_before: secret.unanswered,
        }))
    }

    /// Keeps durably that a code or a refresh token leaves now. Without that it does not.
    async fn mark(&self, id: Id, revision: u64, by: By) -> bool {
        let at = self.clock.now();
        let written = {
            let mut vault = self.vault();
            let Ok(unlocked) = vault.unlocked() else { return false };
            if unlocked.catalog.secrets.get(&id).is_none_or(|secret| secret.revision != revision) {
                return false;
            }
            unlocked.write(&[], |catalog| {
                catalog.update_secret(&id, |secret| secret.unanswered = Some(Unanswered { at, by }));
                Ok::<_, VaultError>((vec![Change::Secret(id)], ()))
            })
        };
        match written {
            Ok((committed, ())) => self.durable(committed).await.is_ok(),
            Err(error) => {
                tracing::error!(reason = %error, "it could not be kept that a grant is exchanged");
                self.unspoil();
                false
            }
        }
    }

    /// Does what [`Self::keep_rotated`] does as soon as the vault and the disk let it, until the daemon stops. Calls `late`
    /// where that is not at once.
    pub(crate) async fn keep_rotated_at_last(
        &self,
        id: Id,
        job: &PersonsJob,
        token: Option<&Sensitive>,
        late: impl FnOnce() + Send,
    ) {
        let mut late = Some(late);
        while !(self.until_unlocked().await && self.keep_rotated(id, job, token).await) {
            if let Some(late) = late.take() {
                late();
            }
            if !self.pause().await {
                // the daemon stops, and there may be room by now
                self.keep_rotated(id, job, token).await;
                return;
            }
        }
    }

    /// Keeps the refresh token that came in the place of the one that an exchange began with, where nothing else of its
    /// outcome is kept. False where the disk did not take it.
    pub(super) async fn keep_rotated(&self, id: Id, job: &PersonsJob, token: Option<&Sensitive>) -> bool {
        let written = {
            let mut vault = self.vault();
            let Ok(unlocked) = vault.unlocked() else { return false };
            if unlocked.catalog.secrets.get(&id).is_none_or(|secret| places(&secret.grant) != job.began_with)
            {
                return true;
            }
            unlocked.write(&[], |catalog| {
                let mut changes = match token {
                    Some(token) => granted(catalog, id, &job.client, token)?,
                    None => Vec::new(),
                };
                catalog.update_secret(&id, |secret| secret.unanswered = None);
                changes.push(Change::Secret(id));
                Ok::<_, VaultError>((changes, ()))
            })
        };
        match written {
            Ok((committed, ())) => self.durable(committed).await.is_ok(),
            Err(error) => {
                tracing::error!(reason = %error, "a new refresh token could not be written");
                self.unspoil();
                false
            }
        }
    }
}

fn places(grant: &[PartV1]) -> Vec<Id> {
    grant.iter().map(|part| part.id).collect()
}

/// Puts a refresh token in the place of the one before: what to write, all of it in one batch with the secret's record.
pub(super) fn granted(
    catalog: &mut Catalog,
    id: Id,
    client: &Client,
    token: &Sensitive,
) -> Result<Vec<Change>, VaultError> {
    let content = GrantV1 {
        refresh_token: token.copy(),
        client_id: client.client_id.clone(),
        token_url: client.token_url.clone(),
    };
    let (parts, mut changes) = part::cut(id, &content)?;
    changes.extend(ungranted(catalog, id));
    catalog.update_secret(&id, |secret| secret.grant = parts);
    Ok(changes)
}

/// Drops what was granted: what to write beside the secret's record.
pub(crate) fn ungranted(catalog: &mut Catalog, id: Id) -> Vec<Change> {
    let mut dropped = Vec::new();
    catalog.update_secret(&id, |secret: &mut Secret| {
        dropped = std::mem::take(&mut secret.grant);
        // whatever came of a request with it, it was a request with what is gone
        secret.unanswered = secret.unanswered.filter(|sent| sent.by != By::RefreshToken);
    });
    part::drop_parts(id, &dropped).collect()
}

fn proof_of(arrived: Arrived) -> Result<Proof, Failure> {
    let Arrived { answer, verifier, redirect_uri, client: _ } = arrived;
    match answer {
        Answer::Code(code) => Ok(Proof::Code { code, verifier, redirect_uri }),
        Answer::Error(code) => {
            let reason = match code.as_deref() {
                Some("access_denied") => "it was not allowed in the browser (access_denied)".to_owned(),
                Some(code) => format!("the issuer ended the authorization ({code})"),
                None => "the issuer ended the authorization".to_owned(),
            };
            Err(over(&reason))
        }
    }
}

/// An authorization that ended without a request.
fn over(reason: &str) -> Failure {
    unsent(Cause::Permanent, format!("{reason}; hint: start over: bursar secret reauthorize NAME"))
}

fn withdrawn(reason: &str) -> Failure {
    unsent(Cause::Withdrawn, format!("{reason}; hint: bursar secret reauthorize NAME"))
}

/// The refresh token is kept: the client may be set up again for which it is good.
fn of_another_client() -> Failure {
    unsent(
        Cause::Withdrawn,
        "it was allowed with another client id or token url than are set up now; hint: bursar secret reauthorize NAME; or set those up again, and: bursar secret retry NAME".into(),
    )
}

fn unsent(cause: Cause, details: String) -> Failure {
    Failure { reach: Reach::Unsent, ..Failure::new(cause, details) }
}

#[cfg(test)]
pub(super) mod tests;
