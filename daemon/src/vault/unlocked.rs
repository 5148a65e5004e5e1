//! The vault with its keys in memory: the only place where records are plaintext.

use super::VaultError;
use super::catalog::Catalog;
use super::crypto::{self, Keys, RootKey};
use super::header::Header;
use super::manifest::open_record;
use super::part;
use super::record::{
    self, AuditEntryV1, GrantV1, IssuerClientV1, ManifestV2, PackageContentV1, PartV1, Saved, Versioned,
};
use super::store::{Batch, Committed, Id, Key, Kind, RECORD_MAX, Sealed, Store, StoreError};
use crate::credentials::{Artifact, Credentials};
use bursar_proto::sensitive::Sensitive;
use bursar_proto::time::Timestamp;
use std::collections::HashSet;
use zeroize::Zeroizing;

/// What a change writes: what the catalog now says of an id (nothing there means delete), or new content.
pub(crate) enum Change {
    /// An organization's record.
    Organization(Id),
    /// An environment's record.
    Environment(Id),
    /// A secret's attributes.
    Secret(Id),
    /// A secret's credentials; `None` deletes them.
    Credentials(Id, Option<Sensitive>),
    /// A secret's artifact and when it ends; `None` drops it.
    Artifact(Id, Option<(Option<Timestamp>, Artifact)>),
    /// A data element's record.
    Element(Id),
    /// A package's record; its content is in its parts.
    Package(Id),
    /// A workspace's record; its files are in its parts.
    Workspace(Id),
    /// A client secret's record.
    ClientSecret(Id),
    /// The tombstone of a deleted secret.
    Tombstone(Id),
    /// A named issuer's record; its client's secret is in its part.
    Issuer(Id),
    /// A month of use; without content it is deleted.
    Usage(Id, Option<Zeroizing<Vec<u8>>>),
    /// A part of what `owner`'s record names; without content it is deleted.
    Part { owner: Id, id: Id, plain: Option<Zeroizing<Vec<u8>>> },
}

/// A small record's place and its bytes; none deletes it.
type Written = (Key, Option<Zeroizing<Vec<u8>>>);

/// The vault with its keys in memory.
pub(crate) struct Unlocked {
    pub(super) store: Store,
    pub(super) keys: Keys,
    pub(super) root: RootKey,
    pub(super) header: Header,
    pub(super) manifest: ManifestV2,
    /// How many entries of the record of accesses are kept.
    pub(super) audit_kept: u64,
    /// Names and attributes.
    pub(crate) catalog: Catalog,
    /// A change was begun and could not be sealed: memory is ahead of the disk, and has to be read anew.
    pub(super) spoilt: bool,
    /// The generation that the newest snapshot holds.
    pub(super) snapshot_of: Option<u64>,
}

impl Unlocked {
    /// Makes one change: `change` checks first, then changes the catalog and says what to write. The entries of the record
    /// of accesses are written with it. It counts once the promise has come.
    pub(crate) fn write<T, E: From<VaultError>>(
        &mut self,
        entries: &[AuditEntryV1],
        change: impl FnOnce(&mut Catalog) -> Result<(Vec<Change>, T), E>,
    ) -> Result<(Committed, T), E> {
        self.store.writable().map_err(VaultError::from)?;
        let (changes, answer) = change(&mut self.catalog)?;
        let batch = self.sealed_batch(&changes, entries).inspect_err(|_| self.spoilt = true)?;
        Ok((self.store.commit(batch), answer))
    }

    /// Asks the store for an answer, and changes nothing.
    pub(crate) fn ask_store(&self) -> Committed {
        self.store.commit(Vec::new())
    }

    /// Up to when endings were told.
    pub(crate) fn endings_told(&self) -> Timestamp {
        Timestamp::from_seconds(self.manifest.endings_told)
    }

    /// Keeps up to when endings were told.
    pub(crate) fn keep_endings_told(&mut self, now: Timestamp) -> Result<Committed, VaultError> {
        self.manifest.endings_told = now.seconds();
        let (committed, ()) = self.write(&[], |_| Ok::<_, VaultError>((Vec::new(), ())))?;
        Ok(committed)
    }

    /// Replaces the header; the data keys stay. It counts once the promise has come.
    pub(super) fn write_header(
        &mut self,
        header: Header,
        entries: &[AuditEntryV1],
    ) -> Result<Committed, VaultError> {
        self.store.writable()?;
        let written = header.write()?;
        self.manifest.header = self.keys.digest_header(&written);
        let mut batch = self.sealed_batch(&[], entries).inspect_err(|_| self.spoilt = true)?;
        batch.push((Key::HEADER, Some(Sealed::from(written))));
        self.header = header;
        Ok(self.store.commit(batch))
    }

