//! Every method by every principal: each is allowed what it should be, refused by the right name else, and what is refused
//! changes nothing.
//!
//! What is expected is written out here and shares nothing with the daemon, so that it is a witness of its own.

use bursar_proto::call::Call;
use bursar_tests::client_secrets::{Issued, issue, issue_with, issued};
use bursar_tests::google::{ask, ask_again, exchanged_at, redirected};
use bursar_tests::library::{acme_with_api, bound, file, organization, publish, until_past};
use bursar_tests::raw::answer;
use bursar_tests::secrets::{own_jwt, token};
use bursar_tests::users::{as_user, can_become_others};
use bursar_tests::{Answer, Daemon, Home, RawSocket, configured};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

/// What a method takes: a column of [`CELLS`].
#[derive(Clone, Copy, PartialEq)]
enum Takes {
    /// To be let in.
    Nothing,
    /// A role in any organization.
    AnyRole,
    /// A role in `acme`.
    RoleOf,
    /// A role in `acme/staging`.
    RoleIn,
    /// A role in any organization that the config gives.
    RoleByConfig,
    /// The role contributor in `acme`.
    Contributor,
    /// To be an owner.
    Owner,
    /// To be the user as whom the daemon runs.
    OwnUser,
    /// To be in a unit that the config names, which is none of these.
    Unit,
}
use Takes::{AnyRole, Contributor, Nothing, OwnUser, Owner, RoleByConfig, RoleIn, RoleOf, Unit};

/// Every method, where it matters with a parameter, and what it takes.
const METHODS: &[(&str, &str, Takes)] = &[
    ("hello", "", Nothing),
    ("authenticate", "", Nothing),
    ("agent.status", "", Owner),
    ("agent.doctor", "", Owner),
    ("agent.stop", "", Owner),
    ("vault.init", "", OwnUser),
    ("vault.unlock", "", Owner),
    ("vault.unlock", "key_file", OwnUser),
    ("vault.lock", "", Owner),
    ("vault.passphrase", "", Owner),
    ("vault.rekey", "", Owner),
    ("vault.backup", "", OwnUser),
    ("vault.restore", "", OwnUser),
    ("organization.create", "", Owner),
    ("organization.list", "", Owner),
    ("organization.delete", "", Owner),
    ("environment.create", "", Owner),
    ("environment.list", "", Owner),
    ("environment.show", "", RoleIn),
    ("environment.delete", "", Owner),
    ("secret.create", "", Owner),
    ("secret.list", "", Owner),
    ("secret.show", "", Owner),
    ("secret.edit", "", Owner),
    ("secret.bind", "", Owner),
    ("secret.test", "", Owner),
    ("secret.retry", "", Owner),
    ("secret.wait", "", Owner),
    ("secret.reauthorize", "", Owner),
    ("secret.authorize", "", Owner),
    ("secret.where", "", Owner),
    ("secret.deactivate", "", Owner),
    ("secret.reactivate", "", Owner),
    ("secret.delete", "", Owner),
    ("secret.deleted", "", Owner),
    ("artifact.get", "", Owner),
    ("artifact.get", "environment", Owner),
    ("artifact.watch", "", Owner),
    ("issuer.configure", "", Owner),
    ("issuer.show", "", Owner),
    ("credential.get", "", Unit),
    ("element.set", "", Owner),
    ("element.list", "", Owner),
    ("element.show", "", Owner),
    ("element.delete", "", Owner),
    ("element.resolve", "", Owner),
    ("library.resolve", "", Owner),
    ("package.publish", "", Contributor),
    ("package.publish", "dry_run", Contributor),
    ("package.list", "", AnyRole),
    ("package.list", "organization", RoleOf),
    ("package.show", "", RoleOf),
    ("package.fetch", "", RoleOf),
    ("package.resolve", "environment", RoleIn),
    ("package.resolve", "stage", RoleIn),
    ("package.get", "", RoleIn),
    ("workspace.show", "", AnyRole),
    ("workspace.list", "", Owner),
    ("workspace.trust", "", RoleByConfig),
    ("workspace.record", "", RoleIn),
    ("workspace.forget", "", Owner),
    ("client_secret.create", "", Owner),
    ("client_secret.list", "", Owner),
    ("client_secret.show", "", Owner),
    ("client_secret.set_analytics", "", Owner),
    ("client_secret.rotate", "", Owner),
    ("client_secret.revoke", "", Owner),
    ("audit.list", "", Owner),
    ("audit.watch", "", Owner),
    ("audit.verify", "", Owner),
    ("usage.list", "", Owner),
    ("expiring.list", "", Owner),
];

