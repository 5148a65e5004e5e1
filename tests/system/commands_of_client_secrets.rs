//! `client-secret`, `usage`, `expiring` and `audit` as people and scripts use them: what they print, what they ask, how they end.

use bursar_tests::binaries::binaries;
use bursar_tests::client_secrets::{Issued, issue, issue_with, issued};
use bursar_tests::library::{acme_with_api, environment, file, publish};
use bursar_tests::{Daemon, Home, Run, Talk, Workspace, cli, open_vault, seconds, unattended};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

const DAY: i64 = 86_400;

const SHOP: &str = "environment = 'acme/staging'\n[packages]\n'acme/site' = '1'\n";

fn acme() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    let files = json!([file("site.conf", "a=%TOKEN%")]);
    publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "acme/api" }), files);
    (home, daemon)
}

fn viewer(home: &Home) -> Issued {
    issue(home, "acme", "viewer", None)
}

/// A workspace in which a sync was run once with that client secret.
fn synced<'h>(home: &'h Home, with: &Issued) -> Workspace<'h> {
    let shop = Workspace::empty(home, "shop");
    shop.write("bursar.toml", SHOP);
    unattended::run(&shop, &[with], &["sync"]).ok();
    shop
}

/// The names of the members of an object, sorted.
fn members(object: &Value) -> Vec<&str> {
    let mut names: Vec<_> = object.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

const ATTRIBUTES: [&str; 12] = [
    "analytics",
    "created_at",
    "description",
    "environment",
    "expires_at",
    "id",
    "last_used_at",
    "organization",
    "revoked_at",
    "role",
    "status",
    "successor",
];

/// Ends a client secret by what a person types.
fn revoke_on_terminal(home: &Home, id: &str, types: &str) -> (Option<i32>, String) {
    let mut talk = Talk::on_terminal(&cli::command(home, &["client-secret", "revoke", id]));
    let asked = talk.out.expect("to confirm: ");
    assert!(
        asked.contains(&format!("revoking the client secret {id} (of a test) for good; type revoke ")),
        "{asked}"
    );
    talk.say(types);
    let code = talk.ended().code();
    (code, talk.out.whole())
}

#[test]
fn a_new_one_is_printed_alone_and_described_beside() {
    let (home, _daemon) = acme();
    let create =
        ["client-secret", "create", "--organization", "acme", "--description", "nightly build", "--role"];
    let run = home.cli(&[&create[..], &["viewer"]].concat()).ok();
    let value = run.out.strip_suffix('\n').expect("a line");
    let (id, _) = bursar_proto::client_secret::parse(value).expect("a client secret and nothing else");
    assert!(
        run.err
            .contains(&format!("client secret {id} (nightly build), viewer; its value is shown this once\n"))
    );
    assert!(run.err.contains("(in 90 d)") && !run.err.contains("warning"), "{}", run.err);
    // who issues a contributor hears what that means
    let run = home.cli(&[&create[..], &["contributor", "--expires", "30d"]].concat()).ok();
    let warning = "warning: it can publish a package that names any secret of acme, and so reach it\n";
    assert!(run.err.contains(warning) && run.err.contains("(in 30 d)"), "{}", run.err);

    let flags = ["viewer", "--json", "-e", "staging", "--analytics", "complete"];
    let run = home.cli(&[&create[..], &flags].concat()).ok();
    let made = run.json();
    let mut expected = ATTRIBUTES.to_vec();
    expected.push("client_secret");
    expected.sort_unstable();
    assert_eq!((members(&made), &*run.err), (expected, ""));
    assert_eq!(seconds(&made["expires_at"]) - seconds(&made["created_at"]), 90 * DAY);
    for (member, value) in [
        ("organization", json!("acme")),
        ("environment", json!("acme/staging")),
        ("description", json!("nightly build")),
        ("role", json!("viewer")),
        ("status", json!("active")),
        ("analytics", json!("complete")),
        ("last_used_at", Value::Null),
        ("revoked_at", Value::Null),
        ("successor", Value::Null),
    ] {
        assert_eq!(made[member], value, "{member}");
    }
    let shown = home.cli(&["client-secret", "show", issued(&made).id.as_str(), "--json"]).ok().json();
    assert_eq!(members(&shown), ATTRIBUTES);
    for wrong in [&["admin"][..], &["viewer", "--expires", "732d"], &["viewer", "--expires", "0s"]] {
        assert_eq!(home.cli(&[&create[..], wrong].concat()).code, 2, "{wrong:?}");
    }
    assert_eq!(home.cli(&[&create[..], &["viewer", "-e", "nowhere"]].concat()).code, 5);
}

#[test]
fn a_new_one_goes_into_a_file_that_is_private() {
    let (home, _daemon) = acme();
    let path = home.path().join("ci.secret");
    let to = path.to_str().unwrap();
    let create =
        ["client-secret", "create", "--organization", "acme", "--role", "viewer", "--description", "ci"];
    let run = home.cli(&[&create[..], &["--output", to]].concat()).ok();
    assert!(
        run.out.is_empty() && run.err.contains(&format!("its value is in {to}, and nowhere else\n")),
        "{run:?}"
    );
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    let first = fs::read_to_string(&path).unwrap();
    assert!(bursar_proto::client_secret::parse(first.trim_end()).is_ok() && first.ends_with('\n'));
    // the document is then about it, without the value; and the file is written anew
    let run = home.cli(&[&create[..], &["--output", to, "--json"]].concat()).ok();
    assert_eq!(members(&run.json()), ATTRIBUTES);
    assert_ne!(fs::read_to_string(&path).unwrap(), first);
    let shop = Workspace::empty(&home, "shop");
    shop.write("bursar.toml", SHOP);
    Run::of(&mut unattended::bursar(&shop, &["sync", "--client-secrets-file", to])).ok();
    // where it could not be kept, none is issued
    let before = home.ok("client_secret.list", json!({})).as_array().unwrap().len();
    for nowhere in ["/nowhere/ci.secret", home.path().to_str().unwrap()] {
        let run = home.cli(&[&create[..], &["--output", nowhere]].concat());
        assert!(run.code != 0 && run.out.is_empty(), "{run:?}");
    }
    assert_eq!(home.ok("client_secret.list", json!({})).as_array().unwrap().len(), before);
}

#[test]
fn all_are_listed_and_only_how_much_is_kept_changes() {
    let (home, _daemon) = acme();
    environment(&home, "personal/staging", "staging");
    let (one, two) = (viewer(&home), issue(&home, "personal", "contributor", Some("staging")));
    let all = home.cli(&["client-secret", "list", "--json"]).ok().json();
    assert_eq!(all.as_array().unwrap().len(), 2);
    assert!(all.as_array().unwrap().iter().all(|row| members(row) == ATTRIBUTES), "{all}");
    let of_acme = home.cli(&["client-secret", "list", "--organization", "acme", "--json"]).ok().json();
    assert_eq!((of_acme.as_array().unwrap().len(), &of_acme[0]["id"]), (1, &json!(one.id)));
    assert_eq!(home.cli(&["client-secret", "list", "--organization", "nowhere"]).code, 5);
    let table = home.cli(&["client-secret", "list"]).ok().out;
    let head = table.lines().next().unwrap();
    for column in
        ["ID", "DESCRIPTION", "ROLE", "FOR", "CREATED", "EXPIRES", "LAST USED", "ANALYTICS", "STATUS"]
    {
        assert!(head.contains(column), "{head}");
    }
    let row = table.lines().find(|line| line.starts_with(&two.id)).expect("a row");
    assert!(row.contains("personal/staging") && row.ends_with("limited    active"), "{row}");

    let before = home.cli(&["client-secret", "show", &one.id, "--json"]).ok().json();
    let set = home.cli(&["client-secret", "set-analytics", &one.id, "disabled", "--json"]).ok().json();
    let mut expected = before;
    expected["analytics"] = json!("disabled");
    assert_eq!(set, expected);
    // with or without what a client secret begins with
    let shown = home.cli(&["client-secret", "show", &format!("bcs_{}", one.id)]).ok().out;
    assert!(shown.contains("analytics     disabled\n") && shown.contains("last used     never\n"), "{shown}");
    assert_eq!(home.cli(&["client-secret", "set-analytics", &one.id, "everything"]).code, 2);
    assert_eq!(home.cli(&["client-secret", "show", "k3j9x2m4pq"]).code, 5);
}

#[test]
fn one_is_revoked_by_the_word_for_it() {
    let (home, _daemon) = acme();
    let (one, two) = (viewer(&home), viewer(&home));
    let status =
        |issued: &Issued| home.ok("client_secret.show", json!({ "id": issued.id }))["status"].clone();
    let run = home.cli(&["client-secret", "revoke", &one.id]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(
        run.err
            .contains("needs a confirmation, and there is no terminal to ask on\nhint: confirm with --yes\n")
    );
    for wrong in ["yes\n", "\n", "Revoke\n", &format!("{}\n", one.id)] {
        let (code, said) = revoke_on_terminal(&home, &one.id, wrong);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("that was not revoke: nothing was changed"), "{said}");
    }
    assert_eq!(status(&one), "active");
    let (code, said) = revoke_on_terminal(&home, &one.id, "revoke\n");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.ends_with(&format!("revoked {} (of a test)\r\n", one.id)), "{said}");
    let told = home.cli(&["client-secret", "revoke", &two.id, "--yes", "--json"]).ok().json();
    assert_eq!((members(&told), &told["status"]), (ATTRIBUTES.to_vec(), &json!("revoked")));
    assert!(told["revoked_at"].is_string());
    assert_eq!((status(&one), status(&two)), (json!("revoked"), json!("revoked")));
    // it is final, and may be said again
    let again = home.cli(&["client-secret", "revoke", &two.id, "--yes", "--json"]).ok().json();
    assert_eq!(again["revoked_at"], told["revoked_at"]);
    assert_eq!(home.cli(&["client-secret", "rotate", &two.id]).code, 10);
}

