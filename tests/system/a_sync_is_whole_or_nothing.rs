//! A sync brings all files to what they should be, or leaves all as they were: where an element fails, where the disk is full,
//! where somebody interrupts it. Only a kill may leave some new and some old, each whole, and the next sync mends that.

use bursar_tests::library::{acme_with_api, bound, file, publish, until_past};
use bursar_tests::secrets::grant;
use bursar_tests::{Daemon, FaultIssuer, Home, Reply, Run, Talk, Workspace, open_vault};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use rustix::process::{Signal, geteuid};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::ffi::CString;
use std::os::unix::process::ExitStatusExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

const SHOP: &str = "organization = 'acme'\nenvironment = 'staging'\n[packages]\nsite = '1'\n";

fn acme() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    (home, daemon)
}

/// Files whose only content is the value of `TOKEN`, many times.
fn files_of_token(count: usize) -> Value {
    (0..count).map(|at| file(&format!("f{}/{at}", at % 3), &"%TOKEN%\n".repeat(50))).collect()
}

fn set_value(home: &Home, value: &str) {
    home.ok("secret.edit", json!({ "secret": "acme/api-staging", "credentials": { "token": value } }));
    home.ok("secret.wait", json!({ "secret": "acme/api-staging" }));
}

/// The values that the files have; each must have one, and be whole.
fn values(workspace: &Workspace<'_>, count: usize) -> BTreeSet<String> {
    let stamps = workspace.stamps();
    let files: Vec<_> = stamps.iter().filter(|(name, _)| name.starts_with('f')).collect();
    assert_eq!(files.len(), count, "{:?}", stamps.keys());
    let value = |(name, stamp): &(&String, &bursar_tests::workspace::Stamp)| {
        let text = String::from_utf8(stamp.content.clone()).unwrap();
        let lines: BTreeSet<&str> = text.lines().collect();
        assert_eq!(
            (lines.len(), text.lines().count(), stamp.mode),
            (1, 50, 0o600),
            "{name} is not whole: {text}"
        );
        lines.first().unwrap().to_string()
    };
    files.iter().map(value).collect()
}

fn no_draft(workspace: &Workspace<'_>) {
    let drafts: Vec<_> = workspace.files().into_iter().filter(|name| name.contains("draft")).collect();
    assert_eq!(drafts, Vec::<String>::new());
}

#[test]
fn what_does_not_resolve_stops_everything_and_is_told_whole() {
    let (home, _daemon) = acme();
    bound(&home, "acme/off", "acme/staging", "value-of-off");
    let own = json!({ "GOOD": "acme/api", "OFF": { "staging": "acme/off" }, "NONE": { "staging": null } });
    let files = json!([file("good", "%GOOD%"), file("off", "%OFF%"), file("none", "%NONE%")]);
    publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "acme/api" }), json!([file("one", "%TOKEN%")]));
    publish(&home, "acme/site", "1.1.0", own.clone(), files.clone());
    publish(&home, "acme/base", "1.0.0", json!({ "LOST": "acme/lost" }), json!([file("lost", "%LOST%")]));
    let shop = Workspace::with(&home, "shop", &SHOP.replace("'1'", "'=1.0.0'"));
    shop.run(&["sync"]).ok();
    assert_eq!(shop.files(), ["bursar.lock", "bursar.toml", "one"]);
    home.ok("secret.deactivate", json!({ "secret": "acme/off" }));
    let manifest = SHOP.replace("'1'", "'1.1'") + "base = '*'\n";
    shop.write("bursar.toml", manifest);
    shop.run(&["workspace", "trust"]).ok();
    let before = shop.stamps();
    let tells_all = |said: &str, prefix: &str| {
        for failure in ["LOST, staging: ", "NONE, staging: ", "OFF, staging: "] {
            assert!(said.contains(failure), "{prefix}: {said}");
        }
        assert!(said.starts_with("3 problems:\n") && said.contains("\nhint: "), "{said}");
        assert!(!said.contains("value-of"), "{said}");
    };
    tells_all(&shop.refused(7, "unresolved", &["sync", "--update"]), "sync");
    assert_eq!(shop.stamps(), before);
    assert_eq!(shop.refused(10, "conflict", &["sync"]).matches("bursar sync --update").count(), 1);
    assert_eq!(shop.stamps(), before);

    let other = Workspace::with(&home, "other", "organization = 'acme'\nenvironment = 'staging'\n");
    let before = other.stamps();
    tells_all(&other.refused(7, "unresolved", &["add", "-p", "site", "-p", "acme/base@1"]), "add");
    assert_eq!(other.stamps(), before);

    let library = Workspace::with(
        &home,
        "library",
        "organization = 'acme'\nenvironment = 'staging'\n[library]\nname = 'own'\n[library.elements]\nGOOD = 'api'\n\
         OFF = { staging = 'off' }\nNONE = { production = 'api-production' }\nLOST = 'lost'\n\
         [[library.files]]\ntemplate = 't'\npath = 'good'\n",
    );
    library.write("t", "%GOOD%");
    let before = library.stamps();
    tells_all(&library.refused(7, "unresolved", &["build"]), "build");
    assert_eq!(library.stamps(), before);
    // a person sees a line for each
    let run = library.run(&["build"]);
    assert_eq!(run.code, 7);
    assert!(run.err.starts_with("error: 3 problems:") && run.err.contains("\n  OFF, staging: "), "{run:?}");
    // mended one by one
    home.ok("secret.reactivate", json!({ "secret": "acme/off" }));
    let said = library.refused(7, "unresolved", &["build"]);
    assert!(!said.contains("OFF") && said.starts_with("2 problems:"), "{said}");
}