/// What each principal is answered, in the order of [`Takes`]: `yes`, or the name of the refusal without `client_secret_`
/// and `wrong_`. A role is by a client secret, or by a rule of the config.
const CELLS: &str = "
    own user                     | yes    | yes     | yes          | yes          | yes    | yes          | yes    | yes    | denied
    owner by rule                | yes    | yes     | yes          | yes          | yes    | yes          | yes    | denied | denied
    contributor acme             | yes    | yes     | yes          | yes          | denied | yes          | denied | denied | denied
    contributor acme/staging     | yes    | yes     | yes          | yes          | denied | yes          | denied | denied | denied
    contributor acme/production  | yes    | yes     | yes          | environment  | denied | yes          | denied | denied | denied
    contributor globex           | yes    | yes     | organization | organization | denied | organization | denied | denied | denied
    contributor globex/staging   | yes    | yes     | organization | organization | denied | organization | denied | denied | denied
    viewer acme                  | yes    | yes     | yes          | yes          | denied | role         | denied | denied | denied
    viewer acme/staging          | yes    | yes     | yes          | yes          | denied | role         | denied | denied | denied
    viewer acme/production       | yes    | yes     | yes          | environment  | denied | role         | denied | denied | denied
    viewer globex                | yes    | yes     | organization | organization | denied | organization | denied | denied | denied
    viewer globex/staging        | yes    | yes     | organization | organization | denied | organization | denied | denied | denied
    several                      | yes    | yes     | yes          | environment  | denied | role         | denied | denied | denied
    expired                      | yes    | expired | expired      | expired      | denied | expired      | denied | denied | denied
    revoked                      | yes    | revoked | revoked      | revoked      | denied | revoked      | denied | denied | denied
    malformed                    | yes    | denied  | denied       | denied       | denied | denied       | denied | denied | denied
    viewer acme by rule          | yes    | yes     | yes          | yes          | yes    | role         | denied | denied | denied
    contributor staging by rule  | yes    | yes     | yes          | yes          | yes    | yes          | denied | denied | denied
    viewer globex by rule        | yes    | yes     | organization | organization | yes    | organization | denied | denied | denied
    let in by rule               | yes    | denied  | denied       | denied       | denied | denied       | denied | denied | denied
    stranger by no rule          | denied | denied  | denied       | denied       | denied | denied       | denied | denied | denied
";

/// The users of the config's rules, and one whom it does not name. Numbers that no machine gives to anybody.
const CONFIG: &str = r#"
    [access]
    owners = ["uid 64021"]
    admit = ["uid 64025"]
    [[access.roles]]
    who = "uid 64022"
    organization = "acme"
    role = "viewer"
    [[access.roles]]
    who = "uid 64023"
    organization = "acme"
    environment = "staging"
    role = "contributor"
    [[access.roles]]
    who = "uid 64024"
    organization = "globex"
    role = "viewer"
"#;

const PASSPHRASE: &str = "a passphrase that opens it too";
const DIGEST: &str = "c0124787fb7d5e6a2702c89a29955cc46a6197a01b076852e117a855123a2e26";

/// How a principal comes.
enum Comes {
    Plainly,
    As(u32),
    With(Vec<String>),
}

/// A row of [`CELLS`].
struct Principal {
    name: &'static str,
    cells: Vec<&'static str>,
    comes: Comes,
}

/// A vault with two organizations that have the same names in them.
struct Vault {
    home: Home,
    daemon: Option<Daemon>,
}

impl Vault {
    fn new() -> Self {
        let (home, daemon) = configured(CONFIG);
        open_to_all(&home);
        home.ok("vault.passphrase", json!({ "new": PASSPHRASE }));
        acme_with_api(&home);
        organization(&home, "globex");
        bound(&home, "globex/api-staging", "staging", "value-of-globex");
        home.ok("element.set", json!({ "element": "globex/api", "staging": "globex/api-staging" }));
        for name in ["acme", "globex"] {
            let files = json!([file(".npmrc", "%TOKEN%")]);
            publish(&home, &format!("{name}/site"), "1.0.0", json!({ "TOKEN": "api" }), files);
        }
        home.create(own_jwt("acme/jwt"));
        // nobody is at home there: what is refused must not reach it, and what is allowed fails at it
        exchanged_at(&home, "http://127.0.0.1:1/token");
        ask(&home, "acme/ads");
        Self { home, daemon: Some(daemon) }
    }

