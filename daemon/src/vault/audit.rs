//! The record of accesses in the store: sealed blocks of entries, chained by an HMAC. Written once, dropped from its old end.
//!
//! A block lies at the number of its first entry. It holds the chain before it, its entries, and the chain after it; where
//! the chain begins and ends stands in the manifest, which every commit writes. So a block that was changed, put elsewhere
//! or taken out shows, and so does a missing end.

use super::crypto::Keys;
use super::record::{self, AuditBlockV1, AuditEntriesV1, AuditEntryV1, AuditHeadV1, ManifestV2};
use super::store::{Batch, Key, Kind, Sealed, Store};
use super::unlocked::Unlocked;
use super::{VaultError, crypto};
use bursar_proto::kind::AuditFault;
use bursar_proto::reply::AuditFaultFound;
use ring::hmac;
use zeroize::Zeroizing;

/// How large the entries of a block get, in bytes: well under the most that a record takes, whatever the last entry adds.
const BLOCK_SIZE: usize = 32 * 1024;

/// How many old blocks one commit drops beside twice as many as it adds: so many are soon caught up with, and it never takes long.
const DROPPED_AT_ONCE: usize = 8;

/// How many entries a restore carries over: some tens of megabytes for a moment.
const RESTORED_MAX: usize = 100_000;

/// What an entry takes beside its texts, in bytes, counted generously.
const ENTRY_OVERHEAD: usize = 160;

impl AuditHeadV1 {
    /// An empty record with a key of its own.
    pub(super) fn generate() -> Result<Self, crypto::CryptoError> {
        Ok(Self { key: crypto::generate()?, first: 1, next: 1, ..Self::default() })
    }

    /// The chain after entries that begin at the number `first`.
    fn chained(&self, before: &[u8; 32], first: u64, entries: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &self.key));
        context.update(before);
        context.update(&first.to_le_bytes());
        context.update(entries);
        let mut mac = [0; 32];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }
}

/// Where the block lies that begins with entry `number`.
fn place(number: u64) -> Key {
    Key::new(Kind::Audit, u128::from(number).to_be_bytes())
}

/// The number of the first entry of the block at `key`.
fn number_of(key: &Key) -> u64 {
    u64::try_from(u128::from_be_bytes(key.id())).unwrap_or(u64::MAX)
}

/// Opens a block; what is wrong with it is not told, only that.
fn open(keys: &Keys, key: &Key, sealed: &Sealed) -> Option<(AuditBlockV1, Vec<AuditEntryV1>)> {
    let mut plain = Zeroizing::new(Vec::new());
    keys.open(key, sealed, &mut plain).ok()?;
    let block: AuditBlockV1 = record::decode(&plain).ok()?;
    let entries: AuditEntriesV1 = record::decode(&block.entries).ok()?;
    Some((block, entries.entries))
}

/// How large an entry gets, in bytes, about.
fn size(entry: &AuditEntryV1) -> usize {
    let texts = [Some(&entry.principal), entry.executable.as_ref(), entry.subject.as_ref()];
    let ci = entry.ci.iter().flatten().map(|(name, text)| name.len() + text.len() + 16);
    ENTRY_OVERHEAD + texts.into_iter().flatten().map(String::len).sum::<usize>() + ci.sum::<usize>()
}

impl Unlocked {
    /// Adds entries to a batch, and drops the oldest where there are more than are kept.
    pub(super) fn append_audit(
        &mut self,
        batch: &mut Batch,
        entries: &[AuditEntryV1],
    ) -> Result<(), VaultError> {
        let mut rest = entries;
        let mut added = 0;
        while !rest.is_empty() {
            let mut total = 0;
            let fitting = rest.iter().take_while(|entry| {
                total += size(entry);
                total <= BLOCK_SIZE
            });
            let (some, more) = rest.split_at(fitting.count().max(1));
            self.append_block(batch, some)?;
            added += 1;
            rest = more;
        }
        for _ in 0..DROPPED_AT_ONCE + 2 * added {
            let head = &self.manifest.audit;
            if entries.is_empty() || head.next - head.first <= self.audit_kept || !self.drop_oldest(batch)? {
                break;
            }
        }
        Ok(())
    }

