//! A file of `[[render]]` holds what its secrets are: it is written when they change and at no other time, its readers alone
//! read it, and its unit is asked for once a batch.

use bursar_tests::library::{acme_with_api, bound, organization};
use bursar_tests::record::{counted, entries};
use bursar_tests::secrets::{grant, token};
use bursar_tests::users::{as_user, can_become_others};
use bursar_tests::{Daemon, FaultIssuer, Home, Reply, until};
use rustix::process::Signal;
use serde_json::json;
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;

/// Tells that a turn is over: it is the last file of every config here.
const LAST: &str = "[[render]]\nfile = 'last'\ntext = '%secret:last%'\nunit = 'last.service'\n";

/// A home in memory with an open vault, and with these files and [`LAST`].
fn rendering(renders: &str) -> (Home, Daemon) {
    let home = Home::in_memory();
    home.config(&format!("{renders}{LAST}"));
    let daemon = home.start();
    home.ok("vault.init", json!({ "key_file": home.key_file() }));
    (home, daemon)
}

fn file(home: &Home, name: &str) -> PathBuf {
    home.path().join("render").join(name)
}

fn until_it_holds(home: &Home, name: &str, text: &str) {
    until("a file is rendered", || (fs::read_to_string(file(home, name)).ok()? == text).then_some(()));
}

/// Which writing of it a file is.
fn writing(home: &Home, name: &str) -> (u64, i64, i64) {
    let of = fs::metadata(file(home, name)).unwrap();
    (of.ino(), of.mtime(), of.mtime_nsec())
}

/// Waits for a request, and takes it.
fn until_asked(home: &Home, unit: &str) {
    let request = home.path().join("reload").join(unit);
    until("a unit is asked for", || request.exists().then_some(()));
    assert_eq!(fs::metadata(&request).unwrap().len(), 0);
    fs::remove_file(request).unwrap();
}

fn requests(home: &Home) -> Vec<String> {
    let Ok(all) = fs::read_dir(home.path().join("reload")) else { return vec![] };
    all.map(|one| one.unwrap().file_name().into_string().unwrap()).collect()
}

fn change(home: &Home, secret: &str, to: &str) {
    home.ok("secret.edit", json!({ "secret": secret, "credentials": { "token": to } }));
}

/// Changes the secret of [`LAST`], and waits until all files were looked at.
fn turn(home: &Home, value: &str) {
    change(home, "last", value);
    until_it_holds(home, "last", value);
    until_asked(home, "last.service");
}

#[test]
fn a_refresh_changes_the_file_and_nothing_else_does() {
    let (home, daemon) = rendering(
        "[[render]]\nfile = 'app.env'\ntext = \"TOKEN=%secret:s%\\nPERCENT=%%\\n\"\nunit = 'app.service'\naction = 'restart'\n",
    );
    home.create(token("last", "0"));
    let issuer = FaultIssuer::new(Reply::Grant(20));
    home.create(grant("s", &issuer.token_url()));
    until_it_holds(&home, "app.env", "TOKEN=granted-1\nPERCENT=%\n");
    until_asked(&home, "app.service");
    let directory = fs::metadata(home.path().join("render")).unwrap();
    assert_eq!(directory.mode() & 0o777, 0o711);
    assert_eq!(fs::metadata(file(&home, "app.env")).unwrap().mode() & 0o777, 0o600);

    issuer.from_now_on(Reply::Grant(3_600));
    issuer.until_count(2); // nobody asked for it
    until_it_holds(&home, "app.env", "TOKEN=granted-2\nPERCENT=%\n");
    until_asked(&home, "app.service");

    let before = writing(&home, "app.env");
    turn(&home, "1");
    assert_eq!((writing(&home, "app.env"), requests(&home)), (before, vec![]));

    // who starts anew knows by the file
    assert!(daemon.stop().success());
    assert_eq!(writing(&home, "app.env"), before, "it stays while there is no daemon");
    let _daemon = home.start();
    turn(&home, "2");
    assert_eq!((writing(&home, "app.env"), requests(&home)), (before, vec![]));

    let entries = entries(&home);
    let about = |name: &str| {
        let of = entries.iter().filter(|entry| entry["method"] == "render" && entry["subject"] == name);
        of.map(|entry| (entry["principal"].clone(), entry["secret"].clone())).collect::<Vec<_>>()
    };
    let written = (json!("agent"), json!("personal/s"));
    assert_eq!(about("app.env"), [written.clone(), written]);
    assert_eq!(counted(&entries, "render", "ok"), 5);
    for text in ["granted", "TOKEN="] {
        assert!(!home.log().contains(text), "{}", home.log());
    }
}

