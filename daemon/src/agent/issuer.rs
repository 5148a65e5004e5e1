//! issuer.*: the client by which a named issuer knows this vault.

use super::request::Request;
use super::{Agent, new_id};
use crate::credentials::endpoint;
use crate::issuer::named;
use crate::vault::catalog::{Catalog, IssuerSettings};
use crate::vault::record::IssuerClientV1;
use crate::vault::{Change, part};
use bursar_proto::call::{ISSUER_CLIENT_MAX, IssuerConfigure, IssuerShow};
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::fields::Invalid;
use bursar_proto::kind::Issuer;
use bursar_proto::reply;

impl Agent {
    pub(super) async fn issuer_configure(
        &self,
        call: IssuerConfigure,
        request: &Request,
    ) -> Result<reply::IssuerSettings, CallError> {
        let row = named(call.issuer);
        check("client_id", &call.client_id)?;
        check("client_secret", call.client_secret.expose())?;
        let url = |name, given: Option<String>, own: &str| match given {
            None => Ok(own.to_owned()),
            Some(text) => endpoint(name, &text).map(|_| text),
        };
        let authorization_url = url("authorization_url", call.authorization_url, row.authorization_url)?;
        let token_url = url("token_url", call.token_url, row.token_url)?;
        let now = self.clock.now();
        let new = new_id()?;
        self.write(request, |catalog| {
            let id = catalog.issuer(call.issuer).map_or(new, |(id, _)| id);
            let content = IssuerClientV1 { client_secret: call.client_secret };
            let (client, mut changes) = part::cut(id, &content)?;
            let settings = IssuerSettings {
                issuer: call.issuer,
                client_id: call.client_id.into(),
                authorization_url: authorization_url.into(),
                token_url: token_url.into(),
                updated_at: now,
                client,
            };
            if let Some(old) = catalog.issuers.insert(id, settings) {
                changes.extend(part::drop_parts(id, &old.client));
            }
            changes.push(Change::Issuer(id));
            Ok((changes, view(catalog, call.issuer)?))
        })
        .await
    }

    pub(super) fn issuer_show(&self, call: &IssuerShow) -> Result<reply::IssuerSettings, CallError> {
        view(&self.vault().unlocked()?.catalog, call.issuer)
    }
}

/// The settings of an issuer, or the error where there are none.
pub(super) fn settings(catalog: &Catalog, issuer: Issuer) -> Result<&IssuerSettings, CallError> {
    catalog.issuer(issuer).map(|(_, settings)| settings).ok_or_else(|| {
        let message = format!("no OAuth client is set up for {}", named(issuer).title);
        CallError::new(ErrorName::NotConfigured, message).hint(format!(
            "make a client of the type \"Desktop app\" in {}'s console, then: bursar {issuer} configure --client-file FILE",
            named(issuer).title
        ))
    })
}

fn view(catalog: &Catalog, issuer: Issuer) -> Result<reply::IssuerSettings, CallError> {
    let settings = settings(catalog, issuer)?;
    Ok(reply::IssuerSettings {
        issuer,
        client_id: settings.client_id.to_string(),
        authorization_url: settings.authorization_url.to_string(),
        token_url: settings.token_url.to_string(),
        updated_at: settings.updated_at,
        secrets: catalog.secrets_of(issuer) as u64,
    })
}

/// RFC 6749 appendices A.1 and A.2 say visible ASCII; some issuers hand out more.
fn check(field: &str, text: &str) -> Result<(), Invalid> {
    if text.trim().is_empty() {
        return Err(Invalid::field(field, "must not be empty"));
    }
    if text.len() > ISSUER_CLIENT_MAX {
        return Err(Invalid::field(field, format!("is over {ISSUER_CLIENT_MAX} bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(Invalid::field(field, "has control characters, such as a line break"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
