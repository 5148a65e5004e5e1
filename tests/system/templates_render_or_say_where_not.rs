//! `bursar render` gives a template with all of its values, or says where each fault stands; then nothing is written, and no
//! message holds a value.

use bursar_tests::library::{acme_with_api, bound};
use bursar_tests::secrets::of_every_static_type;
use bursar_tests::{Daemon, Home, Run, Workspace, open_vault};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

const ODD: &str = "a\"b\\c<d>&'e' é/+~\u{1}\ttab\r\nnext";

fn vault() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    home.create(json!({ "secret": "acme/odd", "type": "key-value", "environment": "staging",
        "credentials": { "entries": { "text": ODD, "a b|c": "piped", "user": "robot-user", "secret": "s" } } }));
    home.ok("element.set", json!({ "element": "acme/odd", "staging": "odd" }));
    (home, daemon)
}

fn render(home: &Home, flags: &[&str], template: &str) -> Run {
    home.cli_with_input(&[&["render", "-", "-e", "acme/staging"], flags].concat(), template)
}

#[test]
fn a_mark_becomes_what_its_filters_make_of_the_value() {
    let (home, _daemon) = vault();
    let json_text = r#""a\"b\\c<d>&'e' é/+~\u0001\ttab\r\nnext""#;
    for (mark, text) in [
        ("%acme/api%", "value-of-staging"),
        ("%secret:acme/api-production%", "value-of-production"),
        ("%acme/api:token%|%acme/api:value%", "value-of-staging|value-of-staging"),
        ("%acme/odd:text%", ODD),
        ("%acme/odd:user%", "robot-user"),
        ("%acme/odd:text|json%", json_text),
        ("%acme/odd:text|url%", "a%22b%5Cc%3Cd%3E%26%27e%27%20%C3%A9%2F%2B~%01%09tab%0D%0Anext"),
        ("%acme/odd:text|xml%", "a&quot;b\\c&lt;d&gt;&amp;&apos;e&apos; é/+~\u{1}\ttab\r\nnext"),
        ("%acme/odd:text|base64%", "YSJiXGM8ZD4mJ2UnIMOpLyt+AQl0YWINCm5leHQ="),
        ("%acme/odd:user|base64|url|json%", "\"cm9ib3QtdXNlcg%3D%3D\""),
        ("%secret:acme/odd:secret%", "s"),
        ("100%%, %%acme/api%%, %acme/api%%%", "100%, %acme/api%, value-of-staging%"),
        ("", ""),
        ("no mark\r\n\u{feff}é\n\n", "no mark\r\n\u{feff}é\n\n"),
    ] {
        let run = render(&home, &[], mark).ok();
        assert_eq!((run.out.as_str(), run.err.as_str()), (text, ""), "{mark}");
    }
    let read: Value = serde_json::from_str(&render(&home, &[], "%acme/odd:text|json%").ok().out).unwrap();
    assert_eq!(read, ODD, "a json text reads as the value");
}

