//! Keys: derive, wrap, seal, open. No I/O, no clock, no store.
//!
//! `derive_*` is deterministic, `generate_*` is random; keys are wrapped, data is sealed. A passphrase or a
//! key file gives a key-encrypting key; that unwraps the random root key; HKDF (RFC 5869) makes one key per
//! kind of record from it. Everything is AES-256-GCM under a random 96-bit nonce: one key may seal 2^32
//! records before a nonce is likely to repeat, which a vault does not reach, and `rekey` starts anew.

use crate::harden::memory::Locked;
use crate::vault::store::{Key, Kind};
use argon2::{Algorithm, Argon2, Params, Version};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::{hkdf, hmac};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Bytes of a key, a salt of the same strength, and a key file that we make.
pub(crate) const KEY_LEN: usize = 32;

/// Bytes of a random id.
pub(crate) const ID_LEN: usize = 16;

/// Bytes of an AES-GCM tag.
const TAG_LEN: usize = 16;

/// The form of sealed bytes: this version, the nonce, the ciphertext with its tag.
const SEALED_VERSION: u8 = 1;

/// Bytes that sealing adds.
pub(crate) const SEAL_OVERHEAD: usize = 1 + NONCE_LEN + TAG_LEN;

/// A fault of the cryptography: the key does not fit, or the bytes were changed. It never says which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CryptoError {
    /// A wrong key, or altered bytes.
    #[error("the bytes do not open under this key")]
    DoesNotOpen,
    /// Parameters out of their bounds.
    #[error("the key derivation's parameters are out of bounds")]
    Parameters,
    /// The system has no randomness.
    #[error("the system gave no random bytes")]
    Random,
}

/// Random bytes.
pub(crate) fn generate<const N: usize>() -> Result<[u8; N], CryptoError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| CryptoError::Random)?;
    Ok(bytes)
}

/// Bytes as lower-case hex digits. The room is taken at once, so that no shorter copy is left behind.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    let mut text = String::with_capacity(2 * bytes.len() + 1);
    text.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
    text
}

/// Argon2id's cost (RFC 9106).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PassphraseCost {
    /// Memory, in KiB.
    pub(crate) memory_kib: u32,
    /// Passes over it.
    pub(crate) passes: u32,
    /// Lanes.
    pub(crate) lanes: u32,
}

impl PassphraseCost {
    /// The least that is ever stored or accepted: OWASP's and RFC 9106's lower recommendation.
    pub(crate) const LEAST: Self = Self { memory_kib: 19 * 1024, passes: 2, lanes: 1 };
    /// The most that is accepted from a header: a hostile one must not take all memory or time.
    const MOST: Self = Self { memory_kib: 1024 * 1024, passes: 16, lanes: 4 };
    /// What an unlock may cost: a person waits that long without a thought.
    const UNLOCK_MAX: Duration = Duration::from_millis(500);
    /// From dear to cheap.
    const CANDIDATES: [Self; 2] = [Self { memory_kib: 64 * 1024, passes: 3, lanes: 1 }, Self::LEAST];

    /// The dearest cost that this machine pays within half a second.
    pub(crate) fn measure() -> Self {
        for cost in Self::CANDIDATES {
            let start = Instant::now();
            if derive_from_passphrase(b"how fast is this machine", &[0; KEY_LEN], cost).is_ok()
                && start.elapsed() <= Self::UNLOCK_MAX
            {
                return cost;
            }
        }
        Self::LEAST
    }

    fn check(self) -> Result<(), CryptoError> {
        let within = (Self::LEAST.memory_kib..=Self::MOST.memory_kib).contains(&self.memory_kib)
            && (Self::LEAST.passes..=Self::MOST.passes).contains(&self.passes)
            && (1..=Self::MOST.lanes).contains(&self.lanes);
        if within { Ok(()) } else { Err(CryptoError::Parameters) }
    }
}

/// A key that wraps the root key. Wiped on drop.
pub(crate) struct KeyEncryptingKey(Zeroizing<[u8; KEY_LEN]>);

/// Derives from a passphrase; takes as long as `cost` says, so it belongs on a worker thread.
pub(crate) fn derive_from_passphrase(
    passphrase: &[u8],
    salt: &[u8; KEY_LEN],
    cost: PassphraseCost,
) -> Result<KeyEncryptingKey, CryptoError> {
    cost.check()?;
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(KEY_LEN))
        .map_err(|_| CryptoError::Parameters)?;
    let mut key = Zeroizing::new([0; KEY_LEN]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase, salt, &mut *key)
        .map_err(|_| CryptoError::Parameters)?;
    Ok(KeyEncryptingKey(key))
}

