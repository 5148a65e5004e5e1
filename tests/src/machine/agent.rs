//! The agent in a machine: its programs, and the units of the repository.

use super::Machine;
use crate::binaries::binaries;
use serde_json::Value;
use std::fs;

/// The units and what goes with them.
const SYSTEMD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../systemd");

/// Directories of [`SYSTEMD`], and where a package puts what is in them.
const PLACES: [(&str, &str); 4] = [
    ("system", "/usr/lib/systemd/system"),
    ("user", "/usr/lib/systemd/user"),
    ("sysusers.d", "/usr/lib/sysusers.d"),
    ("tmpfiles.d", "/usr/lib/tmpfiles.d"),
];

impl Machine {
    /// Puts `bursard` and `bursar` into `/usr/bin`.
    #[track_caller]
    pub fn install_programs(&self) {
        let built = binaries();
        self.copy(&built.bursard, "/usr/bin/bursard", "755");
        self.copy(&built.bursar, "/usr/bin/bursar", "755");
    }

    /// Puts the units and what goes with them where a package does, and makes the users and directories that they name.
    /// Nothing is enabled.
    #[track_caller]
    pub fn install_units(&self) {
        for (directory, place) in PLACES {
            for file in fs::read_dir(format!("{SYSTEMD}/{directory}")).expect("a directory of units") {
                let file = file.expect("a file beside the units");
                let name = file.file_name().into_string().expect("a name in UTF-8");
                self.copy(&file.path(), &format!("{place}/{name}"), "644");
            }
        }
        self.copy(format!("{SYSTEMD}/bursar.toml").as_ref(), "/etc/bursar/bursar.toml", "644");
        self.sh("systemd-sysusers; systemd-tmpfiles --create bursar.conf; systemctl daemon-reload");
    }

    /// Puts all of it there, and has the agent's sockets listen.
    #[track_caller]
    pub fn install_agent(&self) {
        self.install_programs();
        self.install_units();
        self.sh("systemctl enable --quiet --now bursar.socket");
    }

    /// The same on a server that opens its vault by itself, and has just made it.
    #[track_caller]
    pub fn install_unlocked_agent(&self) {
        self.make_unlock_key();
        self.install_agent();
        self.sh("bursar init --credential unlock-key");
    }

    /// Makes the credential that the agent's unit asks for.
    #[track_caller]
    pub fn make_unlock_key(&self) {
        self.sh("mkdir --mode 700 --parents /etc/credstore.encrypted
            head --bytes 32 /dev/urandom | base64 |
                systemd-creds encrypt --name unlock-key - /etc/credstore.encrypted/unlock-key");
    }

    /// What the agent says of itself to root.
    #[track_caller]
    pub fn agent_status(&self) -> Value {
        self.run(&["bursar", "--json", "agent", "status"]).ok().json()
    }

    /// A property of a unit, as systemd shows it.
    #[track_caller]
    pub fn property(&self, unit: &str, property: &str) -> String {
        self.run(&["systemctl", "show", "--property", property, "--value", unit]).ok().out.trim().to_owned()
    }

    /// The messages of a unit in the journal, one a line.
    #[track_caller]
    pub fn messages(&self, unit: &str) -> String {
        let entries = self.journal(unit);
        entries.iter().filter_map(|entry| entry["MESSAGE"].as_str()).collect::<Vec<_>>().join("\n")
    }
}
