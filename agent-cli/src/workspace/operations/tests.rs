use super::*;
use crate::session::tests::{agent, session};
use crate::workspace::tree::sha256;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

/// What a viewer's client secret reaches on the wire, beside `hello`.
const REACHED: [&str; 9] = [
    "authenticate",
    "environment.show",
    "package.list",
    "package.show",
    "package.fetch",
    "package.resolve",
    "package.get",
    "workspace.show",
    "workspace.record",
];

const MANIFEST_TEXT: &str = "organization = 'acme'\nenvironment = 'staging'\n[packages]\nsite = '1'\n[library]\n\
                             name = 'own'\n[[library.files]]\ntemplate = 't'\npath = 'built'\n";

fn home() -> (tempfile::TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().canonicalize().unwrap();
    fs::write(root.join(MANIFEST), MANIFEST_TEXT).unwrap();
    fs::write(root.join("t"), "plain").unwrap();
    (home, root)
}

/// An agent's word for a workspace in which these files were written, all of them with the value of a deleted secret.
fn shown(files: &[(&str, Option<&str>)], trusted: Option<Digest>) -> Value {
    let file = |(path, version): &(&str, Option<&str>)| json!({ "path": path, "package": "acme/site", "version": version, "digests": [sha256(b"old")], "secrets": [] });
    let files: Vec<Value> = files.iter().map(file).collect();
    let deleted: Vec<&Value> = files.iter().map(|file| &file["path"]).collect();
    json!({
        "workspace": "/w", "trusted": trusted, "environment": "acme/staging", "synced_at": null,
        "files": files, "deleted": deleted
    })
}

