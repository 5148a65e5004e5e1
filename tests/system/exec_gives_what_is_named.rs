//! What `bursar exec` gives a command: variables of a workspace and of flags, each name in the environment of its own
//! organization; what no variable can hold goes into a file.

use bursar_tests::cli::{Run, command};
use bursar_tests::library::{acme_with_api, bound, environment, organization};
use bursar_tests::{Daemon, Home, Workspace, open_vault, until};
use serde_json::json;
use std::path::Path;

fn acme() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    (home, daemon)
}

const MANIFEST: &str = r#"organization = "acme"
environment = "staging"

[env]
TOKEN = "%api%"                  # a data element, by its bare name
BOTH = "%acme/api%-%OWN|json%"   # the library's own
DIRECT = "%secret:api-production%"
TAKEN = "from the file"

[library]
name = "site"

[library.elements]
OWN = { staging = "api-staging", production = "api-production" }
"#;

#[test]
fn a_workspace_names_variables_and_flags_go_over_them() {
    let (home, _daemon) = acme();
    let workspace = Workspace::with(&home, "site", MANIFEST);
    workspace.write("below/deep/x", "");
    let shown = |directory: &str, flags: &[&str]| {
        let script = r#"printf '%s\n' "$TOKEN" "$BOTH" "$DIRECT" "$TAKEN""#;
        let mut bursar = command(&home, &[&["exec"], flags, &["--", "sh", "-c", script]].concat());
        bursar.current_dir(workspace.path(directory)).env("TAKEN", "from outside");
        let run = Run::finish(bursar.spawn().unwrap(), None).ok();
        run.out.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let staging =
        ["value-of-staging", "value-of-staging-\"value-of-staging\"", "value-of-production", "from the file"];
    assert_eq!(shown("", &[]), staging);
    assert_eq!(shown("below/deep", &[]), staging);
    let over = shown("", &["--set", "TOKEN=%OWN%!", "--set", "TAKEN="]);
    assert_eq!(over, ["value-of-staging!", staging[1], staging[2], ""]);
    let production = shown("", &["-e", "production"]);
    assert_eq!(production[..2], ["value-of-production", "value-of-production-\"value-of-production\""]);
    let file = shown("", &["--file", "TAKEN=%api%"]);
    assert!(file[3].ends_with("/TAKEN"), "{file:?}");
    until("the file goes with the command", || (!Path::new(&file[3]).exists()).then_some(()));
    // a variable that is not wanted is not resolved either
    home.ok("secret.deactivate", json!({ "secret": "acme/api-production" }));
    let mut bursar = command(&home, &["exec", "--set", "DIRECT=none", "--", "true"]);
    Run::finish(bursar.current_dir(workspace.root()).spawn().unwrap(), None).ok();
    assert_eq!(workspace.run(&["exec", "--", "true"]).code, 125);
}

#[test]
fn names_of_another_organization_have_its_own_environment() {
    let (home, _daemon) = acme();
    organization(&home, "beta");
    for name in ["one", "two"] {
        let place = format!("beta/dev-{name}");
        environment(&home, &place, "development");
        bound(&home, &format!("beta/token-{name}"), &place, &format!("beta-{name}"));
    }
    home.ok("element.set", json!({ "element": "beta/token", "development": "beta/token-two" }));
    bound(&home, "beta/stg", "beta/staging", "beta-stg");
    home.ok("element.set", json!({ "element": "beta/token", "staging": "beta/stg" }));
    let shop = Workspace::with(
        &home,
        "shop",
        "organization = 'acme'\nenvironment = 'staging'\n[env]\nT = '%api% %beta/token%'\n",
    );
    let shown = |flags: &[&str]| shop.run(&[&["exec"], flags, &["--", "sh", "-c", "echo $T"]].concat());
    assert_eq!(shown(&[]).ok().out, "value-of-staging beta-stg\n", "the only one of the same stage");
    let run = shown(&["-e", "development"]);
    assert_eq!(run.code, 125, "{run:?}");
    assert!(run.err.contains("beta/dev-one, beta/dev-two") && run.err.contains("[environments]"), "{run:?}");
    shop.write(
        "bursar.toml",
        "organization = 'acme'\nenvironment = 'development'\n[environments]\nbeta = 'dev-two'\n\
         [env]\nT = '%api% %beta/token%'\n",
    );
    shop.run(&["workspace", "trust"]).ok();
    assert_eq!(shown(&[]).ok().out, "value-of-development beta-two\n");
}

#[test]
fn what_no_variable_can_hold_is_refused_and_a_file_takes_it() {
    let (home, _daemon) = open_vault();
    home.create(json!({ "secret": "kv", "type": "key-value", "credentials": { "entries": {
        "zero": "a\0b", "long": "x".repeat(10_000), "lines": "a\nb\n",
    }}}));
    let run = home.cli(&["exec", "--set", "Z=%secret:kv:zero%", "--", "true"]);
    assert_eq!(run.code, 125, "{run:?}");
    assert!(
        run.err.contains("--set Z: ") && run.err.contains("zero byte") && run.err.contains("--file"),
        "{run:?}"
    );
    let run = home.cli(&["exec", "--file", "Z=%secret:kv:zero%", "--", "sh", "-c", "cat \"$Z\""]).ok();
    assert_eq!(run.out, "a\0b");
    let run =
        home.cli(&["exec", "--set", "L=%secret:kv:lines%", "--", "sh", "-c", "printf '<%s>' \"$L\""]).ok();
    assert_eq!(run.out, "<a\nb\n>");
    let long = "%secret:kv:long%".repeat(14);
    let run = home.cli(&["exec", "--set", &format!("L={long}"), "--", "true"]);
    assert_eq!(run.code, 126, "{run:?}");
    assert!(run.err.contains("--file") && run.err.len() < 500, "{run:?}");
    let run = home.cli(&["exec", "--file", &format!("L={long}"), "--", "sh", "-c", "wc -c < \"$L\""]).ok();
    assert_eq!(run.out.trim(), "140000");
}
