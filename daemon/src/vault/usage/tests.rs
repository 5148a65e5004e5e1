//! What is counted of entries of the record of accesses, on a real store.

use super::*;
use crate::vault::Vault;
use crate::vault::catalog::{ClientSecret, Hash};
use crate::vault::store::Sealed;
use crate::vault::tests::{made, open, put, unlock};
use bursar_proto::client_secret::{PublicId, Random};
use bursar_proto::kind::Role;
use bursar_proto::name::OrganizationName;

fn on(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// An artifact that was handed out `count` times.
fn got(id: Id, at: &str, count: u64) -> Entry {
    let name = "personal/a".parse().unwrap();
    Entry { count, ..Entry::of_agent("artifact.get", (id, name), OK, on(at)) }
}

/// The first request of a connection that a client secret allowed.
fn used(public: &PublicId, command: &str, at: &str) -> Entry {
    let entry = got([0; 16], at, 1);
    Entry {
        secret: None,
        method: "package.resolve",
        client_secret: Some(public.clone()),
        used_for: Some(command.into()),
        ..entry
    }
}

fn write_as(vault: &mut Vault, entries: &[Entry], secrets: Analytics) {
    let records: Vec<_> = entries.iter().map(Entry::record).collect();
    let committed = vault.unlocked().unwrap().write_accesses(&records, entries, secrets).unwrap();
    committed.durable_blocking().unwrap();
}

fn write(vault: &mut Vault, entries: &[Entry]) {
    write_as(vault, entries, Analytics::Limited);
}

/// What a month holds, as `day: name=count …`; nothing where there is none.
fn month(vault: &mut Vault, id: &Id, of: &str) -> Option<String> {
    let (month, _) = Month::and_day(on(of));
    let mut record = vault.unlocked().unwrap().month(id, month).unwrap()?;
    record.days.sort_by_key(|day| day.day);
    let days = record.days.into_iter().map(|day| {
        let by: Vec<_> = day.by.into_iter().map(|(name, count)| format!("{name}={count}")).collect();
        format!("{}: {}", day.day, by.join(" "))
    });
    Some(days.collect::<Vec<_>>().join("; "))
}

fn last_used(vault: &mut Vault, id: &Id, of: &str) -> i64 {
    let (month, _) = Month::and_day(on(of));
    vault.unlocked().unwrap().month(id, month).unwrap().unwrap().last_used_at
}

/// How many records of use are stored.
fn stored(vault: &mut Vault) -> usize {
    let mut count = 0;
    vault.unlocked().unwrap().store.scan(Kind::Usage, |_, _| count += 1).unwrap();
    count
}

/// A client secret of its own.
fn issued(vault: &mut Vault, analytics: Analytics) -> (Id, PublicId) {
    let (id, number): (Id, [u8; 8]) =
        (super::super::crypto::generate().unwrap(), super::super::crypto::generate().unwrap());
    let public = PublicId::from_random(number);
    let secret = ClientSecret {
        public: public.clone(),
        organization: OrganizationName::personal(),
        environment: None,
        description: "the nightly build".into(),
        role: Role::Viewer,
        analytics,
        created_at: on("2026-01-01T00:00:00Z"),
        expires_at: on("2027-01-01T00:00:00Z"),
        revoked_at: None,
        lapsed: false,
        last_used_at: None,
        successor: None,
        hash: Hash::of(&Random::new(Zeroizing::new([1; 32])), [2; 32]),
    };
    let written = vault.unlocked().unwrap().write(&[], |catalog| {
        catalog.insert_client_secret(id, secret);
        Ok::<_, VaultError>((vec![Change::ClientSecret(id)], ()))
    });
    written.unwrap().0.durable_blocking().unwrap();
    (id, public)
}

#[test]
fn a_month_has_a_place_of_its_own_and_a_day_its_text() {
    let (november, day) = Month::and_day(on("2026-11-21T23:59:59Z"));
    assert_eq!((november.day(day), november.before(11).day(1)), ("2026-11-21".into(), "2025-12-01".into()));
    let places: std::collections::HashSet<Id> =
        (0..MONTHS_KEPT).map(|back| place(&[0xff; 16], november.before(back))).collect();
    assert_eq!(places.len(), usize::from(MONTHS_KEPT));
}

#[test]
fn names_beyond_the_most_are_counted_together() {
    let mut record = UsageMonthV1::default();
    for n in 0..NAMES_MAX + 5 {
        let at = Timestamp::from_seconds(0);
        count(&mut record, 1, &Use { id: [0; 16], at, by: format!("c{n}"), count: 2 });
    }
    let by = &record.days[0].by;
    assert_eq!((by.len(), by.last()), (NAMES_MAX + 1, Some(&(OTHERS.to_owned(), 10))));
}

#[test]
fn uses_are_added_up_by_day_and_method_over_commits_and_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = made(dir.path());
    let id = put(&mut vault, "a", "one");
    let by_package = Entry { method: "package.get", ..got(id, "2026-11-21T09:00:00Z", 1) };
    write(&mut vault, &[got(id, "2026-11-21T08:00:00Z", 3), by_package, got(id, "2026-11-30T23:59:59Z", 1)]);
    drop(vault);
    let mut vault = open(dir.path());
    unlock(&mut vault).unwrap();
    write(&mut vault, &[got(id, "2026-11-30T23:59:59Z", 4), got(id, "2026-12-01T00:00:00Z", 1)]);
    let november = "21: artifact.get=3 package.get=1; 30: artifact.get=5";
    assert_eq!(month(&mut vault, &id, "2026-11-01T00:00:00Z").as_deref(), Some(november));
    assert_eq!(month(&mut vault, &id, "2026-12-01T00:00:00Z").as_deref(), Some("1: artifact.get=1"));
    assert_eq!(last_used(&mut vault, &id, "2026-11-01T00:00:00Z"), on("2026-11-30T23:59:59Z").seconds());
}