#[test]
fn what_changes_together_is_one_batch_with_one_request() {
    let (home, _daemon) = rendering(
        "[[render]]\nfile = 'a'\ntext = '%secret:s%'\nunit = 'app.service'\n\
         [[render]]\nfile = 'b'\ntext = '%secret:s|base64% %secret:other%'\nunit = 'app.service'\n",
    );
    home.create(token("last", "0"));
    home.create(token("s", "one"));
    home.create(token("other", "1"));
    until_asked(&home, "app.service");
    change(&home, "s", "two");
    change(&home, "other", "2");
    until_asked(&home, "app.service");
    // both were there before it was asked
    let held = ["a", "b"].map(|name| fs::read_to_string(file(&home, name)).unwrap());
    assert_eq!(held, ["two", "dHdv 2"]);
    turn(&home, "1");
    assert_eq!(requests(&home), [""; 0]);
}

#[test]
fn its_readers_read_it_and_nobody_else_does() {
    if !can_become_others() {
        return;
    }
    let (reader, member, other) = (40_001, 40_002, 40_003);
    let (home, _daemon) = rendering(&format!(
        "[[render]]\nfile = 'a'\ntext = 'x%secret:s%'\nreaders = ['uid {reader}', 'gid {member}']\n\
         [[render]]\nfile = 'b'\ntext = 'x%secret:s%'\n"
    ));
    home.create(token("last", "0"));
    home.create(token("s", "one"));
    until_it_holds(&home, "b", "xone");
    // as the runtime directory of a server is
    fs::set_permissions(home.path(), Permissions::from_mode(0o711)).unwrap();
    let read =
        |uid, name| as_user(uid, || fs::read_to_string(file(&home, name)).map_err(|error| error.kind()));
    assert_eq!(read(reader, "a").unwrap(), "xone");
    assert_eq!(read(member, "a").unwrap(), "xone");
    for (uid, name) in [(other, "a"), (reader, "b"), (member, "b"), (other, "b")] {
        assert_eq!(read(uid, name), Err(ErrorKind::PermissionDenied), "{uid} {name}");
    }
    let write = as_user(reader, || fs::write(file(&home, "a"), "").map_err(|error| error.kind()));
    assert_eq!(write, Err(ErrorKind::PermissionDenied));
    let list = as_user(reader, || fs::read_dir(home.path().join("render")).map(drop).map_err(|e| e.kind()));
    assert_eq!(list, Err(ErrorKind::PermissionDenied));
}

#[test]
fn what_is_gone_is_removed_and_what_waits_stays() {
    let (home, daemon) = rendering(
        "[[render]]\nfile = 'a'\ntext = '%secret:s%'\nunit = 'app.service'\n\
         [[render]]\nfile = 'b'\ntext = '%secret:kept%'\nunit = 'app.service'\n",
    );
    for (name, value) in [("last", "0"), ("s", "one"), ("kept", "two")] {
        home.create(token(name, value));
    }
    until_it_holds(&home, "a", "one");
    until_asked(&home, "app.service");
    home.ok("secret.deactivate", json!({ "secret": "s" }));
    until("the file goes", || (!file(&home, "a").exists()).then_some(()));
    turn(&home, "1");
    assert_eq!(requests(&home), [""; 0], "nobody is told of a file that is gone");
    assert_eq!(home.log().matches("personal/s is deactivated").count(), 1, "{}", home.log());

    home.ok("secret.reactivate", json!({ "secret": "s" }));
    until_it_holds(&home, "a", "one");
    until_asked(&home, "app.service");

    // locked, a file stays as it is; one that no render names goes without a key
    home.ok("vault.lock", json!({}));
    let before = writing(&home, "b");
    home.config(&format!("[[render]]\nfile = 'b'\ntext = 'new %secret:kept%'\nunit = 'app.service'\n{LAST}"));
    daemon.signal(Signal::HUP);
    until("the file goes", || (!file(&home, "a").exists()).then_some(()));
    assert_eq!(writing(&home, "b"), before);
    home.ok("vault.unlock", json!({}));
    until_it_holds(&home, "b", "new two");
    until_asked(&home, "app.service");
    home.ok("secret.delete", json!({ "secret": "kept" }));
    until("the file goes", || (!file(&home, "b").exists()).then_some(()));
}

