//! On a server the config lets other users in: owners, roles for users, groups and units, and whoever may authenticate.

use bursar_tests::binaries::binaries;
use bursar_tests::client_secrets::issue;
use bursar_tests::library::acme_with_api;
use bursar_tests::users::can_become_others;
use bursar_tests::{Daemon, Home, Run, configured};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The group of the socket, and one that the config gives a role. Numbers that no machine gives to anybody.
const SOCKET_GROUP: u32 = 64_001;
const DEPLOYERS: u32 = 64_002;

/// A user with a role, an owner, one of the group that has a role, one who is only let in, and one whom nothing names.
const WEB: u32 = 64_011;
const ANN: u32 = 64_012;
const DEPLOYER: u32 = 64_013;
const RUNNER: u32 = 64_014;
const NOBODY: u32 = 64_015;
/// The user of a service, who is nobody outside of its unit.
const SERVICE: u32 = 64_016;

/// A server with `acme/site` published, and a copy of `bursar` where everybody may run it.
struct Server {
    home: Home,
    _daemon: Daemon,
    bursar: tempfile::TempDir,
    unit: Unit,
}

/// A control group with the name that systemd gives to a unit's.
struct Unit {
    name: String,
    directory: Option<PathBuf>,
}

impl Unit {
    fn new() -> Self {
        let name = format!("bursar-test-{}.service", std::process::id());
        // version 2 by itself, or beside version 1
        let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
        let root = mounts.into_iter().find(|mount| mount.join("cgroup.procs").exists());
        let directory = root.map(|root| root.join("system.slice").join(&name));
        Self { name, directory: directory.filter(|path| fs::create_dir_all(path).is_ok()) }
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        if let Some(directory) = &self.directory {
            // a process of it may still be ending, and the next start of the machine clears it as well
            drop(fs::remove_dir(directory));
        }
    }
}

