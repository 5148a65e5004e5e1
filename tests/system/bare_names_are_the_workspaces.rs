//! A name without an organization belongs, inside of a workspace that sets one, to that organization; outside to the agent's
//! own. A `bursar.toml` that nobody trusts does not say which value is pulled.

use bursar_tests::cli::{Run, command};
use bursar_tests::library::acme_with_api;
use bursar_tests::secrets::token;
use bursar_tests::{Daemon, Home, Workspace, open_vault};
use serde_json::json;

fn acme() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    (home, daemon)
}

#[test]
fn every_command_takes_a_bare_name_for_the_workspaces() {
    let (home, _daemon) = acme();
    home.create(token("mine", "value-of-mine"));
    let workspace = Workspace::with(&home, "w", "organization = 'acme'\n");
    let shows = |arguments: &[&str], text: &str| {
        let run = workspace.run(arguments).ok();
        assert!(run.out.contains(text), "{arguments:?}: {run:?}");
    };
    shows(&["get", "api-staging"], "value-of-staging");
    shows(&["get", "api-staging", "--json"], "acme/api-staging");
    shows(&["get", "personal/mine"], "value-of-mine");
    shows(&["wait", "api-staging"], "acme/api-staging");
    shows(&["secret", "show", "api-staging"], "acme/api-staging");
    shows(&["secret", "where", "api-staging"], "acme/api");
    shows(&["secret", "list", "--environment", "staging"], "acme/api-staging");
    shows(&["secret", "deactivate", "api-staging"], "acme/api-staging");
    shows(&["secret", "reactivate", "api-staging"], "acme/api-staging");
    shows(&["secret", "retry", "api-staging", "--no-wait"], "acme/api-staging");
    shows(
        &["secret", "edit", "api-staging", "--expiration-date", "2100-01-01T00:00:00Z"],
        "acme/api-staging",
    );
    home.file("token", "value-of-new");
    let file = home.path().join("token");
    let create = ["secret", "create", "new", "--type", "token", "--unbound", "--token-file"];
    shows(&[&create[..], &[file.to_str().unwrap()]].concat(), "acme/new");
    shows(&["secret", "bind", "new", "staging"], "acme/new");
    shows(&["secret", "delete", "new", "--yes"], "acme/new");
    shows(&["element", "set", "made", "--staging", "api-staging"], "acme/made");
    shows(&["element", "show", "made"], "acme/api-staging");
    shows(&["element", "resolve", "made", "-e", "staging"], "acme/api-staging");
    shows(&["element", "delete", "made", "--yes"], "acme/made");
    shows(&["environment", "create", "dev-2", "--stage", "development"], "acme/dev-2");
    shows(&["environment", "show", "dev-2"], "acme/dev-2");
    shows(&["environment", "delete", "dev-2", "--yes"], "acme/dev-2");
    workspace.refused(5, "not_found", &["secret", "show", "mine"]);

    assert_eq!(home.cli(&["get", "mine"]).ok().out, "value-of-mine\n", "there is no workspace around");
    let plain = Workspace::empty(&home, "plain");
    plain.write("bursar.toml", "environment = 'acme/staging'\n");
    assert_eq!(plain.run(&["get", "mine"]).ok().out, "value-of-mine\n", "it says nothing of names");
}

#[test]
fn a_bare_name_pulls_nothing_for_a_workspace_that_nobody_trusts() {
    let (home, _daemon) = acme();
    home.create(token("api-staging", "value-of-mine"));
    let cloned = Workspace::empty(&home, "cloned");
    cloned.write("bursar.toml", "organization = 'acme'\n");
    cloned.write("below/x", "");
    for arguments in [&["get", "api-staging"][..], &["get", "--header", "api-staging"]] {
        let said = cloned.refused(4, "untrusted", arguments);
        assert!(said.contains("bursar workspace trust"), "{said}");
    }
    let mut bursar = command(&home, &["get", "api-staging"]);
    let run = Run::finish(bursar.current_dir(cloned.path("below")).spawn().unwrap(), None);
    assert_eq!((run.code, run.out.as_str()), (4, ""), "{run:?}");
    assert_eq!(cloned.run(&["get", "acme/api-staging"]).ok().out, "value-of-staging\n");
    assert_eq!(cloned.run(&["get", "personal/api-staging"]).ok().out, "value-of-mine\n");
    cloned.run(&["workspace", "trust"]).ok();
    assert_eq!(cloned.run(&["get", "api-staging"]).ok().out, "value-of-staging\n");
}

#[test]
fn a_broken_file_is_told_to_bare_names_alone() {
    let (home, _daemon) = acme();
    let workspace = Workspace::empty(&home, "w");
    workspace.write("bursar.toml", "organization = 'ac me'\n");
    for arguments in
        [&["get", "api-staging"][..], &["secret", "show", "x"], &["element", "show", "x"], &["watch", "x"]]
    {
        let said = workspace.refused(2, "invalid", arguments);
        assert!(said.starts_with("bursar.toml, line 1: "), "{said}");
    }
    assert_eq!(workspace.run(&["get", "acme/api-staging"]).ok().out, "value-of-staging\n");
    home.ok("secret.show", json!({ "secret": "acme/api-staging" }));
}