#[test]
fn what_was_refused_or_hands_nothing_out_is_not_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = made(dir.path());
    let id = put(&mut vault, "a", "one");
    let (_, public) = issued(&mut vault, Analytics::Limited);
    let entry = got(id, "2026-11-21T08:00:00Z", 1);
    let refused = Entry { outcome: "expired", ..entry.clone() };
    let shown = Entry { method: "secret.show", ..entry.clone() };
    let unknown = Entry { secret: entry.secret.clone().map(|(_, name)| (None, name)), ..entry };
    let followed = Entry { used_for: None, ..used(&public, "sync", "2026-11-21T08:00:00Z") };
    write(&mut vault, &[refused, shown, unknown, followed]);
    assert_eq!(stored(&mut vault), 0);
}

#[test]
fn what_a_client_secret_allowed_is_a_use_of_it_whatever_became_of_that() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = made(dir.path());
    let (id, public) = issued(&mut vault, Analytics::Limited);
    let failed = Entry { outcome: "not_found", ..used(&public, "sync", "2026-11-21T08:00:00Z") };
    write(&mut vault, &[failed]);
    assert_eq!(month(&mut vault, &id, "2026-11-01T00:00:00Z").as_deref(), Some("21: sync=1"));
}

#[test]
fn a_client_secret_is_counted_by_command_once_for_each_connection() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = made(dir.path());
    let (id, public) = issued(&mut vault, Analytics::Limited);
    // a connection that asks a hundred times in one second is one entry
    let often = Entry { count: 100, ..used(&public, "sync", "2026-11-21T08:00:00Z") };
    write(&mut vault, &[often, used(&public, "sync", "2026-11-21T09:00:00Z")]);
    write(&mut vault, &[used(&public, "publish", "2026-11-22T09:00:00Z")]);
    let told = month(&mut vault, &id, "2026-11-01T00:00:00Z");
    assert_eq!(told.as_deref(), Some("21: sync=2; 22: publish=1"));
    let known = vault.unlocked().unwrap().catalog.client_secrets[&id].last_used_at;
    assert_eq!(known, Some(on("2026-11-22T09:00:00Z")));
}

#[test]
fn what_is_not_to_be_counted_is_not_but_it_is_kept_when_that_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = made(dir.path());
    let secret = put(&mut vault, "a", "one");
    let (id, public) = issued(&mut vault, Analytics::Disabled);
    let uses = [got(secret, "2026-11-21T08:00:00Z", 1), used(&public, "sync", "2026-11-21T08:00:00Z")];
    write_as(&mut vault, &uses, Analytics::Disabled);
    assert_eq!(month(&mut vault, &secret, "2026-11-01T00:00:00Z").as_deref(), Some(""));
    assert_eq!(last_used(&mut vault, &secret, "2026-11-01T00:00:00Z"), on("2026-11-21T08:00:00Z").seconds());
    assert_eq!(month(&mut vault, &id, "2026-11-01T00:00:00Z"), None);
    drop(vault);
    let mut vault = open(dir.path());
    unlock(&mut vault).unwrap();
    let known = vault.unlocked().unwrap().catalog.client_secrets[&id].last_used_at;
    assert_eq!(known, Some(on("2026-11-21T08:00:00Z")));
    assert_eq!(vault.unlocked().unwrap().audit_bounds(), (1, 3));
    // the two are set apart from each other
    write_as(&mut vault, &uses, Analytics::Complete);
    let counted = month(&mut vault, &secret, "2026-11-01T00:00:00Z");
    assert_eq!(counted.as_deref(), Some("21: artifact.get=1"));
    assert_eq!(month(&mut vault, &id, "2026-11-01T00:00:00Z"), None);
}

#[test]
fn a_clock_that_goes_back_counts_on_the_day_that_it_shows() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = made(dir.path());
    let id = put(&mut vault, "a", "one");
    for at in ["2026-11-20T10:00:00Z", "2026-11-03T10:00:00Z", "2026-10-31T10:00:00Z", "2026-11-20T09:00:00Z"]
    {
        write(&mut vault, &[got(id, at, 1)]);
    }
    let november = month(&mut vault, &id, "2026-11-01T00:00:00Z");
    assert_eq!(november.as_deref(), Some("3: artifact.get=1; 20: artifact.get=2"));
    assert_eq!(month(&mut vault, &id, "2026-10-01T00:00:00Z").as_deref(), Some("31: artifact.get=1"));
    assert_eq!(last_used(&mut vault, &id, "2026-11-01T00:00:00Z"), on("2026-11-20T10:00:00Z").seconds());
}

