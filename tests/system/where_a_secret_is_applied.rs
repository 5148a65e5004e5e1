//! Where a secret is applied: the slots that hold it, the versions that name it, the files that hold its artifact.

use bursar_tests::library::{acme_with_api, bound, file, organization, site};
use bursar_tests::{Daemon, Home, open_vault};
use serde_json::{Value, json};

fn with_api() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    (home, daemon)
}

fn applied(home: &Home, secret: &str) -> Value {
    home.ok("secret.where", json!({ "secret": secret }))
}

/// Notes a workspace with these files, each with the secrets that are in it; answers when that was.
fn record(home: &Home, path: &str, files: &[(&str, &[&str])]) -> Value {
    let file = |(path, secrets): &(&str, &[&str])| json!({ "path": path, "package": "acme/site", "version": "1.0.0", "digests": ["0".repeat(64)], "secrets": secrets });
    let files: Vec<Value> = files.iter().map(file).collect();
    let params = json!({ "workspace": path, "environment": "acme/staging", "files": files, "synced": true });
    home.ok("workspace.record", params)["synced_at"].clone()
}

#[test]
fn slots_versions_and_files_are_listed() {
    let (home, daemon) = with_api();
    let unused = json!({
        "secret": "acme/api-staging", "environment": "acme/staging", "elements": [{ "element": "acme/api", "stage": "staging" }],
        "packages": [], "workspaces": [], "callers": [],
    });
    assert_eq!(applied(&home, "acme/api-staging"), unused);

    home.ok("element.set", json!({ "element": "acme/a-first", "staging": "api-staging" }));
    let elements =
        json!({ "TOKEN": "api", "OWN": { "staging": "api-staging", "production": "api-production" } });
    home.ok("package.publish", site("1.10.0", elements.clone(), json!([file("a", "%TOKEN%")])));
    home.ok("package.publish", site("1.9.0", json!({ "TOKEN": "api" }), json!([])));
    home.ok(
        "package.publish",
        site("1.11.0", json!({ "OTHER": { "production": "api-production" } }), json!([])),
    );
    let mut other = site("0.1.0", json!({ "acme/a-first": "a-first" }), json!([]));
    other["package"] = json!("acme/base");
    home.ok("package.publish", other);
    let both: &[&str] = &["acme/api-staging", "acme/api-production"];
    let second = record(&home, "/w/second", &[("sub/b", both), ("a", both), ("none", &[])]);
    let first =
        record(&home, "/w/first", &[(".npmrc", &["acme/api-staging"]), ("x", &["acme/api-production"])]);
    record(&home, "/w/third", &[("x", &["acme/api-production"]), ("none", &[])]);

    let used = |package: &str, version: &str, element: &str| json!({ "package": package, "version": version, "element": element, "stage": "staging" });
    let mut expected = json!({
        "secret": "acme/api-staging",
        "environment": "acme/staging",
        "elements": [
            { "element": "acme/a-first", "stage": "staging" },
            { "element": "acme/api", "stage": "staging" },
        ],
        "packages": [
            used("acme/base", "0.1.0", "acme/a-first"),
            used("acme/site", "1.9.0", "TOKEN"),
            used("acme/site", "1.10.0", "OWN"),
            used("acme/site", "1.10.0", "TOKEN"),
        ],
        "workspaces": [
            { "workspace": "/w/first", "files": [".npmrc"], "synced_at": first },
            { "workspace": "/w/second", "files": ["sub/b", "a"], "synced_at": second },
        ],
        "callers": [],
    });
    assert_eq!(sorted(applied(&home, "acme/api-staging")), sorted(expected.clone()));
    daemon.kill9();
    let _daemon = home.start();
    home.ok("vault.rekey", json!({}));
    assert_eq!(sorted(applied(&home, "acme/api-staging")), sorted(expected.clone()));

    // it follows what changes
    home.ok("element.set", json!({ "element": "acme/a-first", "staging": null }));
    home.ok("element.delete", json!({ "element": "acme/api" }));
    home.ok("workspace.forget", json!({ "workspace": "/w/second" }));
    expected["elements"] = json!([]);
    expected["packages"] = json!([used("acme/site", "1.10.0", "OWN")]);
    expected["workspaces"].as_array_mut().unwrap().pop();
    assert_eq!(applied(&home, "acme/api-staging"), expected);
}

/// The same with the files of each workspace in their order.
fn sorted(mut applied: Value) -> Value {
    for workspace in applied["workspaces"].as_array_mut().unwrap() {
        workspace["files"].as_array_mut().unwrap().sort_by_key(ToString::to_string);
    }
    applied
}

