//! The life of client secrets, under a clock that only the test moves.

use super::*;
use crate::agent::authenticate::WAITS_KEPT;
use crate::agent::tests::{DAY, START, Stage};
use crate::audit::{Entry, OK};
use crate::server::session::Party;
use bursar_proto::call::Call;
use bursar_proto::client_secret::CLIENT_SECRETS_MAX;
use serde_json::{Value, json};
use std::sync::Arc;

/// A client secret as it was issued: its value and its public id.
struct Issued {
    value: String,
    id: String,
}

async fn issue(stage: &Stage, more: Value) -> Issued {
    let mut params = json!({ "organization": "personal", "description": "the build", "role": "viewer" });
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    issued(&stage.ok("client_secret.create", params).await)
}

async fn rotate(stage: &Stage, id: &str, overlap: i64) -> Result<Issued, CallError> {
    let answer = stage.call("client_secret.rotate", json!({ "id": id, "overlap": overlap })).await;
    answer.map(|answer| issued(&answer))
}

fn issued(answer: &Value) -> Issued {
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    Issued { value: text("client_secret"), id: text("id") }
}

async fn show(stage: &Stage, id: &str) -> Value {
    stage.ok("client_secret.show", json!({ "id": id })).await
}

fn at(day: i64) -> Value {
    json!(Timestamp::from_seconds(START + day * DAY))
}

/// What is said to whoever comes with them; nothing where at least one counts.
fn refused(stage: &Stage, values: &[&str]) -> Option<ErrorName> {
    stage.authenticate(1_000, values).1.err().map(|error| error.name)
}

#[tokio::test]
async fn it_lives_for_ninety_days_if_nothing_is_said_and_ends_to_the_second() {
    let stage = Stage::set().await;
    let one = issue(&stage, json!({})).await;
    assert_eq!(show(&stage, &one.id).await["expires_at"], at(90));
    stage.clock.advance(90 * DAY - 1);
    assert_eq!(refused(&stage, &[&one.value]), None);
    assert_eq!(show(&stage, &one.id).await["status"], "active");
    stage.clock.advance(1);
    assert_eq!(show(&stage, &one.id).await["status"], "expired");
    assert_eq!(refused(&stage, &[&one.value]), Some(ErrorName::ClientSecretExpired));
}

#[tokio::test]
async fn it_lives_for_twenty_four_months_at_the_most() {
    let stage = Stage::set().await;
    let longest = issue(&stage, json!({ "expires_in": CLIENT_SECRET_LIFE_MAX })).await;
    assert_eq!(show(&stage, &longest.id).await["expires_at"], at(731));
    for seconds in [0, CLIENT_SECRET_LIFE_MAX + 1, u64::MAX / 2] {
        let params = json!({ "organization": "personal", "description": "d", "role": "viewer", "expires_in": seconds });
        let error = stage.call("client_secret.create", params).await.unwrap_err();
        assert_eq!(error.name, ErrorName::Invalid, "{error}");
    }
}

#[tokio::test]
async fn its_value_is_in_no_later_answer_and_its_end_is_told_with_its_id_alone() {
    let stage = Stage::set().await;
    let one = issue(&stage, json!({ "expires_in": 60 })).await;
    let random = &one.value[one.value.len() - 40..];
    let shown = show(&stage, &one.id).await.to_string();
    let listed = stage.ok("client_secret.list", json!({})).await.to_string();
    stage.clock.advance(60);
    let error = stage.authenticate(1_000, &[&one.value]).1.unwrap_err();
    assert!(error.message.contains(&one.id), "{error}");
    assert!(![shown, listed, format!("{error:?}")].iter().any(|told| told.contains(random)));
}

#[tokio::test]
async fn a_wrong_value_and_an_unknown_id_are_told_the_same() {
    let stage = Stage::set().await;
    let known = issue(&stage, json!({})).await;
    let random = || Random::new(Zeroizing::new([7; 32]));
    let mut told = Vec::new();
    for (uid, id) in [(1_000, known.id.as_str()), (1_001, "0000000000")] {
        let forged = client_secret::compose(&id.parse().unwrap(), &random());
        let error = stage.authenticate(uid, &[forged.expose()]).1.unwrap_err();
        assert_eq!(error.name, ErrorName::ClientSecretUnknown);
        told.push((error.message.replace(id, "ID"), error.hint));
    }
    assert_eq!(told[0], told[1]);
}

