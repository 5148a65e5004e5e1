//! Under a real systemd: two units name the same socket in `LoadCredential=` and get different secrets, a third one is refused and does not
//! start, with the reason in the journal and in the record of accesses; and the same for units of a user.

use bursar_tests::{Machine, until};
use serde_json::Value;

const TABLE: &str = r#"
[[credential]]
unit = "one.service"
credential = "password"
secret = "one"

[[credential]]
unit = "two.service"
credential = "password"
element = "db"
environment = "personal/development"

[[credential]]
unit = "web.service"
credential = "tls.*"
secret = "tls"

[[credential]]
unit = "app@.service"
credential = "token"
secret = "of-%i"
"#;

/// A unit that keeps what it is handed in `/run/got/UNIT`, and then `more`.
fn unit(machine: &Machine, name: &str, credentials: &[&str], more: &str) {
    let socket = "/run/bursar/credentials.sock";
    let load = |name: &&str| format!("LoadCredential={name}:{socket}\n");
    let loads = credentials.iter().map(load).collect::<Vec<_>>().concat();
    let copy =
        "ExecStart=/bin/sh -c 'mkdir -p /run/got/%n && cp %d/* /run/got/%n && id -u >/run/got/%n/user'";
    let text = format!("[Service]\nType=oneshot\n{loads}{copy}\n{more}\n");
    machine.write(&format!("/etc/systemd/system/{name}"), &text, "644");
}

