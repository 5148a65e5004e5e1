//! Under a real systemd a service reads its rendered file as its own user, and is told of each change once a batch, by a reload
//! or a signal; never when nothing changed, and one that does not run is not started.

use bursar_tests::{Machine, until};

/// Appends what it reads at each reload, in a line.
const READER: &str = "
[Service]
User=app
RuntimeDirectory=%N
ExecStart=/bin/sleep infinity
ExecReload=/bin/sh -c 'cd /run/bursar/render; for file in %N.1 %N.2; do test ! -e $file || cat $file; done >>/run/%N/seen; echo >>/run/%N/seen'
";

/// Appends what it reads at each signal.
const WORKER: &str = "
[Service]
User=app
RuntimeDirectory=%N
ExecStart=/bin/sh -c 'trap \"cat /run/bursar/render/worker.txt >>/run/worker/seen\" USR1; \
 touch /run/worker/ready; while :; do sleep 0.1; done'
";

const CONFIG: &str = "
[[render]]
file = 'app.1'
text = '%secret:s%,'
readers = ['user app']
unit = 'app.service'
[[render]]
file = 'app.2'
text = '%secret:s|base64%,%secret:t%'
readers = ['group app']
unit = 'app.service'
[[render]]
file = 'worker.txt'
text = \"%secret:t%\\n\"
readers = ['user app']
unit = 'worker.service'
action = 'SIGUSR1'
[[render]]
file = 'idle.1'
text = '%secret:s%'
unit = 'idle.service'
[[render]]
file = 'last.1'
text = '%secret:last%'
readers = ['user app']
unit = 'last.service'
action = 'reload'
";

/// What a service has seen, one reload a line.
fn seen(machine: &Machine, unit: &str) -> Vec<String> {
    machine.try_sh(&format!("cat /run/{unit}/seen")).out.lines().map(str::to_owned).collect()
}

fn until_seen(machine: &Machine, unit: &str, all: &[&str]) {
    until("a service is told", || (seen(machine, unit).last()? == all.last()?).then_some(()));
    assert_eq!(seen(machine, unit), all);
}

fn edit(machine: &Machine, secret: &str, value: &str) {
    machine.sh(&format!("printf {value} | bursar secret edit {secret} --token-file -"));
}

#[test]
fn with_its_files_and_once_a_batch() {
    let Some(machine) = Machine::boot() else { return };
    machine.install_unlocked_agent();
    machine.add_user("app");
    for unit in ["app", "last", "idle"] {
        machine.write(&format!("/etc/systemd/system/{unit}.service"), READER, "644");
    }
    machine.write("/etc/systemd/system/worker.service", WORKER, "644");
    machine.sh("systemctl daemon-reload; systemctl start app.service last.service worker.service");
    until("the worker listens", || (machine.try_sh("test -e /run/worker/ready").code == 0).then_some(()));
    for secret in ["s", "t", "last"] {
        machine.sh(&format!("printf one | bursar secret create {secret} --type token --token-file -"));
    }
    machine.write("/etc/bursar/conf.d/10-app.toml", CONFIG, "644");
    machine.sh("systemctl reload bursar.service");
    until_seen(&machine, "worker", &["one"]);
    until_seen(&machine, "app", &["one,b25l,one"]);
    until_seen(&machine, "last", &["one"]);

    // two secrets of two files of one unit
    machine.sh(
        "printf two | bursar secret edit s --token-file -; printf 2 | bursar secret edit t --token-file -",
    );
    until_seen(&machine, "worker", &["one", "2"]);
    until_seen(&machine, "app", &["one,b25l,one", "two,dHdv,2"]);

    // a change of another secret is none of theirs, and neither is another start
    edit(&machine, "last", "two");
    until_seen(&machine, "last", &["one", "two"]);
    machine.sh("systemctl restart bursar.service");
    edit(&machine, "last", "three");
    until_seen(&machine, "last", &["one", "two", "three"]);
    edit(&machine, "t", "3");
    until_seen(&machine, "worker", &["one", "2", "3"]);
    until_seen(&machine, "app", &["one,b25l,one", "two,dHdv,2", "two,dHdv,3"]);

    assert_eq!(machine.property("idle.service", "ActiveState"), "inactive");
    assert_eq!(machine.read("/run/bursar/render/idle.1"), "two");
    let denied = machine.run(&["runuser", "--user", "nobody", "--", "cat", "/run/bursar/render/app.1"]);
    assert!(denied.code != 0 && denied.out.is_empty(), "{denied:?}");
    assert_eq!(machine.property("bursar-reload.service", "Result"), "success");
    assert_eq!(machine.sh("ls -A /run/bursar/reload"), "");
    // all of them by name, and no value
    let said = machine.messages("bursar.service") + &machine.messages("bursar-reload.service");
    assert!(said.contains("app.service") && !said.contains("dHdv"), "{said}");
}

#[test]
fn who_has_the_daemons_rights_can_tell_no_other_unit() {
    let Some(machine) = Machine::boot() else { return };
    machine.install_unlocked_agent();
    machine.add_user("app");
    for unit in ["app", "other"] {
        machine.write(&format!("/etc/systemd/system/{unit}.service"), READER, "644");
    }
    machine.sh("systemctl daemon-reload; systemctl start app.service other.service");
    machine.write(
        "/etc/bursar/conf.d/10-app.toml",
        "[[render]]\nfile = 'app.1'\ntext = 'x'\nreaders = ['user app']\nunit = 'app.service'\n",
        "644",
    );
    machine.sh("systemctl reload bursar.service");
    until_seen(&machine, "app", &["x"]);
    machine.sh("runuser --user bursar -- sh -euc 'cd /run/bursar/reload
            touch other.service ./--now .hidden
            ln -s /etc/shadow link.service
            mkfifo pipe.service
            mkdir directory.service
            touch app.service'");
    until("the config's own is told", || (seen(&machine, "app").len() == 2).then_some(()));
    until("the rest is gone", || machine.sh("ls -A /run/bursar/reload").is_empty().then_some(()));
    assert_eq!(seen(&machine, "other"), [""; 0]);
    machine.sh("test -s /etc/shadow");
    let said = machine.messages("bursar-reload.service");
    assert!(said.contains("no render names that unit") && said.contains("other.service"), "{said}");
}
