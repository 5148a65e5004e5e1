//! A connection's party: the process on the other end, and the client secrets that it came with.

use super::peer::Caller;
use crate::policy::Principal;
use bursar_proto::client_secret::PublicId;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Who speaks on a connection, as of one `authenticate`.
pub(crate) struct Party {
    pub(crate) caller: Arc<Caller>,
    pub(crate) session: Option<Session>,
    /// Of this daemon's run; no other has it, so that what one did is not counted as another's.
    pub(crate) number: u64,
}

/// What an `authenticate` left. From then on it alone gives rights, even where it is empty.
#[derive(Default)]
pub(crate) struct Session {
    /// The client secrets whose values were right, whether or not they count.
    pub(crate) secrets: Vec<PublicId>,
    /// The command that this is for, by its own word.
    pub(crate) command: Option<Arc<str>>,
    /// What the CI says of itself.
    pub(crate) ci: Option<Arc<BTreeMap<String, String>>>,
    /// The client secrets whose use was counted.
    used: Mutex<Vec<PublicId>>,
}

impl Party {
    /// The process by itself.
    pub(crate) fn new(caller: Arc<Caller>) -> Arc<Self> {
        Arc::new(Self { caller, session: None, number: next_number() })
    }

    /// The same process with what it authenticated with.
    pub(crate) fn authenticated(&self, session: Session) -> Arc<Self> {
        Arc::new(Self { caller: self.caller.clone(), session: Some(session), number: next_number() })
    }

    /// As whom it acts if client secrets count for nothing.
    pub(crate) fn bare_principal(&self) -> Principal {
        match self.session {
            Some(_) => Principal::Secrets(Arc::default()),
            None => self.caller.principal().clone(),
        }
    }
}

impl Session {
    /// A session without client secrets yet, for a command, in a CI.
    pub(crate) fn new(command: Option<String>, ci: Option<BTreeMap<String, String>>) -> Self {
        let ci = ci.filter(|facts| !facts.is_empty()).map(Arc::new);
        Self { command: command.map(Into::into), ci, ..Self::default() }
    }

    /// Whether this is the first request on the connection that a client secret allowed.
    pub(crate) fn first_use(&self, id: &PublicId) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let first = !used.contains(id);
        if first {
            used.push(id.clone());
        }
        first
    }
}

fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
