//! Keys and certificates, made when first needed and never kept on disk by themselves.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rsa::RsaPrivateKey;
use rsa::pkcs1::EncodeRsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::{Arc, OnceLock};

/// An RSA key as PEM in both forms, with its public half.
#[derive(Debug)]
pub struct RsaPem {
    /// `BEGIN PRIVATE KEY`.
    pub pkcs8: String,
    /// `BEGIN RSA PRIVATE KEY`.
    pub pkcs1: String,
    /// `BEGIN PUBLIC KEY`.
    pub public: String,
}

fn rsa_key(bits: usize) -> RsaPem {
    let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, bits).expect("an rsa key");
    RsaPem {
        pkcs8: key.to_pkcs8_pem(LineEnding::LF).expect("pkcs8").to_string(),
        pkcs1: key.to_pkcs1_pem(LineEnding::LF).expect("pkcs1").to_string(),
        public: key.to_public_key().to_public_key_pem(LineEnding::LF).expect("spki"),
    }
}

/// The key that the issuers know, 2048 bits.
pub fn known() -> &'static RsaPem {
    static KEY: OnceLock<RsaPem> = OnceLock::new();
    KEY.get_or_init(|| rsa_key(2048))
}

/// A key that no issuer knows, 2048 bits.
pub fn unknown() -> &'static RsaPem {
    static KEY: OnceLock<RsaPem> = OnceLock::new();
    KEY.get_or_init(|| rsa_key(2048))
}

/// A key that is too short: 1024 bits.
pub fn short() -> &'static RsaPem {
    static KEY: OnceLock<RsaPem> = OnceLock::new();
    KEY.get_or_init(|| rsa_key(1024))
}

/// A certificate with its key, as PEM.
#[derive(Debug)]
pub struct Certificate {
    /// The certificate.
    pub certificate: String,
    /// Its key, PKCS#8.
    pub private_key: String,
}

/// A self-signed certificate (P-256) that ends on the first second of `year`.
pub fn certificate_until(year: i32) -> Certificate {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["bursar.test".to_owned()]).expect("a legal name");
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let certificate = params.self_signed(&key).expect("a certificate");
    Certificate { certificate: certificate.pem(), private_key: key.serialize_pem() }
}

/// A private CA and a server certificate of it for loopback.
pub struct PrivateCa {
    /// The CA's certificate as PEM.
    pub pem: String,
    /// What a TLS server on loopback needs.
    pub server: Arc<ServerConfig>,
}

/// Makes a private CA.
pub fn private_ca() -> PrivateCa {
    let mut params = CertificateParams::default();
    // the two must have different names, or verifiers take the leaf for its own issuer
    params.distinguished_name.push(DnType::CommonName, "private ca of a bursar test");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a ca");
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])
        .and_then(|params| params.signed_by(&key, &ca))
        .expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain: Vec<CertificateDer<'static>> = vec![leaf.der().clone()];
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("tls 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())))
        .expect("a certificate with its key");
    PrivateCa { pem: ca.pem(), server: Arc::new(server) }
}
