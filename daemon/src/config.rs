//! The config: read once from TOML into typed values with units. The only reader of the environment.
//!
//! | key | unit | default |
//! |---|---|---|
//! | `organization` | name | `personal` |
//! | `exchange_policy` | `standard`, `short-lived` | `standard` |
//! | `vault.auto_lock` | duration, `0s` for never | never |
//! | `socket.group` | group, by name or number | none: the daemon's own user |
//! | `socket.max_connections` | count | 1,024 |
//! | `socket.first_frame_timeout` | duration | `30s` |
//! | `socket.frame_timeout` | duration | `10s` |
//! | `socket.idle_timeout` | duration | `1h` |
//! | `http.connect_timeout` | duration | `10s` |
//! | `http.total_timeout` | duration | `30s` |
//! | `http.extra_ca_file` | path | none |
//! | `access.owners` | list of `uid N`, `user NAME`, `gid N`, `group NAME` | none |
//! | `access.admit` | list of those, and `unit NAME.service` | none |
//! | `access.roles` | tables of `who`, `organization`, `environment`, `role` | none |
//! | `audit.entries` | count | 100,000 |
//! | `usage.secrets` | `disabled`, `limited`, `complete` | `limited` |
//! | `hook.command` | program and arguments | none |
//! | `hook.timeout` | duration | `30s` |
//! | `hook.events` | list of words | all |
//! | `render` | tables of `file`, `text` or `template`, `environment`, `readers`, `unit`, `action` | none |
//! | `authorization.port` | port, 0 for any free one | `0` |
//! | `credential` | tables of `unit`, `credential`, `secret` or `element` and `environment`, `field`, `min_validity` | none |
//! | `landlock.writable` | list of absolute paths | none |
//! | `log.level` | `off`, `error` to `trace` | `info` |
//!
//! `socket`'s group and number of connections, `audit.entries`, `landlock.writable` and `log.level` take a restart. What `access` says
//! holds for new connections.

use crate::access::Access;
use crate::exchange::HttpSettings;
use crate::hook::HookConfig;
use crate::render::Render;
use crate::units::Units;
use bursar_proto::kind::{Analytics, ExchangePolicy};
use bursar_proto::name::OrganizationName;
use bursar_proto::socket::{Places, SYSTEM_DIRECTORY};
use bursar_proto::time::parse_duration;
use serde::{Deserialize, Deserializer};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The largest config file, in bytes: a thousand times what the settings take.
const CONFIG_MAX: u64 = 256 * 1024;

/// The longest time limit that makes sense for anything here.
const LIMIT_MAX: Duration = Duration::from_hours(7 * 24);

/// The fewest entries of the record of accesses that are kept: a day of a person's use.
const AUDIT_MIN: u64 = 1_000;

/// The most: some gigabytes of sealed records, and minutes to verify.
const AUDIT_MAX: u64 = 10_000_000;

/// The lists to which a drop-in adds; any other takes the place of the one before.
const ADDED: [&str; 2] = ["credential", "render"];

/// The most directories beside its own in which the agent may write: each costs the kernel a look at every open.
const DIRECTORIES_MAX: usize = 64;

/// The config's file.
const FILE: &str = "bursar.toml";

/// The directory of a server's config.
const SYSTEM_CONFIG: &str = "/etc/bursar";

/// The directory of a server's vault, where systemd does not say.
const SYSTEM_STATE: &str = "/var/lib/bursar";

/// A config that cannot be used: which file, what is wrong.
#[derive(Debug, thiserror::Error)]
#[error("config {}: {reason}", file.display())]
pub(crate) struct ConfigError {
    file: PathBuf,
    reason: String,
}

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// What a bare name belongs to.
    pub(crate) organization: OrganizationName,
    /// The exchange policy of secrets that are created without one.
    pub(crate) exchange_policy: ExchangePolicy,
    /// The vault.
    pub(crate) vault: VaultConfig,
    /// The socket.
    pub(crate) socket: SocketConfig,
    /// Who may, beside the daemon's own user.
    pub(crate) access: Access,
    /// The record of accesses.
    pub(crate) audit: AuditConfig,
    /// The counts of use.
    pub(crate) usage: UsageConfig,
    /// What is run when something happens to a secret.
    pub(crate) hook: HookConfig,
    /// Files that are rendered and kept fresh.
    #[serde(deserialize_with = "crate::render::renders")]
    pub(crate) render: Vec<Render>,
    /// A person's authorization in a browser.
    pub(crate) authorization: AuthorizationConfig,
    /// Which unit is handed which credential.
    pub(crate) credential: Units,
    /// Outgoing calls.
    pub(crate) http: HttpConfig,
    /// Where the agent may write.
    pub(crate) landlock: LandlockConfig,
    /// The log.
    pub(crate) log: LogConfig,
}