#[test]
fn every_type_has_its_fields() {
    let (home, _daemon) = open_vault();
    for params in of_every_static_type() {
        home.create(params);
    }
    let certificate = of_every_static_type().into_iter().find(|one| one["type"] == "certificate").unwrap();
    assert!(certificate["credentials"]["certificate"].is_string());
    for (mark, text) in [
        ("%secret:one-simple-http%", "cm9ib3Q6cGFzczp3b3Jk"),
        ("%secret:one-token%", "npm_0123456789"),
        ("%secret:one-api-key%", "k-0123456789"),
        ("%secret:one-api-key:value%", "k-0123456789"),
        ("%secret:one-bearer-token%", "Bearer b-01234"),
        ("%secret:one-bearer-token:header_value%", "Bearer b-01234"),
        ("%secret:one-client-credentials:client_id%", "robot"),
        ("%secret:one-client-credentials:client_secret%", "cs-0123456789"),
        ("%secret:one-key-value:PIN%", "p-0123456789"),
    ] {
        let run = home.cli_with_input(&["render", "-", "-e", "development"], mark).ok();
        assert_eq!(run.out, text, "{mark}");
        // the same that `get` prints
        let (secret, field) = mark.trim_matches('%').trim_start_matches("secret:").split_once(':').unzip();
        let secret = secret.unwrap_or_else(|| mark.trim_matches('%').trim_start_matches("secret:"));
        let field = field.into_iter().flat_map(|field| ["--field", field]);
        let got = home.cli(&[&["get", secret], &field.collect::<Vec<_>>()[..]].concat()).ok().out;
        assert_eq!(got, format!("{text}\n"), "{mark}");
    }
    let pem = home.cli_with_input(&["render", "-"], "%secret:one-certificate:private_key%").ok().out;
    assert!(
        pem.starts_with("-----BEGIN ") && pem.trim_end().ends_with("-----"),
        "a secret needs no environment"
    );
    let run = home.cli_with_input(&["render", "-"], "%secret:one-certificate%");
    assert_eq!(run.code, 2, "{run:?}");
    assert!(
        run.err.contains("standard input: line 1, column 1: ") && run.err.contains("private_key"),
        "{run:?}"
    );
    assert!(!run.err.contains("BEGIN"), "{run:?}");
}

#[test]
fn a_file_is_written_private_and_whole() {
    let (home, _daemon) = vault();
    let template = home.file("t.tmpl", "token=%acme/api%\n");
    let template = template.to_str().unwrap();
    let output = home.path().join("out");
    let write = |arguments: &[&str]| {
        home.cli(&[&["render", template, "-e", "acme/staging", "--output"], arguments].concat())
    };
    let run = write(&[output.to_str().unwrap()]).ok();
    assert_eq!((run.out.as_str(), run.err.as_str()), ("", ""));
    let private = |at: &std::path::Path| fs::metadata(at).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (fs::read_to_string(&output).unwrap().as_str(), private(&output)),
        ("token=value-of-staging\n", 0o600)
    );
    // over a file that others could read
    fs::set_permissions(&output, fs::Permissions::from_mode(0o644)).unwrap();
    let open = fs::File::open(&output).unwrap();
    home.file("t.tmpl", "new=%acme/api%\n");
    write(&[output.to_str().unwrap()]).ok();
    assert_eq!(
        (fs::read_to_string(&output).unwrap().as_str(), private(&output)),
        ("new=value-of-staging\n", 0o600)
    );
    assert_ne!(fs::metadata(&output).unwrap().ino(), open.metadata().unwrap().ino(), "it is a new file");
    assert_eq!(write(&["-"]).ok().out, "new=value-of-staging\n");

    let before = fs::read_dir(home.path()).unwrap().count();
    home.file("t.tmpl", "new=%acme/api%\n%acme/nowhere%\n");
    let run = write(&[output.to_str().unwrap()]);
    assert_eq!(run.code, 7, "{run:?}");
    home.file("t.tmpl", "new=%acme/api%\n%acme/api\n");
    assert_eq!(write(&[output.to_str().unwrap()]).code, 2);
    assert_eq!(fs::read_to_string(&output).unwrap(), "new=value-of-staging\n", "the old file stays whole");
    home.file("t.tmpl", "new=%acme/api%\n");
    let run = write(&["no/such/directory/file"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("no/such/directory") && !run.err.contains("value-of"), "{run:?}");
    assert_eq!(write(&[home.path().to_str().unwrap()]).code, 1);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), before, "no draft is left");

    let json = write(&[output.to_str().unwrap(), "--json"]).ok().json();
    assert_eq!(json, json!({ "output": output.to_str().unwrap(), "content": null }));
    let json = render(&home, &["--json"], "é %acme/api%\n").ok().json();
    assert_eq!(json, json!({ "output": null, "content": "é value-of-staging\n" }));
}

