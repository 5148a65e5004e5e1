//! A job of a CI adds, syncs and publishes by a script, with no person, no terminal and no home directory. It can do what its
//! client secrets say and nothing else, and the record of accesses proves the whole run.

use bursar_tests::client_secrets::{Issued, issue, issue_with};
use bursar_tests::library::{acme_with_api, bound, file, organization, publish};
use bursar_tests::users::{as_user, can_become_others};
use bursar_tests::{Daemon, Home, Run, Workspace, configured, unattended, until};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::chown;

/// A user whom no machine has.
const RUNNER: u32 = 64_031;

/// The job. What is refused must end with exit code 4, and say why by the name of the error.
const JOB: &str = r#"set -eu
test -z "${HOME-}" || { echo 'there is a home'; exit 1; }
if (: < /dev/tty) 2> no-terminal; then echo 'there is a terminal'; exit 1; fi

refused() {
    name=$1; shift
    code=0
    bursar --non-interactive --json "$@" > out 2> err || code=$?
    cat out err
    test "$code" = 4 || { echo "$name: exit code $code"; exit 1; }
    grep -q "\"code\":\"$name\"" err || { echo "$name: it was refused for something else"; exit 1; }
}

cd shop
export BURSAR_CLIENT_SECRETS="$VIEWER_OF_ACME;$VIEWER_OF_BETA"
bursar --non-interactive add --package acme/site --package beta/tools@1
bursar --non-interactive status
bursar --non-interactive info acme/site
rm site.conf
code=0
bursar --non-interactive status || code=$?
test "$code" = 1
bursar --non-interactive sync

cd ../library
refused wrong_role publish
export BURSAR_CLIENT_SECRETS="$CONTRIBUTOR_OF_ACME"
bursar --non-interactive publish

cd ../shop
export BURSAR_CLIENT_SECRETS="$VIEWER_OF_ACME"
refused wrong_organization sync
export BURSAR_CLIENT_SECRETS="$EXPIRED"
refused client_secret_expired sync
export BURSAR_CLIENT_SECRETS="$REVOKED"
refused client_secret_revoked sync
export BURSAR_CLIENT_SECRETS="$CUT"
refused client_secret_malformed sync
export BURSAR_CLIENT_SECRETS="$VIEWER_OF_ACME;$VIEWER_OF_BETA"
bursar --non-interactive sync --update
echo 'the job is done'
"#;

/// What the job is given.
struct Given {
    viewer_of_acme: Issued,
    viewer_of_beta: Issued,
    contributor: Issued,
    expired: Issued,
    revoked: Issued,
}

impl Given {
    fn issue(home: &Home) -> Self {
        let given = Self {
            viewer_of_acme: issue(home, "acme", "viewer", None),
            viewer_of_beta: issue(home, "beta", "viewer", Some("beta/staging")),
            contributor: issue(home, "acme", "contributor", None),
            expired: issue_with(home, "acme", "viewer", json!({ "expires_in": 1 })),
            revoked: issue(home, "acme", "viewer", None),
        };
        home.cli(&["client-secret", "revoke", &given.revoked.id, "--yes"]).ok();
        until("a client secret expires", || {
            let shown = home.ok("client_secret.show", json!({ "id": given.expired.id }));
            (shown["status"] == "expired").then_some(())
        });
        given
    }

    fn all(&self) -> [&Issued; 5] {
        [&self.viewer_of_acme, &self.viewer_of_beta, &self.contributor, &self.expired, &self.revoked]
    }
}

/// Two organizations with a package each, and two directories as a checkout leaves them: nobody trusts them.
fn two_organizations(config: &str) -> (Home, Daemon) {
    let (home, daemon) = configured(config);
    acme_with_api(&home);
    publish(
        &home,
        "acme/site",
        "1.0.0",
        json!({ "TOKEN": "acme/api" }),
        json!([file("site.conf", "a=%TOKEN%")]),
    );
    organization(&home, "beta");
    bound(&home, "beta/tool-staging", "staging", "value-of-beta");
    home.ok("element.set", json!({ "element": "beta/tool", "staging": "beta/tool-staging" }));
    publish(
        &home,
        "beta/tools",
        "1.0.0",
        json!({ "TOOL": "beta/tool" }),
        json!([file("tools.conf", "b=%TOOL%")]),
    );
    let shop = Workspace::empty(&home, "shop");
    shop.write("bursar.toml", "environment = 'acme/staging'\n[environments]\nbeta = 'staging'\n");
    let library = Workspace::empty(&home, "library");
    library.write(
        "bursar.toml",
        "organization = 'acme'\nenvironment = 'staging'\n[library]\nname = 'site'\nversion = '1.1.0'\n\
         [library.elements]\nTOKEN = 'api'\n[[library.files]]\ntemplate = 't'\npath = 'site.conf'\n",
    );
    library.write("t", "more=%TOKEN%");
    (home, daemon)
}

