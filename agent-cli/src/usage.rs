//! What clap refuses, in our words: they name flags, never what was given to them, for that may be a secret.

use crate::args::Args;
use crate::exec::FAILED_BEFORE;
use crate::output::Printer;
use bursar_proto::error::{CallError, ErrorName, split_hint};
use bursar_proto::kind::SecretType;
use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::error::Error as _;
use std::ffi::OsString;
use std::process::ExitCode;

/// The longest unknown flag or command that is repeated, as on the wire.
const ECHO_MAX: usize = 40;

/// Prints help or version where these were asked for, the error otherwise.
pub(crate) fn refuse(error: &clap::Error, arguments: &[OsString], printer: &Printer) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if !printer.json() => {
            let _ = error.print();
            ExitCode::from(ErrorName::Invalid.exit_code())
        }
        _ => {
            let used = used(arguments);
            let error = in_words(error, &used);
            printer.failure(&error);
            // a usage error of ours must not look like an exit code of the command
            let of_exec = used.get_name() == "exec";
            ExitCode::from(if of_exec { FAILED_BEFORE } else { error.name.exit_code() })
        }
    }
}

/// The command that was used, as far as it is one: `bursar secret create`.
fn used(arguments: &[OsString]) -> clap::Command {
    let mut command = Args::command();
    command.build();
    for argument in arguments.iter().skip(1) {
        let name = argument.to_str().filter(|name| *name != "help");
        match name.and_then(|name| command.find_subcommand(name)) {
            Some(inner) => command = inner.clone(),
            // flags may stand before a command, and --socket with its path
            None if command.has_subcommands() => {}
            None => break,
        }
    }
    command
}

/// The command of a command line, in full.
pub(crate) fn called_in_full(arguments: &[OsString]) -> String {
    called(&used(arguments)).to_owned()
}

/// A command in full.
fn called(command: &clap::Command) -> &str {
    command.get_bin_name().unwrap_or("bursar")
}

fn in_words(error: &clap::Error, used: &clap::Command) -> CallError {
    let argument = texts(error, ContextKind::InvalidArg).join(", ");
    let valid = texts(error, ContextKind::ValidValue).join(", ");
    let message = match error.kind() {
        ErrorKind::UnknownArgument => return unknown_argument(error, &argument, used),
        ErrorKind::InvalidSubcommand => return unknown_command(error, used),
        ErrorKind::InvalidValue if valid.is_empty() => format!("{argument}: a value is required"),
        // the words are there already
        ErrorKind::InvalidValue => {
            return CallError::new(ErrorName::Invalid, format!("{argument}: expected one of: {valid}"));
        }
        ErrorKind::ValueValidation => {
            let reason = error.source().map_or("the value does not fit".to_owned(), ToString::to_string);
            // a reason may end with what to do
            if let (reason, Some(hint)) = split_hint(&reason) {
                return CallError::new(ErrorName::Invalid, format!("{argument}: {reason}")).hint(hint);
            }
            format!("{argument}: {reason}")
        }
        ErrorKind::MissingRequiredArgument => format!("missing: {argument}"),
        ErrorKind::ArgumentConflict => {
            let others = texts(error, ContextKind::PriorArg).join(", ");
            if others.is_empty() || others == argument {
                format!("{argument}: given more than once, or with what excludes it")
            } else {
                format!("{argument} cannot be used with {others}")
            }
        }
        ErrorKind::NoEquals | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {
            format!("{argument}: a value is missing")
        }
        ErrorKind::TooManyValues => format!("{argument}: a value too many"),
        ErrorKind::InvalidUtf8 => "an argument is no utf-8 text".to_owned(),
        _ => "a command is missing".to_owned(),
    };
    with_hint(CallError::new(ErrorName::Invalid, message), error, used)
}

fn unknown_command(error: &clap::Error, used: &clap::Command) -> CallError {
    let words = texts(error, ContextKind::InvalidSubcommand);
    let word = words.first().map(String::as_str).filter(|word| harmless(word));
    let message = word.map_or("no such command".to_owned(), |word| format!("no such command: {word}"));
    let refused = CallError::new(ErrorName::Invalid, message);
    // a verb without its noun is no slip of the keyboard
    let mut likely: Vec<String> = used
        .get_subcommands()
        .filter_map(|noun| word.and_then(|word| noun.find_subcommand(word)))
        .map(|verb| called(verb).to_owned())
        .filter(|command| !command.starts_with("bursar help"))
        .collect();
    if likely.is_empty() {
        let suggested = texts(error, ContextKind::SuggestedSubcommand).pop(); // the likeliest stands last
        likely.extend(suggested.map(|command| format!("{} {command}", called(used))));
    }
    if likely.is_empty() {
        refused.hint(format!("see {} --help", called(used)))
    } else {
        refused.hint(format!("did you mean: {}", likely.join(", or ")))
    }
}

