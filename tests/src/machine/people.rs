//! Users of a machine, and their managers.

use super::Machine;
use crate::cli::Run;

impl Machine {
    /// Adds a user with a home and a group of the same name; answers the number.
    #[track_caller]
    pub fn add_user(&self, name: &str) -> u32 {
        self.run(&["useradd", "--create-home", "--user-group", "--shell", "/bin/sh", name]).ok();
        self.uid(name)
    }

    /// Starts the manager of a user, as a login does, and keeps it.
    #[track_caller]
    pub fn start_user_manager(&self, name: &str) {
        let uid = self.uid(name);
        self.sh(&format!("loginctl enable-linger {name}; systemctl start user@{uid}.service"));
    }

    /// Runs a script to its end as a user does who is logged in.
    #[track_caller]
    pub fn as_user(&self, name: &str, script: &str) -> Run {
        let runtime = format!("/run/user/{}", self.uid(name));
        let mut shell = self.command("runuser");
        shell.args(["--user", name, "--", "sh", "-euc", &format!("cd\n{script}")]);
        shell.env("HOME", format!("/home/{name}")).env("USER", name).env("LOGNAME", name);
        shell.env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={runtime}/bus"));
        shell.env("XDG_RUNTIME_DIR", runtime);
        Run::of(&mut shell)
    }

    fn uid(&self, name: &str) -> u32 {
        self.run(&["id", "--user", name]).ok().out.trim().parse().expect("a number")
    }
}
