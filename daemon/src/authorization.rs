//! Authorizations: each the hour in which a person may grant what a secret needs, in a browser.
//!
//! They live in memory alone: the verifier of RFC 7636 never touches a disk, and a daemon that starts anew knows of none.
//! All of them share one listener on loopback (RFC 8252 section 7.3), which is there only as long as one of them needs it.

mod connections;
mod hour;
mod listener;
mod page;
mod peer;
mod redirect;
#[cfg(test)]
mod tests;

pub(crate) use hour::{Arrived, Client};
pub(crate) use page::{NotTaken, Outcome};
pub(crate) use redirect::{Answer, Redirect};

use crate::agent::Agent;
use crate::issuer::named;
use crate::vault::catalog::IssuerSettings;
use crate::vault::crypto::{self, hex};
use crate::vault::store::Id;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::sensitive::Sensitive;
use bursar_proto::time::Timestamp;
use hour::{Authorization, Phase, State};
use ring::digest;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};
use url::Url;

/// How long a person may authorize, in seconds.
pub(crate) const HOUR: i64 = 3_600;

/// How many are kept at once, those that are over included: a person works on one or two, an import of a team's on some tens.
const KEPT_MAX: usize = 256;

/// How long the listener waits for the outcome of an exchange where the hour ends meanwhile, in seconds: more than an exchange
/// takes by its usual limits.
const EXCHANGE_MAX: i64 = 120;

/// How long the last page can be had once the outcome is known, in seconds.
const LAST_PAGE: i64 = 60;

/// How long it can be had again once it was shown, in seconds: a reload, or a browser that asks twice.
const SHOWN: i64 = 10;

/// Random bytes of a state and of a verifier: RFC 7636 section 4.1 recommends 32.
const RANDOM: usize = 32;

/// Where the issuer sends the browser.
const CALLBACK: &str = "/oauth2/callback";

/// The authorizations of an agent, and the port on which browsers come back.
#[derive(Default)]
pub(crate) struct Authorizations {
    inner: Mutex<Inner>,
    /// Rings when the listener should look at its time anew.
    bell: Notify,
}

#[derive(Default)]
struct Inner {
    /// The port of the listener, while there is one.
    port: Option<u16>,
    kept: Vec<Authorization>,
}

/// An authorization that is about to begin: see [`Prepared::open`]. Dropped before, it leaves nothing.
pub(crate) struct Prepared {
    agent: Arc<Agent>,
    result: Box<str>,
    /// Where to send the person.
    pub(crate) url: String,
    /// Until when.
    pub(crate) expires_at: Timestamp,
}

impl Prepared {
    /// Lets it begin for a revision of a secret; an earlier one of that secret is over.
    pub(crate) fn open(&self, secret: Id, revision: u64) {
        let authorizations = &self.agent.authorizations;
        let mut inner = authorizations.inner();
        for earlier in inner.kept.iter_mut().filter(|one| one.secret == secret) {
            earlier.lapse();
        }
        if let Some(own) = inner.kept.iter_mut().find(|one| one.result == self.result) {
            (own.secret, own.revision, own.phase) = (secret, revision, Phase::Open);
        }
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        let authorizations = &self.agent.authorizations;
        let never = |one: &Authorization| one.phase == Phase::Prepared && one.result == self.result;
        authorizations.inner().kept.retain(|one| !never(one));
        authorizations.bell.notify_one();
    }
}

/// Why a redirect starts no exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No authorization has this state.
    Unknown,
    /// It came before.
    Used(Id),
    /// The hour is over, or another authorization took its place.
    Lapsed(Id),
}

/// A redirect whose authorization is open.
pub(crate) struct Landing {
    pub(crate) secret: Id,
    pub(crate) revision: u64,
}