/// Derives from the content of a key file, which is random already.
pub(crate) fn derive_from_key_file(
    content: &[u8],
    salt: &[u8; KEY_LEN],
) -> Result<KeyEncryptingKey, CryptoError> {
    Ok(KeyEncryptingKey(expand(
        &hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(content),
        b"bursar key file",
    )?))
}

/// The random key that all others come from, in locked memory. Wiped on drop.
pub(crate) struct RootKey(Locked<Zeroizing<[u8; KEY_LEN]>>);

impl RootKey {
    /// A new one.
    pub(crate) fn generate() -> Result<Self, CryptoError> {
        Ok(Self(Locked::new(Zeroizing::new(generate()?))))
    }

    /// Wraps it; `bound` is what the wrapped key must be read with.
    pub(crate) fn wrap(&self, under: &KeyEncryptingKey, bound: &[u8]) -> Result<Vec<u8>, CryptoError> {
        seal_with(&scheduled(&under.0)?, bound, &**self.0)
    }

    /// Unwraps what [`Self::wrap`] made.
    pub(crate) fn unwrap(
        wrapped: &[u8],
        under: &KeyEncryptingKey,
        bound: &[u8],
    ) -> Result<Self, CryptoError> {
        let mut opened = Zeroizing::new(Vec::new());
        open_with(&scheduled(&under.0)?, bound, wrapped, &mut opened)?;
        let bytes: [u8; KEY_LEN] = opened.as_slice().try_into().map_err(|_| CryptoError::DoesNotOpen)?;
        Ok(Self(Locked::new(Zeroizing::new(bytes))))
    }
}

/// One scheduled key per kind of record, and the key of the manifest's digest, in locked memory.
pub(crate) struct Keys(Locked<Scheduled>);

struct Scheduled {
    /// In the order of [`Kind::SEALED`].
    sealing: [LessSafeKey; Kind::SEALED.len()],
    digest: hmac::Key,
}

impl Keys {
    /// Derives all from the root key.
    pub(crate) fn derive(root: &RootKey) -> Result<Self, CryptoError> {
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, b"bursar root key v1").extract(&**root.0);
        let key = |label: &[u8]| expand(&extracted, label);
        let seal = |kind: Kind| scheduled(&*key(kind.label())?);
        let sealing: Vec<LessSafeKey> = Kind::SEALED.into_iter().map(seal).collect::<Result<_, _>>()?;
        let sealing = sealing.try_into().map_err(|_| CryptoError::Parameters)?;
        let digest = hmac::Key::new(hmac::HMAC_SHA256, &*key(b"manifest digest")?);
        Ok(Self(Locked::new(Scheduled { sealing, digest })))
    }

    fn of(&self, kind: Kind) -> &LessSafeKey {
        &self.0.sealing[kind.place()]
    }

    /// Seals a record for its place in the store.
    pub(crate) fn seal(&self, key: &Key, plain: &[u8]) -> Result<Vec<u8>, CryptoError> {
        seal_with(self.of(key.kind()), key.bytes(), plain)
    }

    /// Opens a record that was sealed for this place, and appends it to `plain`.
    pub(crate) fn open(&self, key: &Key, sealed: &[u8], plain: &mut Vec<u8>) -> Result<(), CryptoError> {
        open_with(self.of(key.kind()), key.bytes(), sealed, plain)
    }

    /// The header's part in the manifest: an older one put back shows.
    pub(crate) fn digest_header(&self, header: &[u8]) -> u128 {
        let mut half = [0; 16];
        half.copy_from_slice(&hmac::sign(&self.0.digest, header).as_ref()[..16]);
        u128::from_le_bytes(half)
    }

    /// A record's part in the manifest's sum: 128 bits that nobody without the key can foresee.
    pub(crate) fn digest(&self, key: &Key, tag: &Tag) -> u128 {
        let mut context = hmac::Context::with_key(&self.0.digest);
        context.update(key.bytes());
        context.update(tag);
        let mut half = [0; 16];
        half.copy_from_slice(&context.sign().as_ref()[..16]);
        u128::from_le_bytes(half)
    }
}

/// The authentication tag that ends sealed bytes: it names one version of one record.
pub(crate) type Tag = [u8; TAG_LEN];

/// The tag of sealed bytes; all zero for bytes that are too short to be sealed.
pub(crate) fn tag(sealed: &[u8]) -> Tag {
    sealed.last_chunk().copied().unwrap_or_default()
}

