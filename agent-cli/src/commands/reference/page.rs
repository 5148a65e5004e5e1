//! One manual page: clap's sections, the examples as they are typed, and what concerns all of `bursar`.

use clap::Command;
use clap_mangen::Man;
use std::io::{self, Write};

/// What the exit codes mean; `docs/protocol.md` has the errors behind them.
const EXIT_STATUS: &[(&str, &str)] = &[
    ("0", "ok"),
    ("1", "failed"),
    ("2", "wrong usage, or input that was refused"),
    ("3", "the vault is locked, or there is none"),
    ("4", "denied: another user, a wrong passphrase or key file, too many of them"),
    ("5", "no thing of that name"),
    ("6", "a person has to authorize"),
    (
        "7",
        "not available: failed, expired, deactivated, unbound, pending, an issuer that is not set up, a port that is taken; get of a secret whose exchange failed earlier is always this",
    ),
    ("8", "the issuer was not reached by an exchange that this command made or followed"),
    ("9", "the agent cannot be reached"),
    ("10", "conflict: the name exists, or a binding that cannot change"),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    ("BURSAR_SOCK", "the agent's socket; before BURSAR_HOME"),
    ("BURSAR_HOME", "one directory for socket, vault, config and log"),
    ("XDG_RUNTIME_DIR", "where the socket's directory is, else /run/user/UID"),
    ("XDG_CONFIG_HOME, XDG_DATA_HOME, XDG_STATE_HOME", "where config, vault and log are without BURSAR_HOME"),
    ("BROWSER", "what opens addresses, else xdg-open: blanks part its words, %s stands for the address"),
    ("NO_COLOR", "no bold headings"),
];

const FILES: &[(&str, &str)] = &[
    ("$XDG_RUNTIME_DIR/bursar/bursar.sock", "the socket; bursar.sock in BURSAR_HOME"),
    ("~/.config/bursar/bursar.toml", "the config; bursar.toml in BURSAR_HOME"),
    ("~/.config/bursar/vault.key", "the key file of quickstart; vault.key in BURSAR_HOME"),
    ("~/.local/share/bursar/", "vault and snapshots; state/ in BURSAR_HOME"),
    (
        "~/.local/state/bursar/bursar.log",
        "the log of an agent that bursar started; bursar.log in BURSAR_HOME",
    ),
];

/// The command with everything in it that has a page.
pub(super) fn documented(command: Command) -> Command {
    // there is no page of `help`, and so none is referred to
    let mut command = command.disable_help_subcommand(true);
    command.build();
    command
}

/// Writes the page of a built command.
pub(super) fn write(command: &Command, page: &mut dyn Write) -> io::Result<()> {
    let examples = command.get_after_help().map(ToString::to_string);
    let man = Man::new(command.clone());
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(page)?;
    }
    if let Some(examples) = examples {
        write_examples(&examples, page)?;
    }
    if command.get_version().is_some() {
        write_list("EXIT STATUS", EXIT_STATUS, page)?;
        write_list("ENVIRONMENT", ENVIRONMENT, page)?;
        write_list("FILES", FILES, page)?;
        man.render_version_section(page)?;
    }
    Ok(())
}

/// The lines under `Example:` or `Examples:`, as they are typed.
fn write_examples(text: &str, page: &mut dyn Write) -> io::Result<()> {
    writeln!(page, ".SH EXAMPLES\n.nf")?;
    for line in text.lines().filter(|line| !line.starts_with("Example")) {
        writeln!(page, "{}", literal(line.trim()))?;
    }
    writeln!(page, ".fi")
}

fn write_list(heading: &str, pairs: &[(&str, &str)], page: &mut dyn Write) -> io::Result<()> {
    writeln!(page, ".SH \"{heading}\"")?;
    for (name, meaning) in pairs {
        writeln!(page, ".TP\n\\fB{}\\fR\n{}", literal(name), literal(meaning))?;
    }
    Ok(())
}

/// A line that roff prints as it stands.
fn literal(line: &str) -> String {
    let escaped = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('~', "\\(ti");
    if escaped.starts_with('.') { format!("\\&{escaped}") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Args;
    use bursar_proto::error::ErrorName;
    use clap::CommandFactory;

    fn page(path: &[&str]) -> String {
        let command = documented(Args::command());
        let found = path.iter().fold(&command, |command, name| command.find_subcommand(name).unwrap());
        let mut page = Vec::new();
        write(found, &mut page).unwrap();
        String::from_utf8(page).unwrap()
    }

    #[test]
    fn examples_are_typed_as_they_stand() {
        let text = page(&["unlock"]);
        assert!(
            text.contains(
                ".SH EXAMPLES\n.nf\nbursar unlock\npass show bursar | bursar unlock \\-\\-passphrase\\-file \\-\n.fi\n"
            ),
            "{text}"
        );
        assert_eq!(literal(".x 'y' \\n"), "\\&.x \\(aqy\\(aq \\en");
    }

    #[test]
    fn the_first_page_has_what_concerns_all() {
        let text = page(&[]);
        for heading in [".SH EXAMPLES", ".SH \"EXIT STATUS\"", ".SH \"ENVIRONMENT\"", ".SH \"FILES\""] {
            assert!(text.contains(heading), "{heading}: {text}");
        }
        for error in ErrorName::ALL {
            let code = error.exit_code().to_string();
            assert!(EXIT_STATUS.iter().any(|(known, _)| *known == code), "{error}");
        }
    }

    #[test]
    fn no_page_refers_to_one_that_is_not_there() {
        for path in [&[][..], &["secret"], &["agent"]] {
            assert!(!page(path).contains("help(1)"), "{path:?}");
        }
    }
}
