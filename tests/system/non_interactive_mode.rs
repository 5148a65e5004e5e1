//! `--non-interactive`: client secrets alone decide, from wherever they are given; five commands exist, and nobody is asked.

use bursar_tests::binaries::binaries;
use bursar_tests::client_secrets::{Issued, issue};
use bursar_tests::library::{acme_with_api, file, organization, publish};
use bursar_tests::{Daemon, Home, Run, Talk, Workspace, open_vault, unattended};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// What exists.
const FIVE: [&str; 5] = ["add", "info", "publish", "status", "sync"];

/// As it lies in a checkout: nobody trusts it.
const SHOP: &str = "environment = 'acme/staging'\n[packages]\n'acme/site' = '1'\n";

const LIBRARY: &str = "organization = 'acme'\nenvironment = 'staging'\n[library]\nname = 'site'\nversion = '2.0.0'\n\
                       [library.elements]\nTOKEN = 'api'\n[[library.files]]\ntemplate = 't'\npath = 'site.conf'\n";

fn acme() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    let files = json!([file("site.conf", "a=%TOKEN%")]);
    publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "acme/api" }), files);
    (home, daemon)
}

/// The same with another organization that has a package.
fn acme_and_beta() -> (Home, Daemon) {
    let (home, daemon) = acme();
    organization(&home, "beta");
    publish(&home, "beta/tools", "1.0.0", json!({}), json!([]));
    (home, daemon)
}

fn viewer(home: &Home) -> Issued {
    issue(home, "acme", "viewer", None)
}

fn revoked(home: &Home) -> Issued {
    let issued = viewer(home);
    home.ok("client_secret.revoke", json!({ "id": issued.id }));
    issued
}

fn shop(home: &Home) -> Workspace<'_> {
    let shop = Workspace::empty(home, "shop");
    shop.write("bursar.toml", SHOP);
    shop
}

/// Runs `bursar` as it stands there, with that in `BURSAR_CLIENT_SECRETS`.
fn run(workspace: &Workspace<'_>, variable: &str, arguments: &[&str]) -> Run {
    let bursar = &binaries().bursar;
    let mut command = unattended::command(workspace.home(), workspace.root(), bursar, arguments);
    Run::of(command.env("BURSAR_CLIENT_SECRETS", variable))
}

/// The names of the packages that are seen.
fn packages(run: Run) -> Vec<String> {
    let listed = run.ok().json();
    let name = |one: &Value| one["package"].as_str().unwrap().to_owned();
    listed.as_array().unwrap().iter().map(name).collect()
}

#[test]
fn the_flag_wins_over_the_file_and_the_file_over_the_variable() {
    let (home, _daemon) = acme();
    let (good, one, two) = (viewer(&home), revoked(&home), revoked(&home));
    let shop = shop(&home);
    let [good_file, two_file, empty] = [("good", &*good.value), ("two", &*two.value), ("empty", " \n;\n")]
        .map(|(name, content)| home.file(name, content).to_str().unwrap().to_owned());
    let sync = |variable: &str, flags: &[&str]| {
        run(&shop, variable, &[&["--json", "--non-interactive", "sync"], flags].concat())
    };
    let (flag, from) = ("--client-secrets", "--client-secrets-file");
    sync(&one.value, &[flag, &good.value, from, &two_file]).ok();
    sync(&one.value, &[from, &good_file]).ok();
    sync(&good.value, &[]).ok();
    for (run, which) in [
        (sync(&good.value, &[flag, &one.value, from, &good_file]), &one),
        (sync(&good.value, &[from, &two_file]), &two),
        (sync(&one.value, &[]), &one),
    ] {
        assert_eq!((run.code, &run.json_error()["code"]), (4, &json!("client_secret_revoked")), "{run:?}");
        assert!(run.err.contains(&which.id), "{}: {run:?}", which.id);
    }
    // what was said decides, also where nothing is in it
    let run = sync(&good.value, &[from, &empty]);
    assert_eq!((run.code, &run.json_error()["code"]), (2, &json!("invalid")), "{run:?}");
    assert!(run.err.contains("empty: there is no client secret in it"), "{run:?}");
}