    /// Reads a secret's credentials.
    pub(crate) fn credentials(&self, id: &Id) -> Result<Credentials, VaultError> {
        let secret = self.catalog.secrets.get(id).ok_or(VaultError::Tampered("a secret is gone"))?;
        let mut plain = Zeroizing::new(Vec::new());
        self.open(&Key::new(Kind::Credentials, *id), &secret.credentials_tag, &mut plain)?;
        let json = record::decode_credentials(&plain)?;
        Credentials::load(secret.kind, json)
            .map_err(|_| VaultError::Tampered("credentials that cannot be read"))
    }

    /// Opens a secret's artifact: appends the members of the reply to `out`, and answers when it ends. `None`,
    /// and nothing appended, where there is none.
    pub(crate) fn artifact(&self, id: &Id, out: &mut Vec<u8>) -> Result<Option<Saved>, VaultError> {
        let Some(tag) = self.catalog.secrets.get(id).and_then(|secret| secret.artifact_tag) else {
            return Ok(None);
        };
        let start = out.len();
        self.open(&Key::new(Kind::Artifact, *id), &tag, out)?;
        let saved = record::decode_artifact(&out[start..])?;
        out.truncate(start + saved.length);
        Ok(Some(saved))
    }

    /// Opens a package's content.
    pub(crate) fn package_content(&self, id: &Id) -> Result<PackageContentV1, VaultError> {
        let package = self.catalog.packages.get(id).ok_or(VaultError::Tampered("a package is gone"))?;
        part::join(&self.store, &self.keys, &package.parts)
    }

