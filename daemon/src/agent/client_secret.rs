//! `client_secret.*`: what Bursar issues to automation. `authenticate` beside it takes them.

use super::organization::{chosen, no_organization};
use super::request::Request;
use super::{Agent, environment_id, new_id};
use crate::vault::catalog::{Catalog, ClientSecret, Hash};
use crate::vault::store::Id;
use crate::vault::{Change, Vault, VaultError, crypto, usage};
use bursar_proto::call::{
    CLIENT_SECRET_LIFE, CLIENT_SECRET_LIFE_MAX, ClientSecretCreate, ClientSecretList, ClientSecretRotate,
    ClientSecretSetAnalytics, DESCRIPTION_MAX,
};
use bursar_proto::client_secret::{self, PublicId, Random};
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::fields::Invalid;
use bursar_proto::kind::{Analytics, ClientSecretStatus};
use bursar_proto::reply;
use bursar_proto::time::Timestamp;
use zeroize::Zeroizing;

/// How many client secrets a vault keeps, ended ones included: the ended one that is oldest makes room.
const ISSUED_MAX: usize = 10_000;

impl Agent {
    pub(super) async fn client_secret_create(
        &self,
        call: ClientSecretCreate,
        request: &Request,
    ) -> Result<reply::ClientSecretIssued, CallError> {
        check_description(&call.description)?;
        let expires_in = call.expires_in.unwrap_or(CLIENT_SECRET_LIFE);
        if !(1..=CLIENT_SECRET_LIFE_MAX).contains(&expires_in) {
            let most = CLIENT_SECRET_LIFE_MAX / 86_400;
            let reason = format!("expected 1 second to {most} days, which is 24 months");
            return Err(Invalid::field("expires_in", reason).into());
        }
        let environment = call.environment.map(|name| name.within(&call.organization));
        if let Some(environment) = environment.as_ref().filter(|name| name.organization != call.organization)
        {
            let reason = format!("{environment} is of another organization than {}", call.organization);
            return Err(Invalid::field("environment", reason).into());
        }
        let now = self.clock.now();
        let expires_at = now.plus(i64::try_from(expires_in).unwrap_or(i64::MAX));
        self.issue(request, None, |catalog, public, hash| {
            if !catalog.organizations.contains_key(&call.organization) {
                return Err(no_organization(&call.organization));
            }
            let secret = ClientSecret {
                public,
                organization: call.organization,
                environment: environment.map(|name| environment_id(catalog, &name)).transpose()?,
                description: call.description.into(),
                role: call.role,
                analytics: call.analytics.unwrap_or(Analytics::Limited),
                created_at: now,
                expires_at,
                revoked_at: None,
                lapsed: false,
                last_used_at: None,
                successor: None,
                hash,
            };
            Ok((Vec::new(), secret))
        })
        .await
    }

    pub(super) async fn client_secret_rotate(
        &self,
        call: ClientSecretRotate,
        request: &Request,
    ) -> Result<reply::ClientSecretIssued, CallError> {
        let now = self.clock.now();
        let overlap = i64::try_from(call.overlap.unwrap_or(0)).unwrap_or(i64::MAX);
        self.issue(request, Some(&call.id), |catalog, public, hash| {
            let (id, present) = found(catalog, &call.id)?;
            if present.revoked_at.is_some() {
                let message = format!("client secret {} was revoked, and that is final", call.id);
                return Err(CallError::new(ErrorName::Conflict, message)
                    .hint("issue another: bursar client-secret create"));
            }
            if let Some(successor) = &present.successor {
                let message = format!("client secret {} has a successor: {successor}", call.id);
                return Err(CallError::new(ErrorName::Conflict, message)
                    .hint(format!("rotate that one: bursar client-secret rotate {successor}")));
            }
            let life = present.expires_at.since(present.created_at).max(1);
            let next = ClientSecret {
                public: public.clone(),
                created_at: now,
                expires_at: now.plus(life),
                lapsed: false,
                last_used_at: None,
                hash,
                ..present.clone()
            };
            if let Some(present) = catalog.client_secrets.get_mut(&id) {
                present.successor = Some(public);
                present.expires_at = present.expires_at.min(now.plus(overlap));
            }
            Ok((vec![Change::ClientSecret(id)], next))
        })
        .await
    }

