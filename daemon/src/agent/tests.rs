//! An agent on a real store, under a clock that only the test moves: what the tests of the files beside stand on.

use super::Agent;
use crate::clock::Clock;
use crate::clock::manual::ManualClock;
use crate::config::{Config, Paths};
use crate::exchange::{Cause, Exchange, Failure, Grant, Granted, Offer, Outcome, Proof, Reach};
use crate::hook::{HookConfig, Hooks};
use crate::server::peer::Caller;
use crate::server::session::Party;
use crate::vault::crypto::RootKey;
use crate::vault::header::Header;
use crate::vault::store::Id;
use crate::vault::{Place, Vault};
use bursar_proto::call::Call;
use bursar_proto::error::CallError;
use bursar_proto::sensitive::Sensitive;
use bursar_proto::time::Timestamp;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use url::Url;

/// When a stage is set: 2026-01-01T00:00:00Z, in seconds.
pub(crate) const START: i64 = 1_767_225_600;

/// A day, in seconds.
pub(crate) const DAY: i64 = 86_400;

/// When a test gives up: far beyond what a busy machine takes.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The scopes that a person may be asked for.
pub(crate) const ADWORDS: &str = "https://www.googleapis.com/auth/adwords";
pub(crate) const PUBSUB: &str = "https://www.googleapis.com/auth/pubsub";

/// What an issuer says to what a person granted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Says {
    /// A token for so many seconds, and this refresh token where there is one.
    Token(u64, Option<&'static str>),
    /// No.
    No(Cause),
    /// Nothing: no connection stands.
    Unreached,
    /// Nothing: the connection breaks once the request is sent.
    Silence,
}

/// What an issuer was offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offered {
    /// `code C` or `refresh R`.
    pub(crate) proof: String,
    /// The verifier and the redirect URI that came with a code.
    pub(crate) of_code: Option<(String, String)>,
    /// `ID SECRET at URL`.
    pub(crate) client: String,
}

impl Offered {
    fn of(grant: &Grant) -> Self {
        let (proof, of_code) = match &grant.proof {
            Proof::Code { code, verifier, redirect_uri } => {
                let with = (verifier.expose().to_owned(), redirect_uri.clone());
                (format!("code {}", code.expose()), Some(with))
            }
            Proof::RefreshToken(token) => (format!("refresh {}", token.expose()), None),
        };
        let client = format!("{} {} at {}", grant.client_id, grant.client_secret.expose(), grant.token_url);
        Self { proof, of_code, client }
    }
}

/// Where an exchange stops until the test lets it go on.
#[derive(Default)]
pub(crate) struct Gate {
    /// Once what it offers has left, and not before.
    after: bool,
    arrived: Notify,
    go: Notify,
}

impl Gate {
    /// Waits until an exchange is there.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    pub(crate) fn open(&self) {
        self.go.notify_one();
    }
}

/// An issuer that answers a person's grants as told, and everything else not at all. Told nothing it grants an hour.
#[derive(Default)]
pub(crate) struct Script {
    says: Mutex<VecDeque<Says>>,
    offered: Mutex<Vec<Offered>>,
    /// What left: what was offered, and marked first.
    left: Mutex<Vec<String>>,
    gate: Mutex<Option<Arc<Gate>>>,
}

impl Script {
    /// What it says next, one answer after the other.
    pub(crate) fn says(&self, answers: &[Says]) {
        self.says.lock().unwrap().extend(answers);
    }

    pub(crate) fn offered(&self) -> Vec<Offered> {
        self.offered.lock().unwrap().clone()
    }

    pub(crate) fn left(&self) -> Vec<String> {
        self.left.lock().unwrap().clone()
    }

    /// Stops the next exchange before what it offers leaves, or after that.
    pub(crate) fn stops(&self, after: bool) -> Arc<Gate> {
        let gate = Arc::new(Gate { after, ..Gate::default() });
        *self.gate.lock().unwrap() = Some(gate.clone());
        gate
    }

    async fn passes(&self, after: bool) {
        let gate = self.gate.lock().unwrap().take_if(|gate| gate.after == after);
        if let Some(gate) = gate {
            gate.arrived.notify_one();
            gate.go.notified().await;
        }
    }

