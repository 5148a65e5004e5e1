//! `bursar element` says what is missing before it asks, and who uses an element before it goes.

use bursar_tests::library::{acme_with_api, publish};
use bursar_tests::open_vault;
use serde_json::json;

#[test]
fn an_element_is_not_set_to_nothing() {
    let (home, _daemon) = open_vault();
    acme_with_api(&home);
    for name in ["acme/api", "acme/new"] {
        let run = home.cli(&["--json", "element", "set", name]);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{run:?}");
        let message = run.json_error()["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with("missing: ") && message.contains("--staging"), "{message}");
    }
    assert_eq!(home.refused("element.show", json!({ "element": "acme/new" })), "not_found");
}

#[test]
fn what_uses_an_element_is_shown_before_it_is_deleted() {
    let (home, _daemon) = open_vault();
    acme_with_api(&home);
    home.ok("element.set", json!({ "element": "acme/lone", "staging": "api-staging" }));
    let files = || json!([{ "path": "f", "mode": "0600", "template": "%acme/api%" }]);
    let uses = || json!({ "acme/api": "acme/api" });
    publish(&home, "acme/old", "1.0.0", uses(), files());
    publish(&home, "acme/old", "1.1.0", json!({}), json!([{ "path": "f", "mode": "0600", "template": "x" }]));
    publish(&home, "acme/site", "1.0.0", uses(), files());
    publish(&home, "acme/site", "1.2.0", uses(), files());
    let run = home.cli(&["element", "delete", "acme/api"]);
    assert_eq!(
        (run.code, run.err.contains("packages that use it:\n  acme/site 1.2.0\n")),
        (2, true),
        "{run:?}"
    );
    assert!(!run.err.contains("acme/old"), "{run:?}");
    home.ok("element.show", json!({ "element": "acme/api" }));
    let run = home.cli(&["element", "delete", "acme/lone", "--yes"]).ok();
    assert!(run.err.starts_with("no package uses it") && run.out.contains("acme/lone"), "{run:?}");
}