#[test]
fn a_second_sync_changes_nothing() {
    let (home, _daemon) = acme();
    publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "acme/api" }), files_of_token(6));
    let shop = Workspace::with(&home, "shop", SHOP);
    let first = shop.run(&["sync", "--json"]).ok().json();
    assert_eq!(first["written"].as_array().unwrap().len(), 6, "{first}");
    assert_eq!((&first["removed"], &first["kept"]), (&json!([]), &json!([])));
    assert_eq!(first["packages"][0]["version"], "1.0.0");
    let (before, known) = (shop.stamps(), home.ok("workspace.list", json!({})));
    until_past(&known[0]["synced_at"]);
    for arguments in [&["sync"][..], &["sync", "--update"], &["sync", "--force"], &["sync", "-e", "staging"]]
    {
        let run = shop.run(arguments).ok();
        assert_eq!(run.out, "everything is current\n", "{arguments:?}");
        assert_eq!(shop.stamps(), before, "{arguments:?}");
        assert_eq!(home.ok("workspace.list", json!({})), known, "{arguments:?}");
    }
    let again = shop.run(&["sync", "--json"]).ok().json();
    assert_eq!(again["written"], json!([]), "{again}");
    // only what has changed is written
    let one = shop.path("f0/3");
    std::fs::remove_file(&one).unwrap();
    let mended = shop.run(&["sync", "--json"]).ok().json();
    assert_eq!(mended["written"].as_array().unwrap().len(), 1, "{mended}");
    for (name, stamp) in shop.stamps() {
        assert_eq!(stamp == before[&name], name != "f0/3", "{name}");
    }
}

/// A workspace on a small file system of its own.
struct SmallDisk<'h>(Workspace<'h>);

impl<'h> SmallDisk<'h> {
    fn new(home: &'h Home) -> Option<Self> {
        if !geteuid().is_root() {
            eprintln!("needs root, to mount a small file system");
            return None;
        }
        let workspace = Workspace::empty(home, "small");
        let options = CString::new("size=256k,mode=0700").unwrap();
        mount("none", workspace.root(), "tmpfs", MountFlags::empty(), options.as_c_str()).expect("a tmpfs");
        Some(Self(workspace))
    }

    fn remount(&self, flags: MountFlags, options: &str) {
        mount_remount(self.0.root(), flags, options).expect("our own mount");
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        unmount(self.0.root(), UnmountFlags::DETACH).expect("our own mount");
    }
}