    fn principals(&self) -> Vec<Principal> {
        let home = &self.home;
        let rows = CELLS.lines().filter(|line| !line.trim().is_empty()).map(|line| {
            let mut cells = line.split('|').map(str::trim);
            (cells.next().unwrap(), cells.collect::<Vec<_>>())
        });
        let is_root = can_become_others();
        let principals = rows.filter_map(|(name, cells)| {
            assert_eq!(cells.len(), 9, "{name}");
            let comes = match name {
                "own user" => Comes::Plainly,
                "owner by rule" => Comes::As(64021),
                "viewer acme by rule" => Comes::As(64022),
                "contributor staging by rule" => Comes::As(64023),
                "viewer globex by rule" => Comes::As(64024),
                "let in by rule" => Comes::As(64025),
                "stranger by no rule" => Comes::As(64026),
                "several" => {
                    let there = issue(home, "acme", "viewer", Some("production"));
                    Comes::With(vec![there.value, issue(home, "globex", "contributor", None).value])
                }
                "expired" => Comes::With(vec![expired(home).value]),
                "revoked" => Comes::With(vec![revoked(home).value]),
                "malformed" => Comes::With(vec!["bcs_k3j9x2m4pq_cut".to_owned()]),
                _ => {
                    let (role, place) = name.split_once(' ').unwrap();
                    let (organization, environment) = place.split_once('/').unzip();
                    let organization = organization.unwrap_or(place);
                    Comes::With(vec![issue(home, organization, role, environment).value])
                }
            };
            let is_here = is_root || !matches!(comes, Comes::As(_));
            is_here.then_some(Principal { name, cells, comes })
        });
        principals.collect()
    }

    /// What stands in the vault, for its owner: no call that is refused changes any of it.
    fn standing(&self) -> Value {
        let list = |method: &str| self.home.ok(method, json!({}));
        for secret in list("secret.list").as_array().unwrap() {
            if secret["status"] == "pending" {
                self.home.ok("secret.wait", json!({ "secret": secret["name"] }));
            }
        }
        let mut client_secrets = list("client_secret.list");
        for one in client_secrets.as_array_mut().unwrap() {
            one["last_used_at"].take();
        }
        let lists = ["organization", "environment", "secret", "element", "package", "workspace"];
        let lists: Vec<_> = lists.map(|noun| list(&format!("{noun}.list"))).into();
        let issuer = self.home.ok("issuer.show", json!({ "issuer": "google" }));
        json!([list("agent.status")["vault"], lists, client_secrets, issuer])
    }