/// `[vault]`
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct VaultConfig {
    /// Idle time after which the vault locks; zero for never.
    #[serde(deserialize_with = "duration")]
    pub(crate) auto_lock: Duration,
}

/// `[socket]`
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SocketConfig {
    /// The group whose members can reach the socket; takes a restart to change.
    #[serde(deserialize_with = "crate::access::group_id")]
    pub(crate) group: Option<u32>,
    /// Connections at once.
    pub(crate) max_connections: usize,
    /// From the connection to the first whole line.
    #[serde(deserialize_with = "limit")]
    pub(crate) first_frame_timeout: Duration,
    /// From the first byte of a line to its end.
    #[serde(deserialize_with = "limit")]
    pub(crate) frame_timeout: Duration,
    /// Between lines.
    #[serde(deserialize_with = "limit")]
    pub(crate) idle_timeout: Duration,
}

/// `[audit]`
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AuditConfig {
    /// How many entries are kept; the oldest go first.
    #[serde(deserialize_with = "entries")]
    pub(crate) entries: u64,
}

/// `[usage]`
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UsageConfig {
    /// How much is kept of the use of secrets; each client secret says so for itself.
    pub(crate) secrets: Analytics,
}

/// `[authorization]`
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AuthorizationConfig {
    /// The port of the loopback listener on which browsers come back; 0 for any free one.
    pub(crate) port: u16,
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HttpConfig {
    /// To the connection with an issuer.
    #[serde(deserialize_with = "limit")]
    pub(crate) connect_timeout: Duration,
    /// To the end of its answer.
    #[serde(deserialize_with = "limit")]
    pub(crate) total_timeout: Duration,
    /// Further certificate authorities, PEM.
    pub(crate) extra_ca_file: Option<PathBuf>,
}

/// `[landlock]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LandlockConfig {
    /// Directories below which the agent may write beside its own; takes a restart to change.
    #[serde(deserialize_with = "directories")]
    pub(crate) writable: Vec<PathBuf>,
}

/// `[log]`
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogConfig {
    /// What is logged; takes a restart to change.
    #[serde(deserialize_with = "level")]
    pub(crate) level: tracing::level_filters::LevelFilter,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            organization: OrganizationName::personal(),
            exchange_policy: ExchangePolicy::Standard,
            vault: VaultConfig::default(),
            socket: SocketConfig::default(),
            access: Access::default(),
            audit: AuditConfig::default(),
            usage: UsageConfig::default(),
            hook: HookConfig::default(),
            render: Vec::new(),
            authorization: AuthorizationConfig::default(),
            credential: Units::default(),
            http: HttpConfig::default(),
            landlock: LandlockConfig::default(),
            log: LogConfig::default(),
        }
    }
}

impl Default for SocketConfig {
    fn default() -> Self {
        Self {
            group: None,
            // a build on a large machine opens some hundreds; each costs some kilobytes
            max_connections: 1_024,
            // a person who types into socat gets that long
            first_frame_timeout: Duration::from_secs(30),
            // a whole line is one write of the client; ten seconds bridge a stopped one
            frame_timeout: Duration::from_secs(10),
            // build daemons keep a connection for the length of a build
            idle_timeout: Duration::from_hours(1),
        }
    }
}

impl Default for AuditConfig {
    fn default() -> Self {
        // months of a busy machine, in some tens of megabytes
        Self { entries: 100_000 }
    }
}

impl Default for UsageConfig {
    fn default() -> Self {
        Self { secrets: Analytics::Limited }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            total_timeout: Duration::from_secs(30),
            extra_ca_file: None,
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: tracing::level_filters::LevelFilter::INFO }
    }
}

impl HttpConfig {
    /// What the exchange needs to know.
    pub(crate) fn settings(&self) -> HttpSettings {
        HttpSettings {
            connect_timeout: self.connect_timeout,
            total_timeout: self.total_timeout,
            extra_ca_file: self.extra_ca_file.clone(),
        }
    }
}

