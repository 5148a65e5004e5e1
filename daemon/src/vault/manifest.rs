//! That nothing is missing, moved or older: the manifest counts and sums the small records, and a secret's
//! record names the one version of its credentials and artifact.

use super::VaultError;
use super::catalog::Catalog;
use super::crypto::{self, Keys};
use super::part;
use super::record::{
    self, AuditHeadV1, GrantV1, IssuerClientV1, ManifestV1, ManifestV2, SecretV1, UnknownForm, WorkspaceV1,
};
use super::store::{Id, Key, Kind, Store};
use crate::credentials::Credentials;
use bursar_proto::name::OrganizationName;
use std::collections::HashMap;
use zeroize::Zeroizing;

impl ManifestV2 {
    pub(super) fn count(&mut self, keys: &Keys, key: &Key, sealed: &[u8]) {
        self.count_tag(keys, key, &crypto::tag(sealed));
    }

    pub(super) fn count_tag(&mut self, keys: &Keys, key: &Key, tag: &crypto::Tag) {
        self.records += 1;
        self.sum = self.sum.wrapping_add(keys.digest(key, tag));
    }

    pub(super) fn forget(&mut self, keys: &Keys, key: &Key, sealed: &[u8]) {
        self.records = self.records.saturating_sub(1);
        self.sum = self.sum.wrapping_sub(keys.digest(key, &crypto::tag(sealed)));
    }
}

/// Reads the small records under `keys`, and checks them against the manifest.
pub(super) fn load(store: &Store, keys: &Keys) -> Result<(ManifestV2, Catalog), VaultError> {
    let mut plain = Zeroizing::new(Vec::new());
    let sealed = store.get(&Key::MANIFEST)?.ok_or(VaultError::Tampered("the manifest is missing"))?;
    keys.open(&Key::MANIFEST, &sealed, &mut plain)
        .map_err(|_| VaultError::Tampered("the manifest does not open"))?;
    let mut manifest: ManifestV2 = record::decode_since::<ManifestV1, _>(&plain)?;
    if manifest.audit == AuditHeadV1::default() {
        // a store from before there was a record of accesses: it begins here
        manifest.audit = AuditHeadV1::generate()?;
    }
    let header = store.get(&Key::HEADER)?.ok_or(VaultError::Tampered("its header is missing"))?;
    if keys.digest_header(&header) != manifest.header {
        return Err(VaultError::Tampered("its header is not the one that was written last"));
    }
    let mut counted = ManifestV2 { records: 0, sum: 0, ..manifest };
    let mut catalog = Catalog::default();
    let mut organizations: HashMap<Id, OrganizationName> = HashMap::new();
    for kind in Kind::SMALL {
        let mut outcome = Ok(());
        store.scan(kind, |key, sealed| {
            if outcome.is_err() {
                return;
            }
            outcome = (|| {
                plain.clear();
                keys.open(&key, &sealed, &mut plain)
                    .map_err(|_| VaultError::Tampered("a record does not open"))?;
                counted.count(keys, &key, &sealed);
                let id = key.id();
                match kind {
                    Kind::Organization => {
                        let record: record::OrganizationV1 = record::decode(&plain)?;
                        catalog.load_organization(id, &record)?;
                        organizations.insert(id, record.name.parse().map_err(|_| UnknownForm::Unreadable)?);
                    }
                    Kind::Environment => {
                        catalog.load_environment(id, &record::decode(&plain)?, &organizations)?;
                    }
                    Kind::Secret => {
                        let record: record::SecretV2 = record::decode_since::<SecretV1, _>(&plain)?;
                        catalog.load_secret(id, record, &organizations)?;
                    }
                    Kind::Element => catalog.load_element(id, &record::decode(&plain)?, &organizations)?,
                    Kind::Package => {
                        let record: record::PackageV1 = record::decode(&plain)?;
                        let content = part::join(store, keys, &record.parts)?;
                        catalog.load_package(id, record, content, &organizations)?;
                    }
                    Kind::Workspace => {
                        let record: record::WorkspaceV2 = record::decode_since::<WorkspaceV1, _>(&plain)?;
                        let content = part::join(store, keys, &record.parts)?;
                        catalog.load_workspace(id, record, content)?;
                    }
                    Kind::ClientSecret => {
                        catalog.load_client_secret(id, record::decode(&plain)?, &organizations)?;
                    }
                    Kind::Tombstone => catalog.load_tombstone(id, &record::decode(&plain)?)?,
                    Kind::Issuer => catalog.load_issuer(id, record::decode(&plain)?)?,
                    Kind::Header
                    | Kind::Manifest
                    | Kind::Credentials
                    | Kind::Artifact
                    | Kind::Part
                    | Kind::Audit
                    | Kind::Usage => {}
                }
                Ok::<(), VaultError>(())
            })();
        })?;
        outcome?;
    }
    if counted != manifest {
        return Err(VaultError::Tampered("records are missing, or are older ones"));
    }
    Ok((manifest, catalog))
}

/// Opens every credential, grant and artifact that the catalog names.
pub(super) fn prove(store: &Store, keys: &Keys, catalog: &Catalog) -> Result<(), VaultError> {
    let mut plain = Zeroizing::new(Vec::new());
    for (id, secret) in &catalog.secrets {
        plain.clear();
        open_record(store, keys, &Key::new(Kind::Credentials, *id), &secret.credentials_tag, &mut plain)?;
        Credentials::load(secret.kind, record::decode_credentials(&plain)?)
            .map_err(|_| VaultError::Tampered("credentials that cannot be read"))?;
        if let Some(tag) = &secret.artifact_tag {
            plain.clear();
            open_record(store, keys, &Key::new(Kind::Artifact, *id), tag, &mut plain)?;
            record::decode_artifact(&plain)?;
        }
        if !secret.grant.is_empty() {
            part::join::<GrantV1>(store, keys, &secret.grant)?;
        }
    }
    for issuer in catalog.issuers.values() {
        part::join::<IssuerClientV1>(store, keys, &issuer.client)?;
    }
    Ok(())
}

pub(super) fn open_record(
    store: &Store,
    keys: &Keys,
    key: &Key,
    tag: &crypto::Tag,
    plain: &mut Vec<u8>,
) -> Result<(), VaultError> {
    let sealed = store.get(key)?.ok_or(VaultError::Tampered("a record is missing"))?;
    if crypto::tag(&sealed) != *tag {
        return Err(VaultError::Tampered("a record is not the one that was written last"));
    }
    keys.open(key, &sealed, plain).map_err(|_| VaultError::Tampered("a record does not open"))
}

#[cfg(test)]
mod tests;