fn scheduled(key: &[u8; KEY_LEN]) -> Result<LessSafeKey, CryptoError> {
    Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).map_err(|_| CryptoError::Parameters)?))
}

fn expand(extracted: &hkdf::Prk, label: &[u8]) -> Result<Zeroizing<[u8; KEY_LEN]>, CryptoError> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    extracted
        .expand(&[label], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut *key))
        .map_err(|_| CryptoError::Parameters)?;
    Ok(key)
}

fn seal_with(key: &LessSafeKey, bound: &[u8], plain: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let nonce: [u8; NONCE_LEN] = generate()?;
    let mut sealed = Vec::with_capacity(plain.len() + SEAL_OVERHEAD);
    sealed.push(SEALED_VERSION);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plain);
    let start = 1 + NONCE_LEN;
    let tag = key
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(bound),
            &mut sealed[start..],
        )
        .map_err(|_| CryptoError::Parameters)?;
    sealed.extend_from_slice(tag.as_ref());
    Ok(sealed)
}

fn open_with(key: &LessSafeKey, bound: &[u8], sealed: &[u8], plain: &mut Vec<u8>) -> Result<(), CryptoError> {
    let (version, rest) = sealed.split_first().ok_or(CryptoError::DoesNotOpen)?;
    let (nonce, cipher) = rest.split_first_chunk::<NONCE_LEN>().ok_or(CryptoError::DoesNotOpen)?;
    if *version != SEALED_VERSION {
        return Err(CryptoError::DoesNotOpen);
    }
    let start = plain.len();
    plain.extend_from_slice(cipher);
    let opened =
        key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(bound), &mut plain[start..]);
    let length = opened.map_err(|_| CryptoError::DoesNotOpen)?.len();
    plain.truncate(start + length);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys() -> Keys {
        Keys::derive(&RootKey(Locked::new(Zeroizing::new([7; KEY_LEN])))).unwrap()
    }

    #[test]
    fn a_record_opens_only_in_its_own_place() {
        let keys = keys();
        let here = Key::new(Kind::Secret, [1; ID_LEN]);
        let sealed = keys.seal(&here, b"plain").unwrap();
        let mut plain = Vec::new();
        keys.open(&here, &sealed, &mut plain).unwrap();
        assert_eq!(plain, b"plain");
        for elsewhere in [Key::new(Kind::Secret, [2; ID_LEN]), Key::new(Kind::Artifact, [1; ID_LEN])] {
            assert_eq!(keys.open(&elsewhere, &sealed, &mut plain), Err(CryptoError::DoesNotOpen));
        }
    }

    #[test]
    fn costs_out_of_bounds_are_refused() {
        for cost in [
            PassphraseCost { memory_kib: 8, ..PassphraseCost::LEAST },
            PassphraseCost { memory_kib: u32::MAX, ..PassphraseCost::LEAST },
            PassphraseCost { passes: 1, ..PassphraseCost::LEAST },
            PassphraseCost { lanes: 0, ..PassphraseCost::LEAST },
        ] {
            assert_eq!(
                derive_from_passphrase(b"x", &[0; KEY_LEN], cost).err(),
                Some(CryptoError::Parameters)
            );
        }
    }

    #[test]
    fn a_wrapped_key_is_bound_to_its_words() {
        let root = RootKey::generate().unwrap();
        let kek = derive_from_key_file(b"key file", &[1; KEY_LEN]).unwrap();
        let wrapped = root.wrap(&kek, b"these words").unwrap();
        assert_eq!(**RootKey::unwrap(&wrapped, &kek, b"these words").unwrap().0, **root.0);
        assert!(RootKey::unwrap(&wrapped, &kek, b"other words").is_err());
        let other = derive_from_key_file(b"key file", &[2; KEY_LEN]).unwrap();
        assert!(RootKey::unwrap(&wrapped, &other, b"these words").is_err());
    }

    proptest! {
        #[test]
        fn altered_bytes_never_open(at in 0_usize..64, flip in 1_u8..) {
            let keys = keys();
            let key = Key::new(Kind::Artifact, [3; ID_LEN]);
            let mut sealed = keys.seal(&key, &[9; 40]).unwrap();
            let at = at % sealed.len();
            sealed[at] ^= flip;
            prop_assert!(keys.open(&key, &sealed, &mut Vec::new()).is_err());
        }

        #[test]
        fn rubbish_never_opens(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(keys().open(&Key::new(Kind::Secret, [0; ID_LEN]), &bytes, &mut Vec::new()).is_err());
        }
    }
}
