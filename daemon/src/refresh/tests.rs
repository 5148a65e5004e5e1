//! The promises of a refresh, under a clock that only the test moves and an issuer that answers as told.

use crate::agent::{Agent, Got};
use crate::clock::Clock;
use crate::clock::manual::ManualClock;
use crate::config::{Config, Paths};
use crate::exchange::{Cause, Exchange, Failure, Granted, Offer, Outcome};
use crate::hook::{HookConfig, Hooks};
use crate::policy::Policy;
use crate::server::peer::Caller;
use crate::server::session::Party;
use crate::vault::crypto::RootKey;
use crate::vault::header::Header;
use crate::vault::{Place, Vault};
use bursar_proto::call::{Call, QuickGet};
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::sensitive::Sensitive;
use serde_json::Value;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// How long the issuer's tokens live, in seconds, and how early they are refreshed.
const LIFETIME: u64 = 36_000;
const OFFSET: i64 = 14_400;

/// An issuer that answers as told, when told.
#[derive(Default)]
struct Scripted {
    asked: AtomicUsize,
    failure: Mutex<Option<Cause>>,
    holds: Mutex<Option<Arc<Notify>>>,
}

impl Exchange for Scripted {
    fn exchange(&self, _: Offer, clock: Arc<dyn Clock>) -> Outcome<'_> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let failure = *self.failure.lock().unwrap();
        let hold = self.holds.lock().unwrap().clone();
        Box::pin(async move {
            if let Some(hold) = hold {
                hold.notified().await;
            }
            match failure {
                Some(cause) => Err(Failure::new(cause, "the issuer said no")),
                None => Ok(Granted {
                    access_token: Sensitive::new(format!("token-{number}")),
                    expires_in: LIFETIME,
                    token_type: None,
                    scope: None,
                    refresh_token: None,
                    sent_at: clock.now(),
                }),
            }
        })
    }
}

struct Stage {
    agent: Arc<Agent>,
    clock: Arc<ManualClock>,
    issuer: Arc<Scripted>,
    dir: tempfile::TempDir,
}

/// This process itself, on a connection.
fn own() -> Arc<Party> {
    Party::new(Arc::new(Caller::own()))
}