#[test]
fn several_count_together_however_they_are_separated() {
    let (home, _daemon) = acme_and_beta();
    let (one, two) = (viewer(&home).value, issue(&home, "beta", "viewer", None).value);
    let here = Workspace::empty(&home, "here");
    let info = ["--json", "--non-interactive", "info"];
    assert_eq!(packages(run(&here, &one, &info)), ["acme/site"]);
    for list in [
        format!("{one};{two}"),
        format!("{one};{two};"),
        format!(";;{one};;{two};"),
        format!("{one} {two}"),
        format!("{one}\n{two}\n"),
        format!("\r\n{one};\r\n\t{two} \r\n\r\n"),
        format!("\u{feff}{one}\n{two}"),
        format!("{one};{one};{two}"),
    ] {
        let both = ["acme/site", "beta/tools"];
        assert_eq!(packages(run(&here, &list, &info)), both, "{list:?}");
        let from = home.file("list", &list);
        let from = [&info[..], &["--client-secrets-file", from.to_str().unwrap()]].concat();
        assert_eq!(packages(run(&here, "", &from)), both, "{list:?}");
        let stdin = [&info[..], &["--client-secrets-file", "-"]].concat();
        let mut bursar = here.command(&stdin);
        let bursar = bursar.spawn().unwrap();
        assert_eq!(packages(Run::finish(bursar, Some(&list))), both, "{list:?}");
    }
    for flags in [
        vec!["--client-secrets", &one, &two],
        vec!["--client-secrets", &one, "--client-secrets", &two],
        vec![&format!("--client-secrets={one};{two}")],
    ] {
        // a command ends the list
        for line in [[&flags[..], &info].concat(), [&info[..], &flags].concat()] {
            assert_eq!(packages(run(&here, "", &line)).len(), 2, "{line:?}");
        }
    }
}

#[test]
fn what_is_missing_or_too_much_is_a_usage_error() {
    let (home, _daemon) = acme();
    let good = viewer(&home).value;
    let shop = shop(&home);
    let many = vec![good.as_str(); 33].join(";");
    let nowhere = home.path().join("nowhere");
    let nowhere = nowhere.to_str().unwrap();
    let good_file = home.file("good", &good);
    let good_file = good_file.to_str().unwrap();
    let (on, from) = ("--non-interactive", "--client-secrets-file");
    for (variable, arguments, said, hint) in [
        (&*good, &["sync", "--client-secrets", &good][..], "--client-secrets counts only with", on),
        (&good, &["sync", from, good_file], "--client-secrets-file counts only with", on),
        (&good, &["get", "acme/api-staging", from, good_file], "--client-secrets-file counts only with", on),
        ("", &[on, "sync"], "non-interactive mode needs client secrets, and none was given", from),
        (";\n", &[on, "sync"], "BURSAR_CLIENT_SECRETS: there is no client secret in it", from),
        (&many, &[on, "sync"], "BURSAR_CLIENT_SECRETS: 33 client secrets, and 32 is the most", "alone"),
        (&good, &[on, "sync", from, nowhere], "cannot read ", ""),
        (&good, &[on, "sync", from, "-"], "standard input: there is no client secret in it", from),
        (&good, &[on, "sync", from, good_file, from, good_file], "--client-secrets-file", ""),
        (&good, &[on, "sync", "--client-secrets"], "--client-secrets", ""),
        (&good, &[on, "sync", "--client-secret", &good], "no such flag: --client-secret", "--client-secrets"),
    ] {
        let run = run(&shop, variable, &[&["--json"], arguments].concat());
        let error = run.json_error();
        assert_eq!((run.code, &error["code"]), (2, &json!("invalid")), "{arguments:?}: {run:?}");
        assert!(error["message"].as_str().is_some_and(|text| text.contains(said)), "{arguments:?}: {error}");
        let told = error["hint"].as_str().unwrap_or_default();
        assert!(told.contains(hint), "{arguments:?}: {error}");
        assert!(!run.err.contains(&good[15..40]) && run.out.is_empty(), "{run:?}");
        assert!(!shop.has("site.conf"));
    }
    // as many as count together do
    run(&shop, &vec![good.as_str(); 32].join(";"), &[on, "sync"]).ok();
}