    /// Makes a value, and keeps what `make` says under it; answers both. `present` is the one that it follows.
    async fn issue(
        &self,
        request: &Request,
        present: Option<&PublicId>,
        make: impl FnOnce(&mut Catalog, PublicId, Hash) -> Result<(Vec<Change>, ClientSecret), CallError>,
    ) -> Result<reply::ClientSecretIssued, CallError> {
        let random = Random::new(Zeroizing::new(crypto::generate().map_err(VaultError::from)?));
        let hash = Hash::of(&random, crypto::generate().map_err(VaultError::from)?);
        let public = PublicId::from_random(crypto::generate().map_err(VaultError::from)?);
        let (id, now) = (new_id()?, self.clock.now());
        let client_secret = client_secret::compose(&public, &random);
        let subject = present.map_or_else(|| public.to_string(), |present| format!("{present} {public}"));
        let asked = request.about(Some(subject.into()));
        let written = self
            .write(request, |catalog| {
                if catalog.client_secret(&public).is_some() {
                    return Err(CallError::new(ErrorName::Internal, "two client secrets would have one id")
                        .hint("try again"));
                }
                let leaving = leaving(catalog, now)?;
                let (mut changes, secret) = make(catalog, public, hash)?;
                let shown = view(catalog, &secret, now);
                catalog.insert_client_secret(id, secret);
                changes.push(Change::ClientSecret(id));
                // last, so that what is refused drops nothing, and the oldest itself can be followed by another
                if let Some(leaving) = leaving {
                    catalog.remove_client_secret(&leaving);
                    changes.push(Change::ClientSecret(leaving));
                    changes.extend(usage::forget(&leaving, now));
                }
                Ok((changes, shown))
            })
            .await;
        let about = written.inspect_err(|_| {
            // an id that was never issued is none that anybody could look up
            request.about(asked);
        })?;
        Ok(reply::ClientSecretIssued { client_secret, about })
    }

    pub(super) fn client_secret_list(
        &self,
        call: &ClientSecretList,
    ) -> Result<Vec<reply::ClientSecret>, CallError> {
        let now = self.clock.now();
        let mut vault = self.vault();
        let catalog = &vault.unlocked()?.catalog;
        // an organization that is not there is told as such
        drop(chosen(catalog, call.organization.as_ref())?);
        let wanted = |secret: &&ClientSecret| {
            call.organization.as_ref().is_none_or(|only| *only == secret.organization)
        };
        let mut listed: Vec<_> =
            catalog.client_secrets.values().filter(wanted).map(|secret| view(catalog, secret, now)).collect();
        listed.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.id.cmp(&b.id)));
        Ok(listed)
    }

    pub(super) fn client_secret_show(&self, id: &PublicId) -> Result<reply::ClientSecret, CallError> {
        let mut vault = self.vault();
        let catalog = &vault.unlocked()?.catalog;
        let (_, secret) = found(catalog, id)?;
        Ok(view(catalog, secret, self.clock.now()))
    }

    pub(super) async fn client_secret_set_analytics(
        &self,
        call: ClientSecretSetAnalytics,
        request: &Request,
    ) -> Result<reply::ClientSecret, CallError> {
        self.change_client_secret(&call.id, request, |secret| secret.analytics = call.analytics).await
    }

    pub(super) async fn client_secret_revoke(
        &self,
        id: &PublicId,
        request: &Request,
    ) -> Result<reply::ClientSecret, CallError> {
        let now = self.clock.now();
        self.change_client_secret(id, request, |secret| {
            secret.revoked_at.get_or_insert(now);
        })
        .await
    }

    async fn change_client_secret(
        &self,
        public: &PublicId,
        request: &Request,
        change: impl FnOnce(&mut ClientSecret),
    ) -> Result<reply::ClientSecret, CallError> {
        let now = self.clock.now();
        self.write(request, |catalog| {
            let (id, _) = found(catalog, public)?;
            if let Some(secret) = catalog.client_secrets.get_mut(&id) {
                change(secret);
            }
            let (_, secret) = found(catalog, public)?;
            Ok((vec![Change::ClientSecret(id)], view(catalog, secret, now)))
        })
        .await
    }
}