#[test]
fn a_disk_that_takes_no_more_keeps_the_old_files_whole() {
    let (home, _daemon) = acme();
    let Some(disk) = SmallDisk::new(&home) else { return };
    let shop = &disk.0;
    let long = |letter: &str| format!("%TOKEN%{}", letter.repeat(50_000));
    let files = |letter: &str| -> Value { ["a", "b", "new/c"].map(|path| file(path, &long(letter))).into() };
    publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "acme/api" }), files("1"));
    publish(&home, "acme/site", "1.1.0", json!({ "TOKEN": "acme/api" }), files("2"));
    shop.write("bursar.toml", SHOP.replace("'1'", "'=1.0.0'"));
    shop.run(&["workspace", "trust"]).ok();
    shop.run(&["sync"]).ok();
    shop.write("bursar.toml", SHOP);
    shop.run(&["workspace", "trust"]).ok();
    let before = shop.stamps();
    let known = home.ok("workspace.list", json!({}));
    for round in 0..3 {
        let said = shop.refused(1, "internal", &["sync", "--update"]);
        assert!(said.starts_with("cannot write ") && !said.contains("value-of"), "round {round}: {said}");
        assert_eq!(shop.stamps(), before, "round {round}");
    }
    assert_eq!(shop.run(&["status"]).code, 0, "it stands as it stood");
    assert_eq!(home.ok("workspace.list", json!({})), known);

    disk.remount(MountFlags::RDONLY, "size=2m");
    let said = shop.refused(1, "internal", &["sync", "--update"]);
    assert!(said.starts_with("cannot write "), "{said}");
    assert_eq!(shop.stamps(), before);
    assert_eq!(shop.run(&["status"]).code, 0, "what only reads can go on");
    disk.remount(MountFlags::empty(), "size=2m");
    let done = shop.run(&["sync", "--update", "--json"]).ok().json();
    assert_eq!(done["written"].as_array().unwrap().len(), 3, "{done}");
    assert!(shop.read("new/c").ends_with('2'));
    no_draft(shop);
}

/// How many files are in the way of a signal.
const FILES: usize = 24;

/// Runs syncs of a value that changed, ends each by `signal` at another moment, and looks at what is left with `look`.
fn interrupted(signal: Signal, look: impl Fn(&Workspace<'_>, Option<i32>, &str, &str)) {
    const MOMENTS: u32 = 10;
    let (home, _daemon) = acme();
    publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "acme/api" }), files_of_token(FILES));
    let shop = Workspace::with(&home, "shop", SHOP);
    let start = Instant::now();
    shop.run(&["sync"]).ok();
    let whole = start.elapsed();
    let mut old = "value-of-staging".to_owned();
    for moment in 0..MOMENTS {
        let new = format!("value-{moment}");
        set_value(&home, &new);
        let mut sync = Talk::start(shop.command(&["sync"]));
        // any moment will do
        sleep(whole * moment / MOMENTS + Duration::from_micros(u64::from(moment) * 37));
        // it may have come to its end by now
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_raw(i32::try_from(sync.pid()).unwrap()).unwrap(),
            signal,
        );
        let status = sync.ended();
        assert!(status.code().is_some() || status.signal() == Some(signal.as_raw()), "{status:?}");
        look(&shop, status.code(), &old, &new);
        let run = shop.run(&["sync"]).ok();
        assert_eq!(values(&shop, FILES), BTreeSet::from([new.clone()]), "the next sync mends all: {run:?}");
        no_draft(&shop);
        old = new;
    }
    shop.run(&["status"]).ok();
}

#[test]
fn an_interrupted_sync_leaves_all_files_old_or_all_new() {
    for signal in [Signal::INT, Signal::TERM] {
        interrupted(signal, |shop, code, old, new| {
            let expected = if code == Some(0) { new } else { old };
            assert!(matches!(code, None | Some(0 | 130)), "{code:?}");
            assert_eq!(values(shop, FILES), BTreeSet::from([expected.to_owned()]), "exit code {code:?}");
            no_draft(shop);
        });
    }
}

