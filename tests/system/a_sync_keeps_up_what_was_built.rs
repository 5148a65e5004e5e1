//! What a workspace built of its own library is kept up like what packages bring; a status judges all of it.

use bursar_tests::library::{acme_with_api, bound, file, organization, publish};
use bursar_tests::{Daemon, Home, Workspace, open_vault};
use serde_json::json;
use std::fs;

const SHOP: &str = "organization = 'acme'\nenvironment = 'staging'\n[packages]\nsite = '1'\n";

fn acme() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    (home, daemon)
}

#[test]
fn a_sync_keeps_up_what_was_built_and_nothing_that_was_not() {
    let (home, _daemon) = acme();
    publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "acme/api" }), json!([file("one", "%TOKEN%")]));
    let library = "[library]\nname = 'own'\n[library.elements]\nGOOD = 'api'\n";
    let entry = |name: &str| format!("[[library.files]]\ntemplate = 't'\npath = '{name}'\n");
    let shop = Workspace::with(&home, "shop", &format!("{SHOP}{library}{}", entry("a")));
    shop.write("t", "is %GOOD%");
    shop.run(&["sync"]).ok();
    assert!(!shop.has("a"), "what was never built is no business of a sync");
    shop.run(&["status"]).ok();
    shop.run(&["build"]).ok();
    let status = shop.run(&["status", "--json"]).ok().json();
    let own = &status["packages"][1];
    assert_eq!(
        (&own["package"], &own["version"], &own["digest"]),
        (&json!("acme/own"), &json!(null), &json!(null))
    );
    assert_eq!(
        (&own["files"], &own["elements"][0]["state"]),
        (&json!([{ "path": "a", "state": "current" }]), &json!("good"))
    );
    // another value reaches it, together with the packages
    let edit = json!({ "secret": "acme/api-staging", "credentials": { "token": "value-of-later" } });
    home.ok("secret.edit", edit);
    home.ok("secret.wait", json!({ "secret": "acme/api-staging" }));
    let run = shop.run(&["status"]);
    assert!(
        run.code == 1 && run.out.contains("acme/own (bursar build)") && run.out.contains("file a: stale"),
        "{run:?}"
    );
    shop.run(&["sync"]).ok();
    assert_eq!(
        (shop.read("a"), shop.read("one")),
        ("is value-of-later".to_owned(), "value-of-later".to_owned())
    );
    shop.run(&["status"]).ok();
    // a file that joins waits for a build; what cannot be made stops all of it
    let set = |files: &str| {
        shop.write("bursar.toml", format!("{SHOP}{files}"));
        shop.run(&["workspace", "trust"]).ok();
    };
    set(&format!("{library}{}{}", entry("a"), entry("b")));
    shop.run(&["sync"]).ok();
    assert!(!shop.has("b"));
    shop.run(&["build"]).ok();
    fs::remove_file(shop.path("one")).unwrap();
    shop.write("t", "is %NOBODY%");
    let before = shop.stamps();
    assert!(shop.refused(2, "invalid", &["sync"]).contains("there is no element NOBODY"));
    assert_eq!(shop.stamps(), before);
    shop.write("t", "is %GOOD%");
    // a file leaves, then all of it
    set(&format!("{library}{}", entry("b")));
    assert_eq!(
        shop.run(&["status", "--json"]).json()["leftovers"],
        json!([{ "path": "a", "state": "stale" }])
    );
    assert_eq!(shop.run(&["sync", "--json"]).ok().json()["removed"], json!(["a"]));
    assert!(shop.has("b") && shop.has("one"));
    set("");
    assert_eq!(shop.run(&["sync", "--json"]).ok().json()["removed"], json!(["b"]));
    shop.run(&["status"]).ok();
    assert_eq!(shop.files(), ["bursar.lock", "bursar.toml", "one", "t"]);
}

#[test]
fn a_built_file_that_is_gone_is_not_forgotten_by_an_add() {
    let (home, _daemon) = acme();
    publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "acme/api" }), json!([file("one", "%TOKEN%")]));
    let library = "[library]\nname = 'own'\n[library.elements]\nGOOD = 'api'\nNEXT = 'nobody'\n";
    let entry = "[[library.files]]\ntemplate = 't'\npath = 'a'\n";
    let head = "organization = 'acme'\nenvironment = 'staging'\n";
    let shop =
        Workspace::with(&home, "shop", &format!("{head}{library}{entry}").replace("NEXT = 'nobody'\n", ""));
    shop.write("t", "is %GOOD%");
    shop.run(&["build"]).ok();
    // an element that no built file names is a matter of the next build
    shop.write("bursar.toml", format!("{head}{library}{entry}"));
    shop.run(&["workspace", "trust"]).ok();
    fs::remove_file(shop.path("a")).unwrap();
    shop.run(&["add", "-p", "acme/site"]).ok();
    let status = shop.run(&["status"]);
    assert!(status.code == 1 && status.out.contains("file a: missing"), "{status:?}");
    shop.run(&["sync"]).ok();
    assert_eq!(shop.read("a"), "is value-of-staging");
    // a template that is half edited keeps nobody from seeing the packages
    shop.write("t", "is %GOOD");
    let status = shop.run(&["status"]);
    assert!(status.code == 1 && status.out.contains("file one: current"), "{status:?}");
    assert!(status.out.contains("the library: t: line 1, column 4: this mark is not closed"), "{status:?}");
}

#[test]
fn a_library_of_another_organization_is_built_for_its_environment() {
    let (home, _daemon) = acme();
    organization(&home, "beta");
    bound(&home, "beta/s", "beta/staging", "value-of-beta");
    home.ok("element.set", json!({ "element": "beta/e", "staging": "beta/s" }));
    let library = "[library]\nname = 'beta/tools'\n[library.elements]\nE = 'e'\n";
    let entry = "[[library.files]]\ntemplate = 't'\npath = 'a'\n";
    let head = "organization = 'acme'\nenvironment = 'staging'\n[environments]\nbeta = 'staging'\n";
    let shop = Workspace::with(&home, "shop", &format!("{head}{library}{entry}"));
    shop.write("t", "is %E%");
    shop.run(&["check"]).ok();
    shop.run(&["build"]).ok();
    assert_eq!(shop.read("a"), "is value-of-beta");
    shop.run(&["status"]).ok();
}

#[test]
fn a_file_without_a_value_is_judged_though_its_package_has_none() {
    let (home, _daemon) = acme();
    let files = json!([file("one", "%TOKEN%"), file("plain", "100%%")]);
    publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "acme/api" }), files);
    let shop = Workspace::with(&home, "shop", SHOP);
    shop.run(&["sync"]).ok();
    home.ok("secret.deactivate", json!({ "secret": "acme/api-staging" }));
    let run = shop.run(&["status", "--json"]);
    let files = &run.json()["packages"][0]["files"];
    assert_eq!(
        (run.code, &files[0]["state"], &files[1]["state"]),
        (1, &json!("stale"), &json!("current")),
        "{files}"
    );
}

#[test]
fn a_status_sweeps_away_what_a_killed_sync_left() {
    let (home, _daemon) = acme();
    publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "acme/api" }), json!([file("one", "%TOKEN%")]));
    let shop = Workspace::with(&home, "shop", SHOP);
    shop.run(&["sync"]).ok();
    shop.write(".one.bursar-draft", "value-of-staging");
    shop.run(&["status"]).ok();
    assert_eq!(shop.files(), ["bursar.lock", "bursar.toml", "one"]);
}
