//! `bursar secret …`

mod authorize;
mod change;
mod deleted;
mod show;

use crate::args::secret::{Bind, Browsing, Delete, Following, List, Reauthorize, Retry, Verb};
use crate::output::text::now;
use crate::session::Session;
use crate::stop::Stop;
use bursar_proto::call::{
    SECRETS_PAGE_MAX, SecretBind, SecretDeactivate, SecretDelete, SecretDeleted, SecretList,
    SecretReactivate, SecretReauthorize, SecretRetry, SecretShow, SecretTest, SecretWait, SecretWhere,
};
use bursar_proto::client::Client;
use bursar_proto::error::{CallError, ErrorName, split_hint};
use bursar_proto::kind::{FailureCause, Status};
use bursar_proto::name::Reference;
use bursar_proto::reply::{Applied, Secret};
use std::io::{IsTerminal, stdout};

pub(crate) fn run(session: &Session, verb: Verb) -> Result<(), Stop> {
    match verb {
        Verb::Create(create) => change::create(session, *create.0),
        Verb::List(list) => self::list(session, list),
        Verb::Show(named) => {
            let secret = session.complete(named.secret)?;
            print(session, &session.ask(&SecretShow { secret })?)
        }
        Verb::Edit(edit) => change::edit(session, *edit.0),
        Verb::Bind(bind) => self::bind(session, bind),
        Verb::Test(named) => {
            let secret = session.complete(named.secret)?;
            session.printer.progress("asking the issuer …");
            let test = session.ask(&SecretTest { secret })?;
            session.printer.reply(&test, |_| show::test(&test))
        }
        Verb::Retry(retry) => self::retry(session, retry),
        Verb::Reauthorize(reauthorize) => self::reauthorize(session, reauthorize),
        Verb::Where(named) => {
            let applied = session.ask(&SecretWhere { secret: session.complete(named.secret)? })?;
            session.printer.reply(&applied, |printer| show::applied(printer, &applied))
        }
        Verb::Deactivate(named) => {
            let named = session.complete(named.secret)?;
            let mut client = session.connect()?;
            let secret = show_where(session, &mut client, named)?.secret.into();
            print(session, &client.call(&SecretDeactivate { secret })?)
        }
        Verb::Reactivate(named) => {
            let secret = session.complete(named.secret)?;
            print(session, &session.ask(&SecretReactivate { secret })?)
        }
        Verb::Delete(delete) => self::delete(session, delete),
        Verb::Deleted => {
            let all = session.ask(&SecretDeleted {})?;
            session.printer.reply(&all, |_| deleted::list(&all, now()))
        }
    }
}

fn list(session: &Session, list: List) -> Result<(), Stop> {
    // a bare environment is the listed organization's, if one is said
    let environment = match list.environment {
        Some(name) if list.organization.is_none() => Some(session.complete(name)?),
        other => other,
    };
    let mut client = session.connect()?;
    let mut all: Vec<Secret> = Vec::new();
    loop {
        let page = client.call(&SecretList {
            organization: list.organization.clone(),
            r#type: list.r#type,
            environment: environment.clone(),
            status: list.status,
            after: all.last().map(|last| last.name.clone().into()),
            limit: Some(SECRETS_PAGE_MAX),
        })?;
        let is_last = (page.len() as u64) < SECRETS_PAGE_MAX;
        all.extend(page);
        if is_last {
            break;
        }
    }
    session.printer.reply(&all, |printer| show::list(printer, &all))
}

fn bind(session: &Session, bind: Bind) -> Result<(), Stop> {
    let secret = session.complete(bind.named.secret)?;
    let mut client = session.connect()?;
    let bound = client.call(&SecretBind { secret, environment: bind.environment })?;
    follow(session, &mut client, bound, &bind.following, &Browsing::default())
}

fn retry(session: &Session, retry: Retry) -> Result<(), Stop> {
    let secret = session.complete(retry.named.secret)?;
    let mut client = session.connect()?;
    let retried = client.call(&SecretRetry { secret })?;
    follow(session, &mut client, retried, &retry.following, &Browsing::default())
}

fn reauthorize(session: &Session, reauthorize: Reauthorize) -> Result<(), Stop> {
    let secret = session.complete(reauthorize.named.secret)?;
    let mut client = session.connect()?;
    let asked = client.call(&SecretReauthorize { secret })?;
    follow(session, &mut client, asked, &reauthorize.following, &reauthorize.browsing)
}

fn delete(session: &Session, delete: Delete) -> Result<(), Stop> {
    let secret = session.complete(delete.named.secret)?;
    let applied = show_where(session, &mut session.connect()?, secret)?;
    let name = applied.secret.to_string();
    session.input.confirm(&format!("deleting {name} for good"), &name, delete.confirmation.yes)?;
    let reply = session.ask(&SecretDelete { secret: applied.secret.into() })?;
    session.printer.reply(&reply, |_| format!("deleted {name}\n"))?;
    if !applied.workspaces.is_empty() {
        session.printer.note("its values lie in workspaces until their next sync: bursar secret deleted");
    }
    Ok(())
}

/// Says on stderr where a secret is applied, before it changes.
fn show_where(session: &Session, client: &mut Client, secret: Reference) -> Result<Applied, Stop> {
    let applied = client.call(&SecretWhere { secret })?;
    session.printer.note(&show::applied(&session.printer, &applied));
    Ok(applied)
}

