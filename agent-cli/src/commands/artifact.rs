//! The daily verbs: `get`, `wait`, `watch`. A value goes from the reply to stdout or a file, and nowhere else.

use super::secret::outcome;
use crate::args::artifact::{Get, Wait, Watch};
use crate::file::write_private;
use crate::output::{json_line, write_out};
use crate::session::Session;
use crate::stop::Stop;
use crate::values;
use bursar_proto::call::{ArtifactGet, ArtifactWatch, SecretWait};
use bursar_proto::client::Notification;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::kind::{Change, SecretType};
use bursar_proto::name::Qualified;
use bursar_proto::reply::{Artifact, Changed, Header};
use bursar_proto::sensitive::Sensitive;
use bursar_proto::time::Timestamp;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

pub(crate) fn get(session: &Session, get: Get) -> Result<(), Stop> {
    let (secret, workspace) = session.completed(get.secret)?;
    let mut client = session.connect()?;
    if let Some(workspace) = workspace {
        // a file that came with a clone must not say which secret is pulled
        workspace.require_trust(&mut client)?;
    }
    let artifact = client.call(&ArtifactGet { secret, min_validity: get.min_validity, environment: None })?;
    let line = if session.printer.json() {
        json_line(&Shown::from(&artifact))?
    } else {
        let prefix = if get.header { head(&artifact)? } else { String::new() };
        line(&prefix, choose(&artifact, get.field.as_deref())?)
    };
    write_line(get.output.as_deref(), &line)
}

/// A value on its line, behind what stands before it.
pub(super) fn line(prefix: &str, value: &Sensitive) -> Zeroizing<Vec<u8>> {
    let value = value.expose();
    let mut line = Zeroizing::new(Vec::with_capacity(prefix.len() + value.len() + 1));
    line.extend_from_slice(prefix.as_bytes());
    line.extend_from_slice(value.as_bytes());
    line.push(b'\n');
    line
}

/// Writes a line with a value to the file that was asked for, or to stdout.
pub(super) fn write_line(file: Option<&Path>, line: &[u8]) -> Result<(), Stop> {
    match file {
        Some(path) if path != Path::new("-") => write_private(path, line),
        _ => write_out(line),
    }
}

/// What stands before the value in a header line.
fn head(artifact: &Artifact) -> Result<String, Stop> {
    match &artifact.header {
        Some(header) => Ok(format!("{}: {}", header.name, header.prefix)),
        None => Err(Stop::usage(format!("a secret of type {} makes no header line", artifact.r#type))
            .hint("leave --header out")),
    }
}

/// The one text that was asked for.
fn choose<'a>(artifact: &'a Artifact, field: Option<&str>) -> Result<&'a Sensitive, Stop> {
    values::choose(artifact, field).map_err(|unchosen| {
        Stop::usage(unchosen.reason).hint(format!("choose one with --field: {}", unchosen.fields))
    })
}

/// An artifact as `--json` shows it.
#[derive(Serialize)]
struct Shown<'a> {
    secret: &'a Qualified,
    r#type: SecretType,
    value: Option<Exposed<'a>>,
    fields: Option<BTreeMap<&'a str, Exposed<'a>>>,
    header: Option<&'a Header>,
    expires_at: Option<Timestamp>,
}

impl<'a> From<&'a Artifact> for Shown<'a> {
    fn from(artifact: &'a Artifact) -> Self {
        let fields = artifact.fields.as_ref();
        Self {
            secret: &artifact.secret,
            r#type: artifact.r#type,
            value: artifact.value.as_ref().map(Exposed),
            fields: fields
                .map(|all| all.iter().map(|(name, value)| (name.as_str(), Exposed(value))).collect()),
            header: artifact.header.as_ref(),
            expires_at: artifact.expires_at,
        }
    }
}

pub(super) struct Exposed<'a>(pub(super) &'a Sensitive);

impl Serialize for Exposed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

pub(crate) fn wait(session: &Session, wait: Wait) -> Result<(), Stop> {
    let limit = wait.timeout.map(Duration::from_secs);
    if limit == Some(Duration::ZERO) {
        return Err(Stop::usage("--timeout: must be at least 1s"));
    }
    let secret = session.complete(wait.secret)?;
    let mut client = session.connect()?;
    client.set_timeout(limit).map_err(|error| Stop::local(format!("no time limit: {}", error.kind())))?;
    session.printer.progress("waiting for the issuer, or for a person …");
    let began = Instant::now();
    let secret = client.call(&SecretWait { secret }).map_err(|error| match limit {
        // the connection cannot tell a limit that passed from one that broke; the time can
        Some(limit) if error.name == ErrorName::DaemonUnreachable && began.elapsed() >= limit => {
            CallError::new(
                ErrorName::TooSlow,
                format!("the exchange has not ended within {} s", limit.as_secs()),
            )
            .hint("it goes on; wait longer, or see: bursar secret show")
        }
        _ => error,
    })?;
    outcome(session, &secret)
}

