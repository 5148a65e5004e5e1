//! What was published stays as it was: through other calls, restarts, new keys, backups and snapshots.

use bursar_tests::library::{acme_with_api, bound, file, organization, site};
use bursar_tests::secrets::token;
use bursar_tests::{Daemon, Home, open_vault};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;

/// How many versions a package has at the most.
const VERSIONS_MAX: usize = 1_000;

fn with_api() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    (home, daemon)
}

fn elements() -> Value {
    json!({ "TOKEN": "api", "OWN": { "staging": "acme/api-staging" } })
}

fn files() -> Value {
    json!([
        file("sub/pip.conf", "index = %OWN% %TOKEN|url%\n%TOKEN% 100%%\n"),
        file(".npmrc", "//registry.test/:_authToken=%TOKEN%\n"),
        { "path": "run.sh", "mode": "0755", "template": "#!/bin/sh\necho 100%%\n" },
    ])
}

/// Publishes `version` with [`elements`] and [`files`].
#[track_caller]
fn published(home: &Home, version: &str) -> Value {
    home.ok("package.publish", site(version, elements(), files()))
}

fn fetch(home: &Home, version: &str) -> Value {
    home.ok("package.fetch", json!({ "package": "acme/site", "version": version }))
}

fn versions(home: &Home, package: &str) -> Vec<String> {
    let info = home.ok("package.show", json!({ "package": package }));
    let versions = info["versions"].as_array().unwrap().iter();
    versions.map(|version| version["version"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_version_is_shown_listed_and_fetched_as_it_was_published() {
    let (home, _daemon) = with_api();
    let version = published(&home, "1.2.0");
    let uid = rustix::process::getuid().as_raw();
    assert_eq!(
        version,
        json!({
            "package": "acme/site", "version": "1.2.0", "digest": version["digest"],
            "published_at": version["published_at"], "published_by": format!("uid {uid}"),
            "elements": {
                "TOKEN": "acme/api",
                "OWN": { "development": null, "staging": "acme/api-staging", "production": null },
            },
            "files": [
                { "path": ".npmrc", "mode": "0600", "bytes": 36, "elements": ["TOKEN"] },
                { "path": "run.sh", "mode": "0755", "bytes": 21, "elements": [] },
                { "path": "sub/pip.conf", "mode": "0600", "bytes": 40, "elements": ["OWN", "TOKEN"] },
            ],
        })
    );
    let info = home.ok("package.show", json!({ "package": "acme/site" }));
    assert_eq!(info, json!({ "package": "acme/site", "versions": [version] }));
    assert!(!info.to_string().contains("registry.test"), "it shows a template");
    let content = fetch(&home, "1.2.0");
    assert_eq!(content["digest"], version["digest"]);
    assert_eq!(content["elements"], version["elements"]);
    let mut sent = files().as_array().unwrap().clone();
    sent.sort_by_key(|file| file["path"].as_str().unwrap().to_owned());
    assert_eq!(content["files"], json!(sent));
    let listed = json!({ "package": "acme/site", "latest": "1.2.0", "versions": 1, "published_at": version["published_at"] });
    assert_eq!(home.ok("package.list", json!({})), json!([listed]));
    organization(&home, "beta");
    assert_eq!(home.ok("package.list", json!({ "organization": "beta" })), json!([]));
    assert_eq!(home.refused("package.list", json!({ "organization": "nobody" })), "not_found");
    assert_eq!(home.refused("package.show", json!({ "package": "acme/other" })), "not_found");
    for (package, version) in [("acme/site", "1.2.1"), ("acme/other", "1.2.0"), ("site", "1.2.0")] {
        let params = json!({ "package": package, "version": version });
        assert_eq!(home.refused("package.fetch", params), "not_found", "{package} {version}");
    }
}

#[test]
fn the_digest_is_over_name_version_elements_and_files() {
    let (home, _daemon) = with_api();
    // the SHA-256 of {"package":…,"version":…,"elements":{…},"files":[{"path":…,"mode":…,"template":…}]} without blanks
    let example = json!({
        "API_TOKEN": { "development": "acme/adobe-io", "staging": "acme/api-stg", "production": null },
        "CDN_KEY": "acme/cdn-key",
    });
    let npmrc = json!([file(".npmrc", "//registry.example/:_authToken=%API_TOKEN%\n")]);
    let version = home.ok("package.publish", site("1.2.0", example, npmrc));
    assert_eq!(version["digest"], "152658b29d0cbf98128b9f9c4119d6d71a74786521765ceff585fc34d599f2e5");

    let digest = |package: &str, version: &str, elements: Value, files: Value| {
        let mut params = site(version, elements, files);
        params["package"] = json!(package);
        params["dry_run"] = json!(true);
        home.ok("package.publish", params)["digest"].as_str().unwrap().to_owned()
    };
    let whole = digest("acme/x", "1.0.0", json!({ "A": "api" }), json!([file("a", "%A%"), file("b", "")]));
    let same =
        digest("acme/x", "1.0.0", json!({ "A": "acme/api" }), json!([file("b", ""), file("a", "%A%")]));
    assert_eq!(whole, same, "said shorter, and in another order");
    let one = json!([file("a", "%A%"), file("b", "")]);
    let a = json!({ "A": "api" });
    let others = [
        digest("acme/y", "1.0.0", a.clone(), one.clone()),
        digest("acme/x", "1.0.1", a.clone(), one.clone()),
        digest("acme/x", "1.0.0", json!({ "A": "api-2" }), one.clone()),
        digest("acme/x", "1.0.0", json!({ "A": { "staging": "api" } }), one),
        digest("acme/x", "1.0.0", a.clone(), json!([file("a", "%A%"), file("c", "")])),
        digest("acme/x", "1.0.0", a.clone(), json!([file("a", "%A% "), file("b", "")])),
        digest(
            "acme/x",
            "1.0.0",
            a,
            json!([file("a", "%A%"), { "path": "b", "mode": "0644", "template": "" }]),
        ),
    ];
    let distinct: BTreeSet<_> = others.iter().chain([&whole]).collect();
    assert_eq!(distinct.len(), others.len() + 1);
}

#[test]
fn a_version_is_published_once() {
    let (home, _daemon) = with_api();
    published(&home, "1.0.0");
    let before = fetch(&home, "1.0.0");
    for (elements, files) in [(elements(), files()), (json!({}), json!([]))] {
        for dry_run in [false, true] {
            let mut params = site("1.0.0", elements.clone(), files.clone());
            params["dry_run"] = json!(dry_run);
            let refused = home.call("package.publish", params).unwrap_err();
            assert_eq!(refused.name, "conflict", "{refused}");
            assert!(refused.message.starts_with("acme/site 1.0.0 is published"), "{refused}");
            assert!(refused.hint.contains("version"), "{refused}");
        }
    }
    assert_eq!(fetch(&home, "1.0.0"), before);
    assert_eq!(versions(&home, "acme/site"), ["1.0.0"]);
}

#[test]
fn of_two_who_publish_one_version_at_once_one_is_refused() {
    let (home, _daemon) = with_api();
    let mut socket = home.connect();
    for at in 0..20 {
        socket.ask("package.publish", &site("1.0.0", json!({}), json!([file("a", &format!("{at}"))])));
    }
    let answers: Vec<Value> = (0..20).map(|_| socket.json()).collect();
    let good: Vec<&Value> = answers.iter().filter(|answer| answer["error"].is_null()).collect();
    assert_eq!(good.len(), 1, "{good:?}");
    assert_eq!(fetch(&home, "1.0.0")["digest"], good[0]["result"]["digest"]);
    assert!(
        answers
            .iter()
            .all(|answer| answer["error"].is_null() || answer["error"]["data"]["name"] == "conflict")
    );
}

#[test]
fn a_dry_run_checks_the_same_and_publishes_nothing() {
    let (home, _daemon) = with_api();
    let dry = |mut params: Value| {
        params["dry_run"] = json!(true);
        home.call("package.publish", params)
    };
    let would = dry(site("1.0.0", elements(), files())).unwrap();
    assert!(would["published_at"].is_null(), "{would}");
    assert_eq!(home.ok("package.list", json!({})), json!([]));
    assert_eq!(home.refused("package.show", json!({ "package": "acme/site" })), "not_found");
    let mut is = published(&home, "1.0.0");
    is["published_at"] = Value::Null;
    assert_eq!(is, would);
    for params in [
        site("1.0.1", json!({}), json!([file("a", "%A%")])),
        site("1.0.1", json!({}), json!([file("a", "value-of-staging")])),
        site("1.0.1", json!({ "A": "beta/x" }), json!([])),
        json!({ "package": "nobody/x", "version": "1.0.0", "elements": {}, "files": [] }),
    ] {
        let refused = dry(params.clone()).unwrap_err();
        assert_eq!(home.call("package.publish", params).unwrap_err(), refused);
    }
}

#[test]
fn versions_stand_in_the_order_of_semver() {
    let (home, _daemon) = with_api();
    let order = ["2.0.0", "2.0.0-rc.11", "2.0.0-rc.2", "2.0.0-rc", "2.0.0-1", "1.10.0", "1.9.0", "0.0.1"];
    for version in ["1.9.0", "2.0.0-rc.2", "0.0.1", "2.0.0", "1.10.0", "2.0.0-rc.11", "2.0.0-1", "2.0.0-rc"] {
        home.ok("package.publish", site(version, json!({}), json!([file("a", version)])));
    }
    assert_eq!(versions(&home, "acme/site"), order);
    let listed = home.ok("package.list", json!({}));
    assert_eq!((&listed[0]["latest"], &listed[0]["versions"]), (&json!("2.0.0"), &json!(8)));
    for version in order {
        assert_eq!(fetch(&home, version)["files"][0]["template"], version);
    }
    let long = format!("1.0.0-{}", "a".repeat(59));
    for version in
        ["", "1", "1.2", "v1.2.3", "1.2.3.4", "01.2.3", "1.2.3-", "1.2.3+build", "1.2.3 ", "*", &long]
    {
        let refused = home.call("package.publish", site(version, json!({}), json!([]))).expect_err(version);
        assert_eq!(refused.name, "invalid", "{version:?}: {refused}");
        assert!(refused.message.starts_with("field version: "), "{refused}");
    }
    home.ok("package.publish", site(&long[..64], json!({}), json!([])));
}

#[test]
fn a_package_has_a_thousand_versions_and_no_more() {
    let (home, _daemon) = with_api();
    let mut socket = home.connect();
    for some in (0..VERSIONS_MAX).collect::<Vec<_>>().chunks(50) {
        for at in some {
            socket.ask("package.publish", &site(&format!("0.{at}.0"), json!({}), json!([])));
        }
        for _ in some {
            let answer = socket.json();
            assert!(answer["error"].is_null(), "{answer}");
        }
    }
    let refused = home.call("package.publish", site("1.0.0", json!({}), json!([]))).unwrap_err();
    assert_eq!(refused.name, "conflict", "{refused}");
    assert!(refused.message.contains("1000 versions"), "{refused}");
    let mut other = site("1.0.0", json!({}), json!([]));
    other["package"] = json!("acme/other");
    home.ok("package.publish", other);
}

#[test]
fn a_thousand_elements_and_a_hundred_files_are_one_package() {
    let (home, daemon) = with_api();
    let elements = |count: usize| -> Value {
        let element = |at: usize| match at % 2 {
            0 => json!("api"),
            _ => json!({ "staging": "api-staging" }),
        };
        (0..count).map(|at| (format!("E{at}"), element(at))).collect::<serde_json::Map<_, _>>().into()
    };
    let files = |count: usize| -> Value {
        (0..count)
            .map(|at| {
                let marks = (0..10).map(|mark| format!("%E{}%\n", 10 * at + mark));
                file(&format!("f/{at:03}"), &marks.collect::<String>())
            })
            .collect()
    };
    let version = home.ok("package.publish", site("1.0.0", elements(1_000), files(100)));
    assert_eq!(version["elements"].as_object().unwrap().len(), 1_000);
    let before = fetch(&home, "1.0.0");
    daemon.kill9();
    let _daemon = home.start();
    assert_eq!(fetch(&home, "1.0.0"), before);
    let params = json!({ "package": "acme/site", "version": "1.0.0", "stage": "staging" });
    let resolution = home.ok("package.resolve", params);
    let resolved = resolution["elements"].as_array().unwrap();
    assert!(resolved.len() == 1_000 && resolved.iter().all(|one| one["secret"] == "acme/api-staging"));
    for (elements, files, word) in [
        (elements(1_001), json!([]), "field elements: a library has at most 1000 elements"),
        (elements(1_000), files(101), "field files: has at most 100 members"),
    ] {
        let refused = home.call("package.publish", site("1.0.1", elements, files)).unwrap_err();
        assert!(refused.name == "invalid" && refused.message.contains(word), "{refused}");
    }
}

#[test]
fn a_package_of_many_parts_comes_back_whole() {
    let (home, daemon) = with_api();
    // near what a request line takes: two templates of the greatest length do not fit one
    let long: String = (0..).map(|at| format!("line {at} %TOKEN%\n")).take(12_000).collect();
    let long = &long[..=long[..120_000].rfind('\n').unwrap()];
    let files = json!([file("a", long), file("b", long)]);
    let version = home.ok("package.publish", site("1.0.0", json!({ "TOKEN": "api" }), files.clone()));
    assert_eq!(version["files"][0]["bytes"], long.len());
    for _ in 0..2 {
        assert_eq!(fetch(&home, "1.0.0")["files"], files);
        home.ok("vault.rekey", json!({}));
    }
    daemon.kill9();
    let _daemon = home.start();
    assert_eq!(fetch(&home, "1.0.0")["files"], files);
}

#[test]
fn it_survives_a_kill_new_keys_a_backup_and_the_loss_of_the_store() {
    let (home, daemon) = with_api();
    published(&home, "1.0.0");
    published(&home, "1.1.0-rc.1");
    let all = || {
        let info = home.ok("package.show", json!({ "package": "acme/site" }));
        (info, fetch(&home, "1.0.0"), fetch(&home, "1.1.0-rc.1"))
    };
    let before = all();
    daemon.kill9();
    let daemon = home.start();
    assert_eq!(all(), before);
    home.ok("vault.rekey", json!({}));
    assert_eq!(all(), before);
    let backup = home.path().join("backup");
    home.ok("vault.backup", json!({ "file": backup }));
    published(&home, "2.0.0");
    home.ok("vault.restore", json!({ "file": backup }));
    home.call("vault.unlock", json!({})).ok(); // a restored vault may be locked
    assert_eq!(all(), before);

    assert!(daemon.stop().success()); // keeps a snapshot
    fs::write(home.path().join("state/store/db"), vec![0xA5; 600_000]).unwrap();
    let _daemon = home.start();
    assert!(home.log().contains("built anew from a snapshot"), "{}", home.log());
    assert_eq!(all(), before);
    assert_eq!(
        home.call("package.publish", site("1.0.0", elements(), files())).unwrap_err().name,
        "conflict"
    );
}

#[test]
fn what_a_version_names_keeps_its_name() {
    let (home, _daemon) = with_api();
    bound(&home, "acme/free", "development", "v");
    organization(&home, "beta");
    bound(&home, "beta/api-staging", "development", "v");
    published(&home, "1.0.0");
    let rename = |secret: &str, to: &str| home.call("secret.edit", json!({ "secret": secret, "name": to }));
    let refused = rename("acme/api-staging", "other").unwrap_err();
    assert_eq!(refused.name, "conflict", "{refused}");
    assert_eq!(refused.message, "acme/api-staging is named by acme/site 1.0.0, so its name stays");
    assert!(!refused.hint.is_empty());
    // its own name is no new one, and everything else can change
    rename("acme/api-staging", "acme/api-staging").unwrap();
    home.ok("secret.edit", json!({ "secret": "acme/api-staging", "credentials": { "token": "another" } }));
    // in no version; in a version through a data element alone; the same name in another organization
    for (secret, to) in
        [("acme/free", "freed"), ("acme/api-production", "prod"), ("beta/api-staging", "beta/other")]
    {
        rename(secret, to).unwrap();
    }
    let element = home.ok("element.show", json!({ "element": "acme/api" }));
    assert_eq!(element["production"], "acme/prod", "the version's element follows");
    let params = json!({ "package": "acme/site", "version": "1.0.0", "stage": "production" });
    let resolution = home.ok("package.resolve", params);
    assert_eq!(resolution["elements"][1]["secret"], "acme/prod", "{resolution}");
}

#[test]
fn what_it_names_may_go_and_come_back() {
    let (home, _daemon) = with_api();
    published(&home, "1.0.0");
    let before = fetch(&home, "1.0.0");
    home.ok("secret.delete", json!({ "secret": "acme/api-staging" }));
    home.ok("element.delete", json!({ "element": "acme/api" }));
    assert_eq!(fetch(&home, "1.0.0"), before);
    let states = || {
        let params = json!({ "package": "acme/site", "version": "1.0.0", "stage": "staging" });
        let elements = home.ok("package.resolve", params)["elements"].take();
        (elements[0]["state"].clone(), elements[1]["state"].clone())
    };
    assert_eq!(states(), (json!("missing"), json!("missing")));
    bound(&home, "acme/api-staging", "staging", "anew");
    home.ok("element.set", json!({ "element": "acme/api", "staging": "api-staging" }));
    assert_eq!(states(), (json!("good"), json!("good")));
}

#[test]
fn nothing_of_it_lies_in_clear_on_the_disk() {
    let (home, daemon) = open_vault();
    home.create(token("t", "v"));
    let clear = ["osprey-a", "osprey-b", "osprey-c", "osprey-d", "osprey-e"];
    home.ok("element.set", json!({ "element": "osprey-a" }));
    let files = json!([file("osprey-d/x", "osprey-e %osprey-b%")]);
    let params = json!({ "package": "osprey-c", "version": "1.0.0", "elements": { "osprey-b": "osprey-a" }, "files": files });
    home.ok("package.publish", params);
    let backup = home.path().join("state/backup");
    home.ok("vault.backup", json!({ "file": backup }));
    assert!(daemon.stop().success());
    let (mut left, mut seen) = (vec![home.path().join("state")], 0);
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                left.push(entry.path());
                continue;
            }
            let bytes = fs::read(entry.path()).unwrap();
            seen += 1;
            for text in clear {
                let found = bytes.windows(text.len()).any(|window| window == text.as_bytes());
                assert!(!found, "{} holds {text}", entry.path().display());
            }
        }
    }
    assert!(seen >= 3, "{seen}");
}

#[test]
fn one_version_is_shown_whole_and_the_others_are_listed() {
    let (home, _daemon) = with_api();
    for version in ["1.0.0", "1.1.0"] {
        published(&home, version);
    }
    let whole = |params: Value| {
        let shown = home.ok("package.show", params);
        let versions = shown["versions"].as_array().unwrap().clone();
        versions.iter().map(|one| one["files"].is_array() && one["elements"].is_object()).collect::<Vec<_>>()
    };
    assert_eq!(whole(json!({ "package": "acme/site" })), [true, false]);
    assert_eq!(whole(json!({ "package": "acme/site", "version": "1.0.0" })), [false, true]);
    let absent = json!({ "package": "acme/site", "version": "2.0.0" });
    assert_eq!(home.refused("package.show", absent), "not_found");
    let told = home.cli(&["info", "acme/site@1.0.0"]).ok().out;
    assert!(told.contains("in 1.0.0") && told.contains(".npmrc"), "{told}");
    assert_eq!(home.cli(&["info", "acme/site@^1"]).code, 2);
}
