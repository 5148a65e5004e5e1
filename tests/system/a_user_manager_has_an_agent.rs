//! In a user's own service manager the agent is at hand for every program and unit of that user, and never fights with
//! one that was started by hand.

use bursar_tests::Machine;
use serde_json::Value;

const UNIT: &str = "bursar.service";

/// A machine on which alice is logged in; her number.
fn alice() -> Option<(Machine, u32)> {
    let machine = Machine::boot()?;
    machine.install_programs();
    machine.install_units();
    let uid = machine.add_user("alice");
    machine.start_user_manager("alice");
    Some((machine, uid))
}

fn sh(machine: &Machine, script: &str) -> String {
    machine.as_user("alice", script).ok().out
}

fn status(machine: &Machine) -> Value {
    machine.as_user("alice", "bursar --json agent status").ok().json()
}

fn main_pid(machine: &Machine) -> String {
    sh(machine, "systemctl --user show --property MainPID --value bursar.service").trim().to_owned()
}

#[test]
fn that_starts_when_it_is_called_and_that_everybody_finds() {
    let Some((machine, uid)) = alice() else { return };
    sh(&machine, "systemctl --user enable --quiet --now bursar.socket");
    assert_eq!(main_pid(&machine), "0");
    let socket = format!("/run/user/{uid}/bursar/bursar.sock");
    let exported = sh(&machine, "systemctl --user show-environment");
    assert!(exported.lines().any(|line| line == format!("BURSAR_SOCK={socket}")), "{exported}");
    let run = sh(&machine, "systemd-run --user --quiet --pipe --wait bursar --json agent status");
    let asked: Value = serde_json::from_str(&run).unwrap();
    assert_eq!(asked["socket"], socket.as_str());
    assert_eq!(asked["activated"], true);
    assert_eq!(asked["pid"].to_string(), main_pid(&machine));
    assert_eq!(asked["state"], "/home/alice/.local/share/bursar");
    let modes = format!("stat --format '%a %U' /run/user/{uid}/bursar /run/user/{uid}/bursar/*.sock");
    assert_eq!(machine.sh(&modes), "700 alice\n600 alice\n600 alice\n");
    sh(&machine, "systemctl --user stop bursar.socket");
    let exported = sh(&machine, "systemctl --user show-environment");
    assert!(!exported.contains("BURSAR_SOCK"), "{exported}");
}

#[test]
fn to_which_one_that_was_started_by_hand_gives_way() {
    let Some((machine, _)) = alice() else { return };
    sh(
        &machine,
        "bursar init --key-file ~/key; printf v | bursar secret create one --type token --token-file -",
    );
    let by_hand = status(&machine);
    assert_eq!(by_hand["activated"], false);
    sh(&machine, "systemctl --user start bursar.socket");
    let activated = status(&machine);
    assert_eq!(activated["activated"], true);
    assert_ne!(by_hand["pid"], activated["pid"]);
    assert_eq!(sh(&machine, "bursar get one"), "v\n");
    let started = sh(&machine, "bursar agent start");
    assert!(started.contains("the agent runs already"), "{started}");
    let second = machine.as_user("alice", "timeout 20 bursard --foreground");
    assert_ne!(second.code, 0, "{second:?}");
    assert_ne!(second.code, 124, "{second:?}");
    assert_eq!(status(&machine)["pid"], activated["pid"]);
    assert_eq!(machine.sh("pidof bursard | wc --words"), "1\n");
    assert_eq!(sh(&machine, &format!("systemctl --user show --property NRestarts --value {UNIT}")), "0\n");
}

#[test]
fn that_hands_her_units_their_credentials() {
    let Some((machine, _)) = alice() else { return };
    sh(
        &machine,
        r#"mkdir -p .config/bursar .config/systemd/user
        cat >.config/bursar/bursar.toml <<'END'
[[credential]]
unit = "app.service"
credential = "token"
secret = "one"
END
        for unit in app other; do
            cat >.config/systemd/user/$unit.service <<'END'
[Service]
Type=oneshot
LoadCredential=token:%t/bursar/credentials.sock
ExecStart=sh -c 'cp $CREDENTIALS_DIRECTORY/token %t/%p.seen'
END
        done
        systemctl --user daemon-reload
        systemctl --user start bursar.socket
        bursar init --key-file ~/key
        printf the-value | bursar secret create one --type token --token-file -
        systemctl --user start app.service"#,
    );
    assert_eq!(sh(&machine, "cat $XDG_RUNTIME_DIR/app.seen"), "the-value");
    let refused = machine.as_user("alice", "systemctl --user start other.service");
    assert_ne!(refused.code, 0, "{refused:?}");
    assert_eq!(
        sh(&machine, "systemctl --user show --property ExecMainStatus --value other.service"),
        "243\n"
    );
}
