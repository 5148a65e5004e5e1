//! The calendar under a clock that only the test moves, with a hook that a fifo tells of.

use super::*;
use crate::agent::tests::{DAY, START, Stage};
use crate::exchange::Cause;
use crate::hook::HookConfig;
use crate::vault::Change;
use crate::vault::store::Breaks;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader};

#[test]
fn each_threshold_is_reached_once_and_of_several_the_nearest_counts() {
    let (at, day) = (Timestamp::from_seconds, DAY);
    let end = at(100 * day);
    assert_eq!(reached(end, at(0), at(60 * day)), None);
    assert_eq!(reached(end, at(60 * day), at(70 * day)), Some(30));
    assert_eq!(reached(end, at(70 * day), at(80 * day)), None);
    assert_eq!(reached(end, at(80 * day), at(99 * day)), Some(1));
    assert_eq!(reached(end, at(0), at(94 * day)), Some(7));
    assert_eq!(reached(end, at(99 * day), at(101 * day)), Some(0));
    assert_eq!(reached(end, at(101 * day), at(102 * day)), None);
}

/// A stage whose hook writes into a fifo.
struct Calendar {
    stage: Stage,
    told: BufReader<File>,
}

impl Calendar {
    async fn set() -> Self {
        let mut fifo = None;
        let stage = Stage::set_with(|dir| {
            let path = dir.path().join("fifo");
            mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
            // for both ends, so that nobody waits for the other, and it never ends
            fifo = Some(OpenOptions::new().read(true).write(true).open(&path).unwrap());
            let script = format!("cat > '{}'", path.display());
            let command = ["/bin/sh", "-c", &script].map(str::to_owned).to_vec();
            HookConfig { command, ..HookConfig::default() }
        });
        Self { stage: stage.await, told: BufReader::new(fifo.unwrap()) }
    }

    async fn restart(self, later: i64) -> Self {
        Self { stage: self.stage.restart(later).await, told: self.told }
    }

    /// Looks at what ends, and answers what the hook was told, as `days name`.
    async fn look(&mut self) -> Vec<String> {
        let now = self.stage.agent.clock.now();
        assert!(self.stage.agent.tell_endings(now).await.is_some());
        // what is told after it says that there is no more
        self.stage.agent.hooks.fire(Occasion::new(Event::Refreshed, now));
        let mut told = Vec::new();
        loop {
            let mut line = String::new();
            self.told.read_line(&mut line).unwrap();
            let document: Value = serde_json::from_str(&line).unwrap();
            if document["event"] == "refreshed" {
                told.sort();
                return told;
            }
            assert_eq!((&document["event"], &document["at"]), (&json!("expiring"), &json!(now)));
            let name = document["secret"].as_str().or(document["description"].as_str()).unwrap();
            told.push(format!("{} {name}", document["days"]));
        }
    }

    /// Looks at each of these days after the start; answers the days on which something was told, and what.
    async fn days(&mut self, days: impl IntoIterator<Item = i64>) -> Vec<(i64, String)> {
        let mut all = Vec::new();
        for day in days {
            let now = self.stage.agent.clock.now().since(Timestamp::from_seconds(START));
            self.stage.clock.advance(day * DAY - now);
            all.extend(self.look().await.into_iter().map(|told| (day, told)));
        }
        all
    }

    /// A token secret that ends on a day after the start.
    async fn ending(&self, name: &str, day: i64) {
        self.stage.create(name).await;
        let end = Timestamp::from_seconds(START + day * DAY);
        self.stage.ok("secret.edit", json!({ "secret": name, "expiration_date": end })).await;
    }

    async fn issue(&self, description: &str, days: i64) -> String {
        let params = json!({
            "organization": "personal", "description": description, "role": "viewer", "expires_in": days * DAY,
        });
        self.stage.ok("client_secret.create", params).await["id"].as_str().unwrap().to_owned()
    }

