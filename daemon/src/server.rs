//! The socket: who is let in, how many, and how a connection ends. It knows lines and limits, not secrets.

pub(crate) mod connection;
pub(crate) mod listener;
pub(crate) mod peer;

use crate::agent::Agent;
use bursar_proto::error::{CallError, ErrorName};
use peer::Caller;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

/// How long a peer that is turned away may take to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// After a failed accept (no descriptors left, say) the next is not tried sooner.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until the daemon stops.
pub(crate) async fn run(agent: Arc<Agent>, listener: UnixListener) {
    let permits = Arc::new(Semaphore::new(agent.config().socket.max_connections));
    loop {
        let accepted = tokio::select! {
            () = agent.shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(error = %error.kind(), "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // before a byte is read
        let caller = match Caller::of(&stream) {
            Ok(caller) => caller,
            Err(refusal) => {
                tracing::warn!(%refusal, "a connection was refused");
                let error = CallError::new(ErrorName::Denied, refusal.to_string());
                agent.tasks.spawn(turn_away(stream, error));
                continue;
            }
        };
        let Ok(permit) = permits.clone().try_acquire_owned() else {
            let limit = agent.config().socket.max_connections;
            let error = CallError::new(ErrorName::TooManyConnections, format!("{limit} connections are open"))
                .hint("close some, or raise socket.max_connections in the config");
            turn_away_now(&stream, error);
            continue;
        };
        let agent = agent.clone();
        let tasks = agent.tasks.clone();
        tasks.spawn(async move {
            connection::serve(agent, stream, caller).await;
            drop(permit);
        });
    }
}

/// Says why, and closes.
async fn turn_away(stream: UnixStream, error: CallError) {
    // a peer that does not read its refusal has lost nothing
    drop(tokio::time::timeout(FAREWELL, stream.writable()).await);
    turn_away_now(&stream, error);
}

/// Says why without waiting, and closes: a full house has no room for waiting peers.
fn turn_away_now(stream: &UnixStream, error: CallError) {
    let mut line = Vec::new();
    connection::write_error(&mut line, None, error);
    drop(stream.try_write(&line));
}