pub(crate) fn watch(session: &Session, watch: Watch) -> Result<(), Stop> {
    let secret = watch.secret.map(|name| session.complete(name)).transpose()?;
    let mut client = session.connect()?;
    client.call(&ArtifactWatch { secret })?;
    loop {
        match client.next_notification()? {
            Notification::Changed(changed) => session.printer.reply(&changed, |_| told(&changed))?,
            Notification::Missed(missed) => {
                session.printer.reply(&missed, |_| format!("{} changes were missed\n", missed.count))?;
            }
            // nobody asked for the record
            Notification::Audited(_) => {}
        }
    }
}

/// A change on a line, with what to do where a person has to do something.
fn told(changed: &Changed) -> String {
    let Changed { at, secret, change, status, .. } = changed;
    let until = changed.expires_at.map(|at| format!("  until {at}")).unwrap_or_default();
    let mend = match change {
        Change::NeedsAuthorization => format!("  hint: bursar secret reauthorize {secret}"),
        _ => String::new(),
    };
    format!("{at}  {secret}  {change}  {status}{until}{mend}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(json: &str) -> Artifact {
        serde_json::from_str(json).unwrap()
    }

    fn token() -> Artifact {
        artifact(
            r#"{"secret":"acme/x","type":"token","value":"v","fields":null,"header":null,"expires_at":null}"#,
        )
    }

    fn api_key() -> Artifact {
        artifact(
            r#"{"secret":"acme/x","type":"api-key","value":"v","fields":{"header_name":"X-Key","value":"v"},
                "header":{"name":"X-Key","prefix":""},"expires_at":null}"#,
        )
    }

    fn certificate() -> Artifact {
        artifact(
            r#"{"secret":"acme/x","type":"certificate","value":null,
                "fields":{"certificate":"C","private_key":"K"},"header":null,"expires_at":null}"#,
        )
    }

    fn chosen(artifact: &Artifact, header: bool, field: Option<&str>) -> Result<String, (u8, String)> {
        let head = if header { head(artifact) } else { Ok(String::new()) };
        match head.and_then(|head| Ok(head + choose(artifact, field)?.expose())) {
            Ok(value) => Ok(value),
            Err(Stop::Failed(error)) => Err((error.name.exit_code(), error.hint.unwrap_or_default())),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_single_value_answers_to_its_names() {
        for field in [None, Some("value"), Some("token")] {
            assert_eq!(chosen(&token(), false, field), Ok("v".into()));
        }
        assert_eq!(chosen(&token(), false, Some("basic")), Err((2, "choose one with --field: token".into())));
    }

    #[test]
    fn a_header_type_has_value_fields_and_a_line() {
        assert_eq!(chosen(&api_key(), false, None), Ok("v".into()));
        assert_eq!(chosen(&api_key(), false, Some("header_name")), Ok("X-Key".into()));
        assert_eq!(chosen(&api_key(), true, None), Ok("X-Key: v".into()));
        assert_eq!(chosen(&token(), true, None).unwrap_err().0, 2);
    }

    #[test]
    fn several_fields_need_a_choice() {
        let hint = "choose one with --field: certificate, private_key";
        assert_eq!(chosen(&certificate(), false, None), Err((2, hint.into())));
        assert_eq!(chosen(&certificate(), false, Some("private_key")), Ok("K".into()));
        assert_eq!(chosen(&certificate(), false, Some("value")).unwrap_err().0, 2);
    }

    #[test]
    fn a_change_that_needs_a_person_says_what_to_do() {
        let changed = |change: &str, status: &str| {
            told(
                &serde_json::from_value(serde_json::json!({
                    "secret": "acme/ads", "change": change, "status": status,
                    "expires_at": "2026-11-21T07:00:00Z", "at": "2026-11-21T06:00:00Z"
                }))
                .unwrap(),
            )
        };
        assert_eq!(
            changed("needs_authorization", "manual_authorization"),
            "2026-11-21T06:00:00Z  acme/ads  needs_authorization  manual_authorization  \
             until 2026-11-21T07:00:00Z  hint: bursar secret reauthorize acme/ads\n"
        );
        assert_eq!(
            changed("refreshed", "succeeded"),
            "2026-11-21T06:00:00Z  acme/ads  refreshed  succeeded  until 2026-11-21T07:00:00Z\n"
        );
    }

    #[test]
    fn json_shows_every_attribute() {
        let line = json_line(&Shown::from(&api_key())).unwrap();
        assert_eq!(
            std::str::from_utf8(&line).unwrap(),
            "{\"secret\":\"acme/x\",\"type\":\"api-key\",\"value\":\"v\",\"fields\":{\"header_name\":\"X-Key\",\
             \"value\":\"v\"},\"header\":{\"name\":\"X-Key\",\"prefix\":\"\"},\"expires_at\":null}\n"
        );
    }
}