fn server() -> Option<Machine> {
    let machine = Machine::boot()?;
    machine.install_unlocked_agent();
    machine.write("/etc/bursar/conf.d/units.toml", TABLE, "644");
    machine.sh("install -d -m 1777 /run/got
        cd /root
        openssl req -x509 -newkey rsa:2048 -nodes -keyout tls.key -out cert.pem -days 30 -subj /CN=web 2>/dev/null
        bursar secret create tls --type certificate --certificate-file cert.pem --private-key-file tls.key \\
            --environment personal/development
        for name in one two of-blue; do
            printf value-of-$name | bursar secret create $name --type token --token-file - --environment personal/development
        done
        bursar element set db --development two
        systemctl reload bursar.service");
    Some(machine)
}

/// The entries of the record about what units were handed: principal, subject, secret, outcome.
fn recorded(machine: &Machine) -> Vec<[String; 4]> {
    let page: Value = serde_json::from_str(&machine.sh("bursar audit --json --last 100")).unwrap();
    let entries = page["entries"].as_array().or_else(|| page.as_array()).unwrap();
    let text = |one: &Value, key: &str| one[key].as_str().unwrap_or("-").to_owned();
    let of_units = |one: &&Value| one["method"] == "credential.get";
    let row = |one: &Value| ["principal", "subject", "secret", "outcome"].map(|key| text(one, key));
    entries.iter().filter(of_units).map(row).collect()
}

#[test]
fn and_a_third_none() {
    let Some(machine) = server() else { return };
    unit(&machine, "one.service", &["password"], "");
    unit(&machine, "two.service", &["password"], "User=nobody");
    unit(
        &machine,
        "web.service",
        &["tls.certificate", "tls.private_key"],
        "DynamicUser=yes\nPrivateMounts=yes\nReadWritePaths=/run/got",
    );
    unit(&machine, "app@.service", &["token"], "");
    unit(&machine, "third.service", &["password"], "");
    machine
        .sh("systemctl daemon-reload; systemctl start one.service two.service web.service app@blue.service");
    let got = |unit: &str, credential: &str| machine.read(&format!("/run/got/{unit}/{credential}"));
    assert_eq!(got("one.service", "password"), "value-of-one");
    assert_eq!(got("two.service", "password"), "value-of-two");
    assert_eq!(got("app@blue.service", "token"), "value-of-of-blue");
    assert!(got("web.service", "tls.certificate").starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(got("web.service", "tls.private_key").starts_with("-----BEGIN PRIVATE KEY-----"));

    for (unit, credential, reason) in [
        ("third.service", "password", "no [[credential]] of the agent's config fits"),
        ("app@red.service", "token", "no secret personal/of-red"),
    ] {
        assert_ne!(machine.try_sh(&format!("systemctl start {unit}")).code, 0, "{unit}");
        assert_eq!(machine.property(unit, "ExecMainStatus"), "243", "{unit}");
        let of_agent = machine.journal("bursar.service");
        let refused = of_agent.iter().find(|entry| entry["BURSAR_CALLER"] == unit);
        let refused = refused.unwrap_or_else(|| panic!("{unit}: {of_agent:?}"));
        assert_eq!((&refused["PRIORITY"], &refused["BURSAR_CREDENTIAL"]), (&"4".into(), &credential.into()));
        assert!(refused["BURSAR_REASON"].as_str().unwrap().contains(reason), "{refused}");
    }
    let all = recorded(&machine);
    for row in [
        ["unit one.service", "password", "personal/one", "ok"],
        ["unit two.service", "password", "personal/two", "ok"],
        ["unit web.service", "tls.private_key", "personal/tls", "ok"],
        ["unit app@blue.service", "token", "personal/of-blue", "ok"],
        ["unit third.service", "password", "-", "denied"],
        ["unit app@red.service", "token", "-", "not_found"],
    ] {
        assert!(all.contains(&row.map(str::to_owned)), "{row:?}: {all:?}");
    }
    let journal = machine.sh("journalctl --sync; journalctl --all --output=export");
    assert!(!journal.contains("value-of-") && !journal.contains("PRIVATE KEY"));
}

#[test]
fn and_an_unprivileged_process_with_the_address_of_systemd_nothing() {
    let Some(machine) = server() else { return };
    machine.add_user("ann");
    machine.write(
        "/usr/local/bin/forge",
        "#!/usr/bin/perl\nuse Socket; socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die;\n\
         bind($s, pack_sockaddr_un(\"\\0f89243e264ae2df8/unit/one.service/password\")) or die;\n\
         connect($s, pack_sockaddr_un(\"/run/bursar/credentials.sock\")) or die \"connect: $!\";\n\
         while (sysread($s, my $bytes, 65536)) { print $bytes }\n",
        "755",
    );
    let ann = "setpriv --reuid ann --regid ann --clear-groups";
    // the socket's own mode comes first
    let kept_out = machine.try_sh(&format!("{ann} forge"));
    assert!(kept_out.code != 0 && kept_out.err.contains("Permission denied"), "{kept_out:?}");
    machine.sh("chmod 666 /run/bursar/credentials.sock");
    // whoever it is, the refusal is the same: more zeros than systemd takes
    for who in [ann, ""] {
        assert_eq!(machine.sh(&format!("{who} forge | tr -d '\\0' | wc -c")), "0\n");
        assert_eq!(machine.sh(&format!("{who} forge | wc -c")), "1048577\n");
    }
    let all = recorded(&machine);
    assert!(!all.is_empty() && all.iter().all(|row| row[0] == "nobody" && row[3] == "denied"), "{all:?}");
}

#[test]
fn and_each_asks_for_its_own_while_it_runs() {
    let Some(machine) = server() else { return };
    machine.add_user("ann");
    let asks = |name: &str| {
        let text = "[Service]\nType=oneshot\nUser=ann\nSupplementaryGroups=bursar-clients\n\
                    ExecStart=/bin/sh -c 'bursar credential password >/run/got/%n'\n";
        machine.write(&format!("/etc/systemd/system/{name}"), text, "644");
    };
    asks("one.service");
    asks("third.service");
    machine.sh("systemctl daemon-reload; systemctl start one.service");
    assert_eq!(machine.read("/run/got/one.service"), "value-of-one\n");
    assert_ne!(machine.try_sh("systemctl start third.service").code, 0);
    assert_eq!(machine.read("/run/got/third.service"), "");
    assert!(
        recorded(&machine)
            .contains(&["unit one.service", "password", "personal/one", "ok"].map(str::to_owned))
    );
}

#[test]
fn and_so_do_units_of_a_user() {
    let Some(machine) = Machine::boot() else { return };
    machine.install_programs();
    machine.install_units();
    let uid = machine.add_user("ann");
    machine.start_user_manager("ann");
    let copy = "ExecStart=/bin/sh -c 'mkdir -p %t/got/%n; cp %d/* %t/got/%n'";
    let text =
        format!("[Service]\nType=oneshot\nLoadCredential=password:%t/bursar/credentials.sock\n{copy}\n");
    for name in ["one.service", "third.service"] {
        machine.write(&format!("/etc/systemd/user/{name}"), &text, "644");
    }
    let rule = "[[credential]]\nunit = \"one.service\"\ncredential = \"*\"\nsecret = \"one\"\n";
    machine.write("/home/ann/.config/bursar/bursar.toml", rule, "644");
    machine.sh("chown -R ann: /home/ann/.config");
    let ann = |script: &str| machine.as_user("ann", script);
    ann("systemctl --user daemon-reload; systemctl --user start bursar.socket
        bursar init --key-file ~/.config/bursar/vault.key
        printf value-of-one | bursar secret create one --type token --token-file - --environment personal/development
        systemctl --user start one.service")
    .ok();
    assert_eq!(machine.read(&format!("/run/user/{uid}/got/one.service/password")), "value-of-one");
    assert_ne!(ann("systemctl --user start third.service").code, 0);
    let status = ann("systemctl --user show --value --property ExecMainStatus third.service").ok();
    assert_eq!(status.out, "243\n");
    until("the refusal is recorded", || ann("bursar audit").out.contains("unit third.service").then_some(()));
}
