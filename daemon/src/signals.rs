//! Signals: SIGTERM and SIGINT stop, SIGHUP rereads the config, SIGUSR1 drops the keys.

use crate::agent::Agent;
use crate::config::Config;
use crate::exchange::Issuers;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::{Handle, Signals};
use std::sync::Arc;

/// Starts the thread that takes signals; closing the handle ends it.
pub(crate) fn handle(agent: Arc<Agent>) -> std::io::Result<Handle> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1])?;
    let handle = signals.handle();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            match signal {
                SIGHUP => reload(&agent),
                SIGUSR1 => {
                    if agent.vault().unlocked().is_ok() {
                        agent.lock_now();
                    }
                }
                _ => agent.shutdown.cancel(),
            }
        }
    })?;
    Ok(handle)
}

/// The settings that differ and are read at the start alone.
fn waiting_for_a_start(old: &Config, new: &Config) -> Vec<&'static str> {
    [
        ("log.level", new.log != old.log),
        ("socket.max_connections", new.socket.max_connections != old.socket.max_connections),
        ("socket.group", new.socket.group != old.socket.group),
        ("audit.entries", new.audit != old.audit),
        ("landlock.writable", new.landlock != old.landlock),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect()
}

/// Rereads the config. One with a mistake changes nothing.
fn reload(agent: &Agent) {
    let loaded = Config::read(&agent.paths.config, agent.paths.config_required)
        .map_err(|error| error.to_string())
        .and_then(|config| {
            let issuers = Issuers::start(&config.http.settings()).map_err(|error| error.to_string())?;
            Ok((config, issuers))
        });
    match loaded {
        Ok((config, issuers)) => {
            let old = agent.config();
            let waits = waiting_for_a_start(&old, &config);
            if !waits.is_empty() {
                tracing::warn!("{} will change with the next start, and not before", waits.join(", "));
            }
            agent.hooks.reconfigure(config.hook.clone());
            agent.reconfigure(config, Arc::new(issuers));
            agent.wake.notify_one();
            tracing::info!("the config was read anew");
        }
        Err(error) => tracing::error!(reason = error, "the config has a mistake; the old one stays"),
    }
}
