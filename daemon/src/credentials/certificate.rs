//! A certificate chain, with or without the key of its first certificate.
//!
//! Whether anyone trusts the chain is not asked here, nor what the time is.

use super::artifact::{Artifact, copy};
use super::field::Filled;
use super::{Kind, credentials, key, pem};
use bursar_proto::fields::Invalid;
use bursar_proto::kind::ExchangePolicy;
use bursar_proto::sensitive::expose;
use bursar_proto::time::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

/// The most certificates in a chain; real ones have two to four.
const CHAIN_MAX: usize = 16;

credentials! {
    /// A certificate.
    Certificate {
        /// The chain as PEM, the certificate itself first.
        certificate: String,
        /// Its key as PEM.
        #[serde(serialize_with = "expose")]
        private_key: Option<Filled>,
    }
}

impl Kind for Certificate {
    fn check(&mut self, _: Option<ExchangePolicy>) -> Result<(), Invalid> {
        let refused = |reason: &dyn std::fmt::Display| Err(Invalid::field("certificate", reason));
        // this field is shown, so a key must not slip into it, not even a damaged one
        if self.certificate.contains("PRIVATE KEY") {
            return refused(&"holds a private key, and certificates are shown; give the key as private_key");
        }
        let blocks = pem::blocks(&self.certificate).map_err(|fault| Invalid::field("certificate", fault))?;
        if blocks.len() > CHAIN_MAX {
            return refused(&format_args!("holds more than {CHAIN_MAX} certificates"));
        }
        for (at, block) in blocks.iter().enumerate() {
            let number = at + 1;
            if !["CERTIFICATE", "X509 CERTIFICATE"].contains(&block.label) {
                return refused(&format_args!("PEM block number {number} is no CERTIFICATE"));
            }
            let Ok((rest, certificate)) = X509Certificate::from_der(&block.der) else {
                return refused(&format_args!("PEM block number {number} is damaged: no X.509 certificate"));
            };
            if !rest.is_empty() {
                return refused(&format_args!("PEM block number {number} has data after its certificate"));
            }
            if at > 0 {
                continue;
            }
            key::supported(certificate.public_key()).or_else(|fault| refused(&fault))?;
            if let Some(private_key) = &self.private_key {
                key::belongs(private_key.expose(), certificate.public_key())
                    .map_err(|fault| Invalid::field("private_key", fault))?;
            }
        }
        Ok(())
    }

    fn artifact(&self) -> Option<Artifact> {
        let mut fields = vec![("certificate".to_owned(), copy(&self.certificate))];
        fields.extend(self.private_key.as_ref().map(|key| ("private_key".to_owned(), copy(key.expose()))));
        Some(Artifact { value: None, fields: Some(fields), header: None })
    }
}

impl Certificate {
    /// The last second of the first certificate.
    pub(crate) fn expiration(&self) -> Option<Timestamp> {
        let blocks = pem::blocks(&self.certificate).ok()?;
        let (_, certificate) = X509Certificate::from_der(&blocks.first()?.der).ok()?;
        Some(Timestamp::from_seconds(certificate.validity().not_after.timestamp()))
    }
}
