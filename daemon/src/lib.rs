//! `bursard`: the agent for machine credentials.
//!
//! ```text
//! line ─▶ server ─▶ policy ─▶ agent ─▶ vault ──▶ store (sled)
//!         peer,     only      the      keys,
//!         limits    maker of  match    seal, open
//!                   Authorized  │
//!                               └────▶ refresh ─▶ exchange ─▶ issuer
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `config` | settings and paths; the only reader of the environment |
//! | `harden` | what the process does to itself first |
//! | `journal` | where log lines go, and which there are of requests |
//! | `noise` | how many lines one caller may cause |
//! | `clock` | wall time |
//! | `access` | whom the config lets in |
//! | `audit` | the record of accesses, on its way to the disk |
//! | `hook` | the command that is told what happens |
//! | `server` | the socket: peers, lines, limits |
//! | `policy` | who may do what |
//! | `agent` | the methods |
//! | `systemd` | what the daemon is to its service manager |
//! | `units` | which unit is handed which credential |
//! | `vault` | keys, records, the store |
//! | `credentials` | the secret types: reading, checking, their artifacts |
//! | `exchange` | credentials for a token, at an issuer |
//! | `refresh` | when, and one at a time |
//! | `render` | files that are kept fresh for services |
//!
//! `docs/architecture.md` says what must stay true between them.

mod access;
mod agent;
#[cfg(test)]
mod architecture_doc;
mod audit;
mod authorization;
mod clock;
mod config;
mod credentials;
mod exchange;
#[cfg(fuzzing)]
pub mod fuzz;
mod harden;
mod hook;
mod issuer;
mod journal;
mod noise;
mod policy;
mod refresh;
mod render;
mod server;
mod signals;
mod systemd;
mod units;
mod vault;

use agent::Agent;
use clock::{Clock as _, SystemClock};
use config::{Config, Paths};
use exchange::Issuers;
use hook::Hooks;
use server::listener::{Socket, StateLock};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use systemd::activation::Handed;
use vault::{Place, Vault};

/// How long the end waits for exchanges and answers that are under way: longer than a live issuer takes, shorter
/// than a service manager waits before it kills. What is cut off stays pending or due, and is taken up by the next start.
const DRAIN: Duration = Duration::from_secs(10);