#[test]
fn a_successor_takes_over_while_the_old_one_still_counts() {
    let (home, _daemon) = acme();
    let old = viewer(&home);
    let shop = synced(&home, &old);
    let run = home.cli(&["client-secret", "rotate", &old.id]).ok();
    let new = Issued { id: run.out[4..14].to_owned(), value: run.out.trim_end().to_owned() };
    let until = home.cli(&["client-secret", "show", &old.id, "--json"]).ok().json();
    assert_eq!(until["successor"], json!(new.id));
    let said = format!("{} counts until {} (in ", old.id, until["expires_at"].as_str().unwrap());
    assert!(run.err.contains(&said) && run.err.contains("bursar client-secret revoke "), "{}", run.err);
    for one in [&old, &new] {
        unattended::run(&shop, &[one], &["status"]).ok();
    }
    // what it is for goes on
    let next = home.cli(&["client-secret", "show", &new.id, "--json"]).ok().json();
    for same in ["organization", "environment", "description", "role", "analytics"] {
        assert_eq!(next[same], until[same], "{same}");
    }
    let said = home.cli(&["client-secret", "rotate", &old.id]);
    assert_eq!(said.code, 10, "{said:?}");
    assert!(said.err.contains(&format!("hint: rotate that one: bursar client-secret rotate {}", new.id)));
    // at once
    let path = home.path().join("next");
    let rotate = ["client-secret", "rotate", &new.id, "--overlap", "0s", "--output", path.to_str().unwrap()];
    let run = home.cli(&rotate).ok();
    assert!(run.err.ends_with(&format!("{} has ended\n", new.id)), "{}", run.err);
    let (code, said) = unattended::refused(&shop, &[&new], "client_secret_expired", &["status"]);
    assert!(code == 4 && said.contains(&new.id), "{said}");
    Run::of(&mut unattended::bursar(&shop, &["status", "--client-secrets-file", path.to_str().unwrap()]))
        .ok();
}