    /// Opens what a person granted to a secret; `None` where nobody did.
    pub(crate) fn grant(&self, id: &Id) -> Result<Option<GrantV1>, VaultError> {
        match self.catalog.secrets.get(id) {
            Some(secret) if !secret.grant.is_empty() => {
                part::join(&self.store, &self.keys, &secret.grant).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Opens the secret of a named issuer's client.
    pub(crate) fn issuer_client(&self, id: &Id) -> Result<IssuerClientV1, VaultError> {
        let issuer = self.catalog.issuers.get(id).ok_or(VaultError::Tampered("an issuer is gone"))?;
        part::join(&self.store, &self.keys, &issuer.client)
    }

    /// Opens the one version of a record that `tag` names.
    fn open(&self, key: &Key, tag: &crypto::Tag, plain: &mut Vec<u8>) -> Result<(), VaultError> {
        open_record(&self.store, &self.keys, key, tag, plain)
    }

    /// Seals what changed, in an order in which a secret's record is sealed after what it names, and the
    /// manifest last.
    pub(super) fn sealed_batch(
        &mut self,
        changes: &[Change],
        entries: &[AuditEntryV1],
    ) -> Result<Batch, VaultError> {
        let mut batch = Batch::new();
        for change in changes {
            match change {
                Change::Credentials(id, json) => {
                    let plain = json.as_ref().map(|json| record::encode_credentials(json.expose()));
                    let tag = self.put(&mut batch, Key::new(Kind::Credentials, *id), plain.as_deref())?;
                    self.catalog.update_secret(id, |secret| secret.credentials_tag = tag.unwrap_or_default());
                }
                Change::Artifact(id, artifact) => {
                    let plain = artifact.as_ref().map(|(expires_at, artifact)| {
                        let mut members = Zeroizing::new(Vec::new());
                        artifact.write_json(&mut members);
                        record::encode_artifact(*expires_at, &members)
                    });
                    let tag = self.put(&mut batch, Key::new(Kind::Artifact, *id), plain.as_deref())?;
                    self.catalog.update_secret(id, |secret| secret.artifact_tag = tag);
                }
                Change::Part { owner, id, plain } => {
                    if let Some(tag) = self.put(&mut batch, Key::new(Kind::Part, *id), plain.as_deref())? {
                        self.catalog.tag_part(owner, id, tag);
                    }
                }
                Change::Usage(id, plain) => {
                    self.put(&mut batch, Key::new(Kind::Usage, *id), plain.as_deref())?;
                }
                Change::Organization(_)
                | Change::Environment(_)
                | Change::Secret(_)
                | Change::Element(_)
                | Change::Package(_)
                | Change::Workspace(_)
                | Change::ClientSecret(_)
                | Change::Tombstone(_)
                | Change::Issuer(_) => {}
            }
        }
        let mut written = HashSet::new();
        for change in changes {
            let Some((key, plain)) = self.small_record(change)? else { continue };
            // counted twice it would make the manifest tell of records that are not there
            if !written.insert(key) {
                continue;
            }
            if let Some(old) = self.store.get(&key)? {
                self.manifest.forget(&self.keys, &key, &old);
            }
            self.put(&mut batch, key, plain.as_deref())?;
            if let Some((_, Some(new))) = batch.last() {
                self.manifest.count(&self.keys, &key, new);
            }
        }
        self.append_audit(&mut batch, entries)?;
        self.manifest.generation += 1;
        let manifest = record::encode(&self.manifest)?;
        self.put(&mut batch, Key::MANIFEST, Some(&manifest))?;
        Ok(batch)
    }

    /// Where a change writes a small record, and what it says now; nothing of a change of content.
    fn small_record(&self, change: &Change) -> Result<Option<Written>, VaultError> {
        fn written<T: Versioned>(
            kind: Kind,
            id: &Id,
            record: Option<T>,
        ) -> Result<Option<Written>, VaultError> {
            let plain = record.map(|record| record::encode(&record)).transpose()?;
            Ok(Some((Key::new(kind, *id), plain)))
        }
        let catalog = &self.catalog;
        match change {
            Change::Organization(id) => written(Kind::Organization, id, catalog.organization_record(id)),
            Change::Environment(id) => written(Kind::Environment, id, catalog.environment_record(id)),
            Change::Secret(id) => written(Kind::Secret, id, catalog.secret_record(id)),
            Change::Element(id) => written(Kind::Element, id, catalog.element_record(id)),
            Change::Package(id) => written(Kind::Package, id, catalog.package_record(id)),
            Change::Workspace(id) => written(Kind::Workspace, id, catalog.workspace_record(id)),
            Change::ClientSecret(id) => written(Kind::ClientSecret, id, catalog.client_secret_record(id)),
            Change::Tombstone(id) => written(Kind::Tombstone, id, catalog.tombstone_record(id)),
            Change::Issuer(id) => written(Kind::Issuer, id, catalog.issuer_record(id)),
            Change::Credentials(..) | Change::Artifact(..) | Change::Usage(..) | Change::Part { .. } => {
                Ok(None)
            }
        }
    }

    pub(super) fn put(
        &self,
        batch: &mut Batch,
        key: Key,
        plain: Option<&Vec<u8>>,
    ) -> Result<Option<crypto::Tag>, VaultError> {
        let Some(plain) = plain else {
            batch.push((key, None));
            return Ok(None);
        };
        let sealed = self.keys.seal(&key, plain)?;
        if sealed.len() > RECORD_MAX {
            return Err(StoreError::TooLarge(sealed.len()).into());
        }
        let tag = crypto::tag(&sealed);
        batch.push((key, Some(Sealed::from(sealed))));
        Ok(Some(tag))
    }

    /// Writes everything into `fresh` under other keys.
    pub(super) fn rewrite(&self, fresh: &Store, keys: &Keys, header: &Header) -> Result<(), VaultError> {
        let written = header.write()?;
        let mut manifest = ManifestV2 {
            generation: self.manifest.generation + 1,
            header: keys.digest_header(&written),
            records: 0,
            sum: 0,
            ..self.manifest
        };
        let mut plain = Zeroizing::new(Vec::new());
        let mut reseal = |key: Key, tag: Option<&crypto::Tag>, out: &mut Batch| {
            plain.clear();
            if let Some(tag) = tag {
                self.open(&key, tag, &mut plain)?;
            } else {
                let sealed = self.store.get(&key)?.ok_or(VaultError::Tampered("a record is missing"))?;
                self.keys.open(&key, &sealed, &mut plain)?;
            }
            let sealed = keys.seal(&key, &plain)?;
            let tag = crypto::tag(&sealed);
            out.push((key, Some(Sealed::from(sealed))));
            Ok::<_, VaultError>(tag)
        };
        let mut last = None;
        let organizations = self.catalog.organizations.values().map(|o| Key::new(Kind::Organization, o.id));
        let environments = self.catalog.environments.keys().map(|id| Key::new(Kind::Environment, *id));
        let elements = self.catalog.elements.keys().map(|id| Key::new(Kind::Element, *id));
        let client_secrets = self.catalog.client_secrets.keys().map(|id| Key::new(Kind::ClientSecret, *id));
        // the old store's log goes, and with it what tombstones stand for; places in files stay
        let tombstones = self.catalog.tombstones.keys().map(|id| Key::new(Kind::Tombstone, *id));
        for key in organizations.chain(environments).chain(elements).chain(client_secrets).chain(tombstones) {
            let mut batch = Batch::new();
            let tag = reseal(key, None, &mut batch)?;
            manifest.count_tag(keys, &key, &tag);
            last = Some(fresh.commit(batch));
        }
        let mut seal_small = |key: Key, plain: &[u8], out: &mut Batch| {
            let sealed = keys.seal(&key, plain)?;
            manifest.count(keys, &key, &sealed);
            out.push((key, Some(Sealed::from(sealed))));
            Ok::<_, VaultError>(())
        };
        for (id, secret) in &self.catalog.secrets {
            let mut batch = Batch::new();
            let mut record =
                self.catalog.secret_record(id).ok_or(VaultError::Tampered("a secret is gone"))?;
            record.attributes.credentials_tag =
                reseal(Key::new(Kind::Credentials, *id), Some(&secret.credentials_tag), &mut batch)?;
            record.attributes.artifact_tag = match &secret.artifact_tag {
                Some(tag) => Some(reseal(Key::new(Kind::Artifact, *id), Some(tag), &mut batch)?),
                None => None,
            };
            for part in &mut record.grant {
                part.tag = reseal(Key::new(Kind::Part, part.id), Some(&part.tag), &mut batch)?;
            }
            seal_small(Key::new(Kind::Secret, *id), &record::encode(&record)?, &mut batch)?;
            last = Some(fresh.commit(batch));
        }
        let mut reseal_parts = |parts: &mut [PartV1], out: &mut Batch| {
            for part in parts {
                part.tag = reseal(Key::new(Kind::Part, part.id), Some(&part.tag), out)?;
            }
            Ok::<_, VaultError>(())
        };
        for id in self.catalog.packages.keys() {
            let mut batch = Batch::new();
            let record = self.catalog.package_record(id);
            let mut record = record.ok_or(VaultError::Tampered("a package is gone"))?;
            reseal_parts(&mut record.parts, &mut batch)?;
            seal_small(Key::new(Kind::Package, *id), &record::encode(&record)?, &mut batch)?;
            last = Some(fresh.commit(batch));
        }
        for id in self.catalog.workspaces.keys() {
            let mut batch = Batch::new();
            let record = self.catalog.workspace_record(id);
            let mut record = record.ok_or(VaultError::Tampered("a workspace is gone"))?;
            reseal_parts(&mut record.parts, &mut batch)?;
            seal_small(Key::new(Kind::Workspace, *id), &record::encode(&record)?, &mut batch)?;
            last = Some(fresh.commit(batch));
        }
        for id in self.catalog.issuers.keys() {
            let mut batch = Batch::new();
            let record = self.catalog.issuer_record(id);
            let mut record = record.ok_or(VaultError::Tampered("an issuer is gone"))?;
            reseal_parts(&mut record.client, &mut batch)?;
            seal_small(Key::new(Kind::Issuer, *id), &record::encode(&record)?, &mut batch)?;
            last = Some(fresh.commit(batch));
        }
        if let Some(last) = last {
            last.durable_blocking()?;
        }
        super::audit::rewrite(&self.store, &self.keys, fresh, keys)?;
        reseal_all(&self.store, &self.keys, fresh, keys, Kind::Usage)?;
        let sealed = keys.seal(&Key::MANIFEST, &record::encode(&manifest)?)?;
        let closing =
            vec![(Key::MANIFEST, Some(Sealed::from(sealed))), (Key::HEADER, Some(Sealed::from(written)))];
        Ok(fresh.commit(closing).durable_blocking()?)
    }
}

/// Writes all records of a kind that the manifest does not count into `fresh` under other keys. What does not open stays behind.
pub(super) fn reseal_all(
    store: &Store,
    keys: &Keys,
    fresh: &Store,
    under: &Keys,
    kind: Kind,
) -> Result<(), VaultError> {
    let mut outcome = Ok(());
    let mut last = None;
    let mut plain = Zeroizing::new(Vec::new());
    store.scan(kind, |key, sealed| {
        plain.clear();
        if outcome.is_err() || keys.open(&key, &sealed, &mut plain).is_err() {
            return;
        }
        match under.seal(&key, &plain) {
            Ok(sealed) => last = Some(fresh.commit(vec![(key, Some(Sealed::from(sealed)))])),
            Err(error) => outcome = Err(error),
        }
    })?;
    outcome?;
    Ok(last.map_or(Ok(()), Committed::durable_blocking)?)
}
