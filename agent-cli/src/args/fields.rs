//! A flag for every field of every secret type, made from the one table of fields.
//!
//! A sensitive field, and a certificate, is given as a file; no flag takes a sensitive value.

use bursar_proto::kind::{Field, SecretType, Shape};
use bursar_proto::time::parse_duration;
use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, FromArgMatches};
use std::path::PathBuf;

/// The flag that gives the entries of a key-value secret one by one.
pub(crate) const ENTRY: &str = "entry";

/// What stands above the flags of fields.
const HEADING: &str = "Fields [of these types]";

/// What the flags said, in the order of the table. For a `NEW` secret the help says which fields are required.
#[derive(Debug, Default)]
pub(crate) struct FieldFlags<const NEW: bool> {
    pub(crate) given: Vec<(&'static Field, Given)>,
}

/// What one flag said. None of it is sensitive: sensitive fields are still the names of files.
#[derive(Debug)]
pub(crate) enum Given {
    Text(String),
    Seconds(u64),
    Texts(Vec<(String, String)>),
    List(Vec<String>),
    /// JSON as it was written, or `@FILE`.
    Object(String),
    File(PathBuf),
    /// Names, and the files of their values.
    Entries(Vec<(String, PathBuf)>),
}

/// Whether the field is given as a file.
fn by_file(field: &Field) -> bool {
    // a certificate is no secret, but who has it has it as a file
    field.sensitive || field.name == "certificate"
}

/// Whether a person can type it in: one line that nobody may see. A key has many.
pub(crate) fn askable(field: &Field) -> bool {
    field.sensitive && field.shape == Shape::Text && field.name != "private_key"
}

/// The flag of a field, without its dashes in front.
pub(crate) fn flag(field: &Field) -> String {
    field.name.replace('_', "-") + if by_file(field) { "-file" } else { "" }
}

/// Every field once, with the types that have it.
fn table() -> Vec<(&'static Field, Vec<SecretType>)> {
    let mut table: Vec<(&'static Field, Vec<SecretType>)> = Vec::new();
    for kind in SecretType::ALL {
        for field in kind.fields() {
            match table.iter_mut().find(|(known, _)| known.name == field.name) {
                Some((_, kinds)) => kinds.push(*kind),
                None => table.push((field, vec![*kind])),
            }
        }
    }
    table
}

impl<const NEW: bool> clap::Args for FieldFlags<NEW> {
    fn augment_args(mut command: clap::Command) -> clap::Command {
        for (field, kinds) in table() {
            command = command.arg(argument(field, &kinds, NEW));
            if field.name == "entries" {
                command = command.arg(
                    Arg::new(ENTRY)
                        .long(ENTRY)
                        .value_name("NAME=FILE")
                        .action(ArgAction::Append)
                        .value_parser(ValueParser::new(name_and_value))
                        .conflicts_with("from_file")
                        .help_heading(HEADING)
                        .help(
                            "one entry, its value read from a file, - for standard input; may be repeated [key-value]",
                        ),
                );
            }
        }
        command
    }
    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

/// The types that take a field; for a new secret, with those that require it.
fn takers(field: &Field, kinds: &[SecretType], new: bool) -> String {
    let required = |kind: &SecretType| {
        new && kind.fields().iter().any(|known| known.name == field.name && known.required)
    };
    let word = |kind: &SecretType| {
        if required(kind) { format!("{kind}: required") } else { kind.to_string() }
    };
    kinds.iter().map(word).collect::<Vec<_>>().join(", ")
}

/// What a field means; a duration's flag takes units, where JSON takes seconds alone.
fn meaning(field: &Field) -> String {
    match field.shape {
        Shape::Seconds => field.help.replace("how many seconds", "how long").replace(", in seconds", ""),
        _ => field.help.to_owned(),
    }
}

fn argument(field: &'static Field, kinds: &[SecretType], new: bool) -> Arg {
    let more = match field.shape {
        _ if field.name == "entries" => "; lines NAME=VALUE, or a JSON object; - for standard input",
        _ if askable(field) => "; - for standard input; asked for on a terminal",
        _ if by_file(field) => "; - for standard input",
        Shape::Texts | Shape::List => "; may be repeated",
        Shape::Seconds => ": 3600, 10m or 4h",
        _ => "",
    };
    let argument = Arg::new(flag(field))
        .long(flag(field))
        .help(format!("{}{more} [{}]", meaning(field), takers(field, kinds, new)))
        .help_heading(HEADING)
        .conflicts_with("from_file");
    if by_file(field) {
        return argument.value_name("FILE").value_parser(ValueParser::path_buf());
    }
    match field.shape {
        Shape::Text => argument.value_name("TEXT"),
        Shape::Seconds => argument
            .value_name("DURATION")
            .value_parser(ValueParser::new(parse_duration))
            // or a negative one would be taken for a flag that does not exist
            .allow_hyphen_values(true),
        Shape::Texts => argument
            .value_name("NAME=VALUE")
            .action(ArgAction::Append)
            .value_parser(ValueParser::new(name_and_value)),
        Shape::Object => argument.value_name("JSON|@FILE"),
        Shape::List => argument.value_name("TEXT").action(ArgAction::Append),
    }
}

impl<const NEW: bool> FromArgMatches for FieldFlags<NEW> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = Vec::new();
        for (field, _) in table() {
            if let Some(value) = take(field, matches) {
                given.push((field, value));
            }
            if field.name == "entries"
                && let Some(pairs) = matches.get_many::<(String, String)>(ENTRY)
            {
                let pairs = pairs.map(|(name, file)| (name.clone(), PathBuf::from(file))).collect();
                given.push((field, Given::Entries(pairs)));
            }
        }
        Ok(Self { given })
    }
    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn take(field: &Field, matches: &ArgMatches) -> Option<Given> {
    let flag = flag(field);
    let text = || matches.get_one::<String>(&flag).cloned();
    if by_file(field) {
        return matches.get_one::<PathBuf>(&flag).cloned().map(Given::File);
    }
    match field.shape {
        Shape::Text => text().map(Given::Text),
        Shape::Object => text().map(Given::Object),
        Shape::Seconds => matches.get_one::<u64>(&flag).copied().map(Given::Seconds),
        Shape::Texts => {
            matches.get_many::<(String, String)>(&flag).map(|pairs| Given::Texts(pairs.cloned().collect()))
        }
        Shape::List => matches.get_many::<String>(&flag).map(|texts| Given::List(texts.cloned().collect())),
    }
}

fn name_and_value(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args, Command, secret};
    use clap::Parser;

    #[test]
    fn a_field_of_several_types_has_one_shape() {
        for (known, kinds) in table() {
            for field in kinds.iter().flat_map(|kind| kind.fields()).filter(|field| field.name == known.name)
            {
                assert_eq!((field.shape, field.sensitive), (known.shape, known.sensitive), "{}", field.name);
            }
        }
    }

    #[test]
    fn every_field_of_every_type_has_a_flag() {
        for kind in SecretType::ALL {
            for field in kind.fields() {
                assert!(table().iter().any(|(known, _)| known.name == field.name), "{}", field.name);
            }
        }
    }

    #[test]
    fn flags_become_what_the_table_says() {
        let line = "bursar secret create x --type oauth2-jwt --iss i --ttl 2h --options a=b=c --options d= \
                    --custom-claims {} --scopes s --scopes t --private-key-file k.pem --entry E=f";
        let args = Args::try_parse_from(line.split_whitespace()).unwrap();
        let Command::Secret(noun) = args.command else { panic!() };
        let secret::Verb::Create(create) = noun.0.verb else { panic!() };
        let mut read: Vec<_> =
            create.0.fields.given.iter().map(|(field, given)| format!("{} {given:?}", field.name)).collect();
        read.sort();
        assert_eq!(
            read,
            [
                "custom_claims Object(\"{}\")",
                "entries Entries([(\"E\", \"f\")])",
                "iss Text(\"i\")",
                "options Texts([(\"a\", \"b=c\"), (\"d\", \"\")])",
                "private_key File(\"k.pem\")",
                "scopes List([\"s\", \"t\"])",
                "ttl Seconds(7200)",
            ]
        );
    }

    #[test]
    fn help_says_who_takes_a_field_and_who_needs_it() {
        let help = |name: &str, new: bool| {
            let (field, kinds) = table().into_iter().find(|(field, _)| field.name == name).unwrap();
            argument(field, &kinds, new).get_help().unwrap().to_string()
        };
        assert!(help("token_url", true).ends_with("[oauth2-client_credentials: required, oauth2-jwt]"));
        assert!(help("token_url", false).ends_with("[oauth2-client_credentials, oauth2-jwt]"));
        assert_eq!(help("ttl", true), "the lifetime of the jwt: 3600, 10m or 4h [oauth2-jwt: required]");
        assert!(help("refresh_offset", true).starts_with("how long before it expires"));
        assert_eq!(
            help("scopes", true),
            "what the token may do; may be repeated [oauth2-google: required, client-credentials]"
        );
    }

    #[test]
    fn a_file_has_the_fields_alone_and_other_flags_win_over_it() {
        let parses = |flag: &str| {
            let line = format!("bursar secret create x --from-file f {flag}");
            Args::try_parse_from(line.split(' ')).is_ok()
        };
        for flag in ["--type token", "--token-file f", "--ttl 3s"] {
            assert!(!parses(flag), "{flag}");
        }
        for flag in ["--unbound", "--environment staging", "--expiration-date 2030-01-01"] {
            assert!(parses(flag), "{flag}");
        }
    }
}
