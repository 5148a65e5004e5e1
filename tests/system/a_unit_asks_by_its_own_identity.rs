//! A process of a unit asks the agent for what the config hands that unit, with no secret of its own: the kernel says which unit it is.
//! It can do nothing else.

use bursar_tests::binaries::binaries;
use bursar_tests::library::acme_with_api;
use bursar_tests::units::{Manager, Unit, with_table};
use bursar_tests::{Daemon, Home, Run};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

/// The group of the socket and the user of a service. Numbers that no machine gives to anybody.
const SOCKET_GROUP: u32 = 64_031;
const SERVICE: u32 = 64_032;

struct Server {
    home: Home,
    _daemon: Daemon,
    bursar: tempfile::TempDir,
}

impl Server {
    /// An agent of root's with the units of a manager, and a copy of `bursar` where everybody may run it.
    fn new(manager: Manager) -> Self {
        let (home, daemon) = with_table(manager, &format!("[socket]\ngroup = \"{SOCKET_GROUP}\"\n{TABLE}"));
        acme_with_api(&home);
        let bursar = tempfile::Builder::new().prefix("bt-").tempdir_in("/tmp").unwrap();
        fs::set_permissions(bursar.path(), fs::Permissions::from_mode(0o777)).unwrap();
        fs::copy(&binaries().bursar, bursar.path().join("bursar")).unwrap();
        Self { home, _daemon: daemon, bursar }
    }

    /// `bursar` as the user of a service, in a unit or in none.
    fn run(&self, unit: Option<&Unit>, arguments: &[&str]) -> Run {
        let mut command = unit.map_or_else(|| Command::new("setpriv"), |unit| unit.command("setpriv"));
        let (user, group) = (SERVICE.to_string(), SOCKET_GROUP.to_string());
        command.args(["--reuid", &user, "--regid", &user, "--groups", &group]);
        command.arg(self.bursar.path().join("bursar")).args(arguments);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("BURSAR_SOCK", self.home.socket()).current_dir(self.bursar.path());
        Run::of(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
    }
}

const TABLE: &str = r#"
[[credential]]
unit = "bt*-app.service"
credential = "token"
secret = "acme/api-staging"
"#;

#[test]
fn a_unit_of_the_table_is_handed_its_own_and_nothing_else() {
    let Some(unit) = Unit::new(Manager::System, "app.service") else { return };
    let Some(other) = Unit::new(Manager::System, "other.service") else { return };
    let server = Server::new(Manager::System);
    assert_eq!(server.run(Some(&unit), &["credential", "token"]).ok().out, "value-of-staging\n");
    let shown: Value =
        serde_json::from_str(&server.run(Some(&unit), &["credential", "token", "--json"]).ok().out).unwrap();
    assert_eq!(
        shown,
        json!({
            "credential": "token", "unit": unit.name, "secret": "acme/api-staging", "value": "value-of-staging",
            "expires_at": null
        })
    );
    server.run(Some(&unit), &["credential", "token", "--output", "file", "--min-validity", "1h"]).ok();
    let file = server.bursar.path().join("file");
    assert_eq!(fs::read_to_string(&file).unwrap(), "value-of-staging\n");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let refused = server.run(Some(&unit), &["credential", "other"]);
    assert_eq!(refused.code, 4);
    for part in [&*unit.name, "no [[credential]] of the agent's config fits", "credential = \"other\""] {
        assert!(refused.err.contains(part), "{part}: {refused:?}");
    }
    for beyond in [&["get", "acme/api-staging"][..], &["secret", "list"], &["audit"], &["info", "acme/site"]]
    {
        let run = server.run(Some(&unit), beyond);
        assert_eq!(run.code, 4, "{beyond:?}: {run:?}");
        assert!(!run.out.contains("value-of") && !run.err.contains("value-of"), "{run:?}");
    }
    // who is in no unit of the table is not let in
    for outside in [Some(&other), None] {
        let run = server.run(outside, &["credential", "token"]);
        assert_eq!(run.code, 4, "{run:?}");
        assert!(run.err.contains("another user") || run.err.contains("other users"), "{run:?}");
    }
    let page = server.home.ok("audit.list", json!({}));
    let of_units = |one: &&Value| one["method"] == "credential.get";
    let row = |one: &Value| ["principal", "uid", "subject", "secret", "outcome"].map(|key| one[key].clone());
    let all: Vec<_> = page["entries"].as_array().unwrap().iter().filter(of_units).map(row).collect();
    let principal = json!(format!("unit {}", unit.name));
    let given = [principal.clone(), json!(SERVICE), json!("token"), json!("acme/api-staging"), json!("ok")];
    let denied = [principal, json!(SERVICE), json!("other"), json!(null), json!("denied")];
    assert_eq!((&all[0], all.last()), (&given, Some(&denied)));
}

#[test]
fn root_has_what_its_unit_has_and_is_told_where_it_is_in_none() {
    let Some(unit) = Unit::new(Manager::System, "app.service") else { return };
    let server = Server::new(Manager::System);
    assert_eq!(unit.bursar(&server.home, &["credential", "token"]).ok().out, "value-of-staging\n");
    assert_eq!(unit.bursar(&server.home, &["get", "acme/api-production"]).ok().out, "value-of-production\n");
    let outside = server.home.cli(&["credential", "token"]);
    assert_eq!(outside.code, 4);
    assert!(outside.err.contains("this process is in no unit"), "{outside:?}");
}

#[test]
fn a_users_agent_knows_the_units_of_its_own_manager() {
    let Some(unit) = Unit::new(Manager::User, "app.service") else { return };
    let Some(of_system) = Unit::new(Manager::System, "app.service") else { return };
    let server = Server::new(Manager::User);
    assert_eq!(unit.bursar(&server.home, &["credential", "token"]).ok().out, "value-of-staging\n");
    let refused = of_system.bursar(&server.home, &["credential", "token"]);
    assert_eq!(refused.code, 4, "{refused:?}");
    // in that unit, and another user: it is none of the user's own
    assert_eq!(server.run(Some(&unit), &["credential", "token"]).code, 4);
}
