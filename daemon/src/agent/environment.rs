//! environment.*

use super::client_secret::revoke_of;
use super::organization::{chosen, no_organization};
use super::request::Request;
use super::{Agent, environment_id, new_id};
use crate::vault::Change;
use crate::vault::catalog::{Catalog, Environment};
use crate::vault::store::Id;
use bursar_proto::call::{EnvironmentCreate, EnvironmentDelete, EnvironmentList, EnvironmentShow};
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::kind::{Change as Happened, Stage};
use bursar_proto::reply;

impl Agent {
    pub(super) async fn environment_create(
        &self,
        call: EnvironmentCreate,
        request: &Request,
    ) -> Result<reply::Environment, CallError> {
        let name = self.resolve(call.environment);
        let (id, now, stage) = (new_id()?, self.clock.now(), call.stage);
        self.write(request, |catalog| {
            let organization = catalog
                .organizations
                .get(&name.organization)
                .ok_or_else(|| no_organization(&name.organization))?;
            if organization.environments.contains_key(&name.name) {
                return Err(CallError::new(ErrorName::Conflict, format!("environment {name} exists"))
                    .hint("see which there are: bursar environment list"));
            }
            let taken = organization.environments.values().filter_map(|id| catalog.environments.get(id));
            if stage != Stage::Development
                && let Some(other) = taken.into_iter().find(|environment| environment.stage == stage)
            {
                let message =
                    format!("organization {} has its {stage} environment: {}", name.organization, other.name);
                return Err(CallError::new(ErrorName::Conflict, message));
            }
            catalog.insert_environment(id, Environment { name: name.clone(), stage, created_at: now });
            Ok((vec![Change::Environment(id)], ()))
        })
        .await?;
        Ok(reply::Environment { environment: name, stage, created_at: now, secrets: 0 })
    }

    pub(super) fn environment_list(
        &self,
        call: &EnvironmentList,
    ) -> Result<Vec<reply::Environment>, CallError> {
        let mut vault = self.vault();
        let catalog = &vault.unlocked()?.catalog;
        Ok(chosen(catalog, call.organization.as_ref())?
            .flat_map(|(_, organization)| organization.environments.values())
            .filter_map(|id| view(catalog, id))
            .collect())
    }

    pub(super) fn environment_show(&self, call: EnvironmentShow) -> Result<reply::Environment, CallError> {
        let name = self.resolve(call.environment);
        let mut vault = self.vault();
        let catalog = &vault.unlocked()?.catalog;
        let id = environment_id(catalog, &name)?;
        view(catalog, &id)
            .ok_or_else(|| CallError::new(ErrorName::Internal, "an environment without a record"))
    }

    pub(super) async fn environment_delete(
        &self,
        call: EnvironmentDelete,
        request: &Request,
    ) -> Result<reply::EnvironmentDeleted, CallError> {
        let name = self.resolve(call.environment);
        let now = self.clock.now();
        let (freed, revoked) = self
            .write(request, |catalog| {
                let id = environment_id(catalog, &name)?;
                let freed = catalog.bound_to(&id);
                let mut changes = vec![Change::Environment(id)];
                for secret in &freed {
                    catalog.update_secret(secret, |secret| {
                        secret.environment = None;
                        secret.activated_at = None;
                        secret.updated_at = now;
                    });
                    changes.push(Change::Artifact(*secret, None));
                    changes.push(Change::Secret(*secret));
                }
                let (revoking, revoked) = revoke_of(catalog, &id, now);
                changes.extend(revoking);
                catalog.remove_environment(&id);
                Ok((changes, (freed, revoked)))
            })
            .await?;
        let mut vault = self.vault();
        let catalog = &vault.unlocked()?.catalog;
        let mut unbound = Vec::with_capacity(freed.len());
        for secret in freed.iter().filter_map(|id| catalog.secrets.get(id)) {
            self.tell(secret, Happened::Unbound);
            unbound.push(secret.full_name());
        }
        unbound.sort();
        Ok(reply::EnvironmentDeleted { unbound, revoked })
    }
}

fn view(catalog: &Catalog, id: &Id) -> Option<reply::Environment> {
    let environment = catalog.environments.get(id)?;
    Some(reply::Environment {
        environment: environment.name.clone(),
        stage: environment.stage,
        created_at: environment.created_at,
        secrets: catalog.bound_to(id).len() as u64,
    })
}