    /// Parameters with which a call does what it is for, however often it was made; makes what they need. With a locked
    /// vault nobody would be refused, so only who may unlock it finds it locked.
    fn params(&self, method: &str, with: &str, number: usize, is_for_refusal: bool) -> Value {
        let home = &self.home;
        let name = |what: &str| format!("acme/{what}-{number}");
        let site = json!({ "package": "acme/site", "version": "1.0.0" });
        let and = |base: &Value, more: Value| {
            let mut all = base.clone();
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all
        };
        match method {
            "authenticate" => json!({ "client_secrets": [issue(home, "globex", "viewer", None).value] }),
            "vault.init" => json!({ "key_file": home.key_file() }),
            "vault.unlock" => {
                if !is_for_refusal {
                    home.ok("vault.lock", json!({}));
                }
                if with.is_empty() { json!({}) } else { json!({ "key_file": home.key_file() }) }
            }
            "vault.passphrase" => json!({ "current": PASSPHRASE, "new": PASSPHRASE }),
            "vault.rekey" => json!({ "passphrase": PASSPHRASE }),
            "vault.backup" => json!({ "file": home.path().join(format!("backup-{number}")) }),
            "vault.restore" => {
                let file = home.path().join(format!("restored-{number}"));
                home.ok("vault.backup", json!({ "file": file }));
                json!({ "file": file, "passphrase": PASSPHRASE })
            }
            "organization.create" => json!({ "organization": format!("made-{number}") }),
            "organization.delete" => {
                let params = json!({ "organization": format!("gone-{number}") });
                home.ok("organization.create", params.clone());
                params
            }
            "environment.create" => json!({ "environment": name("made"), "stage": "development" }),
            "environment.show" => json!({ "environment": "acme/staging" }),
            "environment.delete" => {
                let environment = name("gone");
                home.ok("environment.create", json!({ "environment": environment, "stage": "development" }));
                json!({ "environment": environment })
            }
            "secret.create" => token(&name("made"), "a-value"),
            "secret.edit" => json!({ "secret": "acme/jwt", "expiration_date": "2090-01-01" }),
            "secret.bind" => {
                home.create(and(&token(&name("loose"), "a-value"), json!({ "unbound": true })));
                json!({ "secret": name("loose"), "environment": "acme/staging" })
            }
            "secret.test" | "secret.retry" => json!({ "secret": "acme/jwt" }),
            "secret.reauthorize" => json!({ "secret": "acme/ads" }),
            "secret.authorize" => {
                let ask = || ask_again(home, "acme/ads");
                // beside the daemon's own user, who asked can finish it
                let url = if can_become_others() { as_user(64021, ask) } else { ask() };
                let redirect = redirected(&url, "error=access_denied");
                json!({ "secret": "acme/ads", "redirect": redirect })
            }
            "issuer.configure" => {
                json!({ "issuer": "google", "client_id": "desktop", "client_secret": "cs-0123456789",
                    "authorization_url": "http://127.0.0.1:1/auth", "token_url": "http://127.0.0.1:1/token" })
            }
            "issuer.show" => json!({ "issuer": "google" }),
            "secret.show" | "secret.wait" | "secret.where" => json!({ "secret": "acme/api-staging" }),
            "secret.deactivate" | "secret.reactivate" | "secret.delete" => {
                let secret = json!({ "secret": name(&method.replace('.', "-")) });
                home.create(token(secret["secret"].as_str().unwrap(), "a-value"));
                if method == "secret.reactivate" {
                    home.ok("secret.deactivate", secret.clone());
                }
                secret
            }
            "artifact.get" if with.is_empty() => json!({ "secret": "acme/api-staging" }),
            "artifact.get" => json!({ "secret": "acme/api-staging", "environment": "acme/staging" }),
            "element.set" => json!({ "element": name("made"), "staging": "acme/api-staging" }),
            "element.show" => json!({ "element": "acme/api" }),
            "element.delete" => {
                home.ok("element.set", json!({ "element": name("gone") }));
                json!({ "element": name("gone") })
            }
            "element.resolve" => json!({ "element": "acme/api", "environment": "acme/staging" }),
            "library.resolve" => {
                json!({ "organization": "acme", "elements": { "TOKEN": "api" }, "stage": "staging" })
            }
            "package.publish" => {
                let version = format!("1.0.{number}");
                json!({ "package": "acme/tool", "version": version, "elements": { "TOKEN": "api" }, "files": [],
                    "dry_run": with == "dry_run" })
            }
            "package.list" if with == "organization" => json!({ "organization": "acme" }),
            "package.show" => json!({ "package": "acme/site" }),
            "package.fetch" => site,
            "package.resolve" if with == "stage" => and(&site, json!({ "stage": "staging" })),
            "package.resolve" => and(&site, json!({ "environment": "acme/staging" })),
            "package.get" => and(&site, json!({ "environment": "acme/staging", "element": "TOKEN" })),
            "workspace.show" => json!({ "workspace": "/w" }),
            "workspace.trust" => json!({ "workspace": "/w", "digest": DIGEST }),
            "workspace.record" => {
                let written = json!({ "path": ".npmrc", "package": "acme/site", "version": "1.0.0",
                    "digests": [DIGEST], "secrets": ["acme/api-staging"] });
                json!({ "workspace": "/w", "environment": "acme/staging", "files": [written], "synced": true })
            }
            "workspace.forget" => {
                let workspace = format!("/gone-{number}");
                home.ok("workspace.trust", json!({ "workspace": workspace, "digest": DIGEST }));
                json!({ "workspace": workspace, "uid": fs::metadata(home.path()).unwrap().uid() })
            }
            "client_secret.create" => {
                json!({ "organization": "acme", "role": "viewer", "description": "made by a test" })
            }
            "client_secret.set_analytics" => {
                json!({ "id": issue(home, "acme", "viewer", None).id, "analytics": "complete" })
            }
            "credential.get" => json!({ "credential": "token" }),
            "client_secret.show" | "client_secret.rotate" | "client_secret.revoke" => {
                json!({ "id": issue(home, "acme", "viewer", None).id })
            }
            "hello" | "agent.status" | "agent.doctor" | "agent.stop" | "vault.lock" | "organization.list"
            | "environment.list" | "secret.list" | "secret.deleted" | "artifact.watch" | "element.list"
            | "package.list" | "workspace.list" | "client_secret.list" | "audit.list" | "audit.watch"
            | "audit.verify" | "usage.list" | "expiring.list" => json!({}),
            _ => panic!("{method} has no call here"),
        }
    }

    /// Makes good what a call has ended.
    fn mend(&mut self, method: &str) {
        match method {
            "agent.stop" => {
                assert!(self.daemon.take().unwrap().wait().success());
                self.daemon = Some(self.home.start());
                open_to_all(&self.home);
            }
            "vault.lock" => drop(self.home.ok("vault.unlock", json!({}))),
            _ => {}
        }
    }

