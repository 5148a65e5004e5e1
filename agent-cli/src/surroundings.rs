//! The environment variables that count, read once. No other file reads any.

use crate::non_interactive::taken;
use bursar_proto::sensitive::Sensitive;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The variable with client secrets, and the name by which it is often called: neither is for a program that we start for
/// ourselves. The command of `exec` is a person's own, and keeps what that person gave it.
pub(crate) const CLIENT_SECRETS: [&str; 2] = ["BURSAR_CLIENT_SECRETS", "BURSAR_CLIENT_SECRET"];

/// The value of a variable. Set but empty counts as not set, as the XDG rules and no-color.org say.
fn read(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// What the environment says.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    /// `BURSAR_SOCK`.
    pub(crate) sock: Option<OsString>,
    /// `BURSAR_HOME`.
    pub(crate) home: Option<OsString>,
    /// `XDG_RUNTIME_DIR`.
    pub(crate) runtime_dir: Option<OsString>,
    /// `XDG_STATE_HOME`.
    pub(crate) state_home: Option<OsString>,
    /// `XDG_CONFIG_HOME`.
    pub(crate) config_home: Option<OsString>,
    /// `XDG_DATA_HOME`.
    pub(crate) data_home: Option<OsString>,
    /// `HOME`.
    pub(crate) user_home: Option<OsString>,
    /// Whether `NO_COLOR` is set to anything.
    pub(crate) no_color: bool,
    /// `BROWSER`: the program that opens addresses.
    pub(crate) browser: Option<String>,
    /// Whether there is a graphical session: `DISPLAY` or `WAYLAND_DISPLAY` is set.
    pub(crate) has_screen: bool,
    /// Whether the person sits before another machine: `SSH_CONNECTION`, `SSH_TTY` or `SSH_CLIENT` is set.
    pub(crate) over_ssh: bool,
}

impl Surroundings {
    pub(crate) fn read() -> Self {
        let any = |names: &[&str]| names.iter().any(|name| read(name).is_some());
        Self {
            sock: read("BURSAR_SOCK"),
            home: read("BURSAR_HOME"),
            runtime_dir: read("XDG_RUNTIME_DIR"),
            state_home: read("XDG_STATE_HOME"),
            config_home: read("XDG_CONFIG_HOME"),
            data_home: read("XDG_DATA_HOME"),
            user_home: read("HOME"),
            no_color: read("NO_COLOR").is_some(),
            browser: read("BROWSER").map(|text| text.to_string_lossy().into_owned()),
            has_screen: any(&["DISPLAY", "WAYLAND_DISPLAY"]),
            over_ssh: any(&["SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT"]),
        }
    }

    /// Where the daemon's state lies, and its log when we start it.
    pub(crate) fn state_dir(&self) -> Option<PathBuf> {
        self.dir(self.state_home.as_ref(), ".local/state")
    }

    /// Where the config lies, and the key file that `quickstart` makes.
    pub(crate) fn config_dir(&self) -> Option<PathBuf> {
        self.dir(self.config_home.as_ref(), ".config")
    }

    /// Where a vault of this user's own would lie.
    pub(crate) fn vault_dir(&self) -> Option<PathBuf> {
        self.dir(self.data_home.as_ref(), ".local/share")
    }

    /// Where the configs of this user's programs lie, the user manager's among them.
    pub(crate) fn user_config(&self) -> Option<PathBuf> {
        self.base(self.config_home.as_ref(), ".config")
    }

    fn dir(&self, xdg: Option<&OsString>, under_home: &str) -> Option<PathBuf> {
        if let Some(home) = &self.home {
            return Some(PathBuf::from(home));
        }
        Some(self.base(xdg, under_home)?.join("bursar"))
    }

    fn base(&self, xdg: Option<&OsString>, under_home: &str) -> Option<PathBuf> {
        // a relative path there is invalid by the XDG rules
        let xdg = xdg.map(PathBuf::from).filter(|path| path.is_absolute());
        xdg.or_else(|| self.user_home.as_ref().map(|home| Path::new(home).join(under_home)))
    }
}

/// What the environment says where no person is: read in non-interactive mode alone.
#[derive(Default)]
pub(crate) struct Unattended {
    /// `BURSAR_CLIENT_SECRETS`. Wiped on drop.
    pub(crate) client_secrets: Option<Sensitive>,
    /// Whether `BURSAR_CLIENT_SECRET` is set.
    pub(crate) is_singular: bool,
    /// What variables of a CI hold, by their names.
    pub(crate) ci: BTreeMap<&'static str, String>,
}

impl Unattended {
    /// Reads them, and those that `ci` names.
    pub(crate) fn read(ci: impl Iterator<Item = &'static str>) -> Self {
        let [plural, singular] = CLIENT_SECRETS;
        let text = |name| Some((name, read(name)?.to_string_lossy().into_owned()));
        Self {
            client_secrets: read(plural).map(taken),
            is_singular: read(singular).is_some(),
            ci: ci.filter_map(text).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursar_home_holds_everything() {
        let here = Surroundings {
            home: Some("/b".into()),
            state_home: Some("/s".into()),
            user_home: Some("/u".into()),
            ..Surroundings::default()
        };
        assert_eq!(here.state_dir(), Some("/b".into()));
        assert_eq!(here.config_dir(), Some("/b".into()));
    }

    #[test]
    fn without_it_the_xdg_rules_hold() {
        let mut here = Surroundings {
            state_home: Some("/s".into()),
            config_home: Some("relative".into()),
            user_home: Some("/u".into()),
            ..Surroundings::default()
        };
        assert_eq!(here.state_dir(), Some("/s/bursar".into()));
        assert_eq!(here.config_dir(), Some("/u/.config/bursar".into()));
        here.user_home = None;
        assert_eq!(here.config_dir(), None);
    }
}