/// How the client secrets of a vault stand, so that an older copy of it gives none a right that it has lost.
pub(super) fn standing(vault: &mut Vault) -> Vec<ClientSecret> {
    vault
        .unlocked()
        .map(|unlocked| unlocked.catalog.client_secrets.values().cloned().collect())
        .unwrap_or_default()
}

/// Ends client secrets again that an older copy of the vault has as they were. Blocks.
pub(super) fn end_again(vault: &mut Vault, standing: Vec<ClientSecret>) -> Result<(), VaultError> {
    let (committed, ()) = vault.unlocked()?.write(&[], |catalog| {
        let mut changes = Vec::new();
        for known in standing {
            let Some((id, _)) = catalog.client_secret(&known.public) else { continue };
            if let Some(one) = catalog.client_secrets.get_mut(&id) {
                one.revoked_at = one.revoked_at.or(known.revoked_at);
                one.lapsed |= known.lapsed;
                one.expires_at = one.expires_at.min(known.expires_at);
                changes.push(Change::ClientSecret(id));
            }
        }
        Ok::<_, VaultError>((changes, ()))
    })?;
    Ok(committed.durable_blocking()?)
}

/// A client secret by its public id.
pub(super) fn found<'c>(
    catalog: &'c Catalog,
    public: &PublicId,
) -> Result<(Id, &'c ClientSecret), CallError> {
    catalog.client_secret(public).ok_or_else(|| {
        CallError::new(ErrorName::NotFound, format!("no client secret {public}"))
            .hint("see which there are: bursar client-secret list")
    })
}

/// The ended client secret that is oldest, which makes room where there are too many.
fn leaving(catalog: &Catalog, now: Timestamp) -> Result<Option<Id>, CallError> {
    if catalog.client_secrets.len() < ISSUED_MAX {
        return Ok(None);
    }
    let ended =
        catalog.client_secrets.iter().filter(|(_, one)| one.status(now) != ClientSecretStatus::Active);
    let oldest = ended.min_by_key(|(_, one)| one.created_at).map(|(id, _)| *id).ok_or_else(|| {
        CallError::new(
            ErrorName::Conflict,
            format!("there are {ISSUED_MAX} client secrets, which is the most"),
        )
        .hint("revoke some: bursar client-secret revoke ID")
    })?;
    Ok(Some(oldest))
}

/// Revokes the client secrets that are for an environment alone, which goes. Answers what to write, and which they are.
pub(super) fn revoke_of(
    catalog: &mut Catalog,
    environment: &Id,
    now: Timestamp,
) -> (Vec<Change>, Vec<PublicId>) {
    let ids =
        catalog.client_secrets_of(|one| one.environment == Some(*environment) && one.revoked_at.is_none());
    let mut revoked = Vec::with_capacity(ids.len());
    for id in &ids {
        if let Some(secret) = catalog.client_secrets.get_mut(id) {
            secret.revoked_at = Some(now);
            revoked.push(secret.public.clone());
        }
    }
    (ids.into_iter().map(Change::ClientSecret).collect(), revoked)
}

fn view(catalog: &Catalog, secret: &ClientSecret, now: Timestamp) -> reply::ClientSecret {
    reply::ClientSecret {
        id: secret.public.clone(),
        organization: secret.organization.clone(),
        environment: secret.environment.and_then(|id| Some(catalog.environments.get(&id)?.name.clone())),
        description: secret.description.to_string(),
        role: secret.role,
        status: secret.status(now),
        created_at: secret.created_at,
        expires_at: secret.expires_at,
        revoked_at: secret.revoked_at,
        last_used_at: secret.last_used_at,
        analytics: secret.analytics,
        successor: secret.successor.clone(),
    }
}

fn check_description(text: &str) -> Result<(), Invalid> {
    let fits = (1..=DESCRIPTION_MAX).contains(&text.trim().len()) && text.len() <= DESCRIPTION_MAX;
    if fits && !text.chars().any(char::is_control) {
        return Ok(());
    }
    let reason = format!("expected one line of 1 to {DESCRIPTION_MAX} bytes that says what it is for");
    Err(Invalid::field("description", reason))
}

#[cfg(test)]
mod tests;
