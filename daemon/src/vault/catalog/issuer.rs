//! Named issuers in the catalog: the client by which each knows this vault. Its secret stays sealed.

use super::Catalog;
use crate::vault::record::{IssuerV1, PartV1, UnknownForm, issuer_number, issuer_of};
use crate::vault::store::Id;
use bursar_proto::kind::Issuer;
use bursar_proto::time::Timestamp;

/// The settings of a named issuer.
pub(crate) struct IssuerSettings {
    pub(crate) issuer: Issuer,
    pub(crate) client_id: Box<str>,
    pub(crate) authorization_url: Box<str>,
    pub(crate) token_url: Box<str>,
    pub(crate) updated_at: Timestamp,
    /// Where the client's secret lies.
    pub(crate) client: Vec<PartV1>,
}

impl Catalog {
    /// The settings of an issuer, if it is set up.
    pub(crate) fn issuer(&self, issuer: Issuer) -> Option<(Id, &IssuerSettings)> {
        let found = self.issuers.iter().find(|(_, settings)| settings.issuer == issuer);
        found.map(|(id, settings)| (*id, settings))
    }

    /// How many secrets are of an issuer.
    pub(crate) fn secrets_of(&self, issuer: Issuer) -> usize {
        self.secrets.values().filter(|secret| secret.kind.issuer() == Some(issuer)).count()
    }

    /// An issuer's record.
    pub(crate) fn issuer_record(&self, id: &Id) -> Option<IssuerV1> {
        let settings = self.issuers.get(id)?;
        Some(IssuerV1 {
            issuer: issuer_number(settings.issuer),
            client_id: settings.client_id.to_string(),
            authorization_url: settings.authorization_url.to_string(),
            token_url: settings.token_url.to_string(),
            updated_at: settings.updated_at.seconds(),
            client: settings.client.clone(),
        })
    }

    /// Takes in a record of an issuer.
    pub(crate) fn load_issuer(&mut self, id: Id, record: IssuerV1) -> Result<(), UnknownForm> {
        let settings = IssuerSettings {
            issuer: issuer_of(record.issuer)?,
            client_id: record.client_id.into_boxed_str(),
            authorization_url: record.authorization_url.into_boxed_str(),
            token_url: record.token_url.into_boxed_str(),
            updated_at: Timestamp::from_seconds(record.updated_at),
            client: record.client,
        };
        self.issuers.insert(id, settings);
        Ok(())
    }
}
