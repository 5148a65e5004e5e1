//! Credentials for an artifact: what an exchange is, how its outcome is told, and the real one over HTTP.
//!
//! Nothing here stores anything or decides when to try again. A failure says what happened in words that
//! hold no body, no token and no credential.

mod client_credentials;
mod form;
mod http;
mod jwt;
mod lifetime;
mod marked;
mod person;
mod refusal;
mod signer;
mod wire;

pub(crate) use http::{HttpSettings, StartError};
pub(crate) use lifetime::{Lifetime, judge, judge_jwt};
pub(crate) use person::{By, Grant, Proof};

use crate::clock::Clock;
use crate::credentials::Credentials;
use bursar_proto::name::Qualified;
use bursar_proto::sensitive::Sensitive;
use bursar_proto::time::Timestamp;
use std::pin::Pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

/// Threads for looking up host names, which the system's resolver blocks; a slow lookup must not hold up all
/// others, and thousands at once must not make thousands of threads.
const LOOKUP_THREADS: usize = 4;

/// What an issuer granted, or we signed ourselves.
#[derive(Debug)]
pub(crate) struct Granted {
    /// The token: visible ASCII and blanks, at most [`wire::TOKEN_MAX`] bytes as JSON.
    pub(crate) access_token: Sensitive,
    /// Its lifetime in seconds, at most [`wire::EXPIRES_IN_MAX`].
    pub(crate) expires_in: u64,
    /// Its type as the issuer says, printable and short.
    pub(crate) token_type: Option<String>,
    /// Its scope as the issuer says, printable and short.
    pub(crate) scope: Option<String>,
    /// The refresh token that came with it, where a person's grant was exchanged.
    pub(crate) refresh_token: Option<Sensitive>,
    /// When it was asked for: its life is counted from then.
    pub(crate) sent_at: Timestamp,
}

/// Why an exchange brought no artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What to make of it.
    pub(crate) cause: Cause,
    /// What failed, the issuer's OAuth error code and HTTP status, and what to do. Fit to be shown.
    pub(crate) details: String,
    /// How far the request came.
    pub(crate) reach: Reach,
    /// What came in the place of the refresh token that was sent, with an answer that is of no other use.
    pub(crate) rotated: Option<Rotated>,
}

/// A refresh token that came with a failure. Wiped with its last holder.
#[derive(Clone)]
pub(crate) struct Rotated(Arc<Sensitive>);

impl Rotated {
    fn new(token: Sensitive) -> Self {
        Self(Arc::new(token))
    }

    /// The token itself.
    pub(crate) fn token(&self) -> &Sensitive {
        &self.0
    }
}

impl std::fmt::Debug for Rotated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rotated(…)")
    }
}

/// The same token, not one of the same text.
impl PartialEq for Rotated {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Rotated {}

/// How far a request came that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Nothing of what was to be exchanged left this process.
    Unsent,
    /// It was sent, and no answer is known: the issuer may have acted on it.
    Unanswered,
    /// There was an answer, or it was judged here.
    Answered,
}

/// What a failure means for further attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The issuer did not answer, or is out of order; that says nothing of the credentials.
    Unreachable,
    /// The issuer refused, perhaps for now.
    Transient,
    /// The same request will be refused again: the credentials or the policy must change.
    Permanent,
    /// What a person granted is over: only a person can grant it anew.
    Withdrawn,
}

impl Failure {
    /// A failure that the issuer's answer, or a rule of ours, is the reason of.
    pub(crate) fn new(cause: Cause, details: impl Into<String>) -> Self {
        Self { cause, details: details.into(), reach: Reach::Answered, rotated: None }
    }

    /// The same with what came in the place of the refresh token that was sent, if that was one.
    pub(crate) fn with_rotated(self, by: Option<By>, token: Option<Sensitive>) -> Self {
        Self { rotated: token.filter(|_| by == Some(By::RefreshToken)).map(Rotated::new), ..self }
    }

    /// The same with the secret's name in the commands of its hint, which leave room for it.
    pub(crate) fn of(self, secret: &Qualified) -> Self {
        Self { details: self.details.replace(" NAME", &format!(" {secret}")), ..self }
    }
}