fn unknown_argument(error: &clap::Error, argument: &str, used: &clap::Command) -> CallError {
    let invalid = |message: String| CallError::new(ErrorName::Invalid, message);
    let Some(flag) = argument.strip_prefix("--").filter(|flag| harmless(flag)) else {
        let refused = invalid("an argument that this command does not take".to_owned());
        if used.get_name() == "exec" {
            return refused.hint("the command stands after --: bursar exec -- CMD");
        }
        if used.get_name() == "list" && used.get_arguments().any(|flag| flag.get_id() == "organization") {
            let name = if harmless(argument) { argument } else { "NAME" };
            return refused.hint(format!("{} --organization {name}", called(used)));
        }
        return with_hint(refused, error, used);
    };
    // only what makes secrets has a field of that name
    if flag == "client-secret"
        && !used.get_arguments().any(|one| one.get_long() == Some("client-secret-file"))
    {
        return invalid(format!("no such flag: --{flag}"))
            .hint("did you mean: --client-secrets, beside --non-interactive");
    }
    if is_sensitive(flag) {
        return invalid(format!("--{flag}: a sensitive value is never taken from the command line"))
            .hint(format!("use --{flag}-file with a file, or with - for standard input"));
    }
    with_hint(invalid(format!("no such flag: --{flag}")), error, used)
}

/// Whether a flag of this name would carry what others must not see in a list of processes.
fn is_sensitive(flag: &str) -> bool {
    let name = flag.replace('-', "_");
    let fields = SecretType::ALL.iter().flat_map(|kind| kind.fields());
    name == "passphrase" || fields.into_iter().any(|field| field.sensitive && field.name == name)
}

fn with_hint(refused: CallError, error: &clap::Error, used: &clap::Command) -> CallError {
    if let Some(flag) = texts(error, ContextKind::SuggestedArg).pop() {
        return refused.hint(format!("did you mean: {flag}"));
    }
    let usage = texts(error, ContextKind::Usage);
    match usage.first().and_then(|usage| usage.lines().next()) {
        Some(usage) if error.kind() == ErrorKind::MissingRequiredArgument => {
            refused.hint(usage.replacen("Usage:", "usage:", 1))
        }
        _ => refused.hint(format!("see {} --help", called(used))),
    }
}

