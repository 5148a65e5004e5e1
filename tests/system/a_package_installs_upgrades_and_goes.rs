//! The Debian package: it installs what nobody has enabled; an upgrade interrupts nothing and loses nothing; a remove keeps the
//! vault, and a purge takes it. `bursar setup systemd` does as much for who has the programs alone.

use bursar_tests::binaries::{binaries, profile_dir};
use bursar_tests::fault::{FaultIssuer, Reply};
use bursar_tests::{Machine, Run, has_program, until};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The version of the programs as they are, and a later one.
const VERSIONS: [&str; 2] = ["0.1.0-1", "99.0.0-1"];

/// The highest exposure that the unit of a server may have, in tenths; it has 1.4.
const EXPOSURE_MAX: u32 = 15;

const UNITS: &str = "bursar.service bursar.socket bursar-credentials.socket bursar-reload.path";

/// The package with the binaries under test, in a directory that goes with the value.
struct Package {
    file: PathBuf,
    _dir: TempDir,
}

impl Package {
    fn of(version: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut make = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../systemd/package"));
        make.arg("--binaries").arg(binaries().bursar.parent().unwrap()).arg("--output").arg(dir.path());
        make.args(["--", "--fast", "--deb-version", version]);
        make.env("CARGO_TARGET_DIR", profile_dir().parent().unwrap());
        let run = make.stdin(Stdio::null()).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let file = PathBuf::from(String::from_utf8(run.stdout).unwrap().trim());
        assert_eq!(file.parent(), Some(dir.path()));
        Self { file, _dir: dir }
    }

    /// Installs it as an administrator does; not ended yet.
    fn install(&self, machine: &Machine) -> Command {
        copy(machine, &self.file, "/root/bursar.deb", "644");
        let mut apt = machine.command("apt-get");
        apt.args(["install", "--quiet=2", "--yes", "/root/bursar.deb"]);
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        apt
    }
}

fn copy(machine: &Machine, from: &Path, to: &str, mode: &str) {
    let mut install = machine.command("install");
    install.args(["-D", "--mode", mode, "/dev/stdin", to]).stdin(File::open(from).unwrap());
    Run::of(&mut install).ok();
}

