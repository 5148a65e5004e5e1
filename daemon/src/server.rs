//! The socket: who is let in, how many, and how a connection ends. It knows lines and limits, not secrets.

mod connection;
pub(crate) mod credential;
mod envelope;
pub(crate) mod listener;
mod patience;
pub(crate) mod peer;
pub(crate) mod session;

use crate::agent::Agent;
use crate::harden;
use crate::noise::Kind;
use crate::policy::Principal;
use bursar_proto::error::{CallError, ErrorName};
use peer::{Caller, Manager};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

/// After a failed accept (no descriptors left, say) the next is not tried sooner.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Of all connections, the part that one user may have who is no owner: one in so many.
const SHARE: usize = 8;

/// Of all connections, the part that is kept for owners: one in so many.
const RESERVE: usize = 4;

/// Accepts connections until the daemon stops.
pub(crate) async fn run(agent: Arc<Agent>, listener: &UnixListener) {
    let limit = agent.config().socket.max_connections.min(harden::connections());
    let permits = Arc::new(Semaphore::new(limit));
    let share_of_each = (limit / SHARE).max(1);
    let mut shares: HashMap<u32, Arc<Semaphore>> = HashMap::new();
    let manager = Manager::of(&agent.paths);
    loop {
        let accepted = tokio::select! {
            () = agent.shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(reason = %error.kind(), "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // before a byte is read
        let caller = match Caller::of(&stream, &agent.config(), manager) {
            Ok(caller) => caller,
            Err(error) => {
                tracing::warn!(reason = %error.kind(), "a connection was refused: the system does not say whose it is");
                continue;
            }
        };
        if *caller.principal() == Principal::Stranger {
            let error = CallError::new(ErrorName::Denied, "this agent serves another user")
                .hint("whom else it serves is for its config to say: [access], and [[credential]] for units");
            refuse(&agent, &stream, caller.uid(), error);
            continue;
        }
        let share = if caller.principal().owns() {
            None
        } else {
            // the last places are the owner's, and no other user has most of the rest
            let share = shares.entry(caller.uid()).or_insert_with(|| Arc::new(Semaphore::new(share_of_each)));
            let free = permits.available_permits() > limit / RESERVE;
            let Some(share) = share.clone().try_acquire_owned().ok().filter(|_| free) else {
                let message = format!("your user has {share_of_each} connections, or too few are left");
                let error = CallError::new(ErrorName::TooManyConnections, message).hint("close some");
                refuse(&agent, &stream, caller.uid(), error);
                continue;
            };
            Some(share)
        };
        let Ok(permit) = permits.clone().try_acquire_owned() else {
            let error =
                CallError::new(ErrorName::TooManyConnections, format!("{limit} connections are open")).hint(
                    "close some, or raise socket.max_connections and the limit of open files, then restart",
                );
            refuse(&agent, &stream, caller.uid(), error);
            continue;
        };
        let agent = agent.clone();
        let tasks = agent.tasks.clone();
        tasks.spawn(async move {
            connection::serve(agent, stream, caller).await;
            drop((permit, share));
        });
    }
}

/// Turns a caller away, and tells it.
fn refuse(agent: &Arc<Agent>, stream: &UnixStream, uid: u32, error: CallError) {
    let (caller, outcome) = (format!("uid {uid}"), error.name.as_str());
    agent.log_of(Kind::Refused, &caller, || tracing::warn!(caller, outcome, "a connection was refused"));
    turn_away(stream, error);
}

/// Answers everybody who still comes that the daemon stops.
pub(crate) async fn turn_everybody_away(listener: &UnixListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                turn_away(&stream, CallError::new(ErrorName::Stopping, "the agent is stopping"));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Says why without waiting, and closes: who is turned away takes no room.
fn turn_away(stream: &UnixStream, error: CallError) {
    let mut line = Vec::new();
    envelope::write_error(&mut line, None, error);
    drop(stream.try_write(&line));
}