#[test]
fn a_secret_of_the_same_name_elsewhere_is_another_one() {
    let (home, _daemon) = with_api();
    organization(&home, "beta");
    bound(&home, "beta/api-staging", "staging", "v");
    home.ok("package.publish", site("1.0.0", json!({ "OWN": { "staging": "api-staging" } }), json!([])));
    let params = json!({ "package": "beta/site", "version": "1.0.0", "elements": { "OWN": { "staging": "api-staging" } }, "files": [] });
    home.ok("package.publish", params);
    for organization in ["acme", "beta"] {
        let applied = applied(&home, &format!("{organization}/api-staging"));
        let packages = applied["packages"].as_array().unwrap();
        assert_eq!(packages.len(), 1, "{applied}");
        assert_eq!(packages[0]["package"], format!("{organization}/site"));
    }
}

#[test]
fn what_comes_after_a_deleted_secret_is_where_the_versions_name_it_and_nowhere_else() {
    let (home, daemon) = with_api();
    home.ok(
        "package.publish",
        site("1.0.0", json!({ "T": "api", "OWN": { "staging": "api-staging" } }), json!([])),
    );
    record(&home, "/w", &[("a", &["acme/api-staging", "acme/api-production"])]);
    home.ok("secret.delete", json!({ "secret": "acme/api-staging" }));
    let check = || {
        let workspace = home.ok("workspace.show", json!({ "workspace": "/w" }));
        assert_eq!(workspace["files"][0]["secrets"], json!(["acme/api-production"]), "{workspace}");
    };
    check();
    bound(&home, "acme/api-staging", "staging", "anew");
    check();
    let applied = applied(&home, "acme/api-staging");
    assert_eq!((&applied["elements"], &applied["workspaces"]), (&json!([]), &json!([])), "{applied}");
    assert_eq!(applied["packages"].as_array().unwrap().len(), 1, "{applied}");
    daemon.kill9();
    let _daemon = home.start();
    check();
}

#[test]
fn an_organization_goes_with_its_elements_and_packages_but_not_with_secrets() {
    let (home, daemon) = with_api();
    organization(&home, "beta");
    bound(&home, "beta/s", "staging", "v");
    home.ok("element.set", json!({ "element": "beta/e", "staging": "beta/s" }));
    for version in ["1.0.0", "1.1.0"] {
        let template = "x".repeat(100_000); // of more than one part
        let params = json!({ "package": "beta/p", "version": version, "elements": { "E": "e" }, "files": [file("a", &template)] });
        home.ok("package.publish", params);
    }
    let digest = "0".repeat(64);
    let file = json!({ "path": "a", "package": "beta/p", "version": "1.0.0", "digests": [digest], "secrets": ["beta/s"] });
    home.ok("workspace.record", json!({ "workspace": "/w", "environment": "beta/staging", "files": [file] }));
    let listed = |name: &str| {
        let all = home.ok("organization.list", json!({}));
        let found = all.as_array().unwrap().iter().find(|one| one["organization"] == name).cloned();
        found.map(|one| {
            (
                one["environments"].clone(),
                one["secrets"].clone(),
                one["elements"].clone(),
                one["packages"].clone(),
            )
        })
    };
    assert_eq!(listed("beta"), Some((json!(3), json!(1), json!(1), json!(1))));
    let delete = || home.call("organization.delete", json!({ "organization": "beta" }));
    let refused = delete().unwrap_err();
    assert_eq!(
        (refused.name.as_str(), refused.message.as_str()),
        ("conflict", "organization beta has 1 secrets")
    );
    assert_eq!(listed("beta"), Some((json!(3), json!(1), json!(1), json!(1))));

    home.ok("secret.delete", json!({ "secret": "beta/s" }));
    delete().unwrap();
    let gone = || {
        assert_eq!(listed("beta"), None);
        for (method, params) in [
            ("element.show", json!({ "element": "beta/e" })),
            ("package.show", json!({ "package": "beta/p" })),
            ("package.fetch", json!({ "package": "beta/p", "version": "1.0.0" })),
            ("environment.show", json!({ "environment": "beta/staging" })),
        ] {
            assert_eq!(home.refused(method, params), "not_found", "{method}");
        }
        let all = home.ok("element.list", json!({}));
        assert_eq!(all.as_array().unwrap().len(), 1, "acme's stays: {all}");
        let workspace = home.ok("workspace.show", json!({ "workspace": "/w" }));
        assert!(workspace["environment"].is_null(), "{workspace}");
        assert_eq!(
            (&workspace["files"][0]["path"], &workspace["files"][0]["secrets"]),
            (&json!("a"), &json!([]))
        );
    };
    gone();
    daemon.kill9();
    let _daemon = home.start();
    gone();
    // whoever takes the name begins with nothing, and may publish what was published before
    organization(&home, "beta");
    assert_eq!(listed("beta"), Some((json!(3), json!(0), json!(0), json!(0))));
    let params = json!({ "package": "beta/p", "version": "1.0.0", "elements": {}, "files": [] });
    home.ok("package.publish", params);
}