    /// What `expiring.list` shows, as `what name`.
    async fn listed(&self, params: Value) -> Vec<String> {
        let answer = self.stage.ok("expiring.list", params).await;
        let shown = |one: &Value| {
            let name = one["secret"].as_str().or(one["description"].as_str()).unwrap().to_owned();
            format!("{} {name}", one["what"].as_str().unwrap())
        };
        answer.as_array().unwrap().iter().map(shown).collect()
    }
}

fn told(all: &[(i64, &str)]) -> Vec<(i64, String)> {
    all.iter().map(|(day, text)| (*day, (*text).to_owned())).collect()
}

#[tokio::test]
async fn each_threshold_is_told_once_on_its_day() {
    let mut calendar = Calendar::set().await;
    calendar.ending("a", 40).await;
    let days = calendar.days([0, 9, 10, 11, 32, 33, 33, 38, 39, 40, 41, 100]).await;
    let expected = [(10, "30 personal/a"), (33, "7 personal/a"), (39, "1 personal/a"), (40, "0 personal/a")];
    assert_eq!(days, told(&expected));
}

#[tokio::test]
async fn what_was_told_is_not_told_again_after_a_restart_and_what_was_missed_is_told_as_it_stands() {
    let mut calendar = Calendar::set().await;
    calendar.ending("a", 40).await;
    calendar.ending("b", 60).await;
    assert_eq!(calendar.days([10]).await, told(&[(10, "30 personal/a")]));
    let mut calendar = calendar.restart(0).await;
    assert_eq!(calendar.days([10, 11]).await, told(&[]));
    // of 7 and 1 days the nearest counts
    let mut calendar = calendar.restart(28 * DAY + DAY / 2).await;
    assert_eq!(calendar.look().await, ["1 personal/a", "30 personal/b"]);
    assert_eq!(calendar.look().await, [""; 0]);
}

#[tokio::test]
async fn a_kill_before_it_is_kept_tells_it_twice_rather_than_never() {
    let mut calendar = Calendar::set().await;
    calendar.ending("a", 40).await;
    calendar.stage.clock.advance(10 * DAY);
    calendar.stage.agent.vault().bare_store().break_at(Breaks::Applying);
    assert_eq!(calendar.look().await, ["30 personal/a"]);
    let mut calendar = calendar.restart(1).await;
    assert_eq!(calendar.look().await, ["30 personal/a"]);
    let mut calendar = calendar.restart(1).await;
    assert_eq!(calendar.look().await, [""; 0]);
}

#[tokio::test]
async fn a_clock_that_was_ahead_for_a_while_keeps_nothing_quiet_afterwards() {
    let mut calendar = Calendar::set().await;
    calendar.ending("a", 40).await;
    assert_eq!(calendar.days([1_000]).await, told(&[(1_000, "0 personal/a")]));
    let days = calendar.days([0, 9, 10, 11, 33, 40]).await;
    assert_eq!(days, told(&[(10, "30 personal/a"), (33, "7 personal/a"), (40, "0 personal/a")]));
}

#[tokio::test]
async fn an_inactive_secret_is_on_no_calendar_until_it_is_active_again() {
    let mut calendar = Calendar::set().await;
    calendar.ending("a", 40).await;
    calendar.stage.ok("secret.deactivate", json!({ "secret": "a" })).await;
    assert_eq!(calendar.days([10, 33]).await, told(&[]));
    assert_eq!(calendar.listed(json!({})).await, [""; 0]);
    calendar.stage.ok("secret.reactivate", json!({ "secret": "a" })).await;
    assert_eq!(calendar.listed(json!({})).await, ["secret personal/a"]);
    // nothing was told since the start, and it stands where it stands
    assert_eq!(calendar.days([33, 39]).await, told(&[(33, "7 personal/a"), (39, "1 personal/a")]));
}