/// What an agent answers that has the package `acme/site` with one file, `out`.
fn answers(known: Value, state: &'static str) -> impl Fn(&str) -> Value + Send + 'static {
    let digest = "ab".repeat(32);
    move |method| {
        let result = match method {
            "authenticate" => json!({ "client_secrets": [] }),
            "workspace.show" | "workspace.record" => known.clone(),
            "environment.show" => json!({
                "environment": "acme/staging", "stage": "staging", "created_at": "2026-11-21T06:00:00Z", "secrets": 1
            }),
            "package.show" => json!({ "package": "acme/site", "versions": [{
                "package": "acme/site", "version": "1.0.0", "digest": digest, "published_at": null,
                "published_by": "uid 1", "elements": {}, "files": []
            }]}),
            "package.fetch" => json!({
                "package": "acme/site", "version": "1.0.0", "digest": digest, "elements": { "t": "acme/t" },
                "files": [{ "path": "out", "mode": "0600", "template": "%t%" }]
            }),
            "package.resolve" => json!({ "environment": "acme/staging", "stage": "staging", "elements": [{
                "element": "t", "stage": "staging", "secret": "acme/s", "environment": "acme/staging",
                "type": "token", "expires_at": null, "state": state, "problem": null, "hint": null
            }]}),
            "package.get" => json!({
                "secret": "acme/s", "type": "token", "value": "new", "fields": null, "header": null,
                "expires_at": null
            }),
            _ => {
                let data = json!({ "name": "denied", "hint": null });
                return json!({ "error": { "code": -32020, "message": "no", "data": data } });
            }
        };
        json!({ "result": result })
    }
}

/// Syncs as `line` says; answers how that ended, and what the agent was asked.
fn synced_as(
    root: &std::path::Path,
    line: &str,
    known: Value,
    state: &'static str,
) -> (Result<Synced, CallError>, Vec<(String, Value)>) {
    let socket = tempfile::tempdir().unwrap();
    let agent = agent(socket.path(), answers(known, state));
    let (session, _) = session(socket.path(), line);
    let workspace = Workspace::at(root).unwrap();
    let asked = Asked {
        environment: "acme/staging".parse().unwrap(),
        lock: Lock::new(),
        allowed: Allowed { force: false, allow_tracked: false },
        update: false,
    };
    let mut client = session.connect().unwrap();
    let known = workspace.known(&mut client).unwrap();
    let ended = brought_up(&session, &mut client, &workspace, &known, &asked).map_err(|stop| {
        deleted::after_stop(&session, &mut client, &workspace, &known, &asked.environment, stop)
    });
    drop(client);
    let ended = ended.map_err(|stop| match stop {
        Stop::Failed(error) => error,
        other => panic!("{other:?}"),
    });
    (ended, agent.join().unwrap())
}

const FILES: [(&str, Option<&str>); 3] = [("out", Some("1.0.0")), ("built", None), ("edited", Some("1.0.0"))];

fn lay(root: &std::path::Path) {
    for (path, content) in [("out", "old"), ("built", "old"), ("edited", "mine")] {
        fs::write(root.join(path), content).unwrap();
    }
}

fn texts(paths: &[FilePath]) -> Vec<&str> {
    paths.iter().map(FilePath::as_str).collect()
}

#[test]
fn without_a_person_a_sync_reaches_what_packages_publish_and_no_more() {
    let (_home, root) = home();
    lay(&root);
    let line = "bursar sync --non-interactive";
    let (synced, asked) = synced_as(&root, line, shown(&FILES, None), "good");
    let synced = synced.unwrap();
    for (method, _) in &asked {
        assert!(REACHED.contains(&method.as_str()), "{method}");
    }
    assert_eq!(fs::read(root.join("out")).unwrap(), b"new");
    assert_eq!((texts(&synced.removed), texts(&synced.deleted)), (vec!["built"], vec!["edited"]));
    assert!(!root.join("built").exists() && root.join("edited").exists());
    let told: Vec<&Value> =
        asked.iter().filter(|(method, _)| method == "workspace.record").map(|(_, params)| params).collect();
    assert_eq!((told.len(), &told[1]["synced"]), (3, &json!(true)));
    assert!(told.iter().all(|params| params["trusted"].is_null()));
    assert!(!told[2]["files"].to_string().contains("built"), "{}", told[2]);
}

#[test]
fn where_the_build_is_stopped_no_deleted_value_stays() {
    for line in ["bursar sync --non-interactive", "bursar sync"] {
        let (_home, root) = home();
        lay(&root);
        fs::write(root.join(MANIFEST), MANIFEST_TEXT.split("[library]").next().unwrap()).unwrap();
        let trusted = Workspace::at(&root).unwrap().digest;
        let (ended, asked) = synced_as(&root, line, shown(&FILES, Some(trusted)), "empty");
        let Err(error) = ended else { panic!("it was built") };
        assert_eq!((error.name, error.name.exit_code()), (ErrorName::Unresolved, 7));
        assert!(error.message.starts_with("acme/site: t is empty; removed out: "), "{}", error.message);
        assert!(error.message.contains("; edited stays as it is"), "{}", error.message);
        assert!(!root.join("out").exists() && !root.join("built").exists() && root.join("edited").exists());
        let (method, told) = asked.last().unwrap();
        assert_eq!((method.as_str(), &told["synced"]), ("workspace.record", &Value::Null));
        let left: Vec<&Value> = told["files"].as_array().unwrap().iter().map(|file| &file["path"]).collect();
        assert_eq!(left, ["edited"], "{line}");
    }
}

#[test]
fn a_person_is_asked_for_trust_and_client_secrets_are_not() {
    for (line, is_trusted) in [("bursar sync", false), ("bursar sync --non-interactive", true)] {
        let (_home, root) = home();
        let (ended, asked) = synced_as(&root, line, shown(&[], None), "good");
        assert_eq!(ended.map_err(|error| error.name).err(), (!is_trusted).then_some(ErrorName::Untrusted));
        assert_eq!(asked.iter().any(|(method, _)| method == "package.get"), is_trusted, "{line}");
    }
}

#[test]
fn our_own_edit_carries_on_a_persons_trust_alone() {
    let (_home, root) = home();
    let workspace = Workspace::at(&root).unwrap();
    let known: reply::Workspace = serde_json::from_value(shown(&[], Some(workspace.digest))).unwrap();
    for (line, carries) in [("bursar add -p acme/x", true), ("bursar add -p acme/x --non-interactive", false)]
    {
        let (session, _) = session(&root, line);
        let update = Update {
            session: &session,
            workspace: &workspace,
            known: &known,
            environment: &"acme/staging".parse().unwrap(),
            own: vec![(MANIFEST, "# edited".to_owned())],
            allowed: Allowed { force: false, allow_tracked: false },
        };
        assert_eq!(update.record(Vec::new(), true).unwrap().trusted.is_some(), carries, "{line}");
    }
}
