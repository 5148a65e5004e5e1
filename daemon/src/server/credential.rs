//! The socket from which systemd fetches what units name in `LoadCredential=`. Who is asking for what is known from the kernel and
//! from the address that systemd connects from: nothing is ever read.
//!
//! The answer is the bytes of a value, and the end. **There is no word for a refusal**: who is closed on gets an empty credential,
//! and its unit starts with it. So the service manager is refused by more bytes than it takes, which fails the unit with
//! `243/CREDENTIALS`; the reason is in the log and in the record of accesses. And so that a daemon that is killed says nothing either,
//! systemd keeps the connections that wait, and hands them to the next one.

use super::ACCEPT_PAUSE;
use super::peer::{Caller, Fetcher, Manager};
use super::session::Party;
use crate::agent::Agent;
use crate::noise::Kind;
use crate::systemd::activation::WAITING;
use crate::systemd::notify;
use bursar_proto::call::{Call, CredentialGet};
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::reply::Credential;
use rustix::net::sockopt::{set_socket_keepalive, socket_keepalive};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

/// Service managers' connections at once: a machine boots with some dozens of units, each with a few credentials. Who comes beyond
/// them waits in the socket's queue.
const CONNECTIONS_MAX: usize = 128;

/// How long somebody may take to read who is no service manager. systemd itself has all the time that its unit has for its start.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest credential that systemd takes, in bytes. No value is as large: a record of the store ends long before.
const CREDENTIAL_MAX: usize = 1024 * 1024;

/// What a refusal is sent from, in bytes: it divides [`CREDENTIAL_MAX`].
const ZEROS: &[u8] = &[0; 64 * 1024];

/// Answers whoever connects, and before them who is `waiting` since a daemon before this one, until the daemon stops. Who comes after
/// that waits at systemd's socket for the next start.
pub(crate) async fn run(agent: Arc<Agent>, listener: UnixListener, waiting: Vec<UnixStream>) {
    let manager = Manager::of(&agent.paths);
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut waiting = waiting.into_iter();
    loop {
        let next = async {
            let permit = permits.clone().acquire_owned().await;
            let accepted = match waiting.next() {
                Some(stream) => Ok(stream),
                None => listener.accept().await.map(|(stream, _)| stream),
            };
            (accepted, permit)
        };
        let (accepted, permit) = tokio::select! {
            () = agent.shutdown.cancelled() => break,
            next = next => next,
        };
        let fetcher = accepted.and_then(|stream| Ok((Fetcher::of(&stream, manager)?, stream)));
        match fetcher {
            Ok((Fetcher::Manager(caller, credential), stream)) => {
                let answering = agent.clone();
                agent.tasks.spawn(async move {
                    answer(&answering, stream, caller, credential).await;
                    drop(permit);
                });
            }
            Ok((Fetcher::Doubtful(caller, why), stream)) => {
                doubt(&agent, caller, why);
                agent.tasks.spawn(async move {
                    // who does not read keeps no place from others
                    let _ = tokio::time::timeout(WRITE_TIMEOUT, refuse(stream)).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(reason = %error.kind(), "a connection for a credential could not be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // whom the last agent left, and nobody has looked at yet
    for stream in waiting {
        agent.tasks.spawn(refuse(stream));
    }
}

/// Tells of somebody who is no service manager.
fn doubt(agent: &Arc<Agent>, from: Caller, why: &str) {
    let (caller, pid, outcome) = (format!("uid {}", from.uid()), from.pid(), ErrorName::Denied.as_str());
    agent.log_of(Kind::Refused, &caller, || {
        tracing::warn!(
            caller,
            pid,
            outcome,
            reason = why,
            "who is no service manager asked for a credential"
        );
    });
    agent.record_forged(&Party::new(Arc::new(from)));
}

/// Hands a unit its credential by the way of all requests, or refuses. While the other end is there, the connection ends with a whole
/// value or a whole refusal, whatever becomes of this process.
async fn answer(agent: &Arc<Agent>, mut stream: UnixStream, caller: Caller, credential: String) {
    notify::keep(&stream, WAITING);
    if socket_keepalive(&stream).unwrap_or(true) {
        let caller = caller.unit();
        tracing::warn!(caller, "a credential was refused: an agent that was ended had begun to hand it out");
        return refuse(stream).await;
    }
    let party = Party::new(Arc::new(caller));
    let call = Call::CredentialGet(CredentialGet { credential, min_validity: None });
    let serving = agent.clone();
    // in a task of its own: if it panics, this one refuses
    let asking = party.clone();
    let given = agent.tasks.spawn(async move { serving.serve(call, &asking).await });
    let given = tokio::select! {
        biased;
        given = given => given.unwrap_or_else(|_| Err(CallError::new(ErrorName::Internal, "it was not looked up to the end"))),
        () = agent.shutdown.cancelled() => {
            let (caller, outcome) = (party.caller.unit(), ErrorName::Stopping.as_str());
            tracing::warn!(caller, outcome, "a credential was refused: the agent is stopping");
            Err(CallError::new(ErrorName::Stopping, "the agent is stopping"))
        }
    };
    let value = given.and_then(|given| {
        serde_json::from_slice::<Credential>(&given)
            .map(|credential| credential.value)
            .map_err(|_| CallError::new(ErrorName::Internal, "the answer cannot be read"))
    });
    match value {
        Ok(value) if begin(&stream) => {
            let sent = async {
                stream.write_all(value.expose().as_bytes()).await?;
                // also where the service manager has the connection as well
                stream.shutdown().await
            };
            if let Err(error) = sent.await {
                tracing::warn!(reason = %error.kind(), "a credential was not taken to its end");
            }
        }
        _ => refuse(stream).await,
    }
}

/// Marks a connection before its first byte: if this process ends, the next one cannot know how much was said. A Unix socket has no
/// use for this option, and keeps it.
fn begin(stream: &UnixStream) -> bool {
    set_socket_keepalive(stream, true).is_ok()
}

/// Sends more than systemd takes.
async fn refuse(mut stream: UnixStream) {
    // if that fails, the next agent may take it for one that waits, and what it says comes on top
    begin(&stream);
    let all = async {
        for _ in 0..CREDENTIAL_MAX / ZEROS.len() {
            stream.write_all(ZEROS).await?;
        }
        stream.write_all(&ZEROS[..1]).await?;
        stream.shutdown().await
    };
    // who has seen enough is refused as well
    let _: std::io::Result<()> = all.await;
}
