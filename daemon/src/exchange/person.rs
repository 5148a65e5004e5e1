//! What a person granted: the code of RFC 6749 section 4.1.3 with the verifier of RFC 7636, and then the refresh token of
//! section 6.
//!
//! Both are worth one exchange where the issuer rotates. So neither leaves this process before a mark is durable that says
//! so; see [`Mark`].

use super::form::Form;
use super::http::{Http, TokenRequest};
use super::wire::Sent;
use super::{Cause, Failure, Granted, Reach};
use crate::clock::Clock;
use bursar_proto::error::split_hint;
use bursar_proto::kind::Issuer;
use bursar_proto::sensitive::Sensitive;
use std::pin::Pin;
use std::sync::Arc;
use url::Url;

/// With what a person's grant is exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The code that came with the redirect.
    Code,
    /// The refresh token that came with the code, or with the last exchange.
    RefreshToken,
}

/// A code or a refresh token. Wiped on drop.
pub(crate) enum Proof {
    /// A code, with what proves that we asked for it.
    Code {
        /// The code itself.
        code: Sensitive,
        /// The secret half of the PKCE challenge.
        verifier: Sensitive,
        /// Where the code came.
        redirect_uri: String,
    },
    /// A refresh token.
    RefreshToken(Sensitive),
}

/// A person's grant on its way to the issuer.
pub(crate) struct Grant {
    pub(crate) issuer: Issuer,
    pub(crate) client_id: String,
    pub(crate) client_secret: Sensitive,
    pub(crate) token_url: Url,
    /// What the person was asked for.
    pub(crate) scopes: Vec<String>,
    pub(crate) proof: Proof,
    pub(crate) mark: Mark,
}

/// Keeps durably that the proof is about to leave, once the connection stands; false where that cannot be kept, and then it
/// does not leave.
pub(crate) type Mark = Arc<dyn Fn() -> Marking + Send + Sync>;

/// A mark that is being written.
pub(crate) type Marking = Pin<Box<dyn Future<Output = bool> + Send>>;

impl Grant {
    /// With what it is exchanged.
    pub(crate) fn by(&self) -> By {
        match self.proof {
            Proof::Code { .. } => By::Code,
            Proof::RefreshToken(_) => By::RefreshToken,
        }
    }

    fn form(&self) -> Form {
        let mut form = match &self.proof {
            Proof::Code { code, verifier, redirect_uri } => {
                let mut form = Form::new("authorization_code");
                form.push("code", code.expose());
                form.push("code_verifier", verifier.expose());
                form.push("redirect_uri", redirect_uri);
                form
            }
            Proof::RefreshToken(token) => {
                let mut form = Form::new("refresh_token");
                form.push("refresh_token", token.expose());
                form
            }
        };
        form.push("client_id", &self.client_id);
        form.push("client_secret", self.client_secret.expose());
        form
    }

    fn secrets(&self) -> Vec<&str> {
        let mut secrets = vec![self.client_secret.expose()];
        match &self.proof {
            Proof::Code { code, verifier, .. } => secrets.extend([code.expose(), verifier.expose()]),
            Proof::RefreshToken(token) => secrets.push(token.expose()),
        }
        secrets
    }
}

/// Exchanges a person's grant once.
pub(super) async fn exchange(grant: &Grant, clock: &dyn Clock, http: &Http) -> Result<Granted, Failure> {
    let turn = http.turn(&grant.token_url, clock).await;
    let request = TokenRequest {
        url: &grant.token_url,
        form: &grant.form(),
        sent: Sent { secrets: grant.secrets(), person: Some((grant.issuer, grant.by())) },
        authorization: None,
        mark: Some(&grant.mark),
    };
    let granted = http.token(&turn, request).await.map_err(|failure| told(failure, grant.by()))?;
    if grant.by() == By::Code { whole(granted, &grant.scopes) } else { Ok(granted) }
}

/// Says whether the proof left, and of a code that it takes a new one in any case.
fn told(failure: Failure, by: By) -> Failure {
    let (reason, hint) = split_hint(&failure.details);
    let hint = hint.unwrap_or_default();
    let reach = match failure.reach {
        Reach::Unsent => "; nothing was sent",
        Reach::Unanswered => "; the request was sent, and its answer is not known",
        Reach::Answered => "",
    };
    let again = "bursar secret reauthorize NAME";
    let hint = match (by, hint) {
        (By::RefreshToken, hint) => hint.to_owned(),
        (By::Code, "") => format!("start over: {again}"),
        (By::Code, hint) if hint.contains(again) => hint.to_owned(),
        (By::Code, hint) => format!("{hint}; then: {again}"),
    };
    let details =
        if hint.is_empty() { format!("{reason}{reach}") } else { format!("{reason}{reach}; hint: {hint}") };
    Failure { details, ..failure }
}

/// Checks that a code brought all that was asked for: a refresh token, and each scope (RFC 6749 section 5.1: an answer that
/// names none grants all).
fn whole(granted: Granted, scopes: &[String]) -> Result<Granted, Failure> {
    if granted.refresh_token.is_none() {
        return Err(Failure::new(
            Cause::Permanent,
            "the issuer gave no refresh token, so nothing could be refreshed; hint: remove this client from what the account has allowed, then: bursar secret reauthorize NAME",
        ));
    }
    let given: Vec<&str> = granted.scope.iter().flat_map(|scope| scope.split(' ')).collect();
    match scopes.iter().find(|scope| !given.is_empty() && !given.contains(&scope.as_str())) {
        Some(missing) => Err(Failure::new(
            Cause::Permanent,
            format!(
                "not all was allowed: {missing} is missing; hint: start over and tick every box: bursar secret reauthorize NAME"
            ),
        )),
        None => Ok(granted),
    }
}

#[cfg(test)]
mod tests;
