//! Completions and manual pages, from the same definitions as the commands.

use crate::args::{Args, Shell};
use crate::file::absolute;
use crate::output::write_out;
use crate::session::Session;
use crate::stop::Stop;
use clap::CommandFactory;
use clap_complete::Shell as Target;
use clap_mangen::Man;
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
    let Some(directory) = output else {
        let mut page = Vec::new();
        Man::new(Args::command())
            .render(&mut page)
            .map_err(|error| Stop::local(format!("no manual page: {}", error.kind())))?;
        return write_out(&page);
    };
    let directory = absolute(directory)?;
    let written = std::fs::create_dir_all(&directory)
        .and_then(|()| clap_mangen::generate_to(Args::command(), &directory));
    written.map_err(|error| Stop::unwritable(&directory, &error))?;
    session.printer.reply(&serde_json::json!({ "directory": directory }), |_| {
        format!("the pages are in {}\n", directory.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completions_know_flags_of_nested_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = String::from_utf8(completion_script(shell)).unwrap();
            assert!(script.contains("client-secret-file") && script.contains("min-validity"));
        }
    }

    #[test]
    fn every_command_has_a_page() {
        let home = tempfile::tempdir().unwrap();
        clap_mangen::generate_to(Args::command(), home.path()).unwrap();
        for page in ["bursar.1", "bursar-get.1", "bursar-secret-create.1", "bursar-agent-env.1"] {
            let text = std::fs::read_to_string(home.path().join(page)).expect(page);
            assert!(text.contains("Example"), "{page}");
        }
    }
}