impl Config {
    /// Reads `file`, and then the drop-ins `conf.d/*.toml` beside it in the order of their names; a later one
    /// wins, table by table, and adds its tables to some lists. What is not there is not missed, but for a file that was asked for.
    pub(crate) fn read(file: &Path, required: bool) -> Result<Self, ConfigError> {
        let mut merged = toml::Table::new();
        let mut files = vec![file.to_owned()];
        files.extend(drop_ins(file)?);
        for file in files {
            let fault = |reason: String| ConfigError { file: file.clone(), reason };
            let text = match read_bounded(&file, CONFIG_MAX) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => continue,
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                    let reason = "the agent's user cannot read it; hint: chmod 644, it holds no secret";
                    return Err(fault(reason.to_owned()));
                }
                text => text.map_err(|error| fault(error.to_string()))?,
            };
            // each file for itself first, so that a mistake is told with its place
            toml::from_str::<Self>(&text).map_err(|error| fault(error.to_string().trim_end().to_owned()))?;
            let table = toml::from_str(&text).map_err(|error| fault(error.to_string()))?;
            merge(&mut merged, table);
        }
        merged.try_into().map_err(|error: toml::de::Error| ConfigError {
            file: file.to_owned(),
            reason: error.to_string().trim_end().to_owned(),
        })
    }
}

/// Reads a file of at most `most` bytes that nobody else can write.
pub(crate) fn read_bounded(file: &Path, most: u64) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    let file = std::fs::File::open(file)?;
    check_writers(&file.metadata()?)?;
    file.take(most + 1).read_to_string(&mut text)?;
    if text.len() as u64 > most {
        return Err(std::io::Error::other(format!("it has more than {most} bytes")));
    }
    Ok(text)
}

/// Who can write the config makes owners and names commands: nobody may but the daemon's own user and root.
fn check_writers(file: &std::fs::Metadata) -> std::io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let (own, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let owned = file.uid() == own || file.uid() == 0;
    // a user's own group, which has the user's number, is nobody else: with it a umask of 002 is common
    let private = file.gid() == group && group == own;
    let shared = file.mode() & 0o002 != 0 || file.mode() & 0o020 != 0 && !private;
    if owned && !shared {
        return Ok(());
    }
    Err(std::io::Error::other("another user owns it or can write to it; hint: chown it, and chmod go-w"))
}

fn drop_ins(file: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let Some(directory) = file.parent().map(|parent| parent.join("conf.d")) else { return Ok(Vec::new()) };
    let entries = match std::fs::read_dir(&directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| ConfigError { file: directory, reason: error.to_string() })?,
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    Ok(files)
}

fn merge(into: &mut toml::Table, from: toml::Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(outer)) => merge(inner, outer),
            (Some(toml::Value::Array(inner)), toml::Value::Array(outer)) if ADDED.contains(&key.as_str()) => {
                inner.extend(outer);
            }
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = parse_duration(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)?;
    let duration = Duration::from_secs(seconds);
    if duration > LIMIT_MAX {
        return Err(serde::de::Error::custom("at most 7d"));
    }
    Ok(duration)
}

fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    match duration(deserializer)? {
        Duration::ZERO => Err(serde::de::Error::custom("at least 1s")),
        limit => Ok(limit),
    }
}

fn entries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let entries = u64::deserialize(deserializer)?;
    if (AUDIT_MIN..=AUDIT_MAX).contains(&entries) {
        return Ok(entries);
    }
    Err(serde::de::Error::custom(format_args!("expected {AUDIT_MIN} to {AUDIT_MAX} entries")))
}

fn directories<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    let paths = Vec::<PathBuf>::deserialize(deserializer)?;
    if paths.len() > DIRECTORIES_MAX {
        return Err(serde::de::Error::custom(format_args!("at most {DIRECTORIES_MAX} directories")));
    }
    if paths.iter().any(|path| !path.is_absolute() || path.as_os_str().as_encoded_bytes().contains(&0)) {
        return Err(serde::de::Error::custom("expected absolute paths"));
    }
    Ok(paths)
}

fn level<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<tracing::level_filters::LevelFilter, D::Error> {
    String::deserialize(deserializer)?
        .parse()
        .map_err(|_| serde::de::Error::custom("expected one of: off, error, warn, info, debug, trace"))
}

