//! An agent on a real store, under a clock that only the test moves: what the tests of the files beside stand on.

use super::Agent;
use crate::clock::Clock;
use crate::clock::manual::ManualClock;
use crate::config::{Config, Paths};
use crate::exchange::{Cause, Exchange, Failure, Offer, Outcome};
use crate::hook::{HookConfig, Hooks};
use crate::server::peer::Caller;
use crate::server::session::Party;
use crate::vault::crypto::RootKey;
use crate::vault::header::Header;
use crate::vault::store::Id;
use crate::vault::{Place, Vault};
use bursar_proto::call::Call;
use bursar_proto::error::CallError;
use serde_json::{Value, json};
use std::sync::Arc;

/// When a stage is set: 2026-01-01T00:00:00Z, in seconds.
pub(crate) const START: i64 = 1_767_225_600;

/// A day, in seconds.
pub(crate) const DAY: i64 = 86_400;

/// No issuer answers.
struct NoIssuer;

impl Exchange for NoIssuer {
    fn exchange(&self, _: Offer, _: Arc<dyn Clock>) -> Outcome<'_> {
        Box::pin(async { Err(Failure::new(Cause::Unreachable, "nobody is there")) })
    }
}

/// A daemon's inside.
pub(crate) struct Stage {
    pub(crate) agent: Arc<Agent>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) dir: tempfile::TempDir,
    hook: HookConfig,
}

/// This process itself, on a connection of its own.
pub(crate) fn own() -> Arc<Party> {
    Party::new(Arc::new(Caller::own()))
}

impl Stage {
    /// A vault without secrets, unlocked.
    pub(crate) async fn set() -> Self {
        Self::set_with(|_| HookConfig::default()).await
    }

    /// The same with a hook.
    pub(crate) async fn set_with(hook: impl FnOnce(&tempfile::TempDir) -> HookConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let hook = hook(&dir);
        let stage = Self::on(dir, Arc::new(ManualClock::at(START)), hook);
        let key = stage.dir.path().join("key");
        let root = RootKey::generate().unwrap();
        let mut header = Header::new();
        crate::vault::header::make_key_file(&key).unwrap();
        header.enrol_key_file(&key, &root).unwrap();
        let committed = stage.agent.vault().create(root, header, stage.clock.now(), &[]).unwrap();
        stage.agent.durable(committed).await.unwrap();
        stage
    }

    fn on(dir: tempfile::TempDir, clock: Arc<ManualClock>, hook: HookConfig) -> Self {
        let paths = Paths {
            config: dir.path().join("bursar.toml"),
            config_required: false,
            state: dir.path().join("state"),
            socket: dir.path().join("s"),
        };
        let place = Place { state: paths.state.clone(), audit_kept: 1_000 };
        let vault = Vault::open(place, clock.now()).unwrap();
        let hooks = Hooks::start(hook.clone()).unwrap();
        let agent = Agent::new(paths, Config::default(), vault, Arc::new(NoIssuer), clock.clone(), hooks);
        agent.unlock_at_start();
        Self { agent, clock, dir, hook }
    }

    /// The daemon is killed, and starts again on the same disk, some seconds later.
    pub(crate) async fn restart(self, later: i64) -> Self {
        self.settle().await;
        let Self { agent, clock, dir, hook } = self;
        drop(agent);
        clock.advance(later);
        Self::on(dir, clock, hook)
    }

    /// Waits for what goes on by itself.
    pub(crate) async fn settle(&self) {
        self.agent.tasks.close();
        self.agent.tasks.wait().await;
        self.agent.tasks.reopen();
    }

    pub(crate) async fn call_as(
        &self,
        party: &Arc<Party>,
        method: &str,
        params: Value,
    ) -> Result<Value, CallError> {
        let call = Call::decode(method, Some(&params.to_string())).unwrap().unwrap();
        let json = self.agent.serve(call, party).await?;
        Ok(serde_json::from_slice(&json).unwrap())
    }

    pub(crate) async fn call(&self, method: &str, params: Value) -> Result<Value, CallError> {
        self.call_as(&own(), method, params).await
    }

    pub(crate) async fn ok(&self, method: &str, params: Value) -> Value {
        self.call(method, params).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Comes with client secrets, as a process of the user `uid`.
    pub(crate) fn authenticate(
        &self,
        uid: u32,
        client_secrets: &[&str],
    ) -> (Arc<Party>, Result<Value, CallError>) {
        let params = json!({ "client_secrets": client_secrets, "command": "sync" }).to_string();
        let Some(Ok(Call::Authenticate(call))) = Call::decode("authenticate", Some(&params)) else {
            panic!("authenticate takes these");
        };
        let party = Party::new(Arc::new(Caller::of_user(uid)));
        let (party, answer) = self.agent.authenticate(call, &party);
        (party, answer.map(|json| serde_json::from_slice(&json).unwrap()))
    }

    /// Makes a token secret; its value is `value-NAME`.
    pub(crate) async fn create(&self, name: &str) -> Id {
        let value = format!("value-{name}");
        let token = json!({ "secret": name, "type": "token", "credentials": { "token": value } });
        self.ok("secret.create", token).await;
        self.agent.vault().unlocked().unwrap().catalog.secret_id("personal", name).unwrap()
    }
}