#[test]
fn a_killed_sync_leaves_every_file_whole_and_the_next_one_mends_all() {
    interrupted(Signal::KILL, |shop, _, old, new| {
        let there = values_beside_drafts(shop);
        assert!(there.is_subset(&BTreeSet::from([old.to_owned(), new.to_owned()])), "{there:?}");
    });
}

fn values_beside_drafts(shop: &Workspace<'_>) -> BTreeSet<String> {
    for (name, stamp) in shop.stamps().iter().filter(|(name, _)| name.contains("draft")) {
        assert_eq!(stamp.mode, 0o600, "{name}: a draft is private from its first byte");
    }
    let stamps = shop.stamps();
    let files = stamps.iter().filter(|(name, _)| name.starts_with('f') && !name.contains("draft"));
    let value = |(name, stamp): (&String, &bursar_tests::workspace::Stamp)| {
        let text = String::from_utf8(stamp.content.clone()).unwrap();
        assert_eq!(text.lines().count(), 50, "{name}");
        text.lines().next().unwrap().to_owned()
    };
    files.map(value).collect()
}

#[test]
fn syncs_at_once_do_not_get_into_each_others_way() {
    let (home, _daemon) = acme();
    publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "acme/api" }), files_of_token(10));
    publish(&home, "acme/base", "1.0.0", json!({}), json!([file("base", "plain\n")]));
    let shop = Workspace::with(&home, "shop", SHOP);
    shop.run(&["sync"]).ok();
    set_value(&home, "another-value");
    let together: Vec<_> = (0..4).map(|_| shop.command(&["sync", "--json"]).spawn().unwrap()).collect();
    let written: Vec<usize> = together
        .into_iter()
        .map(|child| Run::finish(child, None).ok().json()["written"].as_array().unwrap().len())
        .collect();
    assert_eq!(
        written.iter().sum::<usize>(),
        10,
        "one of them writes, and the others find it done: {written:?}"
    );
    assert_eq!(values(&shop, 10), BTreeSet::from(["another-value".to_owned()]));
    no_draft(&shop);
    // an add and a sync: whichever is first, both are done
    let add = shop.command(&["add", "-p", "base"]).spawn().unwrap();
    let sync = shop.command(&["sync"]).spawn().unwrap();
    for child in [add, sync] {
        Run::finish(child, None).ok();
    }
    shop.run(&["status"]).ok();
    assert!(shop.read("bursar.toml").contains("acme/base") && shop.has("base"));
    assert!(shop.read("bursar.lock").contains("acme/base"));
}

#[test]
fn who_waits_for_a_value_sees_it_and_may_leave() {
    let (home, _daemon) = acme();
    let issuer = FaultIssuer::new(Reply::Grant(3_600));
    let mut params = grant("acme/slow", &issuer.token_url());
    params["environment"] = json!("staging");
    home.create(params);
    home.ok("element.set", json!({ "element": "acme/slow", "staging": "acme/slow" }));
    publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "acme/slow" }), json!([file("t", "%TOKEN%")]));
    let shop = Workspace::with(&home, "shop", SHOP);
    shop.run(&["sync"]).ok();
    let before = shop.stamps();
    issuer.from_now_on(Reply::Held(3_600));
    home.ok("secret.retry", json!({ "secret": "acme/slow" }));
    let mut sync = Talk::on_terminal(&shop.command(&["sync"]));
    sync.out.expect("resolving \u{2026}");
    sync.say("\x03");
    assert!(!sync.ended().success());
    assert_eq!(shop.stamps(), before);
    // where nobody looks on nothing is drawn
    let mut waiting = Talk::start(shop.command(&["sync"]));
    issuer.until_count(2);
    issuer.release();
    assert!(waiting.ended().success(), "{:?}", waiting.err.so_far());
    assert_eq!(waiting.err.whole(), "");
    assert_ne!(shop.read("t").into_bytes(), before["t"].content);
}