/// Whether a party may look at an environment.
async fn may_look(stage: &Stage, party: &Arc<Party>) -> Option<ErrorName> {
    let looked =
        stage.call_as(party, "environment.show", json!({ "environment": "personal/development" })).await;
    looked.err().map(|error| error.name)
}

#[tokio::test]
async fn once_somebody_came_with_it_after_its_end_a_clock_that_is_set_back_does_not_revive_it() {
    let stage = Stage::set().await;
    let (came, never) = (issue(&stage, json!({})).await, issue(&stage, json!({})).await);
    let asked = issue(&stage, json!({})).await;
    let (party, _) = stage.authenticate(1_000, &[&asked.value]);
    assert_eq!(may_look(&stage, &party).await, None);
    stage.clock.advance(91 * DAY);
    assert_eq!(refused(&stage, &[&came.value]), Some(ErrorName::ClientSecretExpired));
    assert_eq!(may_look(&stage, &party).await, Some(ErrorName::ClientSecretExpired));
    let stage = stage.restart(-80 * DAY).await;
    for ended in [&came, &asked] {
        assert_eq!(refused(&stage, &[&ended.value]), Some(ErrorName::ClientSecretExpired));
        assert_eq!(show(&stage, &ended.id).await["status"], "expired");
    }
    assert_eq!(refused(&stage, &[&never.value]), None);
}

#[tokio::test]
async fn an_ended_one_that_is_given_twice_does_the_vault_no_harm() {
    let stage = Stage::set().await;
    let one = issue(&stage, json!({})).await;
    stage.clock.advance(91 * DAY);
    assert_eq!(refused(&stage, &[&one.value, &one.value]), Some(ErrorName::ClientSecretExpired));
    let stage = stage.restart(1).await;
    assert_eq!(show(&stage, &one.id).await["status"], "expired");
}

#[tokio::test]
async fn one_that_counts_is_enough_and_what_is_wrong_with_the_others_is_told_by_their_ids() {
    let stage = Stage::set().await;
    let (ended, revoked) = (issue(&stage, json!({ "expires_in": 60 })).await, issue(&stage, json!({})).await);
    stage.ok("client_secret.revoke", json!({ "id": revoked.id })).await;
    stage.clock.advance(60);
    let good = issue(&stage, json!({})).await;
    let values = [ended.value.as_str(), &revoked.value, "bcs_no", &good.value];
    let (party, answer) = stage.authenticate(1_000, &values);
    let told = answer.unwrap()["client_secrets"].clone();
    let errors: Vec<_> = told.as_array().unwrap().iter().map(|one| one["error"].clone()).collect();
    let names = ["client_secret_expired", "client_secret_revoked", "client_secret_malformed"];
    assert_eq!(errors, [json!(names[0]), json!(names[1]), json!(names[2]), Value::Null]);
    assert_eq!(
        (&told[0]["id"], &told[1]["id"], &told[2]["id"]),
        (&json!(ended.id), &json!(revoked.id), &Value::Null)
    );
    assert_eq!(may_look(&stage, &party).await, None);
}

#[tokio::test]
async fn an_overlap_never_lets_it_live_longer_than_it_would_have() {
    let stage = Stage::set().await;
    for (overlap, end) in [(0, 10), (1, 11), (79, 89), (80, 90), (81, 90), (100_000, 90)] {
        let one = issue(&stage, json!({})).await;
        stage.clock.advance(10 * DAY);
        let next = rotate(&stage, &one.id, overlap * DAY).await.unwrap();
        let (old, new) = (show(&stage, &one.id).await, show(&stage, &next.id).await);
        assert_eq!((&old["expires_at"], &new["expires_at"]), (&at(end), &at(100)), "overlap {overlap}");
        assert_eq!((&old["successor"], &new["successor"]), (&json!(next.id), &Value::Null));
        assert_eq!(refused(&stage, &[&next.value]), None);
        assert_eq!(refused(&stage, &[&one.value]), (overlap == 0).then_some(ErrorName::ClientSecretExpired));
        stage.clock.advance(-10 * DAY);
    }
    let one = issue(&stage, json!({})).await;
    assert!(rotate(&stage, &one.id, i64::MAX).await.is_ok());
    assert_eq!(show(&stage, &one.id).await["expires_at"], at(90));
}

