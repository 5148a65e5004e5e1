//! Reads private keys: which are good enough, and which belongs to a certificate.
//!
//! The rsa crate only reads and compares here; whatever uses a key is ring's.

use super::pem::{self, Block, PemError};
use bursar_proto::sensitive::Sensitive;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use rsa::pkcs8::der::asn1::{ObjectIdentifier, OctetStringRef};
use rsa::pkcs8::der::{Decode as _, Reader as _, SliceReader};
use rsa::pkcs8::{EncodePrivateKey as _, PrivateKeyInfo};
use rsa::traits::PublicKeyParts as _;
use rsa::{BigUint, RsaPrivateKey, pkcs1};
use x509_parser::public_key::PublicKey as Spki;
use x509_parser::x509::SubjectPublicKeyInfo;
use zeroize::Zeroizing;

/// The smallest RSA modulus, in bits; less is within reach of an attacker.
const RSA_BITS_MIN: usize = 2048;

/// The largest RSA modulus, in bits; more cannot be signed with, and takes long to check.
const RSA_BITS_MAX: usize = 4096;

/// The smallest public exponent; ring and the rules for certificates want it.
const RSA_EXPONENT_MIN: u32 = 65_537;

const OID_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const OID_EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const OID_P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const OID_P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const OID_ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// A key that is refused. It says nothing of the key's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyError {
    /// No PEM.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// PKCS#8 with a passphrase.
    #[error("is encrypted; decrypt it first: openssl pkey -in FILE")]
    Encrypted,
    /// Something else than one private key.
    #[error(
        "must hold one private key as PEM (PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY), and nothing else"
    )]
    NotOne,
    /// The content is not what the label says.
    #[error("is damaged: its PEM block does not hold a private key")]
    Damaged,
    /// Another algorithm.
    #[error("must be an RSA key as PKCS#1 or PKCS#8 PEM")]
    NotRsa,
    /// An algorithm that certificates may not have here.
    #[error("has another kind of key than RSA, P-256, P-384 or Ed25519")]
    Unsupported,
    /// See [`RSA_BITS_MIN`].
    #[error("has an RSA key under {RSA_BITS_MIN} bits; make one: openssl genrsa -out FILE 2048")]
    Small,
    /// See [`RSA_BITS_MAX`].
    #[error("has an RSA key over {RSA_BITS_MAX} bits; make one: openssl genrsa -out FILE 4096")]
    Large,
    /// See [`RSA_EXPONENT_MIN`].
    #[error("has an RSA key with a public exponent under {RSA_EXPONENT_MIN}; make another key")]
    Exponent,
    /// Not what an RSA key is made of.
    #[error("is damaged: the numbers of the RSA key do not belong together")]
    Inconsistent,
    /// A sound key of a shape that ring does not sign with.
    #[error("has an RSA key of an unusual shape that cannot sign; use one of 2048, 3072 or 4096 bits")]
    Unusable,
    /// Sound, but another certificate's.
    #[error("does not belong to the certificate (the first one, where there are several)")]
    Foreign,
}

/// An RSA key as PKCS#8 PEM, from PKCS#1 or PKCS#8 PEM; ring has signed with it.
pub(super) fn rsa_signing_key(text: &str) -> Result<Sensitive, KeyError> {
    let key = read_rsa(&private_key(text)?)?;
    let der = key.to_pkcs8_der().map_err(|_| KeyError::Inconsistent)?;
    let pair = RsaKeyPair::from_pkcs8(der.as_bytes()).map_err(|_| KeyError::Unusable)?;
    // ring verifies what it signed, and so finds numbers that merely look like a key
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), b"probe", &mut signature)
        .map_err(|_| KeyError::Inconsistent)?;
    Ok(pem::write("PRIVATE KEY", der.as_bytes()))
}

/// The form in which an RSA key is kept, whatever form it is in; `None` for what is no such key.
pub(crate) fn normal_form(text: &str) -> Option<Sensitive> {
    rsa_signing_key(text).ok()
}