/// The lines of the one error, which must be of this name.
fn faults(run: &Run, code: i32, name: &str) -> Vec<String> {
    assert_eq!((run.code, run.out.as_str()), (code, ""), "{run:?}");
    let error = run.json_error();
    assert_eq!(error["code"], name, "{error}");
    let message = error["message"].as_str().unwrap();
    for value in ["value-of", ODD, "robot-user", "piped"] {
        assert!(!run.err.contains(value), "{run:?}");
    }
    message.lines().map(str::to_owned).collect()
}

#[test]
fn every_fault_is_told_with_file_line_and_column() {
    let (home, _daemon) = vault();
    let text = "fine %acme/api%\n\
                é %acme/api|rot13% %acme/api%\n\
                \n\
                %acme/api|% %acme/api:% %% %a b% %acme/api%\n\
                100% sure\n\
                %a/b/c%%acme/api|json|nope%\n";
    home.file("t.tmpl", text);
    let run = home.cli(&["--json", "render", "t.tmpl", "-e", "acme/staging"]);
    let told = faults(&run, 2, "invalid");
    let places: Vec<_> = told.iter().map(|line| line.rsplitn(2, "column ").last().unwrap().len()).collect();
    assert_eq!(places.len(), 7, "{told:?}");
    for (line, begins) in told.iter().zip([
        "t.tmpl: line 2, column 3: after | stands a filter; expected one of: base64, json, url, xml",
        "t.tmpl: line 4, column 1: after | stands a filter",
        "t.tmpl: line 4, column 13: after : stands the name of a field",
        "t.tmpl: line 4, column 28: this is no mark: write ",
        "t.tmpl: line 5, column 4: this mark is not closed on its line; write %% for a percent sign",
        "t.tmpl: line 6, column 1: this is no mark",
        "t.tmpl: line 6, column 8: after | stands a filter",
    ]) {
        assert!(line.starts_with(begins), "{line}\n{begins}");
    }
    let many = faults(&render(&home, &["--json"], &"%\n".repeat(1_000)), 2, "invalid");
    assert_eq!(many.len(), 20);

    let run = render(&home, &["--json"], "%acme/odd%\n  %acme/odd:nope% %acme/api:user%\n");
    let told = faults(&run, 2, "invalid");
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(
        told[0].starts_with("standard input: line 1, column 1: ")
            && told[0].contains("a b|c, secret, text, user")
    );
    assert!(told[1].starts_with("standard input: line 2, column 3: ") && told[1].contains("choose one of: "));
    assert!(
        told[2].starts_with("standard input: line 2, column 19: ") && told[2].contains("token"),
        "{told:?}"
    );
}

#[test]
fn what_cannot_be_had_is_told_at_once_and_what_was_probably_meant() {
    let (home, _daemon) = vault();
    bound(&home, "acme/off", "acme/staging", "value-of-off");
    home.ok("element.set", json!({ "element": "acme/off", "staging": "off" }));
    home.ok("secret.deactivate", json!({ "secret": "acme/off" }));
    let run = render(
        &home,
        &["--json"],
        "%acme/off% %acme/api% %acme/apj%\n%beta/x% %acme/unknown% %acme/off% %secret:acme/nowhere%",
    );
    let told = faults(&run, 7, "unresolved");
    let begins = [
        "line 1, column 1: acme/off, staging: ",
        "line 1, column 23: acme/apj, staging: ",
        "line 2, column 1: ",
        "line 2, column 10: acme/unknown, staging: ",
        "line 2, column 36: ",
    ];
    assert_eq!(told.len(), begins.len(), "{told:?}");
    for (line, begins) in told.iter().zip(begins) {
        assert!(line.starts_with(&format!("standard input: {begins}")), "{told:?}");
    }
    assert!(told[2].contains("beta") && told[4].contains("acme/nowhere"), "{told:?}");
    assert_eq!(run.json_error()["hint"], "did you mean: acme/api");
    faults(&render(&home, &["--json"], "%secret:acme/off%"), 7, "inactive");
    faults(&render(&home, &["--json"], "%secret:acme/nowhere%"), 5, "not_found");
    let told = faults(&render(&home, &["--json"], "é %beta/api%"), 5, "not_found");
    assert!(told[0].starts_with("standard input: line 1, column 3: "), "{told:?}");
    for text in ["no name", "%secret:acme/api-staging%", "%acme/api%"] {
        let run = home.cli_with_input(&["--json", "render", "-", "-e", "acme/stagin"], text);
        let told = faults(&run, 5, "not_found");
        assert!(told.len() == 1 && told[0].contains("acme/stagin"), "{told:?}");
    }
    let run = home.cli_with_input(&["--json", "render", "-"], "%acme/api%");
    assert!(faults(&run, 2, "invalid")[0].contains("no environment"), "{run:?}");
    let run = render(&home, &["--json"], "%api%");
    let hint = run.json_error()["hint"].as_str().unwrap_or_default().to_owned();
    assert!(hint.contains("%acme/api%"), "a bare name has no organization here: {run:?}");
    let told = faults(&run, 2, "invalid");
    assert!(told[0].starts_with("standard input: line 1, column 1: api "), "{told:?}");
    assert!(!told[0].contains("library"), "{told:?}");
}