fn texts(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        Some(ContextValue::StyledStr(text)) => vec![text.to_string()],
        Some(ContextValue::StyledStrs(texts)) => texts.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

/// The rule for unknown fields, with dashes: what looks like a name may be repeated.
fn harmless(text: &str) -> bool {
    (1..=ECHO_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Args;
    use clap::Parser;

    fn refused(line: &str) -> CallError {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let Err(error) = Args::try_parse_from(&arguments) else { panic!("{line}: was read") };
        in_words(&error, &used(&arguments))
    }

    #[test]
    fn a_sensitive_value_as_a_flag_is_refused_unseen() {
        let line = "bursar secret create x --type token";
        for flag in [
            "client-secret",
            "password",
            "token",
            "value",
            "header-value",
            "private-key",
            "entries",
            "passphrase",
        ] {
            for end in [format!("{line} --{flag} Hunter2"), format!("{line} --{flag}=Hunter2")] {
                let error = refused(&end);
                assert_eq!(
                    error.message,
                    format!("--{flag}: a sensitive value is never taken from the command line")
                );
                assert!(error.hint.unwrap().contains(&format!("--{flag}-file")), "{end}");
            }
        }
        let of_google = refused("bursar google configure --client-id i --client-secret Hunter2");
        assert_eq!(
            of_google.hint.as_deref(),
            Some("use --client-secret-file with a file, or with - for standard input")
        );
        assert!(refused("bursar init --passphrase Hunter2").message.starts_with("--passphrase: "));
    }

    #[test]
    fn one_client_secret_is_given_by_the_flag_for_several() {
        for line in ["bursar sync --client-secret Hunter2", "bursar --client-secret=Hunter2 info acme/site"] {
            let error = refused(line);
            assert_eq!(error.message, "no such flag: --client-secret");
            assert_eq!(error.hint.unwrap(), "did you mean: --client-secrets, beside --non-interactive");
        }
        assert!(refused("bursar sync --client-secrets").message.ends_with("a value is required"));
    }

    #[test]
    fn no_refusal_repeats_a_value() {
        for line in [
            "bursar get x Hunter2!",
            "bursar unlock Hunter2!",
            "bursar Hunter2!",
            "bursar secret Hunter2!",
            "bursar secret create Hunter2! --type token",
            "bursar secret create x --type Hunter2!",
            "bursar secret create x --type token --ttl Hunter2!",
            "bursar secret create x --type token --options Hunter2!",
            "bursar get x --min-validity Hunter2!",
            "bursar get x --Hunter2!",
            "bursar get x -Hunter2!",
            "bursar environment create x --stage Hunter2!",
            "bursar --json=Hunter2! get x",
        ] {
            let error = refused(line);
            assert_eq!(error.name.exit_code(), 2);
            let said = format!("{} {}", error.message, error.hint.unwrap_or_default());
            assert!(!said.contains("unter2"), "{line}: {said}");
        }
    }

    #[test]
    fn a_client_secret_in_place_of_its_id_is_refused_unseen() {
        let whole = "bcs_k3j9x2m4pq_0123456789abcdefghjkmnpqrstvwxyz0123456789abcdefghjk_0123456";
        for (command, argument) in [
            ("client-secret show", "<ID>"),
            ("client-secret revoke", "<ID>"),
            ("client-secret rotate", "<ID>"),
            ("usage", "[NAME|ID]"),
            ("audit --client-secret", "--client-secret <ID>"),
        ] {
            let error = refused(&format!("bursar {command} {whole}"));
            let told = "this is the value of a client secret, and only its id is asked for";
            assert_eq!(error.message, format!("{argument}: {told}"), "{command}");
            assert_eq!(error.hint.as_deref(), Some("its id is k3j9x2m4pq"), "{command}");
        }
        for command in ["client-secret", "client-secret list", "audit"] {
            let error = refused(&format!("bursar {command} {whole}"));
            let said = format!("{} {}", error.message, error.hint.unwrap_or_default());
            assert!(!said.contains("0123456789"), "{command}: {said}");
        }
    }

    #[test]
    fn a_refusal_says_what_would_do() {
        let message = |line| refused(line).message;
        assert_eq!(
            message("bursar environment create x --stage prod"),
            "--stage <STAGE>: expected one of: development, staging, production"
        );
        assert_eq!(
            message("bursar get x --min-validity soon"),
            "--min-validity <DURATION>: a duration is a whole number with a unit: 90s, 10m, 4h, 30d"
        );
        assert_eq!(message("bursar get x --ouput f"), "no such flag: --ouput");
        let hint = |line| refused(line).hint;
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(hint("bursar get x --ouput f"), some("did you mean: --output"));
        assert_eq!(hint("bursar get x --min-validity soon"), some("see bursar get --help"));
        assert_eq!(hint("bursar --socket /s get x --min-validity soon"), some("see bursar get --help"));
        assert_eq!(hint("bursar environment create x --stage prod"), None);
        assert_eq!(hint("bursar environment list acme"), some("bursar environment list --organization acme"));
        assert_eq!(hint("bursar environment list A7!"), some("bursar environment list --organization NAME"));
        assert!(message("bursar get").contains("<SECRET>"));
        assert_eq!(hint("bursar get"), some("usage: bursar get <SECRET>"));
    }

    #[test]
    fn an_unknown_command_is_answered_with_whole_commands() {
        let hint = |line| refused(line).hint.unwrap();
        assert_eq!(hint("bursar frobnicate"), "see bursar --help");
        assert_eq!(hint("bursar secret frobnicate"), "see bursar secret --help");
        assert_eq!(hint("bursar secrets"), "did you mean: bursar secret");
        assert_eq!(hint("bursar secret creat x"), "did you mean: bursar secret create");
        assert_eq!(hint("bursar start"), "did you mean: bursar agent start");
        assert_eq!(hint("bursar bind x y"), "did you mean: bursar secret bind");
    }
}
