//! Content that does not fit one record: cut into parts, each a sealed record of its own. The record that owns them names
//! the one version of each.

use super::VaultError;
use super::crypto::{self, Keys};
use super::manifest::open_record;
use super::record::{self, PartV1, Versioned};
use super::store::{Id, Key, Kind, Store};
use super::unlocked::Change;
use zeroize::Zeroizing;

/// The most bytes of a part: with its seal it stays well under the limit of a record.
const PART_MAX: usize = 48 * 1024;

/// Cuts `content` into parts of the record `owner`: the list for that record, and what to write. The tags follow when the
/// parts are sealed.
pub(crate) fn cut<T: Versioned>(owner: Id, content: &T) -> Result<(Vec<PartV1>, Vec<Change>), VaultError> {
    let bytes = record::encode(content)?;
    let mut parts = Vec::new();
    let mut changes = Vec::new();
    for piece in bytes.chunks(PART_MAX) {
        let id = crypto::generate()?;
        parts.push(PartV1 { id, tag: crypto::Tag::default() });
        changes.push(Change::Part { owner, id, plain: Some(Zeroizing::new(piece.to_vec())) });
    }
    Ok((parts, changes))
}

/// What deletes the parts of a record that goes, or gets others.
pub(crate) fn drop_parts(owner: Id, parts: &[PartV1]) -> impl Iterator<Item = Change> {
    parts.iter().map(move |part| Change::Part { owner, id: part.id, plain: None })
}

/// Opens all parts of a record and puts them together.
pub(super) fn join<T: Versioned>(store: &Store, keys: &Keys, parts: &[PartV1]) -> Result<T, VaultError> {
    let mut plain = Zeroizing::new(Vec::new());
    for part in parts {
        open_record(store, keys, &Key::new(Kind::Part, part.id), &part.tag, &mut plain)?;
        if plain.len() > T::MAX + 1 {
            return Err(VaultError::Tampered("a record has too many parts"));
        }
    }
    Ok(record::decode(&plain)?)
}

#[cfg(test)]
mod tests;