    fn connect(&self, principal: &Principal) -> RawSocket {
        match &principal.comes {
            Comes::Plainly => self.home.connect(),
            Comes::As(uid) => as_user(*uid, || self.home.connect()),
            Comes::With(values) => {
                let mut socket = self.home.connect();
                // some of them do not count, and that is told here already
                drop(socket.call("authenticate", json!({ "client_secrets": values })));
                socket
            }
        }
    }

    fn ask(&self, principal: &Principal, method: &str, params: &Value) -> Answer {
        let mut socket = self.connect(principal);
        // whoever is turned away need not be read from
        let Ok(id) = socket.ask_quietly(method, params) else { return answer(socket.json()) };
        loop {
            let line = socket.json();
            if line["id"] == id || !line["error"].is_null() {
                return answer(line);
            }
        }
    }
}

/// Lets everybody reach the socket, so that it is the daemon who says who may not.
fn open_to_all(home: &Home) {
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(home.socket(), fs::Permissions::from_mode(0o666)).unwrap();
}

fn expired(home: &Home) -> Issued {
    let issued = issue_with(home, "acme", "contributor", json!({ "expires_in": 1 }));
    until_past(&home.ok("client_secret.show", json!({ "id": issued.id }))["expires_at"]);
    issued
}

fn revoked(home: &Home) -> Issued {
    let first = issue(home, "acme", "contributor", None);
    let second = issued(&home.ok("client_secret.rotate", json!({ "id": first.id, "overlap": 3_600 })));
    home.ok("client_secret.revoke", json!({ "id": second.id }));
    second
}

/// What a principal is expected to be answered; none where it may.
fn refusal(principal: &Principal, takes: Takes) -> Option<String> {
    match principal.cells[takes as usize] {
        "yes" => None,
        name @ ("role" | "organization" | "environment") => Some(format!("wrong_{name}")),
        name @ ("expired" | "revoked") => Some(format!("client_secret_{name}")),
        name => Some(name.to_owned()),
    }
}

#[test]
fn every_method_is_for_whom_it_should_be_and_nobody_else() {
    let written: BTreeSet<_> = METHODS.iter().map(|(method, _, _)| *method).collect();
    assert_eq!(written, Call::METHODS.iter().copied().collect(), "METHODS lacks some, or has others");
    let mut vault = Vault::new();
    let principals = vault.principals();
    let mut wrong = Vec::new();
    for (at, (method, with, takes)) in METHODS.iter().enumerate() {
        let (allowed, refused): (Vec<_>, Vec<_>) =
            principals.iter().partition(|principal| refusal(principal, *takes).is_none());
        let params = vault.params(method, with, at * 100, true);
        let before = vault.standing();
        for principal in refused {
            let told = vault.ask(principal, method, &params).map_err(|refused| refused.name);
            if told.as_ref().err() != refusal(principal, *takes).as_ref() {
                wrong.push(format!("{method} {with} by {}: {told:?}", principal.name));
            }
        }
        if vault.standing() != before {
            wrong.push(format!("{method} {with} was refused, and changed something"));
        }
        for (number, principal) in allowed.into_iter().enumerate() {
            let params = vault.params(method, with, at * 100 + number + 1, false);
            let told = vault.ask(principal, method, &params);
            let is_right = match *method {
                "vault.init" => told.as_ref().is_err_and(|refused| refused.name == "conflict"),
                _ => told.is_ok(),
            };
            if !is_right {
                wrong.push(format!("{method} {with} by {}: {told:?}", principal.name));
            }
            vault.mend(method);
        }
    }
    assert!(wrong.is_empty(), "{} cells are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn in_a_locked_vault_hello_is_answered_whoever_asks() {
    let (home, _daemon) = configured("");
    home.ok("organization.create", json!({ "organization": "acme" }));
    let value = issue(&home, "acme", "viewer", None).value;
    let mut socket = home.connect();
    socket.call("authenticate", json!({ "client_secrets": [value] })).unwrap();
    home.ok("vault.lock", json!({}));
    assert_eq!(socket.call("hello", json!({})).unwrap()["agent"], "bursard");
    assert_eq!(socket.call("package.list", json!({})).unwrap_err().name, "locked");
    assert_eq!(socket.call("vault.unlock", json!({})).unwrap_err().name, "locked");
    home.ok("vault.unlock", json!({}));
    assert_eq!(socket.call("package.list", json!({})).unwrap(), json!([]));
    assert_eq!(socket.call("vault.lock", json!({})).unwrap_err().name, "denied");
}