#[test]
fn a_month_is_dropped_when_its_thirteenth_successor_begins() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = made(dir.path());
    let id = put(&mut vault, "a", "one");
    write(&mut vault, &[got(id, "2026-01-15T00:00:00Z", 1)]);
    write(&mut vault, &[got(id, "2027-01-31T00:00:00Z", 1)]);
    assert!(month(&mut vault, &id, "2026-01-01T00:00:00Z").is_some(), "a year back from its end is in it");
    write(&mut vault, &[got(id, "2027-02-01T00:00:00Z", 1)]);
    assert_eq!(month(&mut vault, &id, "2026-01-01T00:00:00Z"), None);
    assert_eq!(stored(&mut vault), 2);
}

#[test]
fn months_that_are_too_old_go_also_where_nothing_was_used_since() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = made(dir.path());
    let (id, other) = (put(&mut vault, "a", "one"), put(&mut vault, "b", "two"));
    let (issued, public) = issued(&mut vault, Analytics::Limited);
    let name = "personal/b".parse().unwrap();
    let of_other = Entry { secret: Some((Some(other), name)), ..got(other, "2026-01-15T00:00:00Z", 1) };
    write(
        &mut vault,
        &[got(id, "2026-01-15T00:00:00Z", 1), of_other, used(&public, "sync", "2026-02-01T00:00:00Z")],
    );
    // a clock that was years ahead for a while, and what is left of something that is no more
    write(&mut vault, &[got(id, "2029-03-01T00:00:00Z", 1)]);
    let left = vec![(Key::new(Kind::Usage, [9; 16]), Some(Sealed::from(vec![1])))];
    vault.unlocked().unwrap().store.commit(left).durable_blocking().unwrap();
    write(&mut vault, &[got(id, "2027-03-01T00:00:00Z", 1)]);
    assert_eq!(stored(&mut vault), 6);
    let now = on("2027-03-02T00:00:00Z");
    let unlocked = vault.unlocked().unwrap();
    let stale = unlocked.stale_usage(now).unwrap();
    let (committed, ()) = unlocked.write(&[], |_| Ok::<_, VaultError>((stale, ()))).unwrap();
    committed.durable_blocking().unwrap();
    // what lies ahead may be this clock's fault, and stays
    assert_eq!(stored(&mut vault), 2);
    for at in ["2027-03-01T00:00:00Z", "2029-03-01T00:00:00Z"] {
        assert!(month(&mut vault, &id, at).is_some());
    }
    assert_eq!(month(&mut vault, &issued, "2026-02-01T00:00:00Z"), None);
    assert!(vault.unlocked().unwrap().stale_usage(now).unwrap().is_empty());
}

#[test]
fn what_is_forgotten_leaves_no_month_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = made(dir.path());
    let (id, other) = (put(&mut vault, "a", "one"), put(&mut vault, "b", "two"));
    for back in 0..MONTHS_KEPT {
        let at = format!("{}T00:00:00Z", Month::and_day(on("2026-11-21T00:00:00Z")).0.before(back).day(1));
        write(&mut vault, &[got(id, &at, 1), got(other, &at, 1)]);
    }
    assert_eq!(stored(&mut vault), 2 * usize::from(MONTHS_KEPT));
    let changes = forget(&id, on("2026-11-30T00:00:00Z")).collect();
    let written = vault.unlocked().unwrap().write(&[], |_| Ok::<_, VaultError>((changes, ())));
    written.unwrap().0.durable_blocking().unwrap();
    assert_eq!(stored(&mut vault), usize::from(MONTHS_KEPT));
    assert!(month(&mut vault, &other, "2026-11-01T00:00:00Z").is_some());
}

#[test]
fn a_month_that_cannot_be_read_is_counted_anew_and_the_record_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = made(dir.path());
    let id = put(&mut vault, "a", "one");
    write(&mut vault, &[got(id, "2026-11-20T00:00:00Z", 7)]);
    let key = Key::new(Kind::Usage, place(&id, Month::and_day(on("2026-11-20T00:00:00Z")).0));
    let no_record = vault.unlocked().unwrap().keys.seal(&key, b"no record").unwrap();
    for damaged in [b"rubbish".to_vec(), no_record] {
        let batch = vec![(key, Some(Sealed::from(damaged)))];
        vault.unlocked().unwrap().store.commit(batch).durable_blocking().unwrap();
        assert_eq!(month(&mut vault, &id, "2026-11-20T00:00:00Z"), None);
        write(&mut vault, &[got(id, "2026-11-21T00:00:00Z", 1)]);
        let anew = month(&mut vault, &id, "2026-11-20T00:00:00Z");
        assert_eq!(anew.as_deref(), Some("21: artifact.get=1"));
    }
    assert_eq!(vault.unlocked().unwrap().audit_bounds(), (1, 4));
}
