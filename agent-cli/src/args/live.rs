//! Flags of what uses live values: `check`, `render`, `exec`.

use bursar_proto::kind::Stage;
use bursar_proto::name::Reference;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

/// The word for all stages.
const ALL: &str = "all";

#[derive(clap::Args)]
pub(crate) struct Check {
    /// For this environment; the workspace's if nothing is said
    #[arg(long, short, value_name = "ENV", conflicts_with = "stage")]
    pub(crate) environment: Option<Reference>,
    /// For this stage, or for all: a matrix, in which an empty slot counts as not good
    #[arg(long, value_parser = stages())]
    pub(crate) stage: Option<Stages>,
}

/// One stage, or all.
#[derive(Clone, Copy)]
pub(crate) enum Stages {
    One(Stage),
    All,
}

fn stages() -> impl TypedValueParser<Value = Stages> {
    let words = Stage::ALL.iter().map(|stage| stage.as_str()).chain([ALL]);
    PossibleValuesParser::new(words)
        .try_map(|text| if text == ALL { Ok(Stages::All) } else { text.parse().map(Stages::One) })
}

#[derive(clap::Args)]
pub(crate) struct Render {
    /// The template, - for standard input
    #[arg(value_name = "TEMPLATE")]
    pub(crate) template: PathBuf,
    /// For this environment; the workspace's if not said
    #[arg(long, short, value_name = "ENV")]
    pub(crate) environment: Option<Reference>,
    /// Write to this file (0600, by rename) instead of standard output (-)
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct Exec {
    /// For this environment; the workspace's if not said
    #[arg(long, short, value_name = "ENV")]
    pub(crate) environment: Option<Reference>,
    /// Set the variable NAME to a rendered template, over [env] of bursar.toml; may be given several times
    #[arg(long, value_name = "NAME=TEMPLATE")]
    pub(crate) set: Vec<Assignment>,
    /// Set the variable NAME to the path of a file (0600, in memory) that holds a rendered template and is gone when the
    /// command ends
    #[arg(long, value_name = "NAME=TEMPLATE")]
    pub(crate) file: Vec<Assignment>,
    /// Replace every value in the command's output by ***, also where it is encoded (base64, URL, JSON, XML)
    #[arg(long)]
    pub(crate) mask: bool,
    /// The command and its arguments, after --
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// A variable and the template of its value.
#[derive(Clone)]
pub(crate) struct Assignment {
    pub(crate) name: String,
    pub(crate) template: String,
}

impl FromStr for Assignment {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, template) = text.split_once('=').ok_or("expected NAME=TEMPLATE")?;
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err("a variable's name is not empty, and has no control character");
        }
        Ok(Self { name: name.to_owned(), template: template.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_ends_its_name_at_the_first_equals_sign() {
        let read: Assignment = "A=b=c".parse().unwrap();
        assert_eq!((read.name.as_str(), read.template.as_str()), ("A", "b=c"));
        for wrong in ["A", "=x", "A\n=x", ""] {
            assert!(wrong.parse::<Assignment>().is_err(), "{wrong:?}");
        }
    }
}