    fn append_block(&mut self, batch: &mut Batch, entries: &[AuditEntryV1]) -> Result<(), VaultError> {
        let head = &self.manifest.audit;
        let (first, before) = (head.next, head.mac);
        let entries_record = record::encode(&AuditEntriesV1 { entries: entries.to_vec() })?;
        let mac = head.chained(&before, first, &entries_record);
        let block = AuditBlockV1 { before, entries: entries_record.to_vec(), mac };
        let plain = record::encode(&block)?;
        self.put(batch, place(first), Some(&plain))?;
        let head = &mut self.manifest.audit;
        head.mac = mac;
        head.next += entries.len() as u64;
        Ok(())
    }

    /// Drops the oldest block; false where no other has been applied. What was dropped is no longer proved, and the chain
    /// goes on.
    fn drop_oldest(&mut self, batch: &mut Batch) -> Result<bool, VaultError> {
        let head = &mut self.manifest.audit;
        let oldest = place(head.first);
        // blocks are applied in their order, so what is queued stands behind: there is nothing to wait for
        let Some((second, sealed)) = self.store.applied_after(&oldest)? else { return Ok(false) };
        if number_of(&second) >= head.next {
            return Ok(false);
        }
        if let Some((stale, _)) = self.store.applied_after(&place(0))?
            && number_of(&stale) < head.first
        {
            // dropped before, and put back
            batch.push((stale, None));
        }
        let before = open(&self.keys, &second, &sealed).map(|(block, _)| block.before);
        batch.push((oldest, None));
        head.first = number_of(&second);
        // a second block that cannot be read shows in a proof by itself
        head.before = before.unwrap_or_default();
        Ok(true)
    }

    /// The entries that an older copy of this vault, whose manifest is `older`, does not have yet. None of another vault's.
    pub(super) fn audit_since(&self, older: &ManifestV2) -> Result<Vec<AuditEntryV1>, VaultError> {
        let mut since = Vec::new();
        if older.audit.key != self.manifest.audit.key {
            return Ok(since);
        }
        let mut number = older.audit.next;
        while let Some((first, entries)) = self.audit_from(number)? {
            let known = usize::try_from(number.saturating_sub(first)).unwrap_or(usize::MAX);
            number = first + entries.len() as u64;
            since.extend(entries.into_iter().skip(known));
        }
        // one commit takes what is kept, and no more
        let most = usize::try_from(self.audit_kept).unwrap_or(usize::MAX).min(RESTORED_MAX);
        since.drain(..since.len().saturating_sub(most));
        Ok(since)
    }

    /// The numbers of the oldest entry that is kept and of the next one.
    pub(crate) fn audit_bounds(&self) -> (u64, u64) {
        (self.manifest.audit.first, self.manifest.audit.next)
    }

    /// The block that holds the entry `number`, or the next one after it: the number of its first entry, and its entries.
    /// Blocks that cannot be read are passed over.
    pub(crate) fn audit_from(&self, number: u64) -> Result<Option<(u64, Vec<AuditEntryV1>)>, VaultError> {
        let mut found = match self.store.at_or_before(&place(number))? {
            Some((key, sealed)) => Some((key, sealed)),
            None => self.store.at_or_after(&place(number))?,
        };
        while let Some((key, sealed)) = found {
            let first = number_of(&key);
            if let Some((_, entries)) = open(&self.keys, &key, &sealed)
                && first + entries.len() as u64 > number
            {
                return Ok(Some((first, entries)));
            }
            found = self.store.after(&key)?;
        }
        Ok(None)
    }

    /// The last block that begins before the entry `number`.
    pub(crate) fn audit_before(&self, number: u64) -> Result<Option<(u64, Vec<AuditEntryV1>)>, VaultError> {
        let mut below = number;
        while let Some(last) = below.checked_sub(1) {
            let Some((key, sealed)) = self.store.at_or_before(&place(last))? else { return Ok(None) };
            if let Some((_, entries)) = open(&self.keys, &key, &sealed) {
                return Ok(Some((number_of(&key), entries)));
            }
            below = number_of(&key);
        }
        Ok(None)
    }