#[tokio::test]
async fn one_has_one_successor_and_a_revoked_one_none() {
    let stage = Stage::set().await;
    let one = issue(&stage, json!({ "analytics": "complete" })).await;
    let next = rotate(&stage, &one.id, DAY).await.unwrap();
    let again = rotate(&stage, &one.id, DAY).await.err().unwrap();
    assert_eq!(again.name, ErrorName::Conflict);
    assert!(again.hint.unwrap().contains(&next.id));
    assert_eq!(show(&stage, &next.id).await["analytics"], "complete");
    stage.ok("client_secret.revoke", json!({ "id": next.id })).await;
    assert_eq!(rotate(&stage, &next.id, DAY).await.err().unwrap().name, ErrorName::Conflict);
    // one that has ended is followed by one that lives as long as it did
    let ended = issue(&stage, json!({ "expires_in": 3 * DAY })).await;
    stage.clock.advance(10 * DAY);
    assert_eq!(refused(&stage, &[&ended.value]), Some(ErrorName::ClientSecretExpired));
    stage.settle().await;
    let follows = rotate(&stage, &ended.id, 0).await.unwrap();
    assert_eq!(show(&stage, &follows.id).await["expires_at"], at(13));
    assert_eq!(refused(&stage, &[&follows.value]), None);
    let stage = stage.restart(0).await;
    assert_eq!(refused(&stage, &[&follows.value]), None);
}

#[tokio::test]
async fn nothing_but_its_analytics_changes_and_revoking_is_final() {
    let stage = Stage::set().await;
    let one = issue(&stage, json!({})).await;
    let mut before = show(&stage, &one.id).await;
    stage.clock.advance(DAY);
    stage.ok("client_secret.set_analytics", json!({ "id": one.id, "analytics": "complete" })).await;
    before["analytics"] = json!("complete");
    assert_eq!(show(&stage, &one.id).await, before);
    for _ in 0..2 {
        // again is no fault, and the time of the first stays
        assert_eq!(stage.ok("client_secret.revoke", json!({ "id": one.id })).await["revoked_at"], at(1));
        stage.clock.advance(DAY);
    }
    assert_eq!(refused(&stage, &[&one.value]), Some(ErrorName::ClientSecretRevoked));
    stage.clock.advance(-3 * DAY);
    let stage = stage.restart(0).await;
    assert_eq!(refused(&stage, &[&one.value]), Some(ErrorName::ClientSecretRevoked));
}

#[tokio::test]
async fn an_environment_that_goes_revokes_what_is_for_it_alone() {
    let stage = Stage::set().await;
    stage.ok("environment.create", json!({ "environment": "test", "stage": "development" })).await;
    let (all, first) =
        (issue(&stage, json!({})).await, issue(&stage, json!({ "environment": "development" })).await);
    let test = issue(&stage, json!({ "environment": "test" })).await;
    let before = issue(&stage, json!({ "environment": "test" })).await;
    stage.ok("client_secret.revoke", json!({ "id": before.id })).await;
    stage.clock.advance(DAY);
    let answer = stage.ok("environment.delete", json!({ "environment": "test" })).await;
    assert_eq!(answer["revoked"], json!([test.id]));
    let stage = stage.restart(0).await;
    for (one, revoked_at) in [(&test, at(1)), (&before, at(0))] {
        assert_eq!(refused(&stage, &[&one.value]), Some(ErrorName::ClientSecretRevoked));
        assert_eq!(show(&stage, &one.id).await["revoked_at"], revoked_at);
    }
    assert_eq!((refused(&stage, &[&all.value]), refused(&stage, &[&first.value])), (None, None));
    // a new one of that name is another
    stage.ok("environment.create", json!({ "environment": "test", "stage": "development" })).await;
    assert_eq!(refused(&stage, &[&test.value]), Some(ErrorName::ClientSecretRevoked));
}