/// Where things lie, from the environment and the command line.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// The config file; its drop-ins lie in `conf.d` beside it.
    pub(crate) config: PathBuf,
    /// Whether the config file was asked for by name, so that it has to be there.
    pub(crate) config_required: bool,
    /// The vault's directory.
    pub(crate) state: PathBuf,
    /// The socket.
    pub(crate) socket: PathBuf,
    /// Where files lie that go with the machine's uptime.
    pub(crate) runtime: PathBuf,
    /// Where systemd puts the credentials of this service.
    pub(crate) credentials: Option<PathBuf>,
    /// Whether this is the agent of a server: its units are those of the system.
    pub(crate) system: bool,
}

impl Paths {
    /// Reads the environment: `BURSAR_HOME`, `BURSAR_SOCK`, the XDG directories, `HOME`, `CREDENTIALS_DIRECTORY`; for a server
    /// `BURSAR_HOME` and `STATE_DIRECTORY`.
    pub(crate) fn find(
        system: bool,
        socket: Option<PathBuf>,
        config: Option<PathBuf>,
    ) -> Result<Self, ConfigError> {
        let uid = rustix::process::geteuid().as_raw();
        if system {
            Ok(Self::of_server(socket, config, variable))
        } else {
            Self::from(socket, config, uid, variable)
        }
    }

    /// A server's places.
    fn of_server(
        socket: Option<PathBuf>,
        config: Option<PathBuf>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = set("BURSAR_HOME");
        let (directory, state, runtime) = match &home {
            Some(home) => (home.clone(), home.join("state"), home.clone()),
            None => (
                PathBuf::from(SYSTEM_CONFIG),
                set("STATE_DIRECTORY").unwrap_or_else(|| SYSTEM_STATE.into()),
                SYSTEM_DIRECTORY.into(),
            ),
        };
        Self {
            config_required: config.is_some(),
            config: config.unwrap_or_else(|| directory.join(FILE)),
            state,
            socket: socket.unwrap_or_else(|| runtime.join("bursar.sock")),
            runtime,
            credentials: set("CREDENTIALS_DIRECTORY"),
            system: true,
        }
    }

    /// Below which directories the agent may write: its own, for a person also that person's, and what `config` adds.
    pub(crate) fn writable(&self, config: &Config) -> Vec<PathBuf> {
        let mut all = vec![self.state.clone(), self.runtime.clone()];
        all.extend(self.socket.parent().map(Path::to_owned));
        if !self.system {
            // backups and key files go where their person says
            let home = ["BURSAR_HOME", "HOME"].into_iter().filter_map(variable).map(PathBuf::from);
            // all of the machine is nobody's home
            all.extend(home.filter(|path| path.parent().is_some()));
            all.extend(self.config.parent().map(Path::to_owned));
            all.push(std::env::temp_dir());
        }
        all.extend(config.landlock.writable.iter().cloned());
        all
    }