/// The content of the one block that [`rsa_signing_key`] wrote. Wiped on drop.
pub(crate) fn private_key_der(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    private_key(text).ok().map(|block| block.der)
}

/// Checks that the private key in `text` is the one of the certificate with `spki`.
pub(super) fn belongs(text: &str, spki: &SubjectPublicKeyInfo<'_>) -> Result<(), KeyError> {
    let block = private_key(text)?;
    let fits = match public_key(spki)? {
        PublicKey::Rsa { modulus, exponent } => {
            let key = match read_rsa(&block) {
                Err(KeyError::NotRsa) => return Err(KeyError::Foreign),
                read => read?,
            };
            *key.n() == modulus && *key.e() == exponent
        }
        PublicKey::Ec { algorithm, scalar_len, point } => {
            let Some(scalar) = ec_scalar(&block)? else { return Err(KeyError::Foreign) };
            let Some(padding) = scalar_len.checked_sub(scalar.len()) else { return Err(KeyError::Foreign) };
            let mut padded = Zeroizing::new(vec![0; padding]);
            padded.extend_from_slice(scalar);
            EcdsaKeyPair::from_private_key_and_public_key(algorithm, &padded, point, &SystemRandom::new())
                .is_ok()
        }
        PublicKey::Ed25519(public) => {
            let Some(seed) = ed25519_seed(&block)? else { return Err(KeyError::Foreign) };
            Ed25519KeyPair::from_seed_and_public_key(seed, public).is_ok()
        }
    };
    if fits { Ok(()) } else { Err(KeyError::Foreign) }
}

/// Checks that a certificate's public key is one of the kinds, and not weak.
pub(super) fn supported(spki: &SubjectPublicKeyInfo<'_>) -> Result<(), KeyError> {
    public_key(spki).map(|_| ())
}

enum PublicKey<'a> {
    Rsa { modulus: BigUint, exponent: BigUint },
    Ec { algorithm: &'static EcdsaSigningAlgorithm, scalar_len: usize, point: &'a [u8] },
    Ed25519(&'a [u8]),
}

fn public_key<'a>(spki: &'a SubjectPublicKeyInfo<'_>) -> Result<PublicKey<'a>, KeyError> {
    let kind = spki.algorithm.algorithm.as_bytes();
    let content: &[u8] = &spki.subject_public_key.data;
    if kind == OID_RSA.as_bytes() {
        let Ok(Spki::RSA(key)) = spki.parsed() else { return Err(KeyError::Unsupported) };
        let (modulus, exponent) = (BigUint::from_bytes_be(key.modulus), BigUint::from_bytes_be(key.exponent));
        check_rsa(&modulus, &exponent)?;
        return Ok(PublicKey::Rsa { modulus, exponent });
    }
    if kind == OID_EC.as_bytes() {
        let curve = spki.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
        let curve = curve.ok_or(KeyError::Unsupported)?;
        let (algorithm, scalar_len) = match curve.as_bytes() {
            oid if oid == OID_P256.as_bytes() => (&ECDSA_P256_SHA256_ASN1_SIGNING, 32),
            oid if oid == OID_P384.as_bytes() => (&ECDSA_P384_SHA384_ASN1_SIGNING, 48),
            _ => return Err(KeyError::Unsupported),
        };
        return Ok(PublicKey::Ec { algorithm, scalar_len, point: content });
    }
    if kind == OID_ED25519.as_bytes() {
        return Ok(PublicKey::Ed25519(content));
    }
    Err(KeyError::Unsupported)
}

/// The one private key of a text; openssl writes the parameters of an EC key before it.
fn private_key(text: &str) -> Result<Block<'_>, KeyError> {
    let mut blocks = pem::blocks(text)?;
    blocks.retain(|block| block.label != "EC PARAMETERS");
    match (blocks.pop(), blocks.is_empty()) {
        (Some(block), true) if block.label == "ENCRYPTED PRIVATE KEY" => Err(KeyError::Encrypted),
        (Some(block), true)
            if ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"].contains(&block.label) =>
        {
            Ok(block)
        }
        _ => Err(KeyError::NotOne),
    }
}