/// What is exchanged for a token.
#[derive(Clone)]
pub(crate) enum Offer {
    /// The credentials themselves.
    Credentials(Arc<Credentials>),
    /// What a person granted.
    Grant(Arc<Grant>),
}

/// An exchange under way. Dropping it does not stop the exchange.
pub(crate) type Outcome<'a> = Pin<Box<dyn Future<Output = Result<Granted, Failure>> + Send + 'a>>;

/// Whoever makes tokens of credentials: the issuers, or a test.
pub(crate) trait Exchange: Send + Sync {
    /// Exchanges what is offered once. The clock is read when the exchange's turn has come, for the claims of a JWT
    /// and for the beginning of the token's life.
    fn exchange(&self, offer: Offer, clock: Arc<dyn Clock>) -> Outcome<'_>;
}

/// The real issuers. Requests and signatures run on a thread of their own, so that whoever serves the socket
/// never waits for them; signatures run there one at a time, and so are bounded by it.
pub(crate) struct Issuers {
    /// `None` only while dropping: closing it ends the thread.
    jobs: Option<mpsc::UnboundedSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// One exchange on its way to the thread. At most one a secret waits here, so the queue is as short as the vault.
struct Job {
    offer: Offer,
    clock: Arc<dyn Clock>,
    outcome: oneshot::Sender<Result<Granted, Failure>>,
}

impl Issuers {
    /// Makes the clients and starts the thread.
    ///
    /// # Errors
    /// The extra CA file cannot be used, or the system gives no thread.
    pub(crate) fn start(settings: &HttpSettings) -> Result<Self, StartError> {
        let http = Arc::new(http::Http::new(settings)?);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(LOOKUP_THREADS)
            .thread_name("issuer-lookup")
            .build()
            .map_err(StartError::Thread)?;
        let (jobs, mut queue) = mpsc::unbounded_channel::<Job>();
        let work = move || {
            let tasks = TaskTracker::new();
            runtime.block_on(async {
                while let Some(job) = queue.recv().await {
                    tasks.spawn(run(job, Arc::clone(&http)));
                }
            });
            // a lookup may block for long yet, and nobody waits for what it finds
            runtime.shutdown_background();
        };
        let thread =
            std::thread::Builder::new().name("issuers".into()).spawn(work).map_err(StartError::Thread)?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }
}

impl Exchange for Issuers {
    fn exchange(&self, offer: Offer, clock: Arc<dyn Clock>) -> Outcome<'_> {
        let (outcome, told) = oneshot::channel();
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(Job { offer, clock, outcome }).is_ok());
        Box::pin(async move {
            let stopped = |reach| Failure {
                reach,
                ..Failure::new(Cause::Transient, "the exchange was cut off inside the agent")
            };
            if !sent {
                return Err(stopped(Reach::Unsent));
            }
            told.await.unwrap_or_else(|_| Err(stopped(Reach::Unanswered)))
        })
    }
}

impl Drop for Issuers {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // a panic there has failed its own exchange already
            let _ = thread.join();
        }
    }
}

/// What is made of an answer to a person's grant that carried `secrets`.
#[cfg(fuzzing)]
pub(crate) fn judged(status: u16, body: &[u8], by: By, secrets: Vec<&str>) -> Result<Granted, Failure> {
    let answer = wire::Answer { sent_at: Timestamp::from_seconds(0), status, content_type: None, body };
    wire::judge(&answer, &wire::Sent { secrets, person: Some((bursar_proto::kind::Issuer::Google, by)) })
}

async fn run(job: Job, http: Arc<http::Http>) {
    let granted = match &job.offer {
        Offer::Grant(grant) => person::exchange(grant, &*job.clock, &http).await,
        Offer::Credentials(credentials) => match &**credentials {
            Credentials::ClientCredentialsGrant(grant) => {
                client_credentials::exchange(grant, &*job.clock, &http).await
            }
            Credentials::Jwt(jwt) => jwt::exchange(jwt, &*job.clock, &http).await,
            _ => Err(lifetime::not_exchanged()),
        },
    };
    // whoever asked may have left; the exchange is complete all the same
    let _ = job.outcome.send(granted);
}

#[cfg(test)]
mod tests;
