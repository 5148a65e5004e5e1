//! Looks for live secrets in templates that are about to be published: a value that somebody pasted where a mark belongs.

use crate::agent::Agent;
use crate::credentials::normal_form;
use crate::policy::Principal;
use crate::vault::Unlocked;
use crate::vault::store::Id;
use base64::engine::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
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

/// The first live secret within the publisher's reach that stands in one of `files`, in a form in which a template would have it.
pub(super) fn find(
    agent: &Agent,
    files: &[PackageFile],
    publisher: &Principal,
) -> Result<Option<Leak>, CallError> {
    let searched = Searched::new(files);
    if searched.windows.is_empty() {
        return Ok(None);
    }
    let ids: Vec<Id> = {
        let mut vault = agent.vault();
        let catalog = &vault.unlocked()?.catalog;
        let wanted = catalog.secrets.iter().filter(|(_, secret)| {
            let bound = secret.environment.and_then(|id| catalog.environments.get(&id));
            publisher.reaches(&secret.organization, bound.map(|environment| &environment.name))
        });
        wanted.map(|(id, _)| *id).collect()
    };
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
        let plain = || {
            [value, after_scheme(value)].into_iter().chain(key_lines(value)).find_map(|text| self.word(text))
        };
        let escaped = || {
            let forms = Filter::ALL.iter().map(|filter| filtered(value, &[*filter]));
            forms.into_iter().find_map(|form| self.word(form.trim_matches(['"', '='])))
        };
        let encoded = || {
            let inner =
                (0..3).flat_map(|before| [inner(&STANDARD, before, value), inner(&URL_SAFE, before, value)]);
            inner.into_iter().find_map(|form| self.find(&form, |_, _| true))
        };
        plain().or_else(escaped).or_else(encoded).or_else(|| self.key(value))
    }

    /// The key that `value` is, in whatever form.
    fn key(&self, value: &str) -> Option<(FilePath, usize)> {
        if self.keys.is_empty() || !value.contains(KEY_BEGIN) {
            return None;
        }
        let normal = normal_form(value)?;
        self.keys.iter().find(|key| key.text.expose() == normal.expose()).map(|key| key.place.clone())
    }

    /// Where a text stands; a short one only where it is no part of a longer word.
    fn word(&self, text: &str) -> Option<(FilePath, usize)> {
        self.find(text, |within, at| text.len() >= LINE_MIN || stands_alone(within, at, text.len()))
    }

    fn find(&self, text: &str, counts: impl Fn(&str, usize) -> bool) -> Option<(FilePath, usize)> {
        let middle = text.len() / 2;
        let window = text.as_bytes().get((middle.checked_sub(VALUE_MIN / 2)?)..)?.first_chunk()?;
        if !self.windows.contains(window) {
            return None;
        }
        self.texts.iter().find_map(|(path, within)| {
            let found = memchr::memmem::find_iter(within.as_bytes(), text.as_bytes());
            let at = found.into_iter().find(|at| counts(within, *at))?;
            let before = within.as_bytes().get(..at).unwrap_or_default();
            Some((path.clone(), memchr::memchr_iter(b'\n', before).count() + 1))
        })
    }
}

/// Of a header's value what follows its scheme, RFC 9110 section 11.4; of other texts nothing.
fn after_scheme(value: &str) -> &str {
    let is_scheme =
        |word: &str| ["basic", "bearer", "token"].iter().any(|known| word.eq_ignore_ascii_case(known));
    value.split_once(' ').filter(|(word, _)| is_scheme(word)).map_or("", |(_, rest)| rest)
}

/// The lines of the private keys in a text, without those that frame them.
fn key_lines(value: &str) -> impl Iterator<Item = &str> {
    let mut in_key = false;
    value.lines().map(str::trim).filter(move |line| {
        if line.starts_with("-----") {
            in_key = line.starts_with(KEY_BEGIN) && line.contains("PRIVATE KEY");
            return false;
        }
        in_key && line.len() >= LINE_MIN
    })
}

/// What is the same of a text in base64 whatever stands before it, `before` bytes modulo three, and after it.
fn inner(engine: &impl Engine, before: usize, text: &str) -> Zeroizing<String> {
    const BITS: usize = 6;
    let mut longer = Zeroizing::new(vec![0; before]);
    longer.extend_from_slice(text.as_bytes());
    let encoded = Zeroizing::new(engine.encode(&*longer));
    let own = (before * 8).div_ceil(BITS)..longer.len() * 8 / BITS;
    Zeroizing::new(encoded.get(own).unwrap_or_default().to_owned())
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

/// The private keys in a text: one has several forms, and only one of them is in the vault.
fn keys(path: &FilePath, text: &str) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut from = 0;
    while let Some(begin) = text[from..].find(KEY_BEGIN).map(|at| from + at) {
        let Some(end) = text[begin..].find(KEY_END).map(|at| begin + at + KEY_END.len()) else { break };
        // quotes and commas may stand behind the dashes that close the last line
        let Some(end) = text[end..].find("-----").map(|at| end + at + 5) else { break };
        let block = Zeroizing::new(text[begin..end].replace("\\n", "\n"));
        if let Some(key) = normal_form(&block) {
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
