//! `bursar check` shows every element in every stage that was asked for, and what is wrong with each; it needs no trust, for
//! it pulls nothing.

use bursar_tests::library::{
    STAGES, acme_with_api, bound, brief_grant, environment, file, organization, site, until_past,
};
use bursar_tests::secrets::{grant, token};
use bursar_tests::{Daemon, FaultIssuer, Home, Reply, Run, Workspace, open_vault};
use serde_json::{Value, json};

fn acme() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    (home, daemon)
}

/// The words of every line, and of nothing that follows an empty one.
fn matrix(run: &Run) -> Vec<Vec<String>> {
    let lines = run.out.lines().take_while(|line| !line.is_empty());
    lines
        .map(|line| {
            line.split("  ").map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
        })
        .collect()
}

/// The state in a cell of a row.
fn state<'r>(rows: &'r Value, element: &str, stage: &str) -> &'r str {
    let rows = rows.as_array().unwrap();
    let row =
        rows.iter().find(|row| row["element"] == element).unwrap_or_else(|| panic!("{element}: {rows:?}"));
    row[stage]["state"].as_str().unwrap_or("-")
}

#[test]
fn the_matrix_has_a_row_for_each_element_and_a_column_for_each_stage() {
    let (home, _daemon) = acme();
    let run = home.cli(&["check", "--stage", "all"]).ok();
    assert_eq!(
        matrix(&run),
        [&["ELEMENT", "DEVELOPMENT", "STAGING", "PRODUCTION"][..], &["acme/api", "good", "good", "good"]]
    );
    home.ok(
        "element.set",
        json!({ "element": "acme/two", "development": "acme/api-development", "production": null }),
    );
    let run = home.cli(&["check", "--stage", "all"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert_eq!(matrix(&run)[2], ["acme/two", "good", "empty", "empty"]);
    for stage in ["staging", "production"] {
        assert!(run.out.contains(&format!("acme/two, {stage}: ")), "{run:?}");
        assert!(
            run.out.contains(&format!("hint: fill it: bursar element set acme/two --{stage} ")),
            "{run:?}"
        );
    }
    assert_eq!(run.err, "", "what is wrong is the answer, not an error");
    assert!(!run.out.contains("value-of"), "{run:?}");

    let run = home.cli(&["check", "--stage", "development"]).ok();
    assert_eq!(matrix(&run), [["ELEMENT", "DEVELOPMENT"], ["acme/api", "good"], ["acme/two", "good"]]);
    let run = home.cli(&["check", "-e", "acme/staging"]);
    assert_eq!(
        (run.code, &matrix(&run)[..]),
        (
            1,
            &[["ELEMENT", "STAGING"], ["acme/api", "good"], ["acme/two", "empty"]]
                .map(|row| row.map(str::to_owned).to_vec())[..]
        )
    );

    let run = home.cli(&["--json", "check", "--stage", "all"]);
    assert_eq!((run.code, run.err.as_str()), (1, ""));
    let rows = run.json();
    assert_eq!(rows.as_array().unwrap().len(), 2);
    for stage in STAGES {
        let cell = &rows[0][stage];
        assert_eq!((&cell["state"], &cell["secret"]), (&json!("good"), &json!(format!("acme/api-{stage}"))));
        assert_eq!(
            (&cell["problem"], &cell["hint"], &cell["stage"]),
            (&json!(null), &json!(null), &json!(stage))
        );
    }
    assert_eq!((&rows[0]["package"], &rows[0]["element"]), (&json!(null), &json!("acme/api")));
    assert_eq!(state(&rows, "acme/two", "staging"), "empty");
    let one = home.cli(&["--json", "check", "--stage", "staging"]).json();
    assert_eq!((state(&one, "acme/api", "staging"), &one[0]["production"]), ("good", &json!(null)));
    assert!(!run.out.contains("value-of"), "{run:?}");
}

#[test]
fn every_state_of_an_element_has_its_word() {
    let (home, _daemon) = acme();
    let (refusing, granting) = (
        FaultIssuer::new(Reply::Json(401, r#"{"error":"invalid_client"}"#)),
        FaultIssuer::new(Reply::Grant(2)),
    );
    environment(&home, "acme/dev-two", "development");
    bound(&home, "acme/two", "acme/dev-two", "value-of-two");
    bound(&home, "acme/off", "acme/development", "value-of-off");
    bound(&home, "acme/gone", "acme/development", "value-of-gone");
    environment(&home, "acme/fleeting", "development");
    bound(&home, "acme/loose", "acme/fleeting", "value-of-loose");
    home.create(grant("acme/refused", &refusing.token_url()));
    let brief = home.create(brief_grant("acme/brief", &granting.token_url()));
    for (element, secret) in [
        ("good", "api-development"),
        ("elsewhere", "two"),
        ("inactive", "off"),
        ("empty", "gone"),
        ("unbound", "loose"),
        ("failed", "refused"),
        ("expired", "brief"),
    ] {
        home.ok("element.set", json!({ "element": format!("acme/{element}"), "development": secret }));
    }
    home.ok("secret.deactivate", json!({ "secret": "acme/off" }));
    home.ok("secret.delete", json!({ "secret": "acme/gone" }));
    home.ok("environment.delete", json!({ "environment": "acme/fleeting" }));
    granting.from_now_on(Reply::Json(400, r#"{"error":"invalid_grant"}"#));
    until_past(&brief["expires_at"]);

    let run = home.cli(&["--json", "check", "-e", "acme/development"]);
    assert_eq!(run.code, 1, "{run:?}");
    let rows = run.json();
    for row in rows.as_array().unwrap() {
        let name = row["element"].as_str().unwrap().trim_start_matches("acme/");
        let cell = &row["development"];
        let expected = if name == "api" { "good" } else { name };
        assert_eq!(cell["state"], expected, "{row}");
        assert_eq!(cell["problem"].is_null(), expected == "good", "{row}");
        if expected != "good" {
            let problem = cell["problem"].as_str().unwrap();
            assert!(problem.starts_with(&format!("acme/{name}, development: ")), "{problem}");
            assert!(cell["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{row}");
        }
    }
    assert_eq!(rows.as_array().unwrap().len(), 8, "{rows}");
    assert!(!run.out.contains("value-of"), "{run:?}");
    // for a stage each slot is looked at where its secret is bound
    let stage = home.cli(&["--json", "check", "--stage", "development"]).json();
    assert_eq!(state(&stage, "acme/elsewhere", "development"), "good");
    assert_eq!(state(&stage, "acme/unbound", "development"), "unbound");
    // each refusal of the gate is one that the matrix showed
    for element in ["elsewhere", "inactive", "empty", "unbound", "failed", "expired"] {
        let run = home.cli(&["element", "resolve", &format!("acme/{element}"), "-e", "acme/development"]);
        assert_eq!(run.code, 7, "{run:?}");
    }
    let mended = home.cli(&["check", "-e", "acme/dev-two"]);
    assert!(mended.code == 1 && mended.out.contains("good"), "{mended:?}");
}

#[test]
fn what_is_asked_must_be_there() {
    let (home, _daemon) = acme();
    let refused = |code: i32, name: &str, arguments: &[&str]| {
        let run = home.cli(&[&["--json", "check"], arguments].concat());
        assert_eq!((run.code, run.out.as_str()), (code, ""), "{arguments:?}: {run:?}");
        assert_eq!(run.json_error()["code"], name, "{arguments:?}");
    };
    refused(2, "invalid", &[]);
    refused(2, "invalid", &["--stage", "prod"]);
    refused(2, "invalid", &["--stage", "all", "-e", "acme/staging"]);
    refused(5, "not_found", &["-e", "acme/nowhere"]);
    refused(5, "not_found", &["-e", "nobody/staging"]);
    organization(&home, "beta");
    let run = home.cli(&["check", "-e", "beta/staging"]).ok();
    assert_eq!(matrix(&run).len(), 1, "an organization without elements lacks nothing: {run:?}");
    assert_eq!(home.cli(&["--json", "check", "-e", "beta/staging"]).ok().json(), json!([]));
    home.ok("element.set", json!({ "element": "beta/api" }));
    assert_eq!(
        home.cli(&["check", "-e", "acme/staging"]).code,
        0,
        "what another organization lacks is its own"
    );
    assert_eq!(home.cli(&["check", "--stage", "all"]).code, 1);
    home.ok("vault.lock", json!({}));
    refused(3, "locked", &["--stage", "all"]);
}

#[test]
fn a_workspace_is_checked_with_its_library_and_its_packages() {
    let (home, _daemon) = acme();
    home.ok("element.set", json!({ "element": "acme/unrelated" }));
    organization(&home, "beta");
    bound(&home, "beta/stg", "beta/staging", "value-of-beta");
    home.create(token("beta/loose", "value-of-loose"));
    let elements = json!({ "TOKEN": { "staging": "beta/stg", "production": null } });
    let mut tools = site("2.1.0", elements, json!([file("t", "%TOKEN%")]));
    tools["package"] = json!("beta/tools");
    let digest = home.ok("package.publish", tools)["digest"].as_str().unwrap().to_owned();

    // cloned, and trusted by nobody
    let workspace = Workspace::empty(&home, "w");
    workspace.write(
        "bursar.toml",
        "organization = 'acme'\nenvironment = 'staging'\n[packages]\n'beta/tools' = '2'\n[library]\nname = 'site'\n\
         [library.elements]\nOWN = { staging = 'api-staging' }\nUSED = 'api'\n",
    );
    workspace.write(
        "bursar.lock",
        format!("[[package]]\nname = 'beta/tools'\nversion = '2.1.0'\ndigest = '{digest}'\n"),
    );
    let run = workspace.run(&["check"]).ok();
    assert_eq!(
        matrix(&run),
        [["ELEMENT", "STAGING"], ["OWN", "good"], ["USED", "good"], ["beta/tools: TOKEN", "good"]]
    );
    assert!(!run.out.contains("unrelated"), "{run:?}");
    let run = workspace.run(&["--json", "check", "--stage", "all"]);
    assert_eq!(run.code, 1);
    let rows = run.json();
    let packages: Vec<_> = rows.as_array().unwrap().iter().map(|row| row["package"].clone()).collect();
    assert_eq!(packages, [json!(null), json!(null), json!("beta/tools")]);
    assert_eq!((state(&rows, "OWN", "production"), state(&rows, "USED", "production")), ("empty", "good"));
    assert_eq!(state(&rows, "TOKEN", "staging"), "good");
    assert_eq!(state(&rows, "TOKEN", "production"), "empty");
    assert!(!run.out.contains("value-of"), "{run:?}");

    workspace.write("below/x", "");
    let mut below = bursar_tests::cli::command(&home, &["check", "-e", "production"]);
    let run = Run::finish(below.current_dir(workspace.path("below")).spawn().unwrap(), None);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.out.contains("OWN, production: ") && run.out.contains("beta/tools: TOKEN, production: "),
        "{run:?}"
    );
    // an environment of another organization that cannot be told
    environment(&home, "beta/one", "development");
    let said = workspace.refused(2, "invalid", &["check", "-e", "development"]);
    assert!(said.contains("beta/development, beta/one") && said.contains("[environments]"), "{said}");
    // a version that nobody has
    workspace.write(
        "bursar.lock",
        format!("[[package]]\nname = 'beta/tools'\nversion = '2.2.0'\ndigest = '{digest}'\n"),
    );
    let run = workspace.run(&["--json", "check"]);
    assert_eq!((run.code, &run.json_error()["code"]), (5, &json!("not_found")), "{run:?}");
}

#[test]
fn a_workspace_checks_what_its_templates_name_and_where_it_builds() {
    let (home, _daemon) = acme();
    let manifest = "organization = 'acme'\nenvironment = 'development'\n[library]\nname = 'site'\n\
                    [[library.files]]\ntemplate = 't'\npath = 'x'\n";
    let workspace = Workspace::empty(&home, "w");
    workspace.write("bursar.toml", manifest);
    workspace.write("t", "%acme/api%");
    assert_eq!(matrix(&workspace.run(&["check"]).ok()), [["ELEMENT", "DEVELOPMENT"], ["acme/api", "good"]]);
    // another environment of the stage does no harm: the workspace says its own
    environment(&home, "acme/development-2", "development");
    workspace.run(&["check", "--stage", "development"]).ok();
    workspace.run(&["check", "--stage", "all"]).ok();
    workspace.write("t", "%api|nothing%");
    assert!(workspace.refused(2, "invalid", &["check"]).starts_with("t: line 1, column 1: "));
    // nobody's environment is told though there is no element
    workspace.write("t", "plain");
    workspace.run(&["check"]).ok();
    workspace.refused(5, "not_found", &["check", "-e", "nowhere"]);
    workspace.write("bursar.toml", manifest.replace("'development'", "'nowhere'"));
    workspace.refused(5, "not_found", &["check"]);
    workspace.refused(5, "not_found", &["check", "--stage", "staging"]);
    workspace.run(&["check", "-e", "staging"]).ok();
}