impl Authorizations {
    /// Draws state and verifier and makes the address for a person; opens the listener if it is not there.
    ///
    /// # Errors
    /// `no_listener` where the port is taken.
    pub(crate) fn prepare(
        &self,
        agent: &Arc<Agent>,
        settings: &IssuerSettings,
        scopes: &[String],
        asker: u32,
    ) -> Result<Prepared, CallError> {
        let expires_at = agent.clock.now().plus(HOUR);
        let mut inner = self.inner();
        let port = inner.listen(agent)?;
        let redirect_uri = format!("http://{}:{port}{CALLBACK}", Ipv4Addr::LOCALHOST);
        let random = || crypto::generate::<RANDOM>().map_err(crate::vault::VaultError::from);
        let state = URL_SAFE_NO_PAD.encode(random()?);
        let verifier = URL_SAFE_NO_PAD.encode(random()?);
        let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
        let mut url = Url::parse(&settings.authorization_url).map_err(|_| {
            CallError::new(ErrorName::NotConfigured, "the issuer's authorization url is none")
                .hint(format!("set it anew: bursar {} configure", settings.issuer))
        })?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &settings.client_id)
            .append_pair("redirect_uri", &redirect_uri)
            .append_pair("scope", &scopes.join(" "))
            .append_pair("state", &state)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .extend_pairs(named(settings.issuer).parameters);
        let authorization = Authorization {
            secret: Id::default(),
            revision: 0,
            asker,
            state: State::of(&state, &random()?),
            verifier: Some(Sensitive::new(verifier)),
            redirect_uri,
            client: Client::of(settings),
            expires_at,
            result: hex(&random()?).into(),
            phase: Phase::Prepared,
            listen_until: expires_at,
            arrived: None,
            over: Some(watch::Sender::new(())),
        };
        let result = authorization.result.clone();
        inner.kept.push(authorization);
        if inner.kept.len() > KEPT_MAX {
            // the oldest that is over, or else the oldest that is open: its person has to ask again
            let oldest = |phases: &[Phase]| inner.kept.iter().position(|one| phases.contains(&one.phase));
            let given_up = oldest(&[Phase::Ended, Phase::Lapsed]).or_else(|| oldest(&[Phase::Open]));
            inner.kept.remove(given_up.unwrap_or(0));
        }
        drop(inner);
        self.bell.notify_one();
        Ok(Prepared { agent: agent.clone(), result, url: url.into(), expires_at })
    }

    /// Ends what is open of a secret, and forgets it.
    pub(crate) fn forget(&self, secret: &Id) {
        self.inner().kept.retain(|one| one.secret != *secret);
        self.bell.notify_one();
    }

    /// Forgets all of them: the secrets that they are for are gone, or others.
    pub(crate) fn forget_all(&self) {
        self.inner().kept.retain(|one| one.phase == Phase::Prepared);
        self.bell.notify_one();
    }

    /// Ends what is open of a secret: another way to its token was taken.
    pub(crate) fn lapse(&self, secret: &Id) {
        self.inner().kept.iter_mut().filter(|one| one.secret == *secret).for_each(Authorization::lapse);
        self.bell.notify_one();
    }

    /// Who asked for the authorization of a state and for which secret, whatever became of that.
    pub(crate) fn asker(&self, state: &str) -> Option<(u32, Id)> {
        self.inner().of_state(state).map(|one| (one.asker, one.secret))
    }

    /// Finds what a state belongs to, without using it up.
    pub(crate) fn find(&self, state: &str, now: Timestamp) -> Result<Landing, Refused> {
        let mut inner = self.inner();
        inner.expire(now);
        let one = inner.of_state(state).ok_or(Refused::Unknown)?;
        match one.phase {
            Phase::Prepared => Err(Refused::Unknown),
            Phase::Open => Ok(Landing { secret: one.secret, revision: one.revision }),
            Phase::Landed | Phase::Ended => Err(Refused::Used(one.secret)),
            Phase::Lapsed => Err(Refused::Lapsed(one.secret)),
        }
    }

    /// Uses a state up, with what came with it; answers the name of the last page. Nothing where somebody else was faster.
    pub(crate) fn land(&self, redirect: Redirect, now: Timestamp) -> Option<Box<str>> {
        let mut inner = self.inner();
        let open =
            |one: &&mut Authorization| one.phase == Phase::Open && one.state.is(redirect.state.expose());
        let one = inner.kept.iter_mut().find(open)?;
        one.phase = Phase::Landed;
        one.listen_until = one.expires_at.max(now.plus(EXCHANGE_MAX));
        one.arrived = Some(Arrived {
            answer: redirect.answer,
            verifier: one.verifier.take()?,
            redirect_uri: one.redirect_uri.clone(),
            client: one.client.clone(),
        });
        let result = one.result.clone();
        drop(inner);
        self.bell.notify_one();
        Some(result)
    }

    /// Takes what arrived for a revision of a secret.
    pub(crate) fn arrived(&self, secret: &Id, revision: u64) -> Option<Arrived> {
        let mut inner = self.inner();
        let wanted = |one: &&mut Authorization| one.secret == *secret && one.revision == revision;
        inner.kept.iter_mut().filter(wanted).find_map(|one| one.arrived.take())
    }

    /// The outcome of a landed authorization is known.
    pub(crate) fn end(&self, result: &str, now: Timestamp) {
        if let Some(one) = self.inner().kept.iter_mut().find(|one| *one.result == *result) {
            if one.phase == Phase::Landed {
                one.phase = Phase::Ended;
            }
            one.listen_until = now.plus(LAST_PAGE);
            one.arrived = None;
            one.over = None;
        }
        self.bell.notify_one();
    }

    /// Until when a person may authorize a secret, and what tells that it is over; nothing where nobody may.
    pub(crate) fn waiting(&self, secret: &Id, now: Timestamp) -> Option<(Timestamp, watch::Receiver<()>)> {
        let mut inner = self.inner();
        inner.expire(now);
        let open = inner.kept.iter().find(|one| one.secret == *secret && one.over.is_some())?;
        Some((open.expires_at, open.over.as_ref()?.subscribe()))
    }

    /// Whether a person has authorized a secret, and what came of it is not known yet.
    pub(crate) fn landed(&self, secret: &Id) -> bool {
        self.inner().kept.iter().any(|one| one.secret == *secret && one.phase == Phase::Landed)
    }

    /// Which secret a last page is about, and what tells that its outcome is known.
    fn result(&self, result: &str) -> Option<(Id, Option<watch::Receiver<()>>)> {
        let inner = self.inner();
        let landed = |one: &&Authorization| !matches!(one.phase, Phase::Prepared | Phase::Open);
        let one = inner.kept.iter().filter(landed).find(|one| *one.result == *result)?;
        Some((one.secret, one.over.as_ref().map(watch::Sender::subscribe)))
    }

    /// A last page was shown.
    fn shown(&self, result: &str, now: Timestamp) {
        if let Some(one) = self.inner().kept.iter_mut().find(|one| *one.result == *result) {
            one.listen_until = one.listen_until.min(now.plus(SHOWN));
        }
        self.bell.notify_one();
    }

    /// Closes the listener if nobody needs it; otherwise answers it with the time to look again.
    fn close_idle(
        &self,
        listener: tokio::net::TcpListener,
        now: Timestamp,
    ) -> Option<(tokio::net::TcpListener, Timestamp)> {
        let mut inner = self.inner();
        inner.expire(now);
        let needed = inner.kept.iter().map(|one| one.listen_until).filter(|until| *until > now).min();
        if needed.is_none() {
            inner.port = None;
            // under the lock: the next one may want the same port
            drop(listener);
            return None;
        }
        needed.map(|until| (listener, until))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The port of the listener, which is opened if there is none.
    fn listen(&mut self, agent: &Arc<Agent>) -> Result<u16, CallError> {
        if let Some(port) = self.port {
            return Ok(port);
        }
        let wanted = agent.config().authorization.port;
        let opened =
            TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, wanted))).and_then(|listener| {
                listener.set_nonblocking(true)?;
                let port = listener.local_addr()?.port();
                Ok((tokio::net::TcpListener::from_std(listener)?, port))
            });
        let (listener, port) = opened.map_err(|error| not_opened(wanted, &error))?;
        self.port = Some(port);
        agent.tasks.spawn(listener::run(agent.clone(), listener, port));
        Ok(port)
    }

    /// The authorization of a state. All of them are looked at, whichever it is; one that has not begun has given none out.
    fn of_state(&self, state: &str) -> Option<&Authorization> {
        let begun = self.kept.iter().filter(|one| one.phase != Phase::Prepared);
        begun.fold(None, |found, one| if one.state.is(state) { Some(one) } else { found })
    }

    fn expire(&mut self, now: Timestamp) {
        for one in self.kept.iter_mut().filter(|one| one.phase == Phase::Open && one.expires_at <= now) {
            one.lapse();
        }
    }
}

/// Waits for the end of what [`Authorizations::waiting`] answers with: the sender says nothing, and is dropped then.
pub(crate) async fn ended(mut over: watch::Receiver<()>) {
    while over.changed().await.is_ok() {}
}

fn not_opened(wanted: u16, error: &io::Error) -> CallError {
    let (why, mend) = match error.kind() {
        io::ErrorKind::AddrInUse if wanted != 0 => (
            "another process has it".to_owned(),
            "end what has the port, or set authorization.port in bursar.toml to another, 0 for any free one, and let the agent read it: kill -HUP",
        ),
        io::ErrorKind::PermissionDenied if wanted != 0 => (
            "the system keeps it for others".to_owned(),
            "set authorization.port in bursar.toml to one over 1023, or 0 for any free one, and let the agent read it: kill -HUP",
        ),
        other => (other.to_string(), "see what the system lacks, and try again"),
    };
    let port = if wanted == 0 { "a free port".to_owned() } else { format!("port {wanted}") };
    CallError::new(
        ErrorName::NoListener,
        format!("{port} of {} cannot be opened, on which the browser comes back: {why}", Ipv4Addr::LOCALHOST),
    )
    .hint(mend)
}