fn run_job(home: &Home, given: &Given) -> Run {
    home.file("job.sh", JOB);
    let mut job = unattended::command(home, home.path(), "sh", &["job.sh"]);
    job.env("VIEWER_OF_ACME", &given.viewer_of_acme.value)
        .env("VIEWER_OF_BETA", &given.viewer_of_beta.value)
        .env("CONTRIBUTOR_OF_ACME", &given.contributor.value)
        .env("EXPIRED", &given.expired.value)
        .env("REVOKED", &given.revoked.value)
        .env("CUT", &given.viewer_of_acme.value[..70]);
    Run::of(&mut job)
}

fn entries(home: &Home) -> Vec<Value> {
    let told = home.cli(&["audit", "--all", "--json"]).ok().json();
    told.as_array().expect("a list").clone()
}

#[test]
fn a_job_does_what_its_client_secrets_say_and_the_record_proves_it() {
    let (home, daemon) = two_organizations("");
    let given = Given::issue(&home);
    let before = entries(&home).len();
    let run = run_job(&home, &given).ok();
    assert!(run.out.ends_with("the job is done\n"), "{run:?}");
    let shop = Workspace::empty(&home, "shop");
    assert_eq!(shop.read("site.conf"), "more=value-of-staging");
    assert_eq!(shop.read("tools.conf"), "b=value-of-beta");
    assert_eq!(run.err, "", "nothing is asked, and nothing is warned of");

    // each step by the id of the client secret that it was done with
    let entries = entries(&home);
    let of_job: Vec<&Value> =
        entries[before..].iter().filter(|entry| entry["method"] != "audit.list").collect();
    let of = |issued: &Issued| format!("client secret {}", issued.id);
    let (acme, beta) = (of(&given.viewer_of_acme), of(&given.viewer_of_beta));
    let both = format!("{} {}", given.viewer_of_acme.id, given.viewer_of_beta.id);
    for (principal, method, about, outcome) in [
        (&acme, "authenticate", both.as_str(), "ok"),
        (&acme, "package.show", "acme/site", "ok"),
        (&beta, "package.show", "beta/tools", "ok"),
        (&acme, "package.get", "acme/api-staging", "ok"),
        (&beta, "package.get", "beta/tool-staging", "ok"),
        (&acme, "package.publish", "acme/site@1.1.0", "wrong_role"),
        (&of(&given.contributor), "authenticate", "", "ok"),
        (&of(&given.contributor), "package.publish", "acme/site@1.1.0", "ok"),
        (&acme, "package.show", "beta/tools", "wrong_organization"),
        (&of(&given.expired), "authenticate", "", "client_secret_expired"),
        (&of(&given.revoked), "authenticate", "", "client_secret_revoked"),
        (&acme, "package.fetch", "acme/site@1.1.0", "ok"),
    ] {
        let is_it = |entry: &&Value| {
            entry["principal"] == **principal
                && entry["method"] == method
                && entry["outcome"] == outcome
                && (about.is_empty() || entry["subject"] == about || entry["secret"] == about)
        };
        let said = format!("{principal} {method} {about} {outcome}");
        assert!(of_job.iter().any(is_it), "{said} is missing in {of_job:#?}");
    }
    // what is malformed is told by the command line, and reaches nobody
    let runs = of_job.iter().filter(|entry| entry["method"] == "authenticate").count();
    assert_eq!(runs, JOB.matches("\nbursar ").count() + JOB.matches("\nrefused ").count() - 1);
    for entry in of_job {
        let principal = entry["principal"].as_str().unwrap();
        assert!(given.all().iter().any(|one| principal == of(one)), "who else was that? {entry}");
        assert!(entry["executable"].as_str().is_some_and(|path| path.ends_with("/bursar")), "{entry}");
    }

    proves_itself(&home, entries.len());
    daemon.stop();
    let _daemon = home.start();
    proves_itself(&home, entries.len());
    for told in [
        run.out,
        run.err,
        json!(entries).to_string(),
        home.cli(&["audit", "--all"]).ok().out,
        home.cli(&["usage", "--json"]).ok().out,
        home.cli(&["client-secret", "list", "--json"]).ok().out,
        home.log(),
    ] {
        assert!(!told.contains("value-of-"), "a value: {told}");
        for one in given.all() {
            assert!(!told.contains(&one.value[15..45]), "the value of {}: {told}", one.id);
        }
    }
}

/// The proof covers all of the entries, and what was recorded since.
fn proves_itself(home: &Home, least: usize) {
    let proof = home.cli(&["audit", "verify", "--json"]).ok().json();
    assert_eq!((&proof["sound"], &proof["faults"], &proof["first"]), (&json!(true), &json!([]), &json!(1)));
    assert!(proof["entries"].as_u64().is_some_and(|entries| entries >= least as u64), "{proof}");
    let said = home.cli(&["audit", "verify"]).ok().out;
    assert!(said.starts_with("the record is sound: "), "{said}");
}

