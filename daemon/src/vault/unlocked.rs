//! The vault with its keys in memory: the only place where records are plaintext.

use super::VaultError;
use super::catalog::Catalog;
use super::crypto::{self, Keys, RootKey};
use super::header::Header;
use super::manifest::open_record;
use super::record::{self, ManifestV1, Saved};
use super::store::{Batch, Committed, Id, Key, Kind, RECORD_MAX, Sealed, Store, StoreError};
use crate::credentials::{Artifact, Credentials};
use bursar_proto::sensitive::Sensitive;
use bursar_proto::time::Timestamp;
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
}

/// The vault with its keys in memory.
pub(crate) struct Unlocked {
    pub(super) store: Store,
    pub(super) keys: Keys,
    pub(super) root: RootKey,
    pub(super) header: Header,
    pub(super) manifest: ManifestV1,
    /// Names and attributes.
    pub(crate) catalog: Catalog,
    /// A change was begun and could not be sealed: memory is ahead of the disk, and has to be read anew.
    pub(super) spoilt: bool,
    /// The generation that the newest snapshot holds.
    pub(super) snapshot_of: Option<u64>,
}

impl Unlocked {
    /// Makes one change: `change` checks first, then changes the catalog and says what to write. It counts
    /// once the promise has come.
    pub(crate) fn write<T, E: From<VaultError>>(
        &mut self,
        change: impl FnOnce(&mut Catalog) -> Result<(Vec<Change>, T), E>,
    ) -> Result<(Committed, T), E> {
        self.store.writable().map_err(VaultError::from)?;
        let (changes, answer) = change(&mut self.catalog)?;
        let batch = self.sealed_batch(&changes).inspect_err(|_| self.spoilt = true)?;
        Ok((self.store.commit(batch), answer))
    }

    /// Replaces the header; the data keys stay. It counts once the promise has come.
    pub(super) fn write_header(&mut self, header: Header) -> Result<Committed, VaultError> {
        self.store.writable()?;
        let written = header.write()?;
        self.manifest.header = self.keys.digest_header(&written);
        let mut batch = self.sealed_batch(&[]).inspect_err(|_| self.spoilt = true)?;
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

    /// Opens the one version of a record that `tag` names.
    fn open(&self, key: &Key, tag: &crypto::Tag, plain: &mut Vec<u8>) -> Result<(), VaultError> {
        open_record(&self.store, &self.keys, key, tag, plain)
    }

    /// Seals what changed, in an order in which a secret's record is sealed after what it names, and the
    /// manifest last.
    pub(super) fn sealed_batch(&mut self, changes: &[Change]) -> Result<Batch, VaultError> {
        let mut batch = Batch::new();
        for change in changes {
            match change {
                Change::Credentials(id, json) => {
                    let plain = json.as_ref().map(|json| record::encode_credentials(json.expose()));
                    let tag = self.put(&mut batch, Key::new(Kind::Credentials, *id), plain)?;
                    self.catalog.update_secret(id, |secret| secret.credentials_tag = tag.unwrap_or_default());
                }
                Change::Artifact(id, artifact) => {
                    let plain = artifact.as_ref().map(|(expires_at, artifact)| {
                        let mut members = Zeroizing::new(Vec::new());
                        artifact.write_json(&mut members);
                        record::encode_artifact(*expires_at, &members)
                    });
                    let tag = self.put(&mut batch, Key::new(Kind::Artifact, *id), plain)?;
                    self.catalog.update_secret(id, |secret| secret.artifact_tag = tag);
                }
                Change::Organization(_) | Change::Environment(_) | Change::Secret(_) => {}
            }
        }
        for change in changes {
            let (key, plain) = match change {
                Change::Organization(id) => {
                    let record = self.catalog.organization_record(id);
                    (Key::new(Kind::Organization, *id), record.map(|r| record::encode(&r)))
                }
                Change::Environment(id) => {
                    let record = self.catalog.environment_record(id);
                    (Key::new(Kind::Environment, *id), record.map(|r| record::encode(&r)))
                }
                Change::Secret(id) => {
                    let record = self.catalog.secret_record(id);
                    (Key::new(Kind::Secret, *id), record.map(|r| record::encode(&r)))
                }
                Change::Credentials(..) | Change::Artifact(..) => continue,
            };
            if let Some(old) = self.store.get(&key)? {
                self.manifest.forget(&self.keys, &key, &old);
            }
            self.put(&mut batch, key, plain.transpose()?)?;
            if let Some((_, Some(new))) = batch.last() {
                self.manifest.count(&self.keys, &key, new);
            }
        }
        self.manifest.generation += 1;
        let manifest = record::encode(&self.manifest)?;
        self.put(&mut batch, Key::MANIFEST, Some(manifest))?;
        Ok(batch)
    }

    fn put(
        &self,
        batch: &mut Batch,
        key: Key,
        plain: Option<Zeroizing<Vec<u8>>>,
    ) -> Result<Option<crypto::Tag>, VaultError> {
        let Some(plain) = plain else {
            batch.push((key, None));
            return Ok(None);
        };
        let sealed = self.keys.seal(&key, &plain)?;
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
        let mut manifest = ManifestV1 {
            generation: self.manifest.generation + 1,
            header: keys.digest_header(&written),
            ..ManifestV1::default()
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
        for key in organizations.chain(environments) {
            let mut batch = Batch::new();
            let tag = reseal(key, None, &mut batch)?;
            manifest.count_tag(keys, &key, &tag);
            last = Some(fresh.commit(batch));
        }
        for (id, secret) in &self.catalog.secrets {
            let mut batch = Batch::new();
            let mut record =
                self.catalog.secret_record(id).ok_or(VaultError::Tampered("a secret is gone"))?;
            record.credentials_tag =
                reseal(Key::new(Kind::Credentials, *id), Some(&secret.credentials_tag), &mut batch)?;
            record.artifact_tag = match &secret.artifact_tag {
                Some(tag) => Some(reseal(Key::new(Kind::Artifact, *id), Some(tag), &mut batch)?),
                None => None,
            };
            let key = Key::new(Kind::Secret, *id);
            let sealed = keys.seal(&key, &record::encode(&record)?)?;
            manifest.count(keys, &key, &sealed);
            batch.push((key, Some(Sealed::from(sealed))));
            last = Some(fresh.commit(batch));
        }
        if let Some(last) = last {
            last.durable_blocking()?;
        }
        let sealed = keys.seal(&Key::MANIFEST, &record::encode(&manifest)?)?;
        let closing =
            vec![(Key::MANIFEST, Some(Sealed::from(sealed))), (Key::HEADER, Some(Sealed::from(written)))];
        Ok(fresh.commit(closing).durable_blocking()?)
    }
}