/// How long the start waits until files of `[[render]]` were looked at: rendering takes milliseconds, and a start is given up after
/// 90 seconds.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// The agent that keeps machine credentials, exchanges them and serves what tools need.
#[derive(clap::Parser)]
#[command(name = "bursard", version, after_help = "example: bursard --foreground")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
struct Arguments {
    /// Run in this terminal; the daemon always does, and log lines go to stderr
    #[arg(long)]
    foreground: bool,
    /// Be the agent of this server: config in /etc/bursar, vault in /var/lib/bursar, socket in /run/bursar
    #[arg(long)]
    system: bool,
    /// Read the config, say what is wrong with it, and end
    #[arg(long)]
    check: bool,
    /// Have systemd tell the units for which new values lie ready, and end; bursar-reload.service does it
    #[arg(long, conflicts_with = "check")]
    reload_units: bool,
    /// The socket's path; otherwise `BURSAR_SOCK`, `BURSAR_HOME`, `XDG_RUNTIME_DIR` say where
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The config file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the daemon until it is told to stop.
pub fn main() -> ExitCode {
    let arguments = <Arguments as clap::Parser>::parse();
    match start(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&*error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the log may not exist yet, and a person or systemd reads this")]
fn complain(error: &dyn std::error::Error) {
    eprintln!("bursard: {error}");
}

/// Starts in order: harden, sockets that were handed over, config, log, the one state directory, the hook, harden what follows, the
/// vault, the socket, then serve.
fn start(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    harden::process()?;
    let Arguments { foreground: _, system, check, reload_units, socket, config } = arguments;
    let mut paths = Paths::find(system, socket, config)?;
    let config = Config::read(&paths.config, paths.config_required).inspect_err(|_| {
        if reload_units {
            systemd::reload::put_off(&paths);
        }
    })?;
    if check {
        // what a start and a reload try beside the text
        drop(Issuers::start(&config.http.settings())?);
        return Ok(());
    }
    let handed = Handed::take()?;
    if let Some(path) = handed.path() {
        paths.socket = path;
    }
    journal::start(config.log.level, reload_units);
    if reload_units {
        return Ok(systemd::reload::units(&paths, &config)?);
    }
    let state = StateLock::take(&paths.state)?;
    // its thread runs programs, and stays free for that
    let hooks = Hooks::start(config.hook.clone())?;
    if handed.api.is_none()
        && let Some(directory) = paths.socket.parent()
    {
        // what is not there cannot be written into later; what fails here is told where the socket is made
        drop(vault::store::make_private(directory));
    }
    harden::threads(&paths.writable(&config), systemd::notify::is_abstract())?;
    let clock = Arc::new(SystemClock);
    let vault =
        Vault::open(Place { state: paths.state.clone(), audit_kept: config.audit.entries }, clock.now())?;
    let issuers = Arc::new(Issuers::start(&config.http.settings())?);
    let agent = Agent::new(paths, config, vault, issuers, clock, hooks, handed.api.is_some());
    agent.unlock_at_start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sockets = runtime.block_on(run(agent, handed))?;
    // a derivation that is under way serves nobody any more
    runtime.shutdown_background();
    // the socket last: when nobody answers there any more, another daemon may take the state
    drop(state);
    drop(sockets);
    Ok(())
}

/// The socket: the listener, and its place in the file system where that is ours to remove.
type Sockets = (Option<Socket>, tokio::net::UnixListener);

/// Serves until asked to stop, then ends in order: no new connections, answers to what is under way, a
/// snapshot, keys wiped, socket removed.
async fn run(agent: Arc<Agent>, handed: Handed) -> Result<Sockets, Box<dyn std::error::Error>> {
    let group = agent.config().socket.group;
    let (socket, listener) = if let Some(listener) = handed.api {
        if group.is_some() {
            tracing::warn!(
                "socket.group counts for nothing: systemd keeps the socket, see SocketGroup= of its unit"
            );
        }
        (None, listener)
    } else {
        let (socket, listener) = Socket::bind(&agent.paths.socket, group)?;
        (Some(socket), listener)
    };
    let listener = tokio::net::UnixListener::from_std(listener)?;
    if let Some(credentials) = handed.credentials {
        let credentials = tokio::net::UnixListener::from_std(credentials)?;
        let waiting =
            handed.waiting.into_iter().map(tokio::net::UnixStream::from_std).collect::<Result<_, _>>()?;
        agent.tasks.spawn(server::credential::run(agent.clone(), credentials, waiting));
    }
    let signals = signals::handle(agent.clone())?;
    tracing::info!(socket = %agent.paths.socket.display(), pid = std::process::id(), "listening");
    let (looked, first_look) = tokio::sync::oneshot::channel();
    let render = agent.tasks.spawn(render::run(agent.clone(), looked));
    // who waits for the agent finds its files; a slow disk with a template on it keeps nobody waiting for more
    drop(tokio::time::timeout(FIRST_LOOK, first_look).await);
    agent.tell_status();
    systemd::notify::ready();
    let refresh = agent.tasks.spawn(refresh::run(agent.clone()));
    let audit = agent.tasks.spawn(audit::run(agent.clone()));
    let watchdog = agent.tasks.spawn(systemd::watchdog::run(agent.clone()));
    server::run(agent.clone(), &listener).await;
    tracing::info!("stopping");
    systemd::notify::stopping();
    tokio::select! {
        ended = end(&agent, [refresh, audit, render, watchdog]) => ended?,
        // who comes to a socket of systemd waits there for the next start
        () = server::turn_everybody_away(&listener), if !agent.activated => {}
    }
    signals.close();
    Ok((socket, listener))
}

/// Lets what is under way finish, keeps a snapshot, wipes the keys.
async fn end(
    agent: &Arc<Agent>,
    loops: [tokio::task::JoinHandle<()>; 4],
) -> Result<(), tokio::task::JoinError> {
    for one in loops {
        one.await?;
    }
    agent.tasks.close();
    if tokio::time::timeout(DRAIN, agent.tasks.wait()).await.is_err() {
        tracing::warn!("some exchanges were still under way; the next start takes them up");
    }
    let stopping = agent.clone();
    tokio::task::spawn_blocking(move || stopping.hooks.stop()).await?;
    // before the snapshot, so that it holds the end of the record
    agent.write_accesses().await;
    agent.snapshot().await;
    agent.lock_recorded().await;
    Ok(())
}
