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
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

/// Service managers' connections at once: a machine boots with some dozens of units, each with a few credentials. Who comes beyond
/// them waits in the socket's queue.
const CONNECTIONS_MAX: usize = 128;

/// How long a peer may take to read: systemd does nothing else meanwhile.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest credential that systemd takes, in bytes. No value is as large: a record of the store ends long before.
const CREDENTIAL_MAX: usize = 1024 * 1024;

/// What a refusal is sent from, in bytes: it divides [`CREDENTIAL_MAX`].
const ZEROS: &[u8] = &[0; 64 * 1024];

/// The time after which the service manager keeps a connection that has no answer yet: most have one at once.
const KEPT_AFTER: Duration = Duration::from_millis(20);

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
            () = agent.shutdown.cancelled() => return,
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
                    refuse(stream).await;
                    drop(permit);
                });
            }
            Ok((Fetcher::Stranger(caller), _)) => {
                doubt(&agent, caller, "it is not the service manager's user");
            }
            Err(error) => {
                tracing::warn!(reason = %error.kind(), "a connection for a credential could not be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
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

/// Hands a unit its credential by the way of all requests, or refuses.
async fn answer(agent: &Arc<Agent>, mut stream: UnixStream, caller: Caller, credential: String) {
    let party = Party::new(Arc::new(caller));
    let call = Call::CredentialGet(CredentialGet { credential, min_validity: None });
    let waited = async {
        tokio::time::sleep(KEPT_AFTER).await;
        notify::keep(&stream, WAITING);
        // closed without a byte by the end of the daemon, the unit would start with nothing
        agent.shutdown.cancelled().await;
    };
    let given = tokio::select! {
        biased;
        given = agent.serve(call, &party) => given,
        () = waited => Err(CallError::new(ErrorName::Stopping, "the agent is stopping")),
    };
    let value = given.and_then(|given| {
        serde_json::from_slice::<Credential>(&given)
            .map(|credential| credential.value)
            .map_err(|_| CallError::new(ErrorName::Internal, "the answer cannot be read"))
    });
    match value {
        Ok(value) => {
            let sent = async {
                stream.write_all(value.expose().as_bytes()).await?;
                // also where the service manager has the connection as well
                stream.shutdown().await
            };
            if !matches!(tokio::time::timeout(WRITE_TIMEOUT, sent).await, Ok(Ok(()))) {
                tracing::warn!(caller = party.caller.unit(), "a credential was not taken to its end");
            }
        }
        Err(_) => refuse(stream).await,
    }
}

/// Sends more than systemd takes.
async fn refuse(mut stream: UnixStream) {
    let all = async {
        for _ in 0..CREDENTIAL_MAX / ZEROS.len() {
            stream.write_all(ZEROS).await?;
        }
        stream.write_all(&ZEROS[..1]).await?;
        stream.shutdown().await
    };
    // who has seen enough, or does not read, is refused as well
    let _ = tokio::time::timeout(WRITE_TIMEOUT, all).await;
}