#[test]
fn what_was_probably_meant_is_said() {
    let (home, _daemon) = acme();
    let (one, two) = (viewer(&home), viewer(&home));
    let shop = shop(&home);
    let commas = format!("{},{}", one.value, two.value);
    let run = run(&shop, &commas, &["--non-interactive", "sync"]);
    assert_eq!(run.code, 4, "{run:?}");
    assert!(
        run.err
            .contains("hint: commas do not separate client secrets: in BURSAR_CLIENT_SECRETS semicolons do")
    );
    let mut bursar = unattended::bursar(&shop, &["sync"]);
    let run = Run::of(bursar.env("BURSAR_CLIENT_SECRET", &one.value));
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.err.ends_with(
        "hint: BURSAR_CLIENT_SECRET is set, and the variable that counts is BURSAR_CLIENT_SECRETS\n"
    ));
}

#[test]
fn what_is_malformed_is_named_by_its_place_and_never_repeated() {
    let (home, _daemon) = acme();
    let good = viewer(&home);
    let shop = shop(&home);
    let cut = &good.value[..60];
    let swapped = {
        let (head, tail) = good.value.split_at(30);
        let first = tail.chars().next().unwrap();
        format!("{head}{}{}", if first == '0' { '1' } else { '0' }, &tail[1..])
    };
    let loud = good.value.to_uppercase();
    let list = format!("{cut};hunter2hunter2;{swapped};{loud}");
    let run = run(&shop, &list, &["--non-interactive", "sync"]);
    assert_eq!(run.code, 4, "{run:?}");
    let id = &good.id;
    for line in [
        format!("client secret 1 ({id}) is malformed: it has 60 characters, and a client secret has 75"),
        "client secret 2 is malformed: it does not begin with bcs_".to_owned(),
        format!("client secret 3 ({id}) is malformed: its checksum does not fit: "),
        "client secret 4 is malformed: it does not begin with bcs_".to_owned(),
    ] {
        assert!(run.err.contains(&line), "{line}: {}", run.err);
    }
    // beside one that counts they are warned of, and that one does
    let run = self::run(&shop, &format!("{list};{}", good.value), &["--non-interactive", "sync"]).ok();
    assert_eq!(run.err.matches("; it does not count; hint: ").count(), 4, "{}", run.err);
    for told in [run.out, run.err] {
        let told = told.to_lowercase();
        assert!(!told.contains("hunter2") && !told.contains(&good.value[15..25]), "{told}");
    }
    assert_eq!(shop.read("site.conf"), "a=value-of-staging");
}

/// The commands below a command, as its help lists them.
fn below(home: &Home, command: &[String]) -> (Vec<Vec<String>>, Vec<String>) {
    let arguments: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
    let help = home.cli(&arguments).ok().out;
    let section = |name: &'static str| {
        let lines = help.lines().skip_while(move |line| !line.starts_with(name)).skip(1);
        lines.take_while(|line| line.starts_with("  "))
    };
    // words about a command may go on below it, further to the right
    let named = section("Commands:").filter_map(|line| line[2..].split(' ').next());
    let named = named.filter(|name| !name.is_empty());
    let inner = named.filter(|name| *name != "help").map(|name| [command, &[name.to_owned()]].concat());
    // the last bursar of a line with what it takes, up to the next program or file
    let examples = section("Example").filter_map(|line| {
        let line = line.split(['>', '#']).next()?;
        let rest = &line[line.rfind("bursar ")?..];
        Some(rest.split(['|', ')']).next()?.trim().to_owned())
    });
    (inner.collect(), examples.collect())
}

