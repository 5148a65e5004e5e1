//! One authorization: where it stands, what recognizes its redirect, and what came with that.

use super::Answer;
use crate::vault::catalog::IssuerSettings;
use crate::vault::store::Id;
use bursar_proto::sensitive::Sensitive;
use bursar_proto::time::Timestamp;
use ring::hmac;
use tokio::sync::watch;

/// One hour of one secret.
pub(super) struct Authorization {
    pub(super) secret: Id,
    /// The revision of the secret that it is for.
    pub(super) revision: u64,
    pub(super) asker: u32,
    pub(super) state: State,
    pub(super) verifier: Option<Sensitive>,
    pub(super) redirect_uri: String,
    pub(super) client: Client,
    pub(super) expires_at: Timestamp,
    /// Names its last page.
    pub(super) result: Box<str>,
    pub(super) phase: Phase,
    /// Until when the listener has to be there for it.
    pub(super) listen_until: Timestamp,
    /// What came with the redirect, until the exchange takes it.
    pub(super) arrived: Option<Arrived>,
    /// Says nothing, and is dropped when it is over.
    pub(super) over: Option<watch::Sender<()>>,
}

impl Authorization {
    /// Ends it where nothing has come of it yet; nobody can authorize by it any more.
    pub(super) fn lapse(&mut self) {
        if !matches!(self.phase, Phase::Open | Phase::Landed) {
            return;
        }
        self.phase = Phase::Lapsed;
        self.verifier = None;
        self.arrived = None;
        self.over = None;
        self.listen_until = Timestamp::from_seconds(0);
    }
}

/// To which client of an issuer something is granted, and where it is exchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) client_id: String,
    pub(crate) token_url: String,
}

impl Client {
    /// The one that is set up now.
    pub(crate) fn of(settings: &IssuerSettings) -> Self {
        Self { client_id: settings.client_id.to_string(), token_url: settings.token_url.to_string() }
    }
}

/// Where an authorization stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its secret is not written yet.
    Prepared,
    /// A person may authorize.
    Open,
    /// The redirect came.
    Landed,
    /// The outcome is known.
    Ended,
    /// Its hour passed, or another one took its place.
    Lapsed,
}

/// What came with a redirect.
pub(crate) struct Arrived {
    pub(crate) answer: Answer,
    pub(crate) verifier: Sensitive,
    pub(crate) redirect_uri: String,
    /// For whom the person was asked: nobody else gets the code.
    pub(crate) client: Client,
}

/// A state: what the issuer has to bring back. Only what recognizes it is kept.
pub(super) struct State {
    key: hmac::Key,
    tag: hmac::Tag,
}

impl State {
    pub(super) fn of(state: &str, key: &[u8]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let tag = hmac::sign(&key, state.as_bytes());
        Self { key, tag }
    }

    /// In a time that says nothing of how much agrees.
    pub(super) fn is(&self, state: &str) -> bool {
        hmac::verify(&self.key, state.as_bytes(), self.tag.as_ref()).is_ok()
    }
}