    fn from(
        socket: Option<PathBuf>,
        config: Option<PathBuf>,
        uid: u32,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, ConfigError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let places = Places {
            flag: socket,
            sock: set("BURSAR_SOCK"),
            home: set("BURSAR_HOME"),
            runtime_dir: set("XDG_RUNTIME_DIR"),
            uid,
        };
        let under = |xdg: &str, fallback: &str| {
            set(xdg)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
                .or_else(|| Some(PathBuf::from(set("HOME")?).join(fallback)))
                .map(|base| base.join("bursar"))
                .ok_or_else(|| ConfigError {
                    file: PathBuf::from(FILE),
                    reason: format!("there is no place for it: set BURSAR_HOME, {xdg} or HOME"),
                })
        };
        let (config_directory, state) = match set("BURSAR_HOME").map(PathBuf::from) {
            Some(home) => (home.clone(), home.join("state")),
            None => (under("XDG_CONFIG_HOME", ".config")?, under("XDG_DATA_HOME", ".local/share")?),
        };
        let socket = places.own();
        Ok(Self {
            config_required: config.is_some(),
            config: config.unwrap_or_else(|| config_directory.join(FILE)),
            state,
            runtime: socket.parent().map_or_else(PathBuf::new, Path::to_owned),
            socket,
            credentials: set("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            system: false,
        })
    }
}

/// What systemd says of the program's standard error: device and inode of the stream that goes to the journal.
pub(crate) fn journal_stream() -> Option<(u64, u64)> {
    let text = variable("JOURNAL_STREAM")?.into_string().ok()?;
    let (device, inode) = text.split_once(':')?;
    Some((device.parse().ok()?, inode.parse().ok()?))
}

/// The socket on which the service manager is told.
pub(crate) fn notify_socket() -> Option<OsString> {
    variable("NOTIFY_SOCKET")
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)]) -> Result<Config, String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("conf.d")).unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        Config::read(&dir.path().join("bursar.toml"), false).map_err(|error| error.to_string())
    }

    #[test]
    fn no_file_is_the_default() {
        assert_eq!(read(&[]), Ok(Config::default()));
    }

    #[test]
    fn a_drop_in_changes_what_it_names_and_no_more() {
        let config = read(&[
            ("bursar.toml", "organization = \"acme\"\n[socket]\nmax_connections = 7\nidle_timeout = \"5m\""),
            ("conf.d/10-site.toml", "[socket]\nidle_timeout = \"9m\"\n[vault]\nauto_lock = \"15m\""),
        ])
        .unwrap();
        assert_eq!(config.organization.as_str(), "acme");
        assert_eq!((config.socket.max_connections, config.socket.idle_timeout.as_secs()), (7, 540));
        assert_eq!(config.vault.auto_lock.as_secs(), 900);
    }

    #[test]
    fn mistakes_are_told_with_file_and_place() {
        for (text, expected) in [
            ("[socket]\nidle_timout = \"5m\"", "unknown field `idle_timout`"),
            ("[http]\ntotal_timeout = \"0s\"", "at least 1s"),
            ("[vault]\nauto_lock = \"8d\"", "at most 7d"),
            ("[socket]\ngroup = \"no such group\"", "socket.group: there is no group no such group"),
            ("[socket]\ngroup = -1", "socket.group: expected a number"),
            ("[socket]\ngroup = true", "expected a group, by its name or its number"),
            ("[access]\nowners = [\"user no such user\"]", "access.owners: there is no user no such user"),
            ("[access]\nowner = []", "unknown field `owner`"),
            ("[audit]\nentries = 999", "expected 1000 to 10000000"),
            ("[audit]\nentries = 10000001", "expected 1000 to 10000000"),
            ("[landlock]\nwritable = [\"backup\"]", "expected absolute paths"),
            ("[landlock]\nwritable = [\"/a\\u0000b\"]", "expected absolute paths"),
            ("[landlock]\nwritable = \"/mnt\"", "expected a sequence"),
            ("[usage]\nsecrets = \"all\"", "expected one of `disabled`, `limited`, `complete`"),
            ("exchange_policy = \"lax\"", "expected `standard` or `short-lived`"),
            ("[authorization]\nport = 65536", "expected u16"),
            ("[authorization]\nport = -1", "expected u16"),
            ("[authorization]\nport = \"8080\"", "expected u16"),
            ("[authorization]\nhost = \"0.0.0.0\"", "unknown field `host`"),
        ] {
            let told = read(&[("bursar.toml", text)]).unwrap_err();
            assert!(
                told.contains(expected) && told.contains("bursar.toml") && told.contains("line"),
                "{told}"
            );
        }
    }

    #[test]
    fn a_list_of_a_drop_in_takes_the_place_of_the_one_before() {
        let config = read(&[
            (
                "bursar.toml",
                "[access]\nowners = [\"uid 1\"]\nadmit = [\"uid 2\"]\n[socket]\ngroup = \"root\"",
            ),
            ("conf.d/10-site.toml", "[access]\nowners = []"),
            ("conf.d/20-site.toml", "[audit]\nentries = 1000\n[usage]\nsecrets = \"complete\""),
        ])
        .unwrap();
        let expected = toml::from_str("owners = []\nadmit = [\"uid 2\"]").unwrap();
        assert_eq!(config.access, expected);
        assert_eq!((config.socket.group, config.audit.entries), (Some(0), 1_000));
        assert_eq!(config.usage.secrets, Analytics::Complete);
    }

    #[test]
    fn files_to_render_of_a_drop_in_add_to_those_before() {
        let one = |name: &str| format!("[[render]]\nfile = \"{name}\"\ntext = \"\"\n");
        let all = |drop_in: &str| {
            let config = read(&[("bursar.toml", &one("a")), ("conf.d/10-b.toml", drop_in)])?;
            Ok::<_, String>(config.render.into_iter().map(|render| render.file).collect::<Vec<_>>())
        };
        assert_eq!(all(&(one("b") + &one("c"))).unwrap(), ["a", "b", "c"]);
        assert!(all(&one("a")).unwrap_err().contains("two files are named a"));
    }

    #[test]
    fn the_port_on_which_browsers_come_back_is_any_free_one_unless_it_is_said() {
        let port = |text| read(&[("bursar.toml", text)]).unwrap().authorization.port;
        assert_eq!((port(""), port("[authorization]"), port("[authorization]\nport = 0")), (0, 0, 0));
        assert_eq!(port("[authorization]\nport = 65535"), 65_535);
        let config = read(&[
            ("bursar.toml", "[authorization]\nport = 4711"),
            ("conf.d/10-site.toml", "[authorization]\nport = 4712"),
        ]);
        assert_eq!(config.unwrap().authorization.port, 4_712);
    }

    #[test]
    fn a_config_that_others_can_write_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bursar.toml");
        std::fs::write(&file, "organization = \"acme\"").unwrap();
        for (mode, refused) in [(0o644, false), (0o600, false), (0o646, true), (0o666, true)] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            let told = Config::read(&file, true).map_err(|error| error.to_string());
            assert_eq!(told.is_err(), refused, "{mode:o}: {told:?}");
        }
    }

    #[test]
    fn a_servers_places_are_the_systems_unless_a_home_is_said() {
        let paths = Paths::of_server(None, None, |_| None);
        assert_eq!(
            (paths.config.as_path(), paths.config_required),
            (Path::new("/etc/bursar/bursar.toml"), false)
        );
        assert_eq!(paths.state, Path::new("/var/lib/bursar"));
        assert_eq!(paths.socket, Path::new(bursar_proto::socket::SYSTEM));
        assert_eq!((paths.runtime.as_path(), paths.credentials), (Path::new("/run/bursar"), None));
        let of_systemd = |name: &str| match name {
            "STATE_DIRECTORY" => Some("/srv/bursar".into()),
            "CREDENTIALS_DIRECTORY" => Some("/run/credentials/bursar.service".into()),
            "HOME" | "XDG_DATA_HOME" | "XDG_RUNTIME_DIR" | "BURSAR_SOCK" => Some("/elsewhere".into()),
            _ => None,
        };
        let paths = Paths::of_server(None, None, of_systemd);
        assert_eq!(paths.state, Path::new("/srv/bursar"));
        assert_eq!(paths.socket, Path::new(bursar_proto::socket::SYSTEM));
        assert_eq!(paths.credentials.as_deref(), Some(Path::new("/run/credentials/bursar.service")));
        let home = |name: &str| (name == "BURSAR_HOME").then(|| "/h".into());
        let paths = Paths::of_server(Some("/s".into()), None, home);
        assert_eq!((paths.state.as_path(), paths.socket.as_path()), (Path::new("/h/state"), Path::new("/s")));
        assert_eq!((paths.runtime.as_path(), paths.system), (Path::new("/h"), true));
    }

    #[test]
    fn at_most_so_many_directories_are_written_beside_the_agents_own() {
        let text = |count| format!("[landlock]\nwritable = {:?}", vec!["/mnt"; count]);
        let most = read(&[("bursar.toml", &text(DIRECTORIES_MAX))]).unwrap();
        assert_eq!(most.landlock.writable.len(), DIRECTORIES_MAX);
        assert!(read(&[("bursar.toml", &text(DIRECTORIES_MAX + 1))]).unwrap_err().contains("at most 64"));
    }

    #[test]
    fn a_server_writes_in_its_own_directories_and_those_of_the_config() {
        let only = |name: &str| (name == "BURSAR_HOME").then(|| "/h".into());
        let config =
            Config { landlock: LandlockConfig { writable: vec!["/mnt".into()] }, ..Config::default() };
        let server = Paths::of_server(None, None, only).writable(&config);
        assert!(server.iter().all(|path| path.starts_with("/h") || path == Path::new("/mnt")), "{server:?}");
        assert!(server.contains(&"/h/state".into()) && server.contains(&"/mnt".into()));
        let person = Paths::from(None, None, 1, only).unwrap().writable(&config);
        assert!(person.contains(&std::env::temp_dir()), "{person:?}");
    }

    #[test]
    fn bursar_home_holds_everything() {
        let paths = Paths::from(None, None, 1, |name| (name == "BURSAR_HOME").then(|| "/h".into())).unwrap();
        assert_eq!(paths.config, Path::new("/h/bursar.toml"));
        assert_eq!(paths.state, Path::new("/h/state"));
        assert_eq!(paths.socket, Path::new("/h/bursar.sock"));
    }
}