impl Stage {
    async fn set() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let stage = Self::on(dir, Arc::new(ManualClock::at(1_000_000)));
        let root = RootKey::generate().unwrap();
        let mut header = Header::new();
        crate::vault::header::make_key_file(&stage.dir.path().join("key")).unwrap();
        header.enrol_key_file(&stage.dir.path().join("key"), &root).unwrap();
        let committed = stage.agent.vault().create(root, header, stage.clock.now(), &[]).unwrap();
        stage.agent.durable(committed).await.unwrap();
        let created = r#"{"secret":"x","type":"oauth2-client_credentials","credentials":
            {"client_id":"c","client_secret":"s","token_url":"http://127.0.0.1:9/token"}}"#;
        stage.call("secret.create", created).await.unwrap();
        assert_eq!(stage.wait().await["status"], "succeeded");
        stage
    }

    fn on(dir: tempfile::TempDir, clock: Arc<ManualClock>) -> Self {
        let paths = Paths {
            config: dir.path().join("bursar.toml"),
            config_required: false,
            state: dir.path().join("state"),
            socket: dir.path().join("s"),
            runtime: dir.path().join("run"),
            credentials: None,
            system: false,
        };
        let vault =
            Vault::open(Place { state: paths.state.clone(), audit_kept: 1_000 }, clock.now()).unwrap();
        let issuer = Arc::new(Scripted::default());
        let hooks = Hooks::start(HookConfig::default()).unwrap();
        let agent = Agent::new(paths, Config::default(), vault, issuer.clone(), clock.clone(), hooks, false);
        agent.unlock_at_start();
        Self { agent, clock, issuer, dir }
    }

    /// The daemon ends and starts again on the same disk, some seconds later.
    fn restart(self, later: i64) -> Self {
        let Self { agent, clock, dir, .. } = self;
        drop(agent);
        clock.advance(later);
        Self::on(dir, clock)
    }

    async fn call(&self, method: &str, params: &str) -> Result<Value, CallError> {
        let call = Call::decode(method, Some(params)).unwrap().unwrap();
        let json = self.agent.serve(call, &own()).await?;
        Ok(serde_json::from_slice(&json).unwrap())
    }

    async fn wait(&self) -> Value {
        self.call("secret.wait", r#"{"secret":"x"}"#).await.unwrap()
    }

    async fn show(&self) -> Value {
        self.call("secret.show", r#"{"secret":"x"}"#).await.unwrap()
    }

    async fn get(&self, min_validity: u64) -> Result<String, ErrorName> {
        let params = format!(r#"{{"secret":"x","min_validity":{min_validity}}}"#);
        let artifact = self.call("artifact.get", &params).await.map_err(|error| error.name)?;
        Ok(artifact["value"].as_str().unwrap().to_owned())
    }

    /// Starts what is due now, and waits until it has landed.
    async fn refresh(&self) {
        self.agent.start_due(self.clock.now());
        let id = self.agent.vault().unlocked().unwrap().catalog.secret_id("personal", "x").unwrap();
        if let Some(flight) = self.agent.flights.under_way(&id) {
            flight.landed().await;
        }
    }

    fn asked(&self) -> usize {
        self.issuer.asked.load(Ordering::SeqCst)
    }

    fn fail(&self, cause: Option<Cause>) {
        *self.issuer.failure.lock().unwrap() = cause;
    }
}

const TO_REFRESH: i64 = 36_000 - OFFSET;

#[tokio::test]
async fn a_token_is_refreshed_when_it_is_due_and_not_before() {
    let stage = Stage::set().await;
    stage.clock.advance(TO_REFRESH - 1);
    stage.refresh().await;
    assert_eq!(stage.asked(), 1);
    stage.clock.advance(1);
    stage.refresh().await;
    assert_eq!((stage.asked(), stage.get(1).await), (2, Ok("token-2".into())));
    assert_eq!(stage.show().await["refresh_status"], "succeeded");
}

#[tokio::test]
async fn four_attempts_fail_the_token_is_served_to_its_end_and_no_longer() {
    let stage = Stage::set().await;
    stage.fail(Some(Cause::Permanent));
    stage.clock.advance(TO_REFRESH);
    for attempt in 1..=4 {
        stage.refresh().await;
        assert_eq!(stage.show().await["refresh_attempt"], attempt);
        stage.clock.advance(2_400);
    }
    let shown = stage.show().await;
    assert_eq!((&shown["status"], &shown["refresh_status"]), (&"succeeded".into(), &"failed".into()));
    assert_eq!(shown["refresh_status_details"], "the issuer said no");
    assert_eq!((stage.asked(), stage.get(1).await), (5, Ok("token-1".into())));
    stage.clock.advance(7_200);
    assert_eq!(stage.get(1).await, Err(ErrorName::Expired));
    // a permanent answer is not asked for again
    assert_eq!(stage.asked(), 5);
}

#[tokio::test]
async fn a_get_that_needs_more_than_is_left_starts_an_exchange() {
    let stage = Stage::set().await;
    stage.clock.advance(1_000);
    assert_eq!(stage.get(35_000).await, Ok("token-1".into()));
    assert_eq!(stage.get(35_001).await, Ok("token-2".into()));
    assert_eq!(stage.get(36_001).await, Err(ErrorName::ValidityTooLong));
    assert_eq!(stage.asked(), 2);
}

#[tokio::test]
async fn a_thousand_callers_of_one_expired_token_share_one_exchange() {
    let stage = Stage::set().await;
    stage.clock.advance(36_000);
    let hold = Arc::new(Notify::new());
    *stage.issuer.holds.lock().unwrap() = Some(hold.clone());
    let callers: Vec<_> = (0..1_000)
        .map(|_| {
            let agent = stage.agent.clone();
            stage.agent.tasks.spawn(async move {
                let call = Call::decode("artifact.get", Some(r#"{"secret":"x"}"#)).unwrap().unwrap();
                agent.serve(call, &own()).await.is_ok()
            })
        })
        .collect();
    // all of them have asked before the issuer answers: tasks run in turn on this one thread
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    hold.notify_one();
    for caller in callers {
        assert!(caller.await.unwrap());
    }
    assert_eq!(stage.asked(), 2);
}

#[tokio::test]
async fn a_failing_issuer_is_asked_by_callers_no_more_than_once_a_minute() {
    let stage = Stage::set().await;
    stage.fail(Some(Cause::Unreachable));
    stage.clock.advance(36_000);
    for _ in 0..10 {
        assert_eq!(stage.get(1).await, Err(ErrorName::Expired));
    }
    assert_eq!(stage.asked(), 2);
    stage.fail(None);
    stage.clock.advance(59);
    assert_eq!(stage.get(1).await, Err(ErrorName::Expired));
    stage.clock.advance(1);
    assert_eq!(stage.get(1).await, Ok("token-3".into()));
}

#[tokio::test]
async fn the_plan_survives_a_restart() {
    let stage = Stage::set().await;
    stage.fail(Some(Cause::Transient));
    stage.clock.advance(TO_REFRESH);
    stage.refresh().await;
    let before = stage.show().await;
    assert_eq!(before["refresh_attempt"], 1);
    let stage = stage.restart(30);
    let after = stage.show().await;
    assert_eq!(
        (&after["refresh_attempt"], &after["refresh_at"]),
        (&before["refresh_attempt"], &before["refresh_at"])
    );
    // a start tries again at once, but not within a minute of the failure
    stage.refresh().await;
    assert_eq!(stage.asked(), 0);
    stage.clock.advance(30);
    stage.refresh().await;
    assert_eq!((stage.asked(), stage.get(1).await), (1, Ok("token-1".into())));
}

#[tokio::test]
async fn a_start_long_after_the_end_recovers_by_itself() {
    let stage = Stage::set().await.restart(1_000_000);
    stage.refresh().await;
    assert_eq!((stage.asked(), stage.get(1).await), (1, Ok("token-1".into())));
}

#[tokio::test]
async fn a_clock_that_was_set_back_hammers_nobody_and_serves_what_is_left() {
    let stage = Stage::set().await;
    stage.fail(Some(Cause::Transient));
    stage.clock.advance(TO_REFRESH);
    stage.refresh().await;
    stage.clock.advance(-TO_REFRESH);
    stage.agent.vault().unlocked().unwrap().catalog.recover_all(stage.clock.now());
    for _ in 0..5 {
        stage.refresh().await;
    }
    assert_eq!((stage.asked(), stage.get(1).await), (2, Ok("token-1".into())));
}

#[tokio::test]
async fn deactivating_stops_the_timer_and_reactivating_makes_up_for_it() {
    let stage = Stage::set().await;
    stage.call("secret.deactivate", r#"{"secret":"x"}"#).await.unwrap();
    stage.clock.advance(TO_REFRESH);
    stage.refresh().await;
    assert_eq!((stage.asked(), stage.get(1).await), (1, Err(ErrorName::Inactive)));
    stage.call("secret.reactivate", r#"{"secret":"x"}"#).await.unwrap();
    stage.refresh().await;
    assert_eq!((stage.asked(), stage.get(1).await), (2, Ok("token-2".into())));
}

#[tokio::test]
async fn credentials_that_change_during_an_exchange_are_the_ones_that_count() {
    let stage = Stage::set().await;
    let hold = Arc::new(Notify::new());
    *stage.issuer.holds.lock().unwrap() = Some(hold.clone());
    stage.call("secret.retry", r#"{"secret":"x"}"#).await.unwrap();
    tokio::task::yield_now().await;
    stage.call("secret.edit", r#"{"secret":"x","credentials":{"client_secret":"new"}}"#).await.unwrap();
    // the old artifact is served until the new credentials have proved themselves
    assert_eq!(stage.get(1).await, Ok("token-1".into()));
    *stage.issuer.holds.lock().unwrap() = None;
    hold.notify_one();
    assert_eq!(stage.wait().await["status"], "succeeded");
    assert_eq!((stage.asked(), stage.get(1).await), (3, Ok("token-3".into())));
}

#[tokio::test]
async fn a_lock_in_the_middle_of_an_exchange_loses_nothing() {
    let stage = Stage::set().await;
    let hold = Arc::new(Notify::new());
    *stage.issuer.holds.lock().unwrap() = Some(hold.clone());
    stage.call("secret.retry", r#"{"secret":"x"}"#).await.unwrap();
    tokio::task::yield_now().await;
    stage.agent.lock_recorded().await;
    assert_eq!(stage.get(1).await, Err(ErrorName::Locked));
    *stage.issuer.holds.lock().unwrap() = None;
    hold.notify_one();
    tokio::task::yield_now().await;
    stage.call("vault.unlock", "{}").await.unwrap();
    assert_eq!(stage.wait().await["status"], "succeeded");
}

#[tokio::test]
async fn a_get_of_what_is_there_needs_no_waiting() {
    let stage = Stage::set().await;
    let get = QuickGet::read(Some(r#"{"secret":"personal/x"}"#)).unwrap();
    let get = Policy::authorize(&own().bare_principal(), get, &[]).unwrap();
    let mut out = Vec::new();
    assert!(matches!(stage.agent.get_now(get, &own(), &mut out), Ok(Got::Written)));
    let answer: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(answer["value"], "token-1");
    assert_eq!(answer["expires_at"], stage.show().await["expires_at"]);
}

#[tokio::test]
async fn early_attempts_for_callers_leave_the_schedule_alone() {
    let stage = Stage::set().await;
    stage.fail(Some(Cause::Unreachable));
    for _ in 0..4 {
        stage.clock.advance(600);
        assert_eq!(stage.get(36_000).await, Err(ErrorName::IssuerUnreachable));
    }
    let shown = stage.show().await;
    assert_eq!((&shown["refresh_attempt"], &shown["refresh_status"]), (&0.into(), &Value::Null));
    stage.fail(None);
    stage.clock.advance(TO_REFRESH - 4 * 600);
    stage.refresh().await;
    assert_eq!((stage.asked(), stage.get(1).await), (6, Ok("token-6".into())));
}

#[tokio::test]
async fn a_retry_that_succeeds_leaves_no_failure_behind() {
    let stage = Stage::set().await;
    stage.fail(Some(Cause::Permanent));
    stage.clock.advance(TO_REFRESH);
    for _ in 0..4 {
        stage.refresh().await;
        stage.clock.advance(2_400);
    }
    stage.fail(None);
    stage.call("secret.retry", r#"{"secret":"x"}"#).await.unwrap();
    let shown = stage.wait().await;
    for attribute in ["refresh_status", "refresh_status_details", "failure"] {
        assert!(shown[attribute].is_null(), "{attribute}: {shown}");
    }
}

#[tokio::test]
async fn a_secret_is_not_served_for_longer_than_it_lasts_itself() {
    let stage = Stage::set().await;
    let ends = stage.clock.now().plus(600);
    let edit = format!(r#"{{"secret":"x","expiration_date":"{ends}"}}"#);
    stage.call("secret.edit", &edit).await.unwrap();
    stage.wait().await;
    assert!(stage.get(600).await.is_ok());
    assert_eq!(stage.get(601).await, Err(ErrorName::ValidityTooLong));
    stage.clock.advance(600);
    assert_eq!(stage.get(1).await, Err(ErrorName::Expired));
}
