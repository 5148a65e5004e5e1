//! `[[render]]`: files that the config wants rendered, for whom, and which units are told. Pure but for [`Source::read`].

use crate::access::{self, Reader};
use crate::config::read_bounded;
use bursar_proto::name::Reference;
use bursar_proto::template::{Subject, TEMPLATE_MAX, Template};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

/// The most files: a server has some dozens of services, and each change of a secret looks at all.
const RENDERS_MAX: usize = 256;

/// The longest name of a file, in bytes: a file system takes 255, and this leaves room for what tools append.
const FILE_MAX: usize = 200;

/// The signals on which services read their files anew, or start over.
const SIGNALS: [&str; 7] = ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGINT", "SIGQUIT", "SIGTERM"];

/// A file that is kept fresh.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Written")]
pub(crate) struct Render {
    /// Its name.
    pub(crate) file: String,
    /// What it is rendered from.
    pub(crate) source: Source,
    /// Where its data elements are looked up.
    pub(crate) environment: Option<Reference>,
    /// Who may read it beside the daemon's own user; sorted.
    pub(crate) readers: Vec<Reader>,
    /// The unit that is told when it changed, and how.
    pub(crate) unit: Option<(String, Action)>,
}

/// A template.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Source {
    /// It stands in the config.
    Text(String),
    /// It is a file, which is read each time.
    File(PathBuf),
}

/// How a unit is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// It is reloaded, or restarted where it cannot be.
    Reload,
    /// It is restarted.
    Restart,
    /// Its main process is sent a signal.
    Signal(&'static str),
}

/// Why `[[render]]` cannot be used.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(
        "render.file: expected a plain name of at most {FILE_MAX} bytes, without a slash and without a dot at its \
         beginning"
    )]
    File,
    #[error("render of {0}: give text or template, one of them")]
    Source(String),
    #[error("render of {0}: template is the absolute path of a file")]
    Relative(String),
    #[error("render of {0}: {1}")]
    Template(String, String),
    #[error("render of {0}: action says how a unit is told, so say unit")]
    NoUnit(String),
    #[error("render: at most {RENDERS_MAX} files")]
    TooMany,
    #[error("render: two files are named {0}")]
    Twice(String),
    #[error("render: {0} is told in two ways; let all of its files have the same action")]
    TwoActions(String),
}

/// A file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    file: String,
    text: Option<String>,
    template: Option<PathBuf>,
    environment: Option<Reference>,
    #[serde(default, deserialize_with = "access::readers")]
    readers: Vec<Reader>,
    #[serde(default, deserialize_with = "access::service")]
    unit: Option<String>,
    action: Option<Action>,
}

impl TryFrom<Written> for Render {
    type Error = Fault;
    fn try_from(written: Written) -> Result<Self, Fault> {
        let Written { file, text, template, environment, readers, unit, action } = written;
        let plain = !file.is_empty() && file.len() <= FILE_MAX && !file.starts_with('.');
        if !plain || file.contains(|c: char| c == '/' || c.is_control()) {
            return Err(Fault::File);
        }
        let source = match (text, template) {
            (Some(text), None) => {
                if let Err(reason) = parsed(&text, environment.as_ref()) {
                    return Err(Fault::Template(file, reason));
                }
                Source::Text(text)
            }
            (None, Some(path)) if path.is_absolute() => Source::File(path),
            (None, Some(_)) => return Err(Fault::Relative(file)),
            _ => return Err(Fault::Source(file)),
        };
        let unit = match (unit, action) {
            (Some(unit), action) => Some((unit, action.unwrap_or(Action::Reload))),
            (None, None) => None,
            (None, Some(_)) => return Err(Fault::NoUnit(file)),
        };
        Ok(Self { file, source, environment, readers, unit })
    }
}

/// A template whose names can be looked up.
///
/// # Errors
/// Why not, in words: it does not parse, or there is no environment for its data elements.
pub(crate) fn parsed<'a>(text: &'a str, environment: Option<&Reference>) -> Result<Template<'a>, String> {
    let template = Template::parse(text)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    let element = template.marks().find(|mark| matches!(mark.subject, Subject::Element(_)));
    if let Some(mark) = element.filter(|_| environment.is_none()) {
        return Err(format!("{}: %{}% is a data element, so say environment", mark.place, mark.subject));
    }
    Ok(template)
}

impl Source {
    /// The template's text.
    ///
    /// # Errors
    /// The file cannot be read, is too large, or others can write to it: who writes it says which secrets are in it.
    pub(crate) fn read(&self) -> io::Result<Cow<'_, str>> {
        match self {
            Self::Text(text) => Ok(text.into()),
            Self::File(path) => {
                // opening a pipe would wait for who writes to it
                if !std::fs::metadata(path)?.is_file() {
                    return Err(io::Error::other("it is no file"));
                }
                read_bounded(path, TEMPLATE_MAX as u64).map(Cow::Owned)
            }
        }
    }
}

impl Action {
    const fn word(self) -> &'static str {
        match self {
            Self::Reload => "reload",
            Self::Restart => "restart",
            Self::Signal(name) => name,
        }
    }
}

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let signals = SIGNALS.into_iter().map(Self::Signal);
        [Self::Reload, Self::Restart]
            .into_iter()
            .chain(signals)
            .find(|action| action.word() == text)
            .ok_or_else(|| {
                let signals = SIGNALS.join(", ");
                serde::de::Error::custom(format_args!(
                    "render.action: expected one of: reload, restart, {signals}"
                ))
            })
    }
}

/// Reads the list: no name twice, and one way to tell each unit.
pub(crate) fn renders<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Render>, D::Error> {
    let renders = Vec::<Render>::deserialize(deserializer)?;
    fitting(&renders).map_err(serde::de::Error::custom)?;
    Ok(renders)
}

fn fitting(renders: &[Render]) -> Result<(), Fault> {
    if renders.len() > RENDERS_MAX {
        return Err(Fault::TooMany);
    }
    let (mut files, mut units) = (BTreeSet::new(), BTreeMap::new());
    for render in renders {
        if !files.insert(&render.file) {
            return Err(Fault::Twice(render.file.clone()));
        }
        if let Some((unit, action)) = &render.unit
            && units.insert(unit, action).is_some_and(|known| known != action)
        {
            return Err(Fault::TwoActions(unit.clone()));
        }
    }
    Ok(())
}
