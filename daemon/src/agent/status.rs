//! hello, agent.status, agent.stop.

use super::Agent;
use crate::vault::catalog::Catalog;
use bursar_proto::call::Hello;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::reply;
use bursar_proto::{PROTOCOL, PROTOCOL_OLDEST};

impl Agent {
    pub(super) fn hello(call: &Hello) -> Result<reply::Hello, CallError> {
        if let Some(protocol) = call.protocol
            && !(PROTOCOL_OLDEST..=PROTOCOL).contains(&protocol)
        {
            let (who, what) = if protocol > PROTOCOL { ("agent", "older") } else { ("client", "older") };
            return Err(CallError::new(
                ErrorName::Incompatible,
                format!("the {who} is {what}: this agent speaks protocol {PROTOCOL_OLDEST} to {PROTOCOL}"),
            )
            .hint(format!("update the {who}, then restart it")));
        }
        Ok(reply::Hello {
            agent: "bursard".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            protocol: PROTOCOL,
            protocol_oldest: PROTOCOL_OLDEST,
        })
    }

    pub(super) fn status(&self) -> reply::AgentStatus {
        let mut vault = self.vault();
        let store = match vault.writable() {
            Err(why) => why,
            Ok(()) if self.audit.records() => "writable".into(),
            Ok(()) => "accesses cannot be recorded, and so nothing is handed out".into(),
        };
        let state = vault.state();
        let problem = vault.problem().map(str::to_owned);
        let catalog = vault.unlocked().ok().map(|unlocked| &unlocked.catalog);
        let count = |n: usize| n as u64;
        reply::AgentStatus {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            socket: self.paths.socket.display().to_string(),
            state: self.paths.state.display().to_string(),
            started_at: self.started_at,
            vault: state,
            store,
            secrets: catalog.map(|c| count(c.secrets.len())),
            failing: catalog.map(|c| count(c.secrets.values().filter(|s| s.failing()).count())),
            next_attempt_at: catalog.and_then(Catalog::next_due),
            problem,
            activated: self.activated,
        }
    }

    pub(super) fn stop(&self) -> reply::Empty {
        tracing::info!("asked to stop");
        self.shutdown.cancel();
        reply::Empty {}
    }
}