#[test]
fn a_whole_one_in_the_place_of_an_id_is_not_repeated() {
    let (home, _daemon) = acme();
    let one = viewer(&home);
    let whole = one.value.as_str();
    let in_acme = format!("acme/{whole}");
    for line in [
        &["client-secret", "show", whole][..],
        &["client-secret", "revoke", whole, "--yes"],
        &["client-secret", "rotate", whole],
        &["client-secret", "set-analytics", whole, "complete"],
        &["audit", "--client-secret", whole],
        &["usage", whole],
        &["usage", &in_acme],
        &["info", whole],
        &["get", whole],
        &["secret", "show", whole],
    ] {
        for arguments in [line.to_vec(), [line, &["--json"]].concat()] {
            let run = home.cli(&arguments);
            assert_eq!((run.code, &*run.out), (2, ""), "{line:?}: {run:?}");
            assert!(!run.err.contains(&whole[15..30]), "{}: {}", line[0], run.err);
        }
    }
    let run = home.cli(&["client-secret", "revoke", whole, "--yes"]);
    assert!(run.err.ends_with(&format!("hint: its id is {}\n", one.id)), "{run:?}");
    assert_eq!(home.ok("client_secret.show", json!({ "id": one.id }))["status"], "active");
    let recorded = home.cli(&["audit", "--all", "--json"]).ok().out;
    assert!(!recorded.contains(&whole[15..30]));
}