    async fn answer(&self, grant: &Grant, clock: &dyn Clock) -> Result<Granted, Failure> {
        let offered = Offered::of(grant);
        let (number, proof) = {
            let mut all = self.offered.lock().unwrap();
            all.push(offered.clone());
            (all.len(), offered.proof)
        };
        let sent_at = clock.now();
        let says = self.says.lock().unwrap().pop_front().unwrap_or(Says::Token(3_600, None));
        let broken = |details: &str, reach| Failure { reach, ..Failure::new(Cause::Unreachable, details) };
        self.passes(false).await;
        if let Says::Unreached = says {
            return Err(broken("nobody is there; nothing was sent", Reach::Unsent));
        }
        if !(grant.mark)().await {
            return Err(broken("it could not be marked; nothing was sent", Reach::Unsent));
        }
        self.left.lock().unwrap().push(proof);
        self.passes(true).await;
        match says {
            Says::Token(expires_in, refresh_token) => Ok(Granted {
                access_token: Sensitive::new(format!("token-{number}")),
                expires_in,
                token_type: None,
                scope: None,
                refresh_token: refresh_token.map(|token| Sensitive::new(token.to_owned())),
                sent_at,
            }),
            Says::No(cause) => {
                let mended = "hint: bursar secret reauthorize NAME";
                Err(Failure::new(cause, format!("the issuer said no; {mended}")))
            }
            Says::Silence => Err(broken("it hung up, and its answer is not known", Reach::Unanswered)),
            Says::Unreached => unreachable!(),
        }
    }
}

impl Exchange for Script {
    fn exchange(&self, offer: Offer, clock: Arc<dyn Clock>) -> Outcome<'_> {
        Box::pin(async move {
            match offer {
                Offer::Grant(grant) => self.answer(&grant, &*clock).await,
                Offer::Credentials(_) => Err(Failure::new(Cause::Unreachable, "nobody is there")),
            }
        })
    }
}

/// What a person was asked for.
pub(crate) struct Asked {
    /// The answer to who asked.
    pub(crate) shown: Value,
    /// Where the person is sent.
    pub(crate) url: Url,
}

impl Asked {
    pub(crate) fn of(shown: Value) -> Self {
        let url = shown["authorization_url"].as_str().unwrap().parse().unwrap();
        Self { shown, url }
    }

    /// A parameter of the URL, which has it once.
    pub(crate) fn parameter(&self, name: &str) -> String {
        let mut values = self.url.query_pairs().filter(|(key, _)| key == name);
        let value = values.next().unwrap().1.into_owned();
        assert!(values.next().is_none(), "{name} is there twice");
        value
    }

    /// The address that the browser ends on, where the issuer answers `answer`.
    pub(crate) fn redirect(&self, answer: &str) -> String {
        format!("{}?{answer}&state={}", self.parameter("redirect_uri"), self.parameter("state"))
    }

    /// The port on which the browser comes back.
    pub(crate) fn port(&self) -> u16 {
        Url::parse(&self.parameter("redirect_uri")).unwrap().port().unwrap()
    }
}

/// A hook that writes what it is told into a fifo, and the end of it to read from.
pub(crate) fn hook_into_fifo(dir: &Path) -> (HookConfig, File) {
    let path = dir.join("fifo");
    mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    // for both ends, so that nobody waits for the other, and it never ends
    let fifo = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let script = format!("cat > '{}'", path.display());
    let command = ["/bin/sh", "-c", &script].map(str::to_owned).to_vec();
    (HookConfig { command, ..HookConfig::default() }, fifo)
}