#[tokio::test]
async fn a_client_secret_that_ends_is_told_and_one_that_was_rotated_or_revoked_is_not() {
    let mut calendar = Calendar::set().await;
    let (_, rotated) = (calendar.issue("kept", 40).await, calendar.issue("rotated", 40).await);
    let revoked = calendar.issue("revoked", 40).await;
    calendar.stage.ok("client_secret.revoke", json!({ "id": revoked })).await;
    assert_eq!(calendar.days([10]).await, told(&[(10, "30 kept"), (10, "30 rotated")]));
    let params = json!({ "id": rotated, "overlap": 100 * DAY });
    let next = calendar.stage.ok("client_secret.rotate", params).await["id"].clone();
    let days = calendar.days([20, 33, 39, 40, 41, 43]).await;
    // the successor lives as long as the other would have from its beginning: to day 50
    let expected = [(20, "30 rotated"), (33, "7 kept"), (39, "1 kept"), (40, "0 kept"), (43, "7 rotated")];
    assert_eq!(days, told(&expected));
    let listed = calendar.stage.ok("expiring.list", json!({})).await;
    let shown = [
        &listed[0]["expired"],
        &listed[0]["description"],
        &listed[1]["expired"],
        &listed[1]["client_secret"],
    ];
    assert_eq!(shown, [&json!(true), &json!("kept"), &json!(false), &next]);
    assert_eq!(listed.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_token_is_on_the_calendar_only_while_its_refresh_fails() {
    let mut calendar = Calendar::set().await;
    let id = calendar.stage.create("a").await;
    let fails = |calendar: &Calendar, cause: Option<Cause>| {
        let mut vault = calendar.stage.agent.vault();
        let written = vault.unlocked().unwrap().write(&[], |catalog| {
            catalog.update_secret(&id, |secret| {
                secret.expires_at = Some(Timestamp::from_seconds(START + 20 * DAY));
                secret.last_failure = cause;
                secret.refresh_status_details = cause.map(|_| "the issuer said no; hint: ask it".into());
            });
            Ok::<_, VaultError>((vec![Change::Secret(id)], ()))
        });
        drop(written);
    };
    fails(&calendar, None);
    assert_eq!(calendar.listed(json!({})).await, [""; 0]);
    assert_eq!(calendar.days([13]).await, told(&[]));
    fails(&calendar, Some(Cause::Permanent));
    let listed = calendar.stage.ok("expiring.list", json!({})).await;
    let shown = [&listed[0]["what"], &listed[0]["reason"], &listed[0]["hint"]];
    assert_eq!(shown, ["token", "the issuer said no", "ask it"]);
    assert_eq!(
        calendar.days([14, 19, 20]).await,
        told(&[(14, "7 personal/a"), (19, "1 personal/a"), (20, "0 personal/a")])
    );
    fails(&calendar, None);
    assert_eq!(calendar.listed(json!({})).await, [""; 0]);
}

#[tokio::test]
async fn the_list_has_what_ends_within_so_long_the_first_first() {
    let calendar = Calendar::set().await;
    calendar.ending("late", 31).await;
    calendar.ending("soon", 30).await;
    calendar.ending("first", 3).await;
    calendar.issue("the build", 5).await;
    let client = "client_secret the build";
    let within = |days: i64| json!({ "within": days * DAY });
    assert_eq!(calendar.listed(json!({})).await, ["secret personal/first", client, "secret personal/soon"]);
    assert_eq!(calendar.listed(within(31)).await.len(), 4);
    assert_eq!(calendar.listed(within(0)).await, [""; 0]);
    assert_eq!(calendar.listed(json!({ "within": u64::MAX })).await.len(), 4);
    calendar.stage.clock.advance(4 * DAY);
    // what has ended stays until somebody does something about it
    assert_eq!(calendar.listed(within(0)).await, ["secret personal/first"]);
    let error = calendar.stage.call("expiring.list", json!({ "organization": "acme" })).await.unwrap_err();
    assert_eq!(error.name, bursar_proto::error::ErrorName::NotFound);
}

#[tokio::test]
async fn while_the_vault_is_locked_nothing_is_told_and_afterwards_it_is() {
    let mut calendar = Calendar::set().await;
    calendar.ending("a", 40).await;
    calendar.stage.clock.advance(10 * DAY);
    calendar.stage.agent.lock_recorded().await;
    assert_eq!(calendar.stage.agent.tell_endings(calendar.stage.agent.clock.now()).await, None);
    calendar.stage.ok("vault.unlock", json!({})).await;
    assert_eq!(calendar.look().await, ["30 personal/a"]);
}