#[test]
fn what_ends_is_an_exit_code() {
    let (home, _daemon) = acme();
    let run = home.cli(&["expiring"]).ok();
    assert_eq!(run.out, "nothing has ended, or ends within 30 d\n");
    assert_eq!(home.cli(&["expiring", "--json"]).ok().json(), json!([]));
    let soon = issue_with(&home, "acme", "viewer", json!({ "expires_in": 20 * DAY }));
    let late = issue_with(&home, "acme", "viewer", json!({ "expires_in": 40 * DAY }));
    home.cli(&["secret", "edit", "acme/api-staging", "--expiration-date", "2090-01-01"]).ok();
    let run = home.cli(&["expiring"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.out.contains(&format!("client secret  {} (of a test)  ", soon.id)), "{}", run.out);
    assert!(run.out.contains(&format!(
        "\nhint: issue a successor: bursar client-secret rotate {}, or end it: ",
        soon.id
    )));
    assert!(!run.out.contains(&late.id) && !run.out.contains("api-staging") && run.err.is_empty(), "{run:?}");
    let run = home.cli(&["expiring", "--within", "60d", "--json"]);
    assert_eq!(run.code, 1, "{run:?}");
    let all = run.json();
    let ids: Vec<&Value> = all.as_array().unwrap().iter().map(|row| &row["client_secret"]).collect();
    assert_eq!(ids, [&json!(soon.id), &json!(late.id)]);
    let shape = ["client_secret", "description", "expired", "expires_at", "hint", "reason", "secret", "what"];
    assert_eq!(members(&all[0]), shape);
    assert_eq!((&all[0]["what"], &all[0]["expired"]), (&json!("client_secret"), &json!(false)));
    home.cli(&["expiring", "--organization", "personal", "--within", "60d"]).ok();
    // what was revoked or has a successor needs nobody any more
    home.cli(&["client-secret", "revoke", &soon.id, "--yes"]).ok();
    home.cli(&["expiring"]).ok();
}

#[test]
fn use_is_shown_as_a_table_as_rows_and_as_events() {
    let (home, _daemon) = acme();
    let (busy, idle) = (viewer(&home), viewer(&home));
    let shop = synced(&home, &busy);
    home.cli(&["client-secret", "set-analytics", &busy.id, "complete"]).ok();
    let mut status = unattended::bursar(&shop, &["status"]);
    status.env("BURSAR_CLIENT_SECRETS", &busy.value);
    status.envs([("GITHUB_ACTIONS", "true"), ("GITHUB_REPOSITORY", "acme/shop"), ("GITHUB_RUN_ID", "77")]);
    Run::of(&mut status).ok();
    let name = format!("{} (of a test)", busy.id);

    let table = home.cli(&["usage"]).ok().out;
    let row = |start: &str| {
        let row =
            table.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}: {table}"));
        row.to_owned()
    };
    assert!(table.starts_with("NAME ") && row(&name).contains("  2     2"), "{table}");
    assert!(row(&idle.id).contains("  0     -"), "{table}");
    assert!(row(&name).ends_with('█') || row("acme/api-staging").ends_with('█'), "a bar for today: {table}");
    assert!(table.contains("; the highest bar is 2\n"), "{table}");

    let rows = home.cli(&["usage", "--csv"]).ok().out;
    let mut rows = rows.lines();
    assert_eq!(rows.next(), Some("day,kind,name,by,count"));
    let rows: Vec<&str> = rows.filter_map(|row| row.split_once(',')).map(|(_, row)| row).collect();
    for expected in [
        "secret,acme/api-staging,package.get,2".to_owned(),
        format!("client_secret,{},status,1", busy.id),
        format!("client_secret,{},sync,1", busy.id),
    ] {
        assert!(rows.contains(&expected.as_str()), "{expected}: {rows:?}");
    }

    let shown = home.cli(&["usage", &busy.id]).ok().out;
    assert!(
        shown.starts_with(&format!("name       {name}\nanalytics  complete\nused       2 in 30 days\n")),
        "{shown}"
    );
    assert!(shown.ends_with("status 1, sync 1\n"), "{shown}");
    assert!(home.cli(&["usage", &busy.id, "--days", "1"]).ok().out.contains("used       2 in 1 day\n"));
    let one = home.cli(&["usage", "acme/api-staging", "--json"]).ok().json();
    let shape = ["analytics", "client_secret", "count", "days", "description", "last_used_at", "secret"];
    assert_eq!((members(&one[0]), &one[0]["secret"]), (shape.to_vec(), &json!("acme/api-staging")));
    assert_eq!((members(&one[0]["days"][0]), &one[0]["count"]), (vec!["by", "count", "day"], &json!(2)));

    // all of it was made a moment ago
    assert_eq!(home.cli(&["usage", "--unused", "90d", "--json"]).ok().json(), json!([]));
    let unused = home.cli(&["usage", "--unused", "0s", "--json"]).ok().json();
    let has = |id: &str| unused.as_array().unwrap().iter().any(|row| row["client_secret"] == id);
    assert!(has(&idle.id) && has(&busy.id), "{unused}");

    let events = home.cli(&["usage", &busy.id, "--events", "--json"]).ok().json();
    let last = events.as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["principal"], &last["method"]),
        (&json!(format!("client secret {}", busy.id)), &json!("package.get"))
    );
    assert_eq!(last["ci"], json!({ "name": "github-actions", "repository": "acme/shop", "run": "77" }));
    let said = home.cli(&["usage", &busy.id, "--events"]).ok().out;
    assert!(said.contains("  ok  ci: name=github-actions repository=acme/shop run=77\n"), "{said}");
    // before it was complete, nothing was kept of what the ci said
    assert_eq!(events[0]["ci"], Value::Null, "{events}");
    for refused in [&idle.id, "acme/api-staging"] {
        let run = home.cli(&["usage", refused, "--events"]);
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.err.contains(" is kept as limited, without events\nhint: "), "{run:?}");
    }
    assert_eq!(home.cli(&["usage", "--csv", "--json"]).code, 2);
    assert_eq!(home.cli(&["usage", "--days", "366"]).code, 2);
    assert_eq!(home.cli(&["usage", "nowhere"]).code, 5);
}