impl Server {
    fn new() -> Option<Self> {
        if !can_become_others() {
            return None;
        }
        let unit = Unit::new();
        let (home, daemon) = configured(&format!(
            r#"
            [socket]
            group = "{SOCKET_GROUP}"
            [access]
            owners = ["uid {ANN}"]
            admit = ["uid {RUNNER}"]
            [[access.roles]]
            who = "uid {WEB}"
            organization = "acme"
            environment = "staging"
            role = "viewer"
            [[access.roles]]
            who = "gid {DEPLOYERS}"
            organization = "acme"
            role = "contributor"
            [[access.roles]]
            who = "unit {}"
            organization = "acme"
            role = "viewer"
            "#,
            unit.name
        ));
        acme_with_api(&home);
        let files = json!([{ "path": "site.conf", "mode": "0600", "template": "key=%api%\n" }]);
        let elements = json!({ "api": "acme/api" });
        home.ok(
            "package.publish",
            json!({ "package": "acme/site", "version": "1.0.0", "elements": elements, "files": files }),
        );
        let bursar = tempfile::Builder::new().prefix("bt-").tempdir_in("/tmp").unwrap();
        fs::set_permissions(bursar.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::copy(&binaries().bursar, bursar.path().join("bursar")).unwrap();
        Some(Self { home, _daemon: daemon, bursar, unit })
    }

    /// A directory of a user's own.
    fn directory(&self, uid: u32) -> PathBuf {
        let path = self.bursar.path().join(uid.to_string());
        fs::create_dir_all(&path).unwrap();
        chown(&path, Some(uid), Some(uid)).unwrap();
        path
    }

    /// `bursar` as a user, in the group of the socket and perhaps another, in a directory of its own.
    fn command(&self, uid: u32, further: Option<u32>, in_unit: bool, arguments: &[&str]) -> Command {
        let groups: Vec<String> =
            [Some(SOCKET_GROUP), further].into_iter().flatten().map(|group| group.to_string()).collect();
        let mut command = Command::new("sh");
        let join = match &self.unit.directory {
            Some(directory) if in_unit => format!("echo $$ > {}/cgroup.procs && ", directory.display()),
            _ => String::new(),
        };
        command
            .arg("-c")
            .arg(format!(
                "{join}exec setpriv --reuid {uid} --regid {uid} --groups {} \"$@\"",
                groups.join(",")
            ))
            .arg("sh")
            .arg(self.bursar.path().join("bursar"))
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("BURSAR_SOCK", self.home.socket())
            .current_dir(self.directory(uid))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, uid: u32, arguments: &[&str]) -> Run {
        Run::of(&mut self.command(uid, None, false, arguments))
    }

    /// Makes a workspace for an environment, and adds the package.
    fn sync(&self, uid: u32, further: Option<u32>, in_unit: bool, environment: &str) -> Run {
        let step = |arguments: &[&str]| Run::of(&mut self.command(uid, further, in_unit, arguments));
        let made = step(&["workspace", "init", "--organization", "acme", "-e", environment]);
        if made.code != 0 {
            return made;
        }
        step(&["add", "-p", "acme/site"])
    }

    /// The synced file of a user: its content, its mode and whose it is.
    fn file(&self, uid: u32) -> (String, u32, u32) {
        let path = self.directory(uid).join("site.conf");
        let about = fs::metadata(&path).unwrap();
        (fs::read_to_string(&path).unwrap(), about.mode() & 0o777, about.uid())
    }
}

#[test]
fn a_user_with_a_role_has_what_packages_give_in_its_environment_and_nothing_else() {
    let Some(server) = Server::new() else { return };
    server.sync(WEB, None, false, "staging").ok();
    assert_eq!(server.file(WEB), ("key=value-of-staging\n".into(), 0o600, WEB));
    server.run(WEB, &["status"]).ok();
    let elsewhere = server.run(WEB, &["sync", "-e", "production"]);
    assert_eq!(elsewhere.code, 4, "{elsewhere:?}");
    assert!(elsewhere.err.contains(&format!("uid {WEB}")), "{elsewhere:?}");
    for refused in [&["get", "acme/api-staging"][..], &["secret", "list"], &["audit"], &["publish"]] {
        let run = server.run(WEB, refused);
        assert!(run.code == 4 || refused == ["publish"] && run.code != 0, "{refused:?}: {run:?}");
        assert!(!run.out.contains("value-of") && !run.err.contains("value-of"), "{run:?}");
    }
}

#[test]
fn a_group_that_is_not_the_first_counts_and_contributors_publish() {
    let Some(server) = Server::new() else { return };
    let without = server.sync(DEPLOYER, None, false, "staging");
    assert_ne!(without.code, 0, "{without:?}");
    fs::remove_dir_all(server.directory(DEPLOYER)).unwrap();
    server.sync(DEPLOYER, Some(DEPLOYERS), false, "production").ok();
    assert_eq!(server.file(DEPLOYER).0, "key=value-of-production\n");
    let manifest = "organization = \"acme\"\nenvironment = \"staging\"\n[library]\nname = \"acme/other\"\n\
                    version = \"1.0.0\"\n[library.elements]\nkey = \"acme/api\"\n\
                    [[library.files]]\ntemplate = \"t\"\npath = \"t.conf\"\n";
    fs::write(server.directory(DEPLOYER).join("t"), "%key%\n").unwrap();
    fs::write(server.directory(DEPLOYER).join("bursar.toml"), manifest).unwrap();
    Run::of(&mut server.command(DEPLOYER, Some(DEPLOYERS), false, &["publish"])).ok();
    let listed = server.home.ok("package.show", json!({ "package": "acme/other" }));
    assert_eq!(listed["versions"][0]["published_by"], format!("gid {DEPLOYERS}"));
}

#[test]
fn a_unit_has_its_role_by_its_control_group() {
    let Some(server) = Server::new() else { return };
    if server.unit.directory.is_none() {
        eprintln!("needs a control group of version 2 that can be written");
        return;
    }
    let outside = server.sync(SERVICE, None, false, "staging");
    assert_ne!(outside.code, 0, "{outside:?}");
    assert!(
        outside.err.contains("serves other users") || outside.err.contains("another user"),
        "{outside:?}"
    );
    fs::remove_dir_all(server.directory(SERVICE)).unwrap();
    server.sync(SERVICE, None, true, "staging").ok();
    assert_eq!(server.file(SERVICE), ("key=value-of-staging\n".into(), 0o600, SERVICE));
    let page = server.home.ok("audit.list", json!({}));
    let entries = page["entries"].as_array().unwrap();
    let principal = format!("unit {}", server.unit.name);
    let got = entries.iter().find(|one| one["method"] == "package.get" && one["outcome"] == "ok").unwrap();
    assert_eq!(
        (&got["principal"], &got["uid"], &got["secret"]),
        (&json!(principal), &json!(SERVICE), &json!("acme/api-staging"))
    );
}

#[test]
fn an_owner_of_the_config_owns_the_vault_but_not_the_daemons_files() {
    let Some(server) = Server::new() else { return };
    assert_eq!(server.run(ANN, &["get", "acme/api-staging"]).ok().out, "value-of-staging\n");
    let backup = server.run(ANN, &["backup", "/tmp/of-ann.backup", "--yes"]);
    assert_eq!(backup.code, 4, "{backup:?}");
    assert!(!Path::new("/tmp/of-ann.backup").exists());
}

#[test]
fn who_is_only_let_in_authenticates_or_has_nothing() {
    let Some(server) = Server::new() else { return };
    let bare = server.run(RUNNER, &["info", "acme/site"]);
    assert_eq!(bare.code, 4, "{bare:?}");
    let viewer = issue(&server.home, "acme", "viewer", None);
    let mut info = server.command(RUNNER, None, false, &["info", "acme/site", "--non-interactive"]);
    let info = Run::of(info.env("BURSAR_CLIENT_SECRETS", &viewer.value)).ok();
    assert!(info.out.contains("1.0.0"), "{info:?}");
}

#[test]
fn who_is_not_named_is_turned_away_whatever_client_secret_it_has() {
    let Some(server) = Server::new() else { return };
    let viewer = issue(&server.home, "acme", "viewer", None);
    let mut info = server.command(NOBODY, None, false, &["info", "acme/site", "--non-interactive"]);
    let info = Run::of(info.env("BURSAR_CLIENT_SECRETS", &viewer.value));
    assert_eq!(info.code, 4, "{info:?}");
    assert!(info.out.is_empty(), "{info:?}");
}

#[test]
fn the_socket_is_the_groups_and_the_state_nobodys() {
    let Some(server) = Server::new() else { return };
    let about = |path: &Path| {
        let about = fs::metadata(path).unwrap();
        (about.mode() & 0o777, about.gid())
    };
    assert_eq!(about(&server.home.socket()), (0o660, SOCKET_GROUP));
    assert_eq!(about(server.home.path()), (0o710, SOCKET_GROUP));
    assert_eq!(about(&server.home.path().join("state")).0, 0o700);
}

#[test]
fn one_users_workspaces_are_not_anothers() {
    let Some(server) = Server::new() else { return };
    server.sync(WEB, None, false, "staging").ok();
    let path = fs::canonicalize(server.directory(WEB)).unwrap().display().to_string();
    let known = |uid: u32| {
        let listed = server.home.ok("workspace.list", json!({}));
        let rows = listed.as_array().unwrap().clone();
        rows.iter().any(|row| row["uid"] == uid && row["workspace"] == path.as_str())
    };
    assert!(known(WEB) && !known(0));
    // the same path, by another user: it is another workspace
    assert_eq!(server.home.ok("workspace.show", json!({ "workspace": path }))["files"], json!([]));
    server.home.ok("workspace.forget", json!({ "workspace": path, "uid": WEB }));
    assert!(!known(WEB));
}