#[test]
fn what_is_no_template_is_refused_unread() {
    let (home, _daemon) = vault();
    let template = |name: &str, content: &[u8]| {
        home.file(name, content);
        let run = home.cli(&["--json", "render", name, "-e", "acme/staging"]);
        faults(&run, 2, "invalid").remove(0)
    };
    assert_eq!(template("large", &vec![b'x'; 10 * 1024 * 1024]), "large: over 128 KiB");
    assert_eq!(template("binary", b"\x7fELF\x02\x01\xff\xfe%acme/api%"), "binary: no utf-8 text");
    assert_eq!(
        template("zero", b"ab\ncd\0%acme/api%"),
        "zero: line 2, column 3: a template is text, and this is a zero byte"
    );
    assert_eq!(template("over", &vec![b'x'; 128 * 1024 + 1]), "over: over 128 KiB");
    home.file("full", vec![b'x'; 128 * 1024]);
    assert_eq!(home.cli(&["render", "full"]).ok().out.len(), 128 * 1024);
    for missing in ["nowhere", "no/where", "full/x"] {
        let told = faults(&home.cli(&["--json", "render", missing, "-e", "acme/staging"]), 2, "invalid");
        assert!(told[0].starts_with(&format!("cannot read {missing}: ")), "{told:?}");
    }
    assert!(faults(&home.cli(&["--json", "render", "."]), 2, "invalid")[0].starts_with("cannot read .: "));
    let long = "%acme/odd:text%".repeat(8_000);
    assert_eq!(render(&home, &[], &long).ok().out.len(), 8_000 * ODD.len());
    home.create(json!({ "secret": "acme/long", "type": "key-value", "credentials": { "entries": { "l": "x".repeat(40_000) } } }));
    let told = faults(&render(&home, &["--json"], &"%secret:acme/long:l%\n".repeat(120)), 2, "invalid");
    assert!(told[0].contains("over 4 MiB"), "{told:?}");
}

#[test]
fn a_workspace_says_what_names_belong_to() {
    let (home, _daemon) = vault();
    let workspace = Workspace::with(
        &home,
        "w",
        "organization = 'acme'\nenvironment = 'staging'\n[library]\nname = 'site'\n[library.elements]\nOWN = 'api'\n",
    );
    workspace.write("t", "%OWN% %api% %acme/odd:user% %secret:api-production%\n");
    let text = "value-of-staging value-of-staging robot-user value-of-production\n";
    assert_eq!(workspace.run(&["render", "t"]).ok().out, text);
    let run = workspace.run(&["render", "t", "-e", "development"]);
    assert_eq!(run.code, 7, "acme/odd has nothing for development: {run:?}");
    workspace.write("bursar.toml", "environment = 'acme/staging'\n");
    let run = workspace.run(&["--json", "render", "t"]);
    assert_eq!((run.code, &run.json_error()["code"]), (4, &json!("untrusted")), "{run:?}");
}