#[test]
fn the_record_is_read_by_its_end_by_time_and_by_whom() {
    let (home, _daemon) = acme();
    let one = viewer(&home);
    synced(&home, &one);
    for _ in 0..3 {
        home.cli(&["get", "acme/api-staging"]).ok();
    }
    let read = |arguments: &[&str]| {
        let run = home.cli(&[&["audit", "--json"], arguments].concat()).ok();
        run.json().as_array().unwrap().clone()
    };
    let all = read(&["--all"]);
    let numbers: Vec<u64> = all.iter().map(|entry| entry["number"].as_u64().unwrap()).collect();
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "each once, the oldest first: {numbers:?}");
    let shape = [
        "at",
        "ci",
        "count",
        "executable",
        "method",
        "number",
        "outcome",
        "pid",
        "principal",
        "secret",
        "subject",
        "uid",
    ];
    assert!(all.iter().all(|entry| members(entry) == shape));
    assert_eq!(read(&["--last", "2"]).len(), 2);
    assert_eq!(read(&["--last", "100000"]).len(), read(&["--all"]).len() - 1);
    assert_eq!(read(&["--since", "2090-01-01"]), [Value::Null; 0]);
    assert!(read(&["--since", "1h"]).len() > numbers.len());
    let by = read(&["--client-secret", &one.id]);
    assert!(by.len() > 3 && by.iter().all(|entry| entry["principal"] == format!("client secret {}", one.id)));
    let about = read(&["--secret", "acme/api-staging"]);
    assert!(about.iter().all(|entry| entry["secret"] == "acme/api-staging"), "{about:?}");
    for method in ["secret.create", "artifact.get", "package.get"] {
        assert!(about.iter().any(|entry| entry["method"] == method), "{method}: {about:?}");
    }
    let lines = home.cli(&["audit", "--client-secret", &one.id, "--last", "1"]).ok().out;
    let executable = binaries().bursar.display();
    let parts: Vec<&str> = lines.trim_end().split("  ").collect();
    assert_eq!(parts.len(), 7, "{lines}");
    assert_eq!((parts[2], parts[6]), (&*format!("client secret {}", one.id), "ok"), "{lines}");
    assert!(parts[3].ends_with(&format!(" {executable}")), "{lines}");
    for wrong in [
        &["--since", "yesterday"][..],
        &["--last", "2", "--all"],
        &["--client-secret", "short"],
        &["--last", "2", "verify"],
    ] {
        assert_eq!(home.cli(&[&["audit"], wrong].concat()).code, 2, "{wrong:?}");
    }
    for none in [&["--secret", "nowhere"][..], &["--since", "2090-01-01"]] {
        let run = home.cli(&[&["audit"], none].concat()).ok();
        assert_eq!((&*run.out, &*run.err), ("", "there is no such entry in the record\n"), "{none:?}");
    }
    let proof = home.cli(&["audit", "verify", "--json"]).ok().json();
    assert_eq!(members(&proof), ["entries", "faults", "first", "next", "sound"]);
    assert_eq!(proof["sound"], true);
}

