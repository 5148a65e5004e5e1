//! Looks for live secrets in templates that are about to be published: a value that somebody pasted where a mark belongs.

use crate::agent::Agent;
use crate::credentials::normal_form;
use crate::vault::Unlocked;
use crate::vault::store::Id;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::fields::Fields;
use bursar_proto::kind::{Filter, Shape};
use bursar_proto::library::{FilePath, PackageFile};
use bursar_proto::name::Qualified;
use bursar_proto::sensitive::Sensitive;
use bursar_proto::template::{Template, filtered};
use serde::Deserialize;
use std::collections::HashSet;
use zeroize::Zeroizing;

/// The shortest value that is looked for, in bytes: shorter ones stand in templates by chance.
const VALUE_MIN: usize = 8;

/// The shortest line of a key that is looked for by itself, in bytes: a whole one has 64. What is shorter counts only where it
/// stands alone, and not within a longer word.
const LINE_MIN: usize = 24;

/// How the first and the last line of a key in PEM begin.
const KEY_BEGIN: &str = "-----BEGIN ";
const KEY_END: &str = "-----END ";

/// How many secrets are opened while the vault is held: a millisecond that answers wait.
const AT_ONCE: usize = 64;

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

/// The first live secret that stands in one of `files`, in a form in which a template would have it.
pub(super) fn find(agent: &Agent, files: &[PackageFile]) -> Result<Option<Leak>, CallError> {
    let searched = Searched::new(files);
    if searched.windows.is_empty() {
        return Ok(None);
    }
    let ids: Vec<Id> = agent.vault().unlocked()?.catalog.secrets.keys().copied().collect();
    for some in ids.chunks(AT_ONCE) {
        // what takes long is done once the vault is free again
        for (secret, values) in collect(agent, some)? {
            if let Some((path, line)) = values.iter().find_map(|value| searched.place(value.expose())) {
                return Ok(Some(Leak { path, line, secret }));
            }
        }
    }
    Ok(None)
}

/// What of some secrets must not be published.
fn collect(agent: &Agent, ids: &[Id]) -> Result<Vec<(Qualified, Vec<Sensitive>)>, CallError> {
    let mut vault = agent.vault();
    let unlocked = vault.unlocked()?;
    let named = ids.iter().filter_map(|id| Some((id, unlocked.catalog.secrets.get(id)?.full_name())));
    named.map(|(id, name)| Ok((name, values(unlocked, id)?))).collect()
}

/// Templates, made ready for many searches.
struct Searched {
    /// Path and text of each, without marks and with `%%` as what it stands for.
    texts: Vec<(FilePath, String)>,
    /// Every run of [`VALUE_MIN`] bytes: few values have their middle among them.
    windows: HashSet<[u8; VALUE_MIN]>,
    keys: Vec<Key>,
}

impl Searched {
    fn new(files: &[PackageFile]) -> Self {
        let text = |file: &PackageFile| {
            let text =
                Template::parse(&file.template).map_or_else(|_| file.template.clone(), |read| read.text());
            (file.path.clone(), text)
        };
        let texts: Vec<_> = files.iter().map(text).collect();
        let runs = texts.iter().flat_map(|(_, text)| text.as_bytes().windows(VALUE_MIN));
        let windows = runs.filter_map(|run| run.try_into().ok()).collect();
        let keys = texts.iter().flat_map(|(path, text)| keys(path, text)).collect();
        Self { texts, windows, keys }
    }

    /// Where a value stands: as it is, encoded or escaped; of a header's value also what follows its scheme, of a key its
    /// lines, and the key in another form.
    fn place(&self, value: &str) -> Option<(FilePath, usize)> {
        let value = value.trim();
        if value.len() < VALUE_MIN {
            return None;
        }
        let after_scheme = value.split_once(' ').map_or("", |(_, rest)| rest);
        let is_pem = value.contains(KEY_BEGIN);
        let lines =
            value.lines().filter(|line| is_pem && line.len() >= LINE_MIN && !line.starts_with("-----"));
        let plain = [value, after_scheme].into_iter().chain(lines).find_map(|text| self.find(text));
        let encoded = || {
            let filters = Filter::ALL.iter().map(|filter| filtered(value, &[*filter]));
            let forms = filters.chain([Zeroizing::new(URL_SAFE_NO_PAD.encode(value))]);
            forms.into_iter().find_map(|form| self.find(form.trim_matches(['"', '='])))
        };
        let key = || self.keys.iter().find(|key| key.is(value)).map(|key| key.place.clone());
        plain.or_else(encoded).or_else(key)
    }

    fn find(&self, text: &str) -> Option<(FilePath, usize)> {
        let middle = text.len() / 2;
        let window = text.as_bytes().get((middle.checked_sub(VALUE_MIN / 2)?)..)?.first_chunk()?;
        if !self.windows.contains(window) {
            return None;
        }
        self.texts.iter().find_map(|(path, within)| {
            let found = memchr::memmem::find_iter(within.as_bytes(), text.as_bytes());
            let at = found
                .into_iter()
                .find(|at| text.len() >= LINE_MIN || stands_alone(within, *at, text.len()))?;
            let before = within.as_bytes().get(..at).unwrap_or_default();
            Some((path.clone(), memchr::memchr_iter(b'\n', before).count() + 1))
        })
    }
}

/// Whether a short text is no mere part of a longer word.
fn stands_alone(within: &str, at: usize, length: usize) -> bool {
    let bytes = within.as_bytes();
    let word = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphanumeric);
    !word(at.checked_sub(1)) && !word(at.checked_add(length))
}

/// A private key in a template, in the form in which the vault keeps one.
struct Key {
    place: (FilePath, usize),
    text: Sensitive,
}

impl Key {
    /// Whether `value` is this key, in whatever form.
    fn is(&self, value: &str) -> bool {
        let same = |text: &str| text.trim() == self.text.expose().trim();
        same(value) || value.contains(KEY_BEGIN) && normal_form(value).is_some_and(|key| same(key.expose()))
    }
}

/// The private keys in a text: one has several forms, and only one of them is in the vault.
fn keys(path: &FilePath, text: &str) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut from = 0;
    while let Some(begin) = text[from..].find(KEY_BEGIN).map(|at| from + at) {
        let Some(end) = text[begin..].find(KEY_END).map(|at| begin + at + KEY_END.len()) else { break };
        let end = text[end..].find('\n').map_or(text.len(), |at| end + at);
        if let Some(key) = normal_form(&text[begin..end]) {
            let line = text[..begin].matches('\n').count() + 1;
            keys.push(Key { place: (path.clone(), line), text: key });
        }
        from = end;
    }
    keys
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
