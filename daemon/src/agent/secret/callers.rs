//! Who asked for which artifact, and where a secret is applied.

use super::named;
use crate::agent::{Agent, element, package, secret_id, workspace};
use crate::server::peer::Caller;
use crate::vault::store::{Id, IdMap};
use bursar_proto::error::CallError;
use bursar_proto::name::Reference;
use bursar_proto::reply;
use bursar_proto::time::Timestamp;
use std::sync::{Arc, PoisonError};

/// How many callers are remembered of one secret; the one that asked longest ago makes room.
const CALLERS_KEPT: usize = 32;

/// Who asked for which artifact since the agent started.
#[derive(Default)]
pub(in crate::agent) struct Callers(IdMap<Vec<Seen>>);

struct Seen {
    executable: Option<Arc<str>>,
    uid: u32,
    last_seen_at: Timestamp,
    count: u64,
}

impl Callers {
    /// Forgets a secret that is gone.
    pub(super) fn forget(&mut self, id: &Id) {
        self.0.remove(id);
    }

    fn note(&mut self, id: Id, caller: &Caller, now: Timestamp) {
        let seen = self.0.entry(id).or_default();
        let executable = caller.executable();
        if let Some(known) =
            seen.iter_mut().find(|s| s.uid == caller.uid() && s.executable.as_ref() == executable)
        {
            known.last_seen_at = now;
            known.count += 1;
            return;
        }
        if seen.len() == CALLERS_KEPT
            && let Some(oldest) = (0..seen.len()).min_by_key(|at| seen[*at].last_seen_at)
        {
            seen.swap_remove(oldest);
        }
        let executable = executable.cloned();
        seen.push(Seen { executable, uid: caller.uid(), last_seen_at: now, count: 1 });
    }
}
impl Agent {
    /// Remembers that `caller` was given an artifact.
    pub(in crate::agent) fn note_caller(&self, id: Id, caller: &Caller, now: Timestamp) {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner).note(id, caller, now);
    }

    pub(in crate::agent) fn secret_where(&self, secret: Reference) -> Result<reply::Applied, CallError> {
        let name = self.resolve(secret);
        let mut vault = self.vault();
        let unlocked = vault.unlocked()?;
        let id = secret_id(unlocked, &name)?;
        let secret = named(&unlocked.catalog, &id)?;
        let environment = secret.environment.and_then(|id| unlocked.catalog.environments.get(&id));
        let callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut callers: Vec<_> = callers
            .0
            .get(&id)
            .into_iter()
            .flatten()
            .map(|seen| reply::CallerSeen {
                executable: seen.executable.as_deref().map(str::to_owned),
                uid: seen.uid,
                last_seen_at: seen.last_seen_at,
                count: seen.count,
            })
            .collect();
        callers.sort_by_key(|seen| std::cmp::Reverse(seen.last_seen_at));
        let catalog = &unlocked.catalog;
        Ok(reply::Applied {
            environment: environment.map(|e| e.name.clone()),
            elements: element::applied(catalog, &id),
            packages: package::applied(catalog, &id, &name.organization),
            workspaces: workspace::applied(catalog, &id),
            callers,
            secret: name,
        })
    }
}
