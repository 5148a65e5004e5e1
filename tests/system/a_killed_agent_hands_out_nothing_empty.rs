//! A unit that waits for a credential while the agent is killed does not start with an empty one: systemd keeps its connection, and the
//! next agent answers it.

use bursar_tests::{FaultIssuer, Machine, Reply, until};

const UNIT: &str = "bursar.service";

#[test]
fn as_systemd_keeps_who_waits() {
    let Some(machine) = Machine::boot() else { return };
    machine.install_unlocked_agent();
    let issuer = machine.networked(|| FaultIssuer::new(Reply::Grant(36_000)));
    let secret = format!(
        r#"{{"type":"oauth2-client_credentials","environment":"personal/development",
            "credentials":{{"client_id":"i","client_secret":"s","token_url":"{}"}}}}"#,
        issuer.token_url()
    );
    machine.write("/root/crm.json", &secret, "600");
    machine.write(
        "/etc/bursar/conf.d/units.toml",
        "[[credential]]\nunit = \"crm.service\"\ncredential = \"token\"\nsecret = \"personal/crm\"\n",
        "644",
    );
    machine.write(
        "/etc/systemd/system/crm.service",
        "[Service]\nType=oneshot\nLoadCredential=token:/run/bursar/credentials.sock\n\
         ExecStart=/bin/sh -c 'cp %d/token /root/got'\n",
        "644",
    );
    machine.sh("systemctl daemon-reload; systemctl restart bursar.service");
    issuer.then(Reply::Held(36_000));
    machine.sh("bursar secret create crm --from-file /root/crm.json --no-wait");
    issuer.until_count(1);
    let mut starting = machine.command("systemctl");
    let starting = starting.args(["start", "crm.service"]).spawn().unwrap();
    until("systemd keeps who waits", || {
        (machine.property(UNIT, "NFileDescriptorStore") == "1").then_some(())
    });

    machine.sh("systemctl kill --signal KILL --kill-who main bursar.service");
    let started = bursar_tests::Run::finish(starting, None);
    issuer.release();
    assert_eq!(started.code, 0, "{started:?} {}", machine.messages(UNIT));
    assert_eq!(machine.read("/root/got"), machine.sh("bursar get crm").trim_end());
    assert_eq!(machine.property(UNIT, "NRestarts"), "1");
    until("systemd lets go of it", || (machine.property(UNIT, "NFileDescriptorStore") == "0").then_some(()));
}