    /// Proves the next `most` blocks of the record; [`Proof`] says how far it is.
    pub(crate) fn prove_audit(&self, proof: &mut Proof, most: usize) -> Result<(), VaultError> {
        let head = &self.manifest.audit;
        for _ in 0..most {
            let next = match &proof.last {
                None => self.store.at_or_after(&place(0))?,
                Some(last) => self.store.after(last)?,
            };
            let Some((key, sealed)) = next else {
                proof.end(head);
                return Ok(());
            };
            proof.look(head, number_of(&key), open(&self.keys, &key, &sealed));
            proof.last = Some(key);
        }
        Ok(())
    }
}

/// Writes all blocks into `fresh` under other keys; the chain stays. A block that cannot be read stays behind, and shows.
pub(super) fn rewrite(store: &Store, keys: &Keys, fresh: &Store, under: &Keys) -> Result<(), VaultError> {
    super::unlocked::reseal_all(store, keys, fresh, under, Kind::Audit)
}

/// A proof of the record under way.
#[derive(Default)]
pub(crate) struct Proof {
    last: Option<Key>,
    /// The number that the next block should begin with, and the chain before it.
    expected: Option<(u64, Option<[u8; 32]>)>,
    /// A block that could not be read, up to wherever the next begins.
    unreadable: Option<u64>,
    pub(crate) faults: Vec<AuditFaultFound>,
    pub(crate) done: bool,
}

impl Proof {
    fn look(&mut self, head: &AuditHeadV1, first: u64, block: Option<(AuditBlockV1, Vec<AuditEntryV1>)>) {
        if let Some(from) = self.unreadable.take() {
            let next = first.min(head.next);
            self.fault(AuditFault::Altered, from, next.saturating_sub(1));
            self.expected = Some((next, None));
        }
        if first >= head.next {
            let more = block.map_or(0, |(_, entries)| entries.len() as u64).saturating_sub(1);
            return self.fault(AuditFault::Surplus, first, first.saturating_add(more));
        }
        let (expected, chain) = self.expected(head);
        if first > expected {
            self.fault(AuditFault::Cut, expected, first - 1);
        }
        let Some((block, entries)) = block else {
            self.unreadable = Some(first);
            return;
        };
        let next = first.saturating_add(entries.len() as u64);
        let follows =
            first > expected || first == expected && chain.is_none_or(|chain| chain == block.before);
        if !follows || head.chained(&block.before, first, &block.entries) != block.mac {
            self.fault(AuditFault::Broken, first, next.saturating_sub(1));
        }
        // one that was put among others ends before they do
        if next >= expected {
            self.expected = Some((next, Some(block.mac)));
        }
    }

    /// The number that the next block should begin with, and the chain before it, where that is known.
    fn expected(&self, head: &AuditHeadV1) -> (u64, Option<[u8; 32]>) {
        // what was dropped since is missed by nobody
        let known = self.expected.filter(|(number, _)| *number >= head.first);
        known.unwrap_or((head.first, Some(head.before)))
    }

    fn end(&mut self, head: &AuditHeadV1) {
        self.done = true;
        if let Some(from) = self.unreadable.take() {
            self.fault(AuditFault::Altered, from, head.next.saturating_sub(1));
            return;
        }
        let (expected, chain) = self.expected(head);
        if expected < head.next {
            self.fault(AuditFault::Cut, expected, head.next - 1);
        } else if chain.is_some_and(|chain| chain != head.mac) {
            self.fault(AuditFault::Broken, head.next.saturating_sub(1), head.next.saturating_sub(1));
        }
    }

    fn fault(&mut self, fault: AuditFault, from: u64, to: u64) {
        self.faults.push(AuditFaultFound { fault, from, to });
    }
}

#[cfg(test)]
mod tests;