#[test]
fn every_other_command_is_refused_by_its_name() {
    let (home, _daemon) = acme();
    let good = viewer(&home);
    let here = Workspace::empty(&home, "here");
    let mut left = vec![Vec::new()];
    let (mut exist, mut refused) = (Vec::new(), 0);
    while let Some(command) = left.pop() {
        let (inner, examples) = below(&home, &command);
        let name = command.join(" ");
        let is_of =
            |line: &String, command: &[String]| line.starts_with(&format!("bursar {}", command.join(" ")));
        let is_inner = |line: &String| inner.iter().any(|command| is_of(line, command));
        let of_it: Vec<&String> =
            examples.iter().filter(|line| is_of(line, &command) && !is_inner(line)).collect();
        assert!(!of_it.is_empty() || !inner.is_empty(), "bursar {name} has no example to try");
        for line in of_it {
            let line = line.replacen("bursar ", "exec bursar --non-interactive --json ", 1);
            let mut sh = unattended::command(&home, here.root(), "sh", &["-c", &line]);
            let run = Run::of(sh.env("BURSAR_CLIENT_SECRETS", &good.value).env("PATH", unattended::path()));
            let does_not_exist = run.err.contains("does not exist in non-interactive mode");
            if FIVE.contains(&name.as_str()) {
                assert!(!does_not_exist, "{line}: {run:?}");
                exist.push(name.clone());
                continue;
            }
            let error = run.json_error();
            assert_eq!((run.code, &error["code"]), (4, &json!("denied")), "{line}: {run:?}");
            let said = format!("bursar {name} does not exist in non-interactive mode: ");
            assert!(error["message"].as_str().is_some_and(|text| text.starts_with(&said)), "{line}: {error}");
            assert_eq!(run.out, "", "{line}");
            refused += 1;
        }
        left.extend(inner);
    }
    exist.sort();
    exist.dedup();
    assert_eq!(exist, FIVE);
    assert!(refused > 50, "{refused}");
    // and none of it has happened
    assert_eq!(home.ok("agent.status", json!({}))["vault"], "unlocked");
    assert!(here.files().is_empty(), "{:?}", here.files());
    let others: Vec<Value> = home
        .ok("client_secret.list", json!({}))
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].clone())
        .collect();
    assert_eq!(others, [json!(good.id)]);
}

#[test]
fn nobody_is_asked_also_where_there_is_a_terminal() {
    let (home, _daemon) = acme();
    let good = viewer(&home);
    let shop = shop(&home);
    let mut sync = shop.command(&["sync", "--non-interactive"]);
    sync.env("BURSAR_CLIENT_SECRETS", &good.value);
    let mut talk = Talk::on_terminal(&sync);
    assert_eq!(talk.ended().code(), Some(0), "{:?}", talk.out.so_far());
    assert_eq!(talk.out.whole(), "wrote site.conf (acme/site 1.0.0)\r\n");
    // a list that somebody would have to type
    let mut talk =
        Talk::on_terminal(&shop.command(&["sync", "--non-interactive", "--client-secrets-file", "-"]));
    assert_eq!(talk.ended().code(), Some(2), "{:?}", talk.out.so_far());
    let told = talk.out.whole();
    assert!(
        told.contains("standard input is a terminal, and in non-interactive mode nobody is asked"),
        "{told}"
    );
}

#[test]
fn a_closed_standard_input_is_none_that_is_missed() {
    let (home, _daemon) = acme();
    let good = viewer(&home);
    let shop = shop(&home);
    let mut sh =
        unattended::command(&home, shop.root(), "sh", &["-c", "exec bursar --non-interactive sync <&- 2>&1"]);
    let run = Run::of(sh.env("BURSAR_CLIENT_SECRETS", &good.value));
    assert_eq!((run.code, &*run.out), (0, "wrote site.conf (acme/site 1.0.0)\n"), "{run:?}");
}

#[test]
fn the_rights_of_the_user_do_not_count() {
    let (home, _daemon) = acme_and_beta();
    let (viewer, gone) = (viewer(&home), revoked(&home));
    let of_beta = issue(&home, "beta", "viewer", None);
    let shop = shop(&home);
    let library = Workspace::with(&home, "library", LIBRARY);
    library.write("t", "%TOKEN%");
    for (workspace, client_secret, name, command) in [
        (&library, &viewer, "wrong_role", "publish"),
        (&library, &of_beta, "wrong_organization", "publish"),
        (&library, &gone, "client_secret_revoked", "publish"),
        (&shop, &of_beta, "wrong_organization", "sync"),
        (&shop, &of_beta, "wrong_organization", "status"),
        (&shop, &gone, "client_secret_revoked", "sync"),
        (&shop, &gone, "client_secret_revoked", "info"),
    ] {
        let (code, said) = unattended::refused(workspace, &[client_secret], name, &[command]);
        assert_eq!(code, 4, "{said}");
        assert!(said.contains(&client_secret.id), "{said}");
    }
    let seen = unattended::run(&shop, &[&of_beta], &["info", "--json"]);
    assert_eq!(packages(seen), ["beta/tools"]);
    assert!(!shop.has("site.conf"));
    // the same user, as the owner
    library.run(&["publish"]).ok();
    assert_eq!(home.cli(&["info", "acme/site", "--json"]).ok().json()["versions"][0]["version"], "2.0.0");
}