/// Whether these units run, by one word a unit.
fn active(machine: &Machine) -> String {
    machine
        .try_sh(&format!("systemctl is-active {UNITS}"))
        .out
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn lintian_finds_nothing_in_it() {
    if !has_program("lintian", &["--version"]) || !has_program("cargo", &["deb", "--version"]) {
        return;
    }
    let package = Package::of(VERSIONS[0]);
    let mut lintian = Command::new("lintian");
    lintian.args(["--fail-on", "error,warning", "--no-cfg"]).arg(&package.file);
    let run = lintian.output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
}

#[test]
fn with_a_live_vault_and_a_secret_that_is_being_refreshed() {
    if !has_program("cargo", &["deb", "--version"]) {
        return;
    }
    let Some(machine) = Machine::boot() else { return };
    let [first, later] = VERSIONS.map(Package::of);

    Run::of(&mut first.install(&machine)).ok();
    assert_eq!(active(&machine), "inactive inactive inactive inactive");
    let enabled = machine.try_sh("systemctl is-enabled bursar.service bursar.socket").out;
    assert_eq!(enabled, "disabled\ndisabled\n");
    machine.sh("getent passwd bursar; getent group bursar-clients; bursar --version; test -s /etc/bursar/bursar.toml");

    machine.make_unlock_key();
    machine.sh("systemctl enable --quiet --now bursar.service; bursar init --credential unlock-key");
    assert_eq!(active(&machine), "active active active active");
    machine.sh("printf the-value | bursar secret create fixed --type token --token-file -");
    let issuer = machine.networked(|| FaultIssuer::new(Reply::Grant(3600)));
    machine.sh(&format!(
        "printf the-secret | bursar secret create grant --type oauth2-client_credentials --client-id robot \
             --token-url {} --exchange-policy short-lived --client-secret-file - --wait",
        issuer.token_url()
    ));
    let old_token = machine.sh("bursar get grant");

    // a refresh is under way when the service is told to stop
    issuer.then(Reply::Held(3600));
    machine.sh("bursar secret retry grant --no-wait");
    issuer.until_count(2);
    let socket = machine.property("bursar.socket", "InvocationID");
    let pid = machine.property("bursar.service", "MainPID");
    let upgrade = later.install(&machine).spawn().unwrap();
    until("the service stops", || {
        (machine.property("bursar.service", "ActiveState") == "deactivating").then_some(())
    });
    // nobody listens, and whoever comes now is kept by the socket
    let early = machine.command("bursar").args(["get", "fixed"]).spawn().unwrap();
    issuer.release();
    Run::finish(upgrade, None).ok();
    assert_eq!(Run::finish(early, None).ok().out, "the-value\n");
    assert_eq!(machine.property("bursar.socket", "InvocationID"), socket, "the socket was closed");
    assert_ne!(machine.property("bursar.service", "MainPID"), pid, "the service is the old one");
    assert_eq!(active(&machine), "active active active active");
    assert_eq!(machine.sh("dpkg-query --show --showformat '${Version}' bursar"), VERSIONS[1]);
    let new_token = machine.sh("bursar get grant");
    assert_ne!(new_token, old_token, "what the issuer answered at the end was dropped");
    assert_eq!(issuer.count(), 2, "there was another exchange");
    machine.sh("bursar audit verify");

    machine.sh("apt-get remove --quiet=2 --yes bursar");
    assert_eq!(active(&machine), "inactive inactive inactive inactive");
    machine.sh("test -e /var/lib/bursar/store; test -e /etc/bursar/bursar.toml; test ! -e /run/bursar; test ! -e /usr/bin/bursard");
    Run::of(&mut later.install(&machine)).ok();
    machine.sh("systemctl start bursar.service");
    assert_eq!(machine.sh("bursar get fixed; bursar get grant"), format!("the-value\n{new_token}"));

    machine.sh("apt-get purge --quiet=2 --yes bursar");
    machine
        .sh("test ! -e /var/lib/bursar; test ! -e /etc/bursar; test ! -e /run/bursar; getent passwd bursar");
    let left = machine.sh("find /etc/systemd /var/lib/systemd -name '*bursar*'");
    assert_eq!(left, "", "units stay enabled or masked");
}

#[test]
fn setup_does_the_same_where_there_are_programs_alone() {
    let Some(machine) = Machine::boot() else { return };
    let programs = binaries();
    for (from, name) in [(&programs.bursard, "bursard"), (&programs.bursar, "bursar")] {
        copy(&machine, from, &format!("/root/.cargo/bin/{name}"), "755");
        copy(&machine, from, &format!("/usr/local/bin/{name}"), "755");
    }
    let at_home = machine.try_sh("/root/.cargo/bin/bursar setup systemd --system --apply");
    assert!(at_home.code == 2 && at_home.err.contains("sees no home"), "{at_home:?}");
    machine.sh("test ! -e /etc/bursar");

    machine.make_unlock_key();
    let shown = machine.sh("bursar setup systemd --system");
    assert!(shown.contains("to write   /etc/systemd/system/bursar.service\n"), "{shown}");
    machine.sh("bursar setup systemd --system --apply --now; bursar init --credential unlock-key");
    assert_eq!(active(&machine), "active active active active");
    machine.sh("printf the-value | bursar secret create fixed --type token --token-file -");
    machine.sh("echo '# mine' >>/etc/bursar/bursar.toml; bursar setup systemd --system --apply --now");
    assert_eq!(machine.sh("bursar get fixed"), "the-value\n");
    machine.sh("bursar setup systemd --system --remove --apply --now");
    assert_eq!(active(&machine), "inactive inactive inactive inactive");
    machine.sh("grep mine /etc/bursar/bursar.toml; test -e /var/lib/bursar/store; test ! -e /etc/sysusers.d/bursar.conf");
    assert_eq!(machine.sh("find /etc/systemd -name '*bursar*'"), "");

    machine.add_user("ann");
    machine.start_user_manager("ann");
    let mine = machine.as_user("ann", "bursar setup systemd --apply --now; bursar --json agent status").ok();
    let status = mine.out.lines().last().unwrap();
    assert!(status.contains(r#""activated":true"#), "{status}");
    machine.as_user("ann", "bursar setup systemd --remove --apply --now").ok();
    assert!(!machine.sh("ls -A /home/ann/.config/systemd/user").contains("bursar"));
}

#[test]
fn its_units_have_no_fault_that_systemd_knows() {
    let Some(machine) = Machine::boot() else { return };
    machine.install_programs();
    machine.install_units();
    for (manager, directory) in [("--system", "system"), ("--user", "user")] {
        let verify = format!(
            "XDG_RUNTIME_DIR=/run systemd-analyze {manager} --man=no verify /usr/lib/systemd/{directory}/bursar*"
        );
        let run = machine.try_sh(&verify).ok();
        assert_eq!(run.err, "", "{directory}");
    }
    machine.sh(&format!(
        "systemd-analyze security --offline=yes --threshold={EXPOSURE_MAX} /usr/lib/systemd/system/bursar.service"
    ));
}
