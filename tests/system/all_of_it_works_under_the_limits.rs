//! The unit of a server takes from the agent what it does not need, and no more: everything that the agent does is done under it, and within
//! its memory.

use bursar_tests::Machine;

const UNIT: &str = "bursar.service";

#[test]
fn every_kind_of_work() {
    let Some(machine) = Machine::boot() else { return };
    machine.install_agent();
    machine.write("/root/pass", "correct horse battery", "600");
    machine.sh("bursar init --passphrase-file /root/pass");
    // a derivation of a key, locked memory and all, within MemoryMax=
    machine.sh("bursar lock; bursar unlock --passphrase-file /root/pass");
    machine.sh("cd /root
        openssl req -x509 -newkey rsa:2048 -nodes -keyout tls.key -out cert.pem -days 30 -subj /CN=limits 2>/dev/null
        bursar secret create tls --type certificate --certificate-file cert.pem --private-key-file tls.key \\
            --environment personal/development
        printf the-value | bursar secret create one --type token --token-file - --environment personal/development");
    machine.sh("bursar rekey --passphrase-file /root/pass");
    machine.sh("setpriv --reuid bursar --regid bursar --init-groups bursar backup /var/lib/bursar/copy
        bursar secret delete one --yes
        setpriv --reuid bursar --regid bursar --init-groups \\
            bursar restore /var/lib/bursar/copy --yes --passphrase-file - </root/pass");
    assert_eq!(machine.sh("bursar get one"), "the-value\n");
    // to other places it may not write, whoever asks
    let outside = machine.try_sh(
        "install -d -o bursar /srv/copies
        setpriv --reuid bursar --regid bursar --init-groups bursar backup /srv/copies/copy",
    );
    assert_ne!(outside.code, 0);
    // a hook runs programs
    machine.write("/usr/local/bin/told", "#!/bin/sh\ncat >>/var/lib/bursar/told\n", "755");
    machine.write("/etc/bursar/conf.d/hook.toml", "[hook]\ncommand = [\"/usr/local/bin/told\"]\n", "644");
    machine.sh("systemctl restart bursar.service; bursar unlock --passphrase-file /root/pass");
    // nobody answers there, and the answer of nobody is told
    machine.write(
        "/root/dead.json",
        r#"{"type":"oauth2-client_credentials","environment":"personal/development","credentials":
            {"client_id":"i","client_secret":"s","token_url":"http://127.0.0.1:9/token"}}"#,
        "600",
    );
    let refused = machine.try_sh("bursar secret create dead --from-file /root/dead.json --wait");
    assert_eq!(refused.code, 8, "{refused:?}");
    assert_eq!(machine.sh("bursar audit verify >/dev/null; bursar agent status | grep -c writable"), "1\n");
    machine.sh("systemctl restart bursar.service");
    assert_eq!(machine.property(UNIT, "Result"), "success");
    assert_eq!(machine.property(UNIT, "NRestarts"), "0");
}
