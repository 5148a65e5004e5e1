//! Where a record lies in the store: what it is, and a random id.

use super::crypto::ID_LEN;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// What a record is. The byte leads its key, so a stolen store shows how many there are of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// How the root key is wrapped; the one record in clear.
    Header,
    /// Count and digest of the small records.
    Manifest,
    /// An organization.
    Organization,
    /// An environment.
    Environment,
    /// A secret's attributes.
    Secret,
    /// A secret's credentials.
    Credentials,
    /// A secret's artifact.
    Artifact,
    /// A data element.
    Element,
    /// A package: one published version.
    Package,
    /// A workspace.
    Workspace,
    /// A part of what does not fit one record.
    Part,
    /// A client secret.
    ClientSecret,
    /// A secret that was deleted.
    Tombstone,
    /// Entries of the record of accesses; the id is the number of the first.
    Audit,
    /// A month of use.
    Usage,
    /// The client of a named issuer.
    Issuer,
}

impl Kind {
    /// The kinds that are sealed, each under its own key.
    pub(crate) const SEALED: [Self; 15] = [
        Self::Manifest,
        Self::Organization,
        Self::Environment,
        Self::Secret,
        Self::Credentials,
        Self::Artifact,
        Self::Element,
        Self::Package,
        Self::Workspace,
        Self::Part,
        Self::ClientSecret,
        Self::Tombstone,
        Self::Audit,
        Self::Usage,
        Self::Issuer,
    ];

    /// The kinds that the manifest counts and the catalog is made of, in an order in which each finds what it names.
    pub(crate) const SMALL: [Self; 9] = [
        Self::Organization,
        Self::Environment,
        Self::Secret,
        Self::Element,
        Self::Package,
        Self::Workspace,
        Self::ClientSecret,
        Self::Tombstone,
        Self::Issuer,
    ];

    /// The place of this kind's key among the sealed ones; the header has none and takes the manifest's.
    pub(crate) const fn place(self) -> usize {
        match self {
            Self::Header | Self::Manifest => 0,
            Self::Organization => 1,
            Self::Environment => 2,
            Self::Secret => 3,
            Self::Credentials => 4,
            Self::Artifact => 5,
            Self::Element => 6,
            Self::Package => 7,
            Self::Workspace => 8,
            Self::Part => 9,
            Self::ClientSecret => 10,
            Self::Tombstone => 11,
            Self::Audit => 12,
            Self::Usage => 13,
            Self::Issuer => 14,
        }
    }

    /// The byte that leads the key.
    pub(crate) const fn byte(self) -> u8 {
        match self {
            Self::Header => b'H',
            Self::Manifest => b'M',
            Self::Organization => b'O',
            Self::Environment => b'E',
            Self::Secret => b'S',
            Self::Credentials => b'C',
            Self::Artifact => b'A',
            Self::Element => b'D',
            Self::Package => b'P',
            Self::Workspace => b'W',
            Self::Part => b'T',
            Self::ClientSecret => b'K',
            Self::Tombstone => b'X',
            Self::Audit => b'L',
            Self::Usage => b'U',
            Self::Issuer => b'I',
        }
    }

    /// The label under which the kind's key is derived.
    pub(crate) const fn label(self) -> &'static [u8] {
        match self {
            Self::Header => b"header",
            Self::Manifest => b"manifest",
            Self::Organization => b"organization",
            Self::Environment => b"environment",
            Self::Secret => b"secret",
            Self::Credentials => b"credentials",
            Self::Artifact => b"artifact",
            Self::Element => b"element",
            Self::Package => b"package",
            Self::Workspace => b"workspace",
            Self::Part => b"part",
            Self::ClientSecret => b"client secret",
            Self::Tombstone => b"tombstone",
            Self::Audit => b"audit",
            Self::Usage => b"usage",
            Self::Issuer => b"issuer",
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        if byte == Self::Header.byte() {
            return Some(Self::Header);
        }
        Self::SEALED.into_iter().find(|kind| kind.byte() == byte)
    }
}

/// Hashes ids by taking them as they are: they are random already, and nobody outside chooses them.
#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 ^= u64::from_le_bytes(*first);
        }
    }

    // the length of an array, the same for all
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A map by id.
pub(crate) type IdMap<T> = HashMap<Id, T, BuildHasherDefault<IdHasher>>;

/// A random id.
pub(crate) type Id = [u8; ID_LEN];

/// A record's place: kind and id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    kind: Kind,
    bytes: [u8; 1 + ID_LEN],
}

impl Key {
    /// The header's place.
    pub(crate) const HEADER: Self = Self::new(Kind::Header, [0; ID_LEN]);
    /// The manifest's place.
    pub(crate) const MANIFEST: Self = Self::new(Kind::Manifest, [0; ID_LEN]);

    pub(crate) const fn new(kind: Kind, id: Id) -> Self {
        let mut bytes = [0; 1 + ID_LEN];
        bytes[0] = kind.byte();
        let mut at = 0;
        while at < ID_LEN {
            bytes[at + 1] = id[at];
            at += 1;
        }
        Self { kind, bytes }
    }

    /// Reads a key from a store or a backup.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; 1 + ID_LEN] = bytes.try_into().ok()?;
        Some(Self { kind: Kind::from_byte(bytes[0])?, bytes })
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn id(&self) -> Id {
        let mut id = [0; ID_LEN];
        id.copy_from_slice(&self.bytes[1..]);
        id
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
