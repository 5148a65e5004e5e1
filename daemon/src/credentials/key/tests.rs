//! Which keys are taken, and which certificate a key belongs to.

use super::super::samples::*;
use super::*;
use proptest::prelude::*;
use x509_parser::prelude::{FromDer as _, X509Certificate};

fn fits(key: &str, certificate: &str) -> Result<(), KeyError> {
    let blocks = pem::blocks(certificate).unwrap();
    let (_, certificate) = X509Certificate::from_der(&blocks[0].der).unwrap();
    belongs(key, certificate.public_key())
}

fn refused(text: &str) -> KeyError {
    rsa_signing_key(text).err().unwrap()
}

/// The PKCS#8 form of an EC key in RFC 5915 form.
fn ec_as_pkcs8(text: &str, curve: ObjectIdentifier) -> Sensitive {
    use rsa::pkcs8::der::Encode as _;
    let block = private_key(text).unwrap();
    let algorithm = rsa::pkcs8::AlgorithmIdentifierRef { oid: OID_EC, parameters: Some((&curve).into()) };
    let der = PrivateKeyInfo::new(algorithm, &block.der).to_der().unwrap();
    pem::write("PRIVATE KEY", &der)
}

#[test]
fn both_forms_of_an_rsa_key_become_the_same() {
    let keys = [RSA_PKCS1, RSA_PKCS8].map(|text| rsa_signing_key(text).unwrap());
    assert_eq!(keys[0].expose(), keys[1].expose());
    assert!(rsa_signing_key(keys[0].expose()).is_ok());
}

#[test]
fn weak_large_encrypted_and_foreign_signing_keys_are_refused() {
    assert_eq!(refused(RSA_1024), KeyError::Small);
    assert_eq!(refused(RSA_4608), KeyError::Large);
    assert_eq!(refused(RSA_EXPONENT_3), KeyError::Exponent);
    assert_eq!(refused(ENCRYPTED_PKCS8), KeyError::Encrypted);
    assert!(matches!(refused(ENCRYPTED_PKCS1), KeyError::Pem(PemError::Encrypted(1))));
    assert_eq!(refused(P256_KEY), KeyError::NotRsa);
    assert_eq!(refused(ED25519_KEY), KeyError::NotRsa);
    assert_eq!(refused(RSA_CERTIFICATE), KeyError::NotOne);
    assert_eq!(refused(&format!("{RSA_PKCS1}{RSA_PKCS8}")), KeyError::NotOne);
    assert!(matches!(refused("hunter2"), KeyError::Pem(PemError::Nothing)));
}

#[test]
fn a_key_belongs_to_its_own_certificate_alone() {
    let pairs = [
        (RSA_PKCS1, RSA_CERTIFICATE),
        (P256_KEY, P256_CERTIFICATE),
        (P384_KEY, P384_CERTIFICATE),
        (ED25519_KEY, ED25519_CERTIFICATE),
    ];
    for (at, (key, _)) in pairs.iter().enumerate() {
        for (other, (_, certificate)) in pairs.iter().enumerate() {
            let expected = if at == other { Ok(()) } else { Err(KeyError::Foreign) };
            assert_eq!(fits(key, certificate), expected, "{at} {other}");
        }
    }
    assert_eq!(fits(RSA_PKCS8, RSA_CERTIFICATE), Ok(()));
    assert_eq!(fits(P256_KEY, P521_CERTIFICATE), Err(KeyError::Unsupported));
}

#[test]
fn another_key_of_the_same_kind_is_foreign() {
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let make = || rcgen::KeyPair::generate_for(algorithm).unwrap();
        let (own, other) = (make(), make());
        let certificate =
            rcgen::CertificateParams::new(vec!["x.example".into()]).unwrap().self_signed(&own).unwrap().pem();
        assert_eq!(fits(&own.serialize_pem(), &certificate), Ok(()));
        assert_eq!(fits(&other.serialize_pem(), &certificate), Err(KeyError::Foreign));
    }
}

#[test]
fn an_ec_key_may_come_as_pkcs8() {
    assert_eq!(fits(ec_as_pkcs8(P256_KEY, OID_P256).expose(), P256_CERTIFICATE), Ok(()));
    assert_eq!(fits(ec_as_pkcs8(P384_KEY, OID_P384).expose(), P384_CERTIFICATE), Ok(()));
}

proptest! {
    #[test]
    fn a_damaged_key_is_refused_and_never_panics(at in 0_usize..1_190, flip in 1_u8..=255) {
        let mut der = private_key(RSA_PKCS1).unwrap().der;
        let at = at % der.len();
        der[at] ^= flip;
        let damaged = pem::write("RSA PRIVATE KEY", &der);
        // what follows from the rest (dP, dQ, qInv) is computed anew, so a flip there mends itself
        let own = rsa_signing_key(RSA_PKCS1).unwrap();
        if let Ok(key) = rsa_signing_key(damaged.expose()) {
            prop_assert_eq!(key.expose(), own.expose());
        }
    }

    #[test]
    fn no_content_panics(
        label in "(RSA |EC |)PRIVATE KEY",
        der in proptest::collection::vec(any::<u8>(), 0..80),
        certificate in prop_oneof![Just(P256_CERTIFICATE), Just(ED25519_CERTIFICATE), Just(RSA_CERTIFICATE)],
    ) {
        let text = pem::write(&label, &der);
        prop_assert!(rsa_signing_key(text.expose()).is_err());
        prop_assert!(fits(text.expose(), certificate).is_err());
    }
}
