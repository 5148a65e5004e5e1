//! Completions and manual pages, from the same definitions as the commands.

mod page;

use crate::args::{Args, Shell};
use crate::file::absolute;
use crate::output::write_out;
use crate::session::Session;
use crate::stop::Stop;
use clap::{Command, CommandFactory};
use clap_complete::Shell as Target;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

pub(crate) fn completions(shell: Shell) -> Result<(), Stop> {
    write_out(&completion_script(shell))
}

fn completion_script(shell: Shell) -> Vec<u8> {
    let target = match shell {
        Shell::Bash => Target::Bash,
        Shell::Zsh => Target::Zsh,
        Shell::Fish => Target::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(target, &mut Args::command(), "bursar", &mut script);
    script
}

pub(crate) fn man(session: &Session, output: Option<&Path>) -> Result<(), Stop> {
    let command = page::documented(Args::command());
    let Some(directory) = output else {
        let mut text = Vec::new();
        page::write(&command, &mut text)
            .map_err(|error| Stop::local(format!("no manual page: {}", error.kind())))?;
        return write_out(&text);
    };
    let directory = absolute(directory)?;
    let written = fs::create_dir_all(&directory).and_then(|()| write_pages(&command, &directory));
    written.map_err(|error| Stop::unwritable(&directory, &error))?;
    session.printer.reply(&serde_json::json!({ "directory": directory }), |_| {
        format!("the pages are in {}\n", directory.display())
    })
}

/// Writes the page of a command, and those of the commands in it.
fn write_pages(command: &Command, directory: &Path) -> io::Result<()> {
    for inner in command.get_subcommands() {
        write_pages(inner, directory)?;
    }
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let mut file = BufWriter::new(File::create(directory.join(format!("{name}.1")))?);
    page::write(command, &mut file)?;
    file.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completions_know_flags_of_nested_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = String::from_utf8(completion_script(shell)).unwrap();
            for word in ["client-secret-file", "min-validity", "oauth2-google", "client-file", "no-browser"] {
                assert!(script.contains(word), "{word}");
            }
        }
    }

    #[test]
    fn every_command_has_a_page() {
        let home = tempfile::tempdir().unwrap();
        write_pages(&page::documented(Args::command()), home.path()).unwrap();
        for page in [
            "bursar.1",
            "bursar-get.1",
            "bursar-secret-create.1",
            "bursar-secret-reauthorize.1",
            "bursar-google-configure.1",
            "bursar-google-show.1",
            "bursar-agent-env.1",
        ] {
            let text = fs::read_to_string(home.path().join(page)).expect(page);
            assert!(text.contains(".SH EXAMPLES"), "{page}");
        }
    }
}
