//! Client secrets in the catalog, by their public ids. Their values are nowhere: only what tells a right one from others.

use super::Catalog;
use crate::vault::record::{
    ClientSecretV1, UnknownForm, analytics_number, analytics_of, role_number, role_of,
};
use crate::vault::store::Id;
use bursar_proto::client_secret::{PublicId, RANDOM_LEN, Random};
use bursar_proto::kind::{Analytics, ClientSecretStatus, Role};
use bursar_proto::name::OrganizationName;
use bursar_proto::time::Timestamp;
use ring::hmac;
use std::collections::HashMap;

/// A client secret.
#[derive(Clone)]
pub(crate) struct ClientSecret {
    pub(crate) public: PublicId,
    pub(crate) organization: OrganizationName,
    /// The one environment that it is for; it may be gone.
    pub(crate) environment: Option<Id>,
    pub(crate) description: Box<str>,
    pub(crate) role: Role,
    pub(crate) analytics: Analytics,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) revoked_at: Option<Timestamp>,
    /// Somebody came with it after its end: a clock that is set back does not revive it.
    pub(crate) lapsed: bool,
    pub(crate) last_used_at: Option<Timestamp>,
    pub(crate) successor: Option<PublicId>,
    pub(crate) hash: Hash,
}

/// What tells a right value from others: its HMAC under a key that is this one's alone.
#[derive(Clone, Copy)]
pub(crate) struct Hash {
    key: [u8; 32],
    sum: [u8; 32],
}

impl Hash {
    /// The hash of a value under `key`.
    pub(crate) fn of(random: &Random, key: [u8; 32]) -> Self {
        let mut sum = [0; 32];
        sum.copy_from_slice(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), random.expose()).as_ref());
        Self { key, sum }
    }

    /// Whether it is the hash of `random`; takes the same time either way.
    pub(crate) fn fits(&self, random: &Random) -> bool {
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &self.key), random.expose(), &self.sum).is_ok()
    }

    /// A hash that nothing fits, so that an unknown id takes as long as a known one.
    pub(crate) const NONE: Self = Self { key: [0; 32], sum: [0; RANDOM_LEN] };
}

impl ClientSecret {
    /// How it stands.
    pub(crate) fn status(&self, now: Timestamp) -> ClientSecretStatus {
        if self.revoked_at.is_some() {
            ClientSecretStatus::Revoked
        } else if self.lapsed || self.expires_at <= now {
            ClientSecretStatus::Expired
        } else {
            ClientSecretStatus::Active
        }
    }
}

impl Catalog {
    /// A client secret by its public id.
    pub(crate) fn client_secret(&self, public: &PublicId) -> Option<(Id, &ClientSecret)> {
        let id = self.client_secrets_by_public.get(public)?;
        Some((*id, self.client_secrets.get(id)?))
    }

    /// Adds a client secret.
    pub(crate) fn insert_client_secret(&mut self, id: Id, secret: ClientSecret) {
        self.client_secrets_by_public.insert(secret.public.clone(), id);
        self.client_secrets.insert(id, secret);
    }

    /// Takes a client secret out.
    pub(crate) fn remove_client_secret(&mut self, id: &Id) -> Option<ClientSecret> {
        let secret = self.client_secrets.remove(id)?;
        self.client_secrets_by_public.remove(&secret.public);
        Some(secret)
    }

    /// Client secrets that `wanted` picks.
    pub(crate) fn client_secrets_of(&self, wanted: impl Fn(&ClientSecret) -> bool) -> Vec<Id> {
        self.client_secrets.iter().filter(|(_, secret)| wanted(secret)).map(|(id, _)| *id).collect()
    }

    /// A client secret's record.
    pub(crate) fn client_secret_record(&self, id: &Id) -> Option<ClientSecretV1> {
        let secret = self.client_secrets.get(id)?;
        Some(ClientSecretV1 {
            public: secret.public.to_string(),
            organization: self.organizations.get(&secret.organization)?.id,
            environment: secret.environment,
            description: secret.description.to_string(),
            role: role_number(secret.role),
            analytics: analytics_number(secret.analytics),
            created_at: secret.created_at.seconds(),
            expires_at: secret.expires_at.seconds(),
            revoked_at: secret.revoked_at.map(Timestamp::seconds),
            lapsed: secret.lapsed,
            last_used_at: secret.last_used_at.map(Timestamp::seconds),
            successor: secret.successor.as_ref().map(ToString::to_string),
            key: secret.hash.key,
            hash: secret.hash.sum,
        })
    }

    /// Takes in a record of a client secret; its organization is there already.
    pub(crate) fn load_client_secret(
        &mut self,
        id: Id,
        record: ClientSecretV1,
        organizations: &HashMap<Id, OrganizationName>,
    ) -> Result<(), UnknownForm> {
        let public = |text: &str| text.parse::<PublicId>().map_err(|_| UnknownForm::Unreadable);
        let secret = ClientSecret {
            public: public(&record.public)?,
            organization: organizations.get(&record.organization).ok_or(UnknownForm::Unreadable)?.clone(),
            environment: record.environment,
            description: record.description.into(),
            role: role_of(record.role)?,
            analytics: analytics_of(record.analytics)?,
            created_at: Timestamp::from_seconds(record.created_at),
            expires_at: Timestamp::from_seconds(record.expires_at),
            revoked_at: record.revoked_at.map(Timestamp::from_seconds),
            lapsed: record.lapsed,
            last_used_at: record.last_used_at.map(Timestamp::from_seconds),
            successor: record.successor.as_deref().map(public).transpose()?,
            hash: Hash { key: record.key, sum: record.hash },
        };
        self.insert_client_secret(id, secret);
        Ok(())
    }
}