#[tokio::test]
async fn an_organization_that_goes_takes_its_own_along() {
    let stage = Stage::set().await;
    stage.ok("organization.create", json!({ "organization": "acme" })).await;
    let (acmes, other) =
        (issue(&stage, json!({ "organization": "acme" })).await, issue(&stage, json!({})).await);
    let (party, _) = stage.authenticate(1_000, &[&acmes.value, &other.value]);
    stage.ok("organization.delete", json!({ "organization": "acme" })).await;
    stage.ok("organization.create", json!({ "organization": "acme" })).await;
    let stage = stage.restart(0).await;
    assert_eq!(refused(&stage, &[&acmes.value]), Some(ErrorName::ClientSecretUnknown));
    assert_eq!(refused(&stage, &[&other.value, &acmes.value]), None);
    assert_eq!(may_look(&stage, &party).await, None);
    let listed = stage.ok("client_secret.list", json!({})).await;
    assert_eq!(listed.as_array().unwrap().len(), 1);
}

/// Fills the catalog up to the most, as if they had been issued one each second before the start.
fn fill(stage: &Stage, status: impl Fn(usize) -> ClientSecretStatus) -> Vec<PublicId> {
    let mut vault = stage.agent.vault();
    let catalog = &mut vault.unlocked().unwrap().catalog;
    let known = catalog.client_secrets.len();
    (known..ISSUED_MAX)
        .map(|n| {
            let created_at = Timestamp::from_seconds(START - i64::try_from(ISSUED_MAX - n).unwrap());
            let public = PublicId::from_random(((n as u64 + 1) << 40).to_be_bytes());
            let end = if status(n) == ClientSecretStatus::Expired { START } else { START + 90 * DAY };
            let mut id = Id::default();
            id[..8].copy_from_slice(&(n as u64).to_be_bytes());
            let secret = ClientSecret {
                public: public.clone(),
                organization: bursar_proto::name::OrganizationName::personal(),
                environment: None,
                description: "d".into(),
                role: bursar_proto::kind::Role::Viewer,
                analytics: Analytics::Limited,
                created_at,
                expires_at: Timestamp::from_seconds(end),
                revoked_at: (status(n) == ClientSecretStatus::Revoked).then_some(created_at),
                lapsed: false,
                last_used_at: None,
                successor: None,
                hash: Hash::NONE,
            };
            catalog.insert_client_secret(id, secret);
            public
        })
        .collect()
}

fn kept(stage: &Stage) -> usize {
    stage.agent.vault().unlocked().unwrap().catalog.client_secrets.len()
}

fn is_kept(stage: &Stage, public: &PublicId) -> bool {
    stage.agent.vault().unlocked().unwrap().catalog.client_secret(public).is_some()
}

/// Counts a use of a client secret, and answers the id of its record.
async fn use_once(stage: &Stage, public: &PublicId) -> Id {
    let secret = ([0; 16], "personal/a".parse().unwrap());
    let entry = Entry::of_agent("package.resolve", secret, OK, stage.agent.clock.now());
    let entry = Entry { client_secret: Some(public.clone()), used_for: Some("sync".into()), ..entry };
    stage.agent.audit.note(entry, true).unwrap();
    assert_eq!(stage.agent.write_accesses().await, crate::audit::Written::All);
    stage.agent.vault().unlocked().unwrap().catalog.client_secret(public).unwrap().0
}

fn is_counted(stage: &Stage, id: &Id) -> bool {
    let (month, _) = usage::Month::and_day(stage.agent.clock.now());
    stage.agent.vault().unlocked().unwrap().month(id, month).unwrap().is_some()
}

#[tokio::test]
async fn the_oldest_that_ended_makes_room() {
    let stage = Stage::set().await;
    let ended = |n| match n {
        4_000 => ClientSecretStatus::Expired,
        3_000 => ClientSecretStatus::Revoked,
        _ => ClientSecretStatus::Active,
    };
    let all = fill(&stage, ended);
    // what is refused for another reason drops nothing
    let params = json!({ "organization": "nowhere", "description": "d", "role": "viewer" });
    assert_eq!(stage.call("client_secret.create", params).await.unwrap_err().name, ErrorName::NotFound);
    assert_eq!((kept(&stage), is_kept(&stage, &all[3_000])), (ISSUED_MAX, true));
    for gone in [3_000, 4_000] {
        assert!(is_kept(&stage, &all[gone]));
        let id = use_once(&stage, &all[gone]).await;
        assert!(is_counted(&stage, &id));
        issue(&stage, json!({})).await;
        assert_eq!((kept(&stage), is_kept(&stage, &all[gone])), (ISSUED_MAX, false));
        assert!(!is_counted(&stage, &id), "its use goes with it");
    }
    let params = json!({ "organization": "personal", "description": "d", "role": "viewer" });
    let error = stage.call("client_secret.create", params).await.unwrap_err();
    assert_eq!((error.name, kept(&stage)), (ErrorName::Conflict, ISSUED_MAX));
    let error = rotate(&stage, all[0].as_str(), 0).await.err().unwrap();
    assert_eq!(error.name, ErrorName::Conflict);
    assert!(show(&stage, all[0].as_str()).await["successor"].is_null());
}