#[test]
fn a_job_whose_client_secret_ends_in_the_middle_is_stopped_there() {
    let (home, _daemon) = two_organizations("");
    let (acme, beta) = (issue(&home, "acme", "viewer", None), issue(&home, "beta", "viewer", None));
    let shop = Workspace::empty(&home, "shop");
    unattended::run(&shop, &[&acme, &beta], &["add", "-p", "acme/site", "-p", "beta/tools"]).ok();
    home.cli(&["client-secret", "revoke", &beta.id, "--yes"]).ok();
    let before = shop.stamps();
    let run = unattended::run(&shop, &[&acme, &beta], &["sync"]);
    assert_eq!(run.code, 4, "{run:?}");
    // what is left of its rights is told, and which one it is that ended
    let warned = format!("warning: client secret {} was revoked at ", beta.id);
    assert!(run.err.starts_with(&warned) && run.err.contains("; it does not count; hint: "), "{}", run.err);
    assert!(run.err.contains(&format!("error: client secret {} was revoked at ", beta.id)), "{}", run.err);
    assert_eq!(shop.stamps(), before, "nothing is half done");
}

/// Lets the group of [`RUNNER`] reach the socket, and gives it the directory `shop`.
fn for_runner(access: &str) -> (Home, Daemon) {
    let (home, daemon) = two_organizations(&format!("[socket]\ngroup = {RUNNER}\n{access}"));
    for name in ["shop", "shop/bursar.toml"] {
        chown(home.path().join(name), Some(RUNNER), Some(RUNNER)).expect("root gives files away");
    }
    (home, daemon)
}

#[test]
fn a_runner_of_another_user_is_let_in_and_has_the_rights_of_its_client_secrets() {
    if !can_become_others() {
        return;
    }
    let (home, _daemon) = for_runner(&format!("[access]\nadmit = ['uid {RUNNER}']\n"));
    let (acme, beta) = (issue(&home, "acme", "viewer", None), issue(&home, "beta", "viewer", None));
    as_user(RUNNER, || {
        let shop = Workspace::empty(&home, "shop");
        unattended::run(&shop, &[&acme, &beta], &["add", "-p", "acme/site", "-p", "beta/tools"]).ok();
        unattended::run(&shop, &[&acme, &beta], &["sync"]).ok();
        assert_eq!(shop.read("site.conf"), "a=value-of-staging");
        unattended::refused(&shop, &[&acme], "wrong_organization", &["sync"]);
        // without one it has no right at all
        for line in [&["sync"][..], &["info"], &["get", "acme/api-staging"]] {
            assert_eq!(Run::of(&mut as_runner(&home, line)).code, 4, "{line:?}");
        }
    });
    let by_runner = entries(&home).into_iter().filter(|entry| entry["uid"] == RUNNER);
    let principals: Vec<String> =
        by_runner.map(|entry| entry["principal"].as_str().unwrap().to_owned()).collect();
    assert!(principals.contains(&format!("client secret {}", beta.id)), "{principals:?}");
    // the owner does not mistake it for a workspace of their own
    let known = home.cli(&["workspace", "list", "--json"]).ok().json();
    assert_eq!((&known[0]["uid"], &known[0]["files"]), (&json!(RUNNER), &json!(2)), "{known}");
    proves_itself(&home, 1);
}

#[test]
fn a_service_with_a_role_needs_no_client_secret() {
    if !can_become_others() {
        return;
    }
    let role = |organization: &str| {
        format!("[[access.roles]]\nwho = 'uid {RUNNER}'\norganization = '{organization}'\nrole = 'viewer'\n")
    };
    let (home, _daemon) = for_runner(&role("acme"));
    as_user(RUNNER, || {
        let run = |line: &[&str]| Run::of(&mut as_runner(&home, line));
        let untrusted = run(&["add", "-p", "acme/site"]);
        assert!(untrusted.code == 4 && untrusted.err.contains("is not trusted"), "{untrusted:?}");
        run(&["workspace", "trust"]).ok();
        run(&["add", "-p", "acme/site"]).ok();
        run(&["sync"]).ok();
        assert_eq!(fs::read_to_string(home.path().join("shop/site.conf")).unwrap(), "a=value-of-staging");
        for line in [&["get", "acme/api-staging"][..], &["add", "-p", "beta/tools"], &["publish"], &["audit"]]
        {
            let refused = run(line);
            assert!([2, 4].contains(&refused.code), "{line:?}: {refused:?}");
            assert!(!refused.out.contains("value-of"), "{refused:?}");
        }
    });
    let entries = entries(&home);
    let given = entries.iter().find(|entry| entry["method"] == "package.get").expect("a value");
    assert_eq!((&given["principal"], &given["uid"]), (&json!(format!("uid {RUNNER}")), &json!(RUNNER)));
}

/// `bursar` in `shop`, as a person would call it who has no terminal.
fn as_runner(home: &Home, arguments: &[&str]) -> std::process::Command {
    let bursar = &bursar_tests::binaries::binaries().bursar;
    unattended::command(home, &home.path().join("shop"), bursar, arguments)
}