#[test]
fn a_new_config_holds_at_once_and_one_with_a_mistake_changes_nothing() {
    let (home, daemon) = rendering("[[render]]\nfile = 'old'\ntext = '%secret:last%'\n");
    home.create(token("last", "0"));
    until_it_holds(&home, "old", "0");
    home.config("[[render]]\nfile = 'new'\ntext = \"first\\n%secret:last\"\n");
    daemon.signal(Signal::HUP);
    until("the mistake is told", || home.log().contains("render of new: line 2, column 1").then_some(()));
    home.config(&format!("[[render]]\nfile = 'new'\ntext = '<%secret:last%>'\n{LAST}"));
    daemon.signal(Signal::HUP);
    until_it_holds(&home, "new", "<0>");
    until("the old one goes", || (!file(&home, "old").exists()).then_some(()));
}

#[test]
fn it_is_what_the_command_line_renders() {
    let template =
        "%api|json% %acme/api:token% %beta/api% %secret:acme/api-production% %acme/pair:USER% 100%%\n";
    let home = Home::in_memory();
    let path = home.file("app.tmpl", template);
    let toml = |environment: &str| {
        format!(
            "organization = 'acme'\n[[render]]\nfile = 'app.env'\ntemplate = '{}'\nenvironment = '{environment}'\n{LAST}",
            path.display()
        )
    };
    home.config(&toml("acme/production"));
    let daemon = home.start();
    home.ok("vault.init", json!({ "key_file": home.key_file() }));
    acme_with_api(&home);
    organization(&home, "beta");
    for stage in ["staging", "production"] {
        bound(&home, &format!("beta/{stage}"), &format!("beta/{stage}"), &format!("beta of {stage}"));
        let mut pair = json!({ "secret": format!("acme/pair-{stage}"), "type": "key-value",
                "credentials": { "entries": { "USER": format!("{stage} robot") } } });
        pair["environment"] = json!(stage);
        home.create(pair);
    }
    for (element, of) in [("beta/api", "beta/"), ("acme/pair", "acme/pair-")] {
        home.ok(
            "element.set",
            json!({ "element": element, "staging": format!("{of}staging"), "production": format!("{of}production") }),
        );
    }
    for environment in ["acme/production", "acme/staging"] {
        let printed = home.cli(&["render", path.to_str().unwrap(), "-e", environment]).ok().out;
        assert!(printed.contains(&format!("of {}", &environment[5..])), "{printed}");
        home.config(&toml(environment));
        daemon.signal(Signal::HUP);
        until_it_holds(&home, "app.env", &printed);
    }

    // an empty slot is a value that is gone
    home.ok("element.set", json!({ "element": "beta/api", "staging": null }));
    until("the file goes", || (!file(&home, "app.env").exists()).then_some(()));
    assert_ne!(home.cli(&["render", path.to_str().unwrap(), "-e", "acme/staging"]).code, 0);
}

#[test]
fn a_value_that_fails_to_come_leaves_the_file() {
    let (home, _daemon) = rendering("[[render]]\nfile = 'a'\ntext = '%secret:s%'\nunit = 'app.service'\n");
    home.create(token("last", "0"));
    let issuer = FaultIssuer::new(Reply::Grant(3_600));
    home.create(grant("s", &issuer.token_url()));
    until_it_holds(&home, "a", "granted-1");
    until_asked(&home, "app.service");
    issuer.from_now_on(Reply::Json(401, r#"{"error":"invalid_client"}"#));
    home.ok(
        "secret.edit",
        json!({ "secret": "s", "credentials": { "client_secret": "another-0123456789" } }),
    );
    home.ok("secret.wait", json!({ "secret": "s" }));
    let before = writing(&home, "a");
    turn(&home, "1");
    assert_eq!((writing(&home, "a"), requests(&home)), (before, vec![]));
}