/// Follows an exchange to its end where that is wanted, and shows the secret.
fn follow(
    session: &Session,
    client: &mut Client,
    secret: Secret,
    following: &Following,
    browsing: &Browsing,
) -> Result<(), Stop> {
    if let Some(url) = &secret.authorization_url {
        return authorize::run(session, &secret, url, following, browsing);
    }
    if !following.is_wanted(stdout().is_terminal()) {
        return print(session, &secret);
    }
    if secret.status != Status::Pending {
        return outcome(session, &secret);
    }
    session.printer.progress("waiting for the issuer …");
    let ended = client.call(&SecretWait { secret: secret.name.into() })?;
    outcome(session, &ended)
}

/// Shows a secret whose exchange was followed; one that did not succeed is an error, which says the hint.
pub(super) fn outcome(session: &Session, secret: &Secret) -> Result<(), Stop> {
    session.printer.reply(secret, |_| {
        let status_details = secret.status_details.as_deref().map(|details| split_hint(details).0.to_owned());
        show::secret(&Secret { status_details, ..secret.clone() })
    })?;
    match verdict(secret) {
        None => Ok(()),
        Some(error) => Err(error.into()),
    }
}

fn verdict(secret: &Secret) -> Option<CallError> {
    match secret.status {
        Status::Succeeded => None,
        Status::Failed => {
            let name = &secret.name;
            let (reason, hint) =
                split_hint(secret.status_details.as_deref().unwrap_or("no reason was given"));
            let message = format!("the exchange of {name} failed: {reason}");
            let hint = match hint {
                Some(hint) if hint.contains("bursar ") => hint.to_owned(),
                Some(hint) => format!("{hint}; then: bursar secret retry {name}"),
                None => format!("try it anew: bursar secret retry {name}"),
            };
            let unreachable = secret.failure == Some(FailureCause::Unreachable);
            let error = if unreachable { ErrorName::IssuerUnreachable } else { ErrorName::Failed };
            Some(CallError::new(error, message).hint(hint))
        }
        Status::Pending => {
            Some(CallError::new(ErrorName::Pending, format!("the exchange of {} still runs", secret.name)))
        }
        Status::ManualAuthorization => {
            let name = &secret.name;
            let (reason, hint) = secret.status_details.as_deref().map(split_hint).unzip();
            let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            let message = format!("{name} has to be authorized by a person in a browser{reason}");
            let mend = format!("bursar secret reauthorize {name}");
            let hint = match (&secret.authorization_url, hint.flatten()) {
                (Some(url), _) => format!("open {url}, or start over: {mend}"),
                (None, Some(hint)) if hint.contains(&mend) => hint.to_owned(),
                _ => mend,
            };
            Some(CallError::new(ErrorName::NeedsAuthorization, message).hint(hint))
        }
    }
}

fn print(session: &Session, secret: &Secret) -> Result<(), Stop> {
    session.printer.reply(secret, |_| show::secret(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(status: &str, details: Option<&str>) -> Secret {
        let mut json = show::tests::example();
        json["status"] = status.into();
        json["status_details"] = details.into();
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn only_success_ends_well() {
        assert!(verdict(&secret("succeeded", None)).is_none());
        let failed = verdict(&secret("failed", Some("invalid_client, http 401"))).unwrap();
        assert_eq!(failed.name.exit_code(), 7);
        assert_eq!(failed.message, "the exchange of acme/x failed: invalid_client, http 401");
        assert_eq!(failed.hint.unwrap(), "try it anew: bursar secret retry acme/x");
        assert_eq!(verdict(&secret("pending", None)).unwrap().name.exit_code(), 7);
    }

    #[test]
    fn who_is_not_authorized_says_what_mends_it() {
        let said = |details, url: Option<&str>| {
            let mut secret = secret("manual_authorization", details);
            secret.authorization_url = url.map(str::to_owned);
            let error = verdict(&secret).unwrap();
            assert_eq!(error.name.exit_code(), 6);
            (error.message, error.hint.unwrap())
        };
        let message = "acme/x has to be authorized by a person in a browser".to_owned();
        let mend = "bursar secret reauthorize acme/x".to_owned();
        assert_eq!(said(None, None), (message.clone(), mend.clone()));
        assert_eq!(
            said(Some("the hour is over; hint: bursar secret reauthorize acme/x"), None),
            (message.clone() + ": the hour is over", mend.clone())
        );
        assert_eq!(said(Some("the hour is over; hint: try again"), None).1, mend);
        assert_eq!(said(None, Some("https://a")).1, format!("open https://a, or start over: {mend}"));
    }

    #[test]
    fn a_failure_has_one_hint() {
        let said = |details| {
            let failed = verdict(&secret("failed", Some(details))).unwrap();
            (failed.message, failed.hint.unwrap())
        };
        assert_eq!(
            said("refused (HTTP 401); hint: check client_id"),
            (
                "the exchange of acme/x failed: refused (HTTP 401)".into(),
                "check client_id; then: bursar secret retry acme/x".into()
            )
        );
        assert_eq!(
            said("too short; hint: mend it: bursar secret edit acme/x").1,
            "mend it: bursar secret edit acme/x"
        );
    }
}