#[test]
fn programs_that_are_run_see_no_client_secret() {
    let (home, _daemon) = acme();
    let good = viewer(&home);
    let shop = shop(&home);
    let real = Command::new("sh").args(["-c", "command -v git"]).output().unwrap().stdout;
    let real = String::from_utf8(real).unwrap();
    let (bin, seen) = (home.path().join("bin"), home.path().join("seen"));
    fs::create_dir(&bin).unwrap();
    let script = format!(
        "#!/bin/sh\n{{ env; tr '\\0' ' ' < /proc/$PPID/cmdline; }} >> {}\nexec {} \"$@\"\n",
        seen.display(),
        real.trim()
    );
    fs::write(bin.join("git"), script).unwrap();
    fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut path = bin.into_os_string();
    path.push(":");
    path.push(unattended::path());
    let mut sync = unattended::bursar(&shop, &["sync"]);
    sync.env("PATH", path).env("BURSAR_CLIENT_SECRETS", &good.value).env("BURSAR_CLIENT_SECRET", &good.value);
    Run::of(sync.env("CI_JOB_ID", "7")).ok();
    let seen = fs::read_to_string(seen).expect("git was asked");
    assert!(seen.contains("CI_JOB_ID=7"), "the rest of the environment is there: {seen}");
    assert!(!seen.contains("BURSAR_CLIENT_SECRET") && !seen.contains(&good.value[..20]), "{seen}");
}

#[test]
fn a_flag_is_warned_of_once_and_nothing_else_is() {
    let (home, _daemon) = acme();
    let good = viewer(&home);
    let shop = shop(&home);
    let warning = "warning: every user of this machine can read what stands on a command line";
    let flag = run(&shop, "", &["--non-interactive", "sync", "--client-secrets", &good.value]).ok();
    assert_eq!((flag.err.matches("warning").count(), flag.err.matches(warning).count()), (1, 1), "{flag:?}");
    assert_eq!(run(&shop, &good.value, &["--non-interactive", "sync"]).ok().err, "");
    let from = home.file("list", &good.value);
    let from = ["--non-interactive", "sync", "--client-secrets-file", from.to_str().unwrap()];
    assert_eq!(run(&shop, "", &from).ok().err, "");
}

#[test]
fn trust_is_neither_asked_nor_given() {
    let (home, _daemon) = acme();
    let good = viewer(&home);
    let shop = shop(&home);
    shop.refused(4, "untrusted", &["sync"]);
    unattended::run(&shop, &[&good], &["sync"]).ok();
    unattended::run(&shop, &[&good], &["add", "-p", "acme/site@*"]).ok();
    unattended::run(&shop, &[&good], &["status"]).ok();
    // what the user of the same machine is asked, is asked as before
    shop.refused(4, "untrusted", &["sync"]);
    let known = home.cli(&["workspace", "list", "--json"]).ok().json();
    assert_eq!((&known[0]["trusted"], &known[0]["files"]), (&Value::Null, &json!(1)), "{known}");
}

#[test]
fn without_the_mode_the_variable_is_ignored() {
    let (home, _daemon) = acme();
    let shop = shop(&home);
    for variable in [&*revoked(&home).value, "hunter2"] {
        let run = run(&shop, variable, &["get", "acme/api-staging"]).ok();
        assert_eq!((&*run.out, &*run.err), ("value-of-staging\n", ""));
        let run = self::run(&shop, variable, &["sync"]);
        assert_eq!(run.code, 4, "as a person: {run:?}");
        assert!(run.err.contains("is not trusted"), "{run:?}");
    }
}

#[test]
fn where_no_agent_runs_none_is_started() {
    let home = Home::new();
    let shop = shop(&home);
    let good = Issued { id: String::new(), value: made() };
    let (code, said) = unattended::refused(&shop, &[&good], "daemon_unreachable", &["sync"]);
    assert_eq!(code, 9, "{said}");
    assert!(home.connect_if_open().is_none() && !home.path().join("state").exists());
}

/// One that is written as it should be, and that nobody issued.
fn made() -> String {
    use bursar_proto::client_secret::{PublicId, Random, compose};
    let random = Random::new([7; 32].into());
    compose(&PublicId::from_random([7; 8]), &random).expose().to_owned()
}