fn read_rsa(block: &Block<'_>) -> Result<RsaPrivateKey, KeyError> {
    let der: &[u8] = match block.label {
        "RSA PRIVATE KEY" => &block.der,
        "PRIVATE KEY" => {
            let info = pkcs8(block)?;
            if info.algorithm.oid != OID_RSA {
                return Err(KeyError::NotRsa);
            }
            info.private_key
        }
        _ => return Err(KeyError::NotRsa),
    };
    let parts = pkcs1::RsaPrivateKey::from_der(der).map_err(|_| KeyError::Damaged)?;
    let number = |part: pkcs1::UintRef<'_>| BigUint::from_bytes_be(part.as_bytes());
    let (modulus, exponent) = (number(parts.modulus), number(parts.public_exponent));
    check_rsa(&modulus, &exponent)?;
    // with the modulus bounded, numbers longer than it are none of a key, and would cost time below
    let rest = [parts.private_exponent, parts.prime1, parts.prime2].map(number);
    if rest.iter().any(|part| part.bits() > modulus.bits()) {
        return Err(KeyError::Inconsistent);
    }
    let [private_exponent, mut prime1, mut prime2] = rest;
    if prime1 < prime2 {
        std::mem::swap(&mut prime1, &mut prime2);
    }
    RsaPrivateKey::from_components(modulus, exponent, private_exponent, vec![prime1, prime2])
        .map_err(|_| KeyError::Inconsistent)
}

fn check_rsa(modulus: &BigUint, exponent: &BigUint) -> Result<(), KeyError> {
    if modulus.bits() < RSA_BITS_MIN {
        return Err(KeyError::Small);
    }
    if modulus.bits() > RSA_BITS_MAX {
        return Err(KeyError::Large);
    }
    if *exponent < BigUint::from(RSA_EXPONENT_MIN) {
        return Err(KeyError::Exponent);
    }
    Ok(())
}

fn pkcs8<'a>(block: &'a Block<'_>) -> Result<PrivateKeyInfo<'a>, KeyError> {
    PrivateKeyInfo::from_der(&block.der).map_err(|_| KeyError::Damaged)
}

/// The private number of an EC key, by RFC 5915, bare or within PKCS#8; `None` for another algorithm.
fn ec_scalar<'a>(block: &'a Block<'_>) -> Result<Option<&'a [u8]>, KeyError> {
    let der: &[u8] = match block.label {
        "EC PRIVATE KEY" => &block.der,
        "PRIVATE KEY" => match pkcs8(block)? {
            info if info.algorithm.oid == OID_EC => info.private_key,
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    let read = SliceReader::new(der).and_then(|mut reader| {
        reader.sequence(|fields| {
            let _version = u8::decode(fields)?;
            let scalar = OctetStringRef::decode(fields)?;
            // curve and public key may follow; the certificate says both
            let rest = fields.remaining_len();
            fields.read_slice(rest)?;
            Ok(scalar.as_bytes())
        })
    });
    read.map(Some).map_err(|_| KeyError::Damaged)
}

/// The seed of an Ed25519 key, by RFC 8410; `None` for another algorithm.
fn ed25519_seed<'a>(block: &'a Block<'_>) -> Result<Option<&'a [u8]>, KeyError> {
    if block.label != "PRIVATE KEY" {
        return Ok(None);
    }
    let info = pkcs8(block)?;
    if info.algorithm.oid != OID_ED25519 {
        return Ok(None);
    }
    OctetStringRef::from_der(info.private_key)
        .map(|seed| Some(seed.as_bytes()))
        .map_err(|_| KeyError::Damaged)
}

#[cfg(test)]
mod tests;