#[test]
fn the_record_is_followed_as_it_goes_on() {
    let (home, _daemon) = acme();
    let one = viewer(&home);
    let follow = ["audit", "--follow", "--client-secret", &one.id, "--json"];
    let mut talk = Talk::start(cli::command(&home, &follow));
    let mut plain = Talk::start(cli::command(&home, &["audit", "--follow", "--last", "1"]));
    plain.out.expect("audit.");
    synced(&home, &one);
    talk.out.expect("\"method\":\"package.get\"");
    plain.out.expect("  package.get  ");
    let told = talk.out.so_far();
    for line in told.lines().filter(|line| line.ends_with('}')) {
        let entry: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(entry["principal"], format!("client secret {}", one.id));
    }
}

#[test]
fn the_name_of_a_program_steers_no_terminal() {
    let (home, _daemon) = acme();
    let directory = home.path().join("a\u{1b}[2J\u{9b}31m\n  ok  b");
    fs::create_dir(&directory).unwrap();
    let program = directory.join("bursar");
    fs::copy(&binaries().bursar, &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut get = unattended::command(&home, home.path(), &program, &["get", "acme/api-staging"]);
    assert_eq!(Run::of(&mut get).ok().out, "value-of-staging\n");
    for arguments in [
        &["audit", "--secret", "acme/api-staging", "--last", "1"][..],
        &["secret", "where", "acme/api-staging"],
    ] {
        let said = home.cli(arguments).ok().out;
        assert!(said.contains("31m") && !said.replace('\n', "").contains(char::is_control), "{said:?}");
        assert!(!said.lines().any(|line| line.starts_with("  ok  b")), "{said:?}");
    }
}