#[tokio::test]
async fn where_there_are_too_many_the_oldest_can_still_be_followed_by_another() {
    let stage = Stage::set().await;
    let oldest = issue(&stage, json!({ "expires_in": 1 })).await;
    stage.clock.advance(2);
    let all = fill(&stage, |_| ClientSecretStatus::Active);
    assert_eq!((kept(&stage), all.len()), (ISSUED_MAX, ISSUED_MAX - 1));
    let next = rotate(&stage, &oldest.id, 0).await.unwrap();
    assert_eq!(kept(&stage), ISSUED_MAX);
    let stage = stage.restart(0).await;
    assert_eq!(refused(&stage, &[&next.value]), None);
}

#[tokio::test]
async fn a_user_who_comes_with_wrong_ones_waits_longer_each_time_and_nobody_else_does() {
    let stage = Stage::set().await;
    let good = issue(&stage, json!({})).await;
    let wrong = client_secret::compose(&good.id.parse().unwrap(), &Random::new(Zeroizing::new([7; 32])));
    // a typing error is free
    assert_eq!(refused(&stage, &[wrong.expose()]), Some(ErrorName::ClientSecretUnknown));
    assert_eq!(refused(&stage, &[&good.value]), None);
    assert_eq!(refused(&stage, &[wrong.expose()]), Some(ErrorName::ClientSecretUnknown));
    let waits = |uid| {
        let error = stage.agent.throttled(uid).err()?;
        assert_eq!(error.name, ErrorName::Throttled);
        error.message.split(' ').rev().nth(1).unwrap().parse::<u64>().ok()
    };
    let mut told = vec![waits(1_000).unwrap()];
    // while it lasts nothing is looked at, not even a right one
    let (party, answer) = stage.authenticate(1_000, &[&good.value]);
    assert_eq!(answer.unwrap_err().name, ErrorName::Throttled);
    assert_eq!(may_look(&stage, &party).await, Some(ErrorName::Denied));
    for _ in 0..4 {
        stage.agent.note_wrong(1_000);
        told.push(waits(1_000).unwrap());
    }
    assert!(told.windows(2).all(|pair| pair[0] < pair[1]), "{told:?}");
    let (_, others) = stage.authenticate(1_001, &[&good.value]);
    assert!(others.is_ok() && waits(1_001).is_none());
    // what is malformed is told offline, and guesses nothing
    for _ in 0..3 {
        let (_, answer) = stage.authenticate(1_002, &["bcs_"]);
        assert_eq!(answer.unwrap_err().name, ErrorName::ClientSecretMalformed);
    }
    assert_eq!(waits(1_002), None);
}

#[tokio::test]
async fn the_waits_of_many_users_take_bounded_room_and_those_that_last_stay() {
    let stage = Stage::set().await;
    for _ in 0..5 {
        stage.agent.note_wrong(7);
    }
    for uid in 10_000..12_000 {
        stage.agent.note_wrong(uid);
    }
    let known = stage.agent.waits.lock().unwrap().len();
    assert!(known <= WAITS_KEPT, "{known}");
    assert_eq!(stage.agent.throttled(7).unwrap_err().name, ErrorName::Throttled);
}

#[tokio::test]
async fn a_list_is_one_to_thirty_two_long() {
    let stage = Stage::set().await;
    let good = issue(&stage, json!({})).await;
    for count in [0, CLIENT_SECRETS_MAX + 1, 1_000] {
        assert_eq!(refused(&stage, &vec![good.value.as_str(); count]), Some(ErrorName::Invalid));
    }
    assert_eq!(refused(&stage, &vec![good.value.as_str(); CLIENT_SECRETS_MAX]), None);
    assert!(Call::decode("authenticate", Some("{}")).unwrap().is_err());
}
