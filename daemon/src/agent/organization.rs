//! organization.*

use super::request::Request;
use super::{Agent, new_id};
use crate::vault::catalog::{Catalog, Organization};
use crate::vault::part::drop_parts;
use crate::vault::{Change, found_organization, usage};
use bursar_proto::call::{OrganizationCreate, OrganizationDelete};
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::kind::ClientSecretStatus;
use bursar_proto::name::{OrganizationName, PERSONAL};
use bursar_proto::reply;
use std::collections::BTreeMap;

impl Agent {
    pub(super) async fn organization_create(
        &self,
        call: OrganizationCreate,
        request: &Request,
    ) -> Result<reply::Organization, CallError> {
        let (id, environment, now) = (new_id()?, new_id()?, self.clock.now());
        let name = call.organization;
        self.write(request, |catalog| {
            if catalog.organizations.contains_key(&name) {
                return Err(CallError::new(ErrorName::Conflict, format!("organization {name} exists"))
                    .hint("see which there are: bursar organization list"));
            }
            Ok((found_organization(catalog, name.clone(), id, environment, now), ()))
        })
        .await?;
        Ok(reply::Organization {
            organization: name,
            created_at: now,
            environments: 1,
            secrets: 0,
            elements: 0,
            packages: 0,
            client_secrets: 0,
        })
    }

    pub(super) fn organization_list(&self) -> Result<Vec<reply::Organization>, CallError> {
        let now = self.clock.now();
        let mut vault = self.vault();
        let catalog = &vault.unlocked()?.catalog;
        Ok(catalog
            .organizations
            .iter()
            .map(|(name, organization)| reply::Organization {
                organization: name.clone(),
                created_at: organization.created_at,
                environments: organization.environments.len() as u64,
                secrets: organization.secrets.len() as u64,
                elements: organization.elements.len() as u64,
                packages: organization.packages.len() as u64,
                client_secrets: catalog
                    .client_secrets_of(|one| {
                        one.organization == *name && one.status(now) == ClientSecretStatus::Active
                    })
                    .len() as u64,
            })
            .collect())
    }

    pub(super) async fn organization_delete(
        &self,
        call: OrganizationDelete,
        request: &Request,
    ) -> Result<reply::Empty, CallError> {
        let (name, now) = (call.organization, self.clock.now());
        self.write(request, |catalog| {
            let organization = catalog.organizations.get(&name).ok_or_else(|| no_organization(&name))?;
            if name.as_str() == PERSONAL {
                return Err(CallError::new(ErrorName::Conflict, "the organization personal stays"));
            }
            if !organization.secrets.is_empty() {
                let count = organization.secrets.len();
                return Err(CallError::new(
                    ErrorName::Conflict,
                    format!("organization {name} has {count} secrets"),
                )
                .hint(format!("see them: bursar secret list --organization {name}; then delete each")));
            }
            let mut changes = vec![Change::Organization(organization.id)];
            let environments: Vec<_> = organization.environments.values().copied().collect();
            let elements: Vec<_> = organization.elements.values().copied().collect();
            let packages: Vec<_> =
                organization.packages.values().flat_map(BTreeMap::values).copied().collect();
            for id in elements {
                catalog.remove_element(&id);
                changes.push(Change::Element(id));
            }
            for id in packages {
                let parts = catalog.remove_package(&id).map(|package| package.parts).unwrap_or_default();
                changes.extend(drop_parts(id, &parts));
                changes.push(Change::Package(id));
            }
            for id in environments {
                catalog.remove_environment(&id);
                changes.push(Change::Environment(id));
            }
            for id in catalog.client_secrets_of(|one| one.organization == name) {
                catalog.remove_client_secret(&id);
                changes.push(Change::ClientSecret(id));
                changes.extend(usage::forget(&id, now));
            }
            catalog.organizations.remove(&name);
            Ok((changes, ()))
        })
        .await?;
        Ok(reply::Empty {})
    }
}

/// All organizations by name, or the one that was asked for.
pub(super) fn chosen<'c>(
    catalog: &'c Catalog,
    only: Option<&'c OrganizationName>,
) -> Result<impl Iterator<Item = (&'c OrganizationName, &'c Organization)>, CallError> {
    if let Some(name) = only.filter(|name| !catalog.organizations.contains_key(*name)) {
        return Err(no_organization(name));
    }
    Ok(catalog.organizations.iter().filter(move |(name, _)| only.is_none_or(|only| only == *name)))
}

/// The error for an organization that is not there.
pub(super) fn no_organization(name: &OrganizationName) -> CallError {
    CallError::new(ErrorName::NotFound, format!("no organization {name}"))
        .hint(format!("make it: bursar organization create {name}"))
}