/// A daemon's inside.
pub(crate) struct Stage {
    pub(crate) agent: Arc<Agent>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) issuer: Arc<Script>,
    pub(crate) dir: Arc<tempfile::TempDir>,
    /// Below `dir`: where the daemon's files are.
    home: &'static str,
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
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let hook = hook(&dir);
        let stage = Self::on(dir, "", Arc::new(ManualClock::at(START)), Arc::default(), hook);
        let key = stage.dir.path().join("key");
        let root = RootKey::generate().unwrap();
        let mut header = Header::new();
        crate::vault::header::make_key_file(&key).unwrap();
        header.enrol_key_file(&key, &root).unwrap();
        let committed = stage.agent.vault().create(root, header, stage.clock.now(), &[]).unwrap();
        stage.agent.durable(committed).await.unwrap();
        stage
    }

    fn on(
        dir: Arc<tempfile::TempDir>,
        home: &'static str,
        clock: Arc<ManualClock>,
        issuer: Arc<Script>,
        hook: HookConfig,
    ) -> Self {
        let place = dir.path().join(home);
        let paths = Paths {
            config: place.join("bursar.toml"),
            config_required: false,
            state: place.join("state"),
            socket: place.join("s"),
            runtime: place.join("run"),
            credentials: None,
            system: false,
        };
        let place = Place { state: paths.state.clone(), audit_kept: 1_000 };
        let vault = Vault::open(place, clock.now()).unwrap();
        let hooks = Hooks::start(hook.clone()).unwrap();
        let agent = Agent::new(paths, Config::default(), vault, issuer.clone(), clock.clone(), hooks, false);
        agent.unlock_at_start();
        Self { agent, clock, issuer, dir, home, hook }
    }

    /// The daemon is killed, and starts again on the same disk, some seconds later.
    pub(crate) async fn restart(self, later: i64) -> Self {
        self.agent.shutdown.cancel();
        self.settle().await;
        let Self { agent, clock, issuer, dir, home, hook } = self;
        drop(agent);
        clock.advance(later);
        Self::on(dir, home, clock, issuer, hook)
    }

    /// What another daemon finds that is started on the disk as it is now, as if this one had been killed this moment.
    pub(crate) fn as_if_killed(&self, home: &'static str) -> Self {
        fn copy(from: &Path, to: &Path) {
            fs::create_dir_all(to).unwrap();
            for entry in fs::read_dir(from).unwrap() {
                let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
                if from.is_dir() {
                    copy(&from, &to);
                } else {
                    fs::copy(from, to).unwrap();
                }
            }
        }
        copy(&self.agent.paths.state, &self.dir.path().join(home).join("state"));
        let clock = Arc::new(ManualClock::at(self.clock.now().seconds()));
        Self::on(self.dir.clone(), home, clock, Arc::default(), HookConfig::default())
    }

    /// Waits for what goes on by itself.
    pub(crate) async fn settle(&self) {
        self.agent.tasks.close();
        self.agent.tasks.wait().await;
        self.agent.tasks.reopen();
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Time passes, and the listener notices.
    pub(crate) fn later(&self, seconds: i64) {
        self.clock.advance(seconds);
        self.agent.authorizations.ring();
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

    /// The id of a secret of `personal`.
    pub(crate) fn id(&self, name: &str) -> Id {
        self.agent.vault().unlocked().unwrap().catalog.secret_id("personal", name).unwrap()
    }

    pub(crate) async fn show(&self, name: &str) -> Value {
        self.ok("secret.show", json!({ "secret": name })).await
    }

    /// The value of an artifact, or the name of the error.
    pub(crate) async fn get(&self, name: &str) -> Result<String, String> {
        let artifact = self.call("artifact.get", json!({ "secret": name })).await;
        artifact.map(|one| one["value"].as_str().unwrap().to_owned()).map_err(|error| error.name.to_string())
    }

    /// The same with Google's client set up.
    pub(crate) async fn configured() -> Self {
        let stage = Self::set().await;
        stage.configure().await;
        stage
    }

    /// Sets up Google's client.
    pub(crate) async fn configure(&self) {
        self.configure_as("client").await;
    }

    /// The same under a name of its own.
    pub(crate) async fn configure_as(&self, client: &str) {
        let secret = format!("{client}-secret");
        let client = json!({ "issuer": "google", "client_id": client, "client_secret": secret });
        self.ok("issuer.configure", client).await;
    }

    /// Makes a secret that a person has to authorize.
    pub(crate) async fn ask(&self, name: &str) -> Asked {
        let scopes = json!({ "scopes": [PUBSUB] });
        let params = json!({ "secret": name, "type": "oauth2-google", "credentials": scopes });
        Asked::of(self.ok("secret.create", params).await)
    }

    /// Asks a person anew.
    pub(crate) async fn ask_again(&self, name: &str) -> Asked {
        Asked::of(self.ok("secret.reauthorize", json!({ "secret": name })).await)
    }

    /// Brings back what the issuer sent a browser with, and waits for what comes of it.
    pub(crate) async fn authorize(&self, name: &str, redirect: &str) -> Result<Value, CallError> {
        self.call("secret.authorize", json!({ "secret": name, "redirect": redirect })).await
    }

    /// Makes a secret that a person has authorized, for an hour from now on.
    pub(crate) async fn granted(&self, name: &str, refresh_token: &'static str) -> Id {
        let asked = self.ask(name).await;
        self.issuer.says(&[Says::Token(3_600, Some(refresh_token))]);
        let shown = self.authorize(name, &asked.redirect("code=c")).await.unwrap();
        assert_eq!(shown["status"], "succeeded", "{shown}");
        self.id(name)
    }
}
