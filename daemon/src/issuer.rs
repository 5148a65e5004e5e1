//! The named issuers: OAuth servers whose grants need a person, in a browser, once (RFC 6749 section 4.1).
//!
//! Whatever differs between them stands in [`Named`]. Another one is another row, with its word in
//! `bursar_proto::kind` and its type among the secret types.

use crate::exchange::Lifetime;
use bursar_proto::kind::{Issuer, SecretType};

/// What there is to know of a named issuer.
#[derive(Debug)]
pub(crate) struct Named {
    /// The type of its secrets.
    pub(crate) kind: SecretType,
    /// Its name, as a person writes it.
    pub(crate) title: &'static str,
    /// Where a person is sent, unless the settings say otherwise.
    pub(crate) authorization_url: &'static str,
    /// Where codes and refresh tokens are exchanged, unless the settings say otherwise.
    pub(crate) token_url: &'static str,
    /// Parameters of the authorization URL beside those of RFC 6749 and RFC 7636.
    pub(crate) parameters: &'static [(&'static str, &'static str)],
    /// The scopes that a secret may ask for; at least one of them.
    pub(crate) scopes: &'static [&'static str],
    /// How long its tokens count, and how early they are refreshed.
    pub(crate) lifetime: Lifetime,
}

/// Every named issuer.
pub(crate) static ALL: [Named; 1] = [Named {
    kind: SecretType::Google,
    title: "Google",
    authorization_url: "https://accounts.google.com/o/oauth2/v2/auth",
    token_url: "https://oauth2.googleapis.com/token",
    // offline: a refresh token comes with the code; consent: also where the person consented before
    parameters: &[("access_type", "offline"), ("prompt", "consent")],
    scopes: &["https://www.googleapis.com/auth/adwords", "https://www.googleapis.com/auth/pubsub"],
    lifetime: Lifetime { expires_in: 3_600, refresh_offset: 1_800 },
}];

/// The row of an issuer.
pub(crate) fn named(issuer: Issuer) -> &'static Named {
    match issuer {
        Issuer::Google => &ALL[0],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_issuer_has_its_row_and_its_type() {
        for issuer in Issuer::ALL {
            let row = named(*issuer);
            assert_eq!(row.kind.issuer(), Some(*issuer));
            assert!(row.lifetime.refresh_offset < row.lifetime.expires_in && !row.scopes.is_empty());
        }
        assert_eq!(ALL.len(), Issuer::ALL.len());
    }
}
