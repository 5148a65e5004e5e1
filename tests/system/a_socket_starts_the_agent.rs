//! On a server systemd keeps the sockets: the agent is started by whoever comes first, says how it stands, and may end
//! whenever it likes.

use bursar_tests::{Machine, until};

const UNIT: &str = "bursar.service";

/// A machine with the agent's sockets, and nobody behind them.
fn listening() -> Option<Machine> {
    let machine = Machine::boot()?;
    machine.install_agent();
    assert!(!runs(&machine));
    Some(machine)
}

fn runs(machine: &Machine) -> bool {
    machine.property(UNIT, "ActiveState") == "active"
}

fn until_status(machine: &Machine, text: &str) {
    until(text, || (machine.property(UNIT, "StatusText") == text).then_some(()));
}

/// What the journal says once the agent's unit does not start, with `change` made to `bursar.socket`.
fn refusal(change: &str) -> Option<String> {
    let machine = Machine::boot()?;
    machine.install_programs();
    machine.install_units();
    machine.write("/etc/systemd/system/bursar.socket.d/change.conf", &format!("[Socket]\n{change}"), "644");
    machine.sh("systemctl daemon-reload; systemctl start bursar.socket");
    assert_ne!(machine.run(&["systemctl", "start", UNIT]).code, 0);
    Some(machine.messages(UNIT))
}

#[test]
fn the_first_call_starts_it() {
    let Some(machine) = listening() else { return };
    let status = machine.agent_status();
    assert_eq!(status["socket"], "/run/bursar/bursar.sock");
    assert_eq!(status["state"], "/var/lib/bursar");
    assert_eq!(status["activated"], true);
    assert_eq!(status["pid"].to_string(), machine.property(UNIT, "MainPID"));
    let modes = machine.sh("stat --format '%a %U %G' /run/bursar/bursar.sock /run/bursar/credentials.sock");
    assert_eq!(modes, "660 bursar bursar-clients\n600 root root\n");
    assert_eq!(machine.sh("stat --format '%a %U' /var/lib/bursar"), "700 bursar\n");
}

#[test]
fn its_start_is_over_when_it_answers_and_systemd_shows_how_it_stands() {
    let Some(machine) = Machine::boot() else { return };
    machine.make_unlock_key();
    machine.install_agent();
    machine.write("/etc/bursar/conf.d/mistake.toml", "[vault]\nautolock = '1h'\n", "644");
    assert_ne!(machine.run(&["systemctl", "start", UNIT]).code, 0, "it never answers");
    let said = machine.messages(UNIT);
    assert!(said.contains("mistake.toml") && said.contains("autolock"), "{said}");
    machine.sh("rm /etc/bursar/conf.d/mistake.toml; systemctl stop bursar.service");
    machine.sh("systemctl start bursar.service");
    assert!(runs(&machine));
    until_status(&machine, "no vault yet: bursar init");
    machine.sh("bursar init --credential unlock-key");
    until_status(&machine, "unlocked, 0 secrets");
    machine.sh("printf value | bursar secret create one --type token --token-file -; bursar lock");
    until_status(&machine, "locked: bursar unlock");
    let shown = machine.run(&["systemctl", "status", UNIT]).ok().out;
    assert!(shown.contains(r#"Status: "locked: bursar unlock""#), "{shown}");
    machine.sh("bursar unlock");
    until_status(&machine, "unlocked, 1 secret");
}

#[test]
fn whoever_stops_it_leaves_the_socket_and_the_next_call_starts_it_anew() {
    let Some(machine) = listening() else { return };
    let first = machine.agent_status()["pid"].clone();
    machine.sh("systemctl stop bursar.service");
    assert!(!runs(&machine));
    let second = machine.agent_status()["pid"].clone();
    assert_ne!(first, second);
    machine.sh("bursar agent stop");
    assert!(!runs(&machine), "a stop is over when it has ended, and starts nobody");
    let started = machine.sh("bursar agent start");
    assert!(started.contains("the agent runs already"), "{started}");
    let third = machine.agent_status();
    assert_ne!(second, third["pid"]);
    assert_eq!(third["activated"], true);
    assert_eq!(machine.sh("pidof bursard | wc --words"), "1\n");
    machine.sh("systemctl stop bursar.socket");
    assert!(!runs(&machine), "without its socket it is of no use");
    assert_eq!(machine.try_sh("ls /run/bursar/*.sock").out, "");
}

#[test]
fn a_socket_of_another_type_fails_the_start() {
    let change = "ListenStream=\nListenDatagram=/run/bursar/bursar.sock\n";
    let Some(said) = refusal(change) else { return };
    assert!(
        said.contains("the socket api, which systemd handed over, is no listening unix stream"),
        "{said}"
    );
}

#[test]
fn a_socket_of_another_name_fails_the_start() {
    let Some(said) = refusal("FileDescriptorName=bursar\n") else { return };
    assert!(said.contains(r#"systemd handed over a socket named "bursar""#), "{said}");
    assert!(said.contains("FileDescriptorName= is api or credentials"), "{said}");
}
