//! Looks for live secrets in templates that are about to be published: a value that somebody pasted where a mark belongs.

use crate::agent::Agent;
use crate::credentials::normal_form;
use crate::vault::Unlocked;
use crate::vault::store::Id;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::fields::Fields;
use bursar_proto::kind::Shape;
use bursar_proto::library::{FilePath, PackageFile};
use bursar_proto::name::Qualified;
use bursar_proto::sensitive::Sensitive;
use serde::Deserialize;
use std::collections::HashSet;
use zeroize::Zeroizing;

/// The shortest value that is looked for, in bytes: shorter ones stand in templates by chance.
const VALUE_MIN: usize = 8;

/// The shortest line of a value of several lines that is looked for by itself, in bytes: a line of a key has 64.
const LINE_MIN: usize = 24;

/// How the first and the last line of a key in PEM begin.
const KEY_BEGIN: &str = "-----BEGIN ";
const KEY_END: &str = "-----END ";

/// How many secrets are looked at while the vault is held, so that answers wait a millisecond and not a second.
const AT_ONCE: usize = 256;

/// A live secret in a template.
pub(super) struct Leak {
    path: FilePath,
    line: usize,
    secret: Qualified,
}

impl From<Leak> for CallError {
    fn from(leak: Leak) -> Self {
        let Leak { path, line, secret } = leak;
        Self::new(
            ErrorName::Invalid,
            format!("{path}: line {line}: holds what looks like the live secret {secret}"),
        )
        .hint("put a mark in its place, %name%, and name an element in [library.elements]")
    }
}

/// The first live secret that stands in one of `files`, as it is or in base64.
pub(super) fn find(agent: &Agent, files: &[PackageFile]) -> Result<Option<Leak>, CallError> {
    let starts: HashSet<&[u8]> =
        files.iter().flat_map(|file| file.template.as_bytes().windows(VALUE_MIN)).collect();
    if starts.is_empty() {
        return Ok(None);
    }
    let keys = keys(files);
    let ids: Vec<Id> = agent.vault().unlocked()?.catalog.secrets.keys().copied().collect();
    for some in ids.chunks(AT_ONCE) {
        let mut vault = agent.vault();
        let unlocked = vault.unlocked()?;
        for id in some {
            let Some(secret) = unlocked.catalog.secrets.get(id) else { continue };
            let name = secret.full_name();
            for value in values(unlocked, id)? {
                let key = || keys.iter().find(|key| key.is(&value)).map(|key| key.place.clone());
                if let Some((path, line)) = place(&starts, files, &value).or_else(key) {
                    return Ok(Some(Leak { path, line, secret: name }));
                }
            }
        }
    }
    Ok(None)
}

/// A private key in a template, in the form in which the vault keeps one.
struct Key {
    place: (FilePath, usize),
    text: Sensitive,
}

impl Key {
    /// Whether `value` is this key, in whatever form.
    fn is(&self, value: &Sensitive) -> bool {
        let same = |text: &Sensitive| text.expose() == self.text.expose();
        same(value)
            || value.expose().contains(KEY_BEGIN) && normal_form(value.expose()).is_some_and(|key| same(&key))
    }
}

/// The private keys in templates: one has several forms, and only one of them is in the vault.
fn keys(files: &[PackageFile]) -> Vec<Key> {
    let mut keys = Vec::new();
    for file in files {
        let mut from = 0;
        while let Some(begin) = file.template[from..].find(KEY_BEGIN).map(|at| from + at) {
            let Some(end) = file.template[begin..].find(KEY_END).map(|at| begin + at + KEY_END.len()) else {
                break;
            };
            let end = file.template[end..].find('\n').map_or(file.template.len(), |at| end + at);
            if let Some(text) = normal_form(&file.template[begin..end]) {
                let line = file.template[..begin].matches('\n').count() + 1;
                keys.push(Key { place: (file.path.clone(), line), text });
            }
            from = end;
        }
    }
    keys
}

/// Where a value stands, as it is or in base64; of a header's value also what follows its scheme.
fn place(starts: &HashSet<&[u8]>, files: &[PackageFile], value: &Sensitive) -> Option<(FilePath, usize)> {
    let value = value.expose().trim();
    if value.len() < VALUE_MIN {
        return None;
    }
    let encoded = Zeroizing::new(STANDARD.encode(value));
    let after_scheme = value.split_once(' ').map_or("", |(_, rest)| rest);
    let whole = [value, encoded.trim_end_matches('='), after_scheme];
    let lines = value.lines().filter(|line| line.len() >= LINE_MIN && !line.starts_with("-----"));
    whole.into_iter().chain(lines).find_map(|text| {
        let start = text.as_bytes().get(..VALUE_MIN)?;
        if !starts.contains(start) {
            return None;
        }
        files.iter().find_map(|file| {
            let at = memchr::memmem::find(file.template.as_bytes(), text.as_bytes())?;
            let before = file.template.get(..at).unwrap_or_default();
            Some((file.path.clone(), before.matches('\n').count() + 1))
        })
    })
}

/// What of a secret must not be published: its sensitive fields, and the value that came of them.
fn values(unlocked: &Unlocked, id: &Id) -> Result<Vec<Sensitive>, CallError> {
    #[derive(Deserialize)]
    struct Artifact {
        value: Option<Sensitive>,
    }
    let mut values = Vec::new();
    let Some(kind) = unlocked.catalog.secrets.get(id).map(|secret| secret.kind) else { return Ok(values) };
    let credentials = unlocked.credentials(id)?.store();
    let fields = Fields::parse(Some(credentials.expose()))?;
    for field in kind.fields().iter().filter(|field| field.sensitive && fields.has(field.name)) {
        if field.shape == Shape::Texts {
            let inner = fields.raw(field.name).map_or("{}", |raw| raw.get());
            for (_, raw) in Fields::parse(Some(inner))?.into_members() {
                values.extend(serde_json::from_str::<Sensitive>(raw.get()).ok());
            }
        } else {
            values.extend(fields.take::<Option<Sensitive>>(field.name)?);
        }
    }
    let mut artifact = Zeroizing::new(b"{".to_vec());
    if unlocked.artifact(id, &mut artifact)?.is_some() {
        artifact.push(b'}');
        let read: Artifact = serde_json::from_slice(&artifact)
            .map_err(|_| CallError::new(ErrorName::Internal, "an artifact cannot be read"))?;
        values.extend(read.value);
    }
    Ok(values)
}
