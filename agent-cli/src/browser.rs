//! Whether a browser is opened for a person, and how. No shell is in between, and the address is an argument of its own.

use crate::agent::without_client_secrets;
use crate::args::secret::Browsing;
use crate::harden::as_found;
use crate::session::Session;
use crate::surroundings::Surroundings;
use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// What opens addresses where `BROWSER` says nothing.
const OPENER: &str = "xdg-open";

/// What stands for the address in `BROWSER`.
const PLACE: &str = "%s";

/// Whether a browser is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// At once.
    Open,
    /// If a person agrees.
    Offer,
    /// No: nobody asked for it, and nobody can be asked, or no browser would be seen here.
    Leave,
    /// The browser is elsewhere, and the address that it ends on comes by hand.
    Elsewhere,
}

/// What that follows from.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Scene<'a> {
    asked: &'a Browsing,
    /// Whether stdin and stderr are terminals.
    on_terminal: bool,
    json: bool,
    non_interactive: bool,
    over_ssh: bool,
    /// Whether there is a screen for a browser, or a browser that needs none.
    has_browser: bool,
}

/// Decides for this run.
pub(crate) fn opening(session: &Session, asked: &Browsing) -> Opening {
    let Surroundings { over_ssh, has_screen, browser, .. } = &session.surroundings;
    decide(&Scene {
        asked,
        on_terminal: session.input.interactive() && io::stderr().is_terminal(),
        json: session.printer.json(),
        non_interactive: session.is_non_interactive(),
        over_ssh: *over_ssh,
        has_browser: *has_screen || browser.is_some(),
    })
}

fn decide(scene: &Scene<'_>) -> Opening {
    if scene.asked.no_browser {
        return Opening::Elsewhere;
    }
    if scene.asked.browser {
        return Opening::Open;
    }
    let can_ask = scene.on_terminal && !scene.json && !scene.non_interactive;
    // over ssh the person sits before another machine, whose browser does not come back to this one
    if can_ask && scene.has_browser && !scene.over_ssh { Opening::Offer } else { Opening::Leave }
}

/// Starts a browser, which goes on by itself.
///
/// # Errors
/// Why not, in words.
pub(crate) fn open(surroundings: &Surroundings, url: &str) -> Result<Child, String> {
    if !is_web(url) {
        return Err("the address is none of the web".to_owned());
    }
    let words = words(surroundings.browser.as_deref(), url);
    let (program, arguments) = words.split_first().ok_or("there is no program for it")?;
    let mut command = without_client_secrets(Command::new(program));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // the keys that end us are not meant for it
    command.process_group(0);
    as_found(|| command.spawn()).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("there is no program {program}"),
        kind => format!("cannot run {program}: {kind}"),
    })
}

/// Whether a program would take this for an address of the web, and for no flag or file.
fn is_web(url: &str) -> bool {
    ["https://", "http://"].iter().any(|scheme| url.starts_with(scheme))
}

/// The program and its arguments.
fn words(browser: Option<&str>, url: &str) -> Vec<String> {
    let said: Vec<&str> = browser.unwrap_or(OPENER).split_whitespace().collect();
    let said = if said.is_empty() { vec![OPENER] } else { said };
    let mut words: Vec<String> = said.iter().map(|word| word.replace(PLACE, url)).collect();
    if !said.iter().any(|word| word.contains(PLACE)) {
        words.push(url.to_owned());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY_ASKED: Browsing = Browsing { browser: false, no_browser: false };

    fn desktop() -> Scene<'static> {
        Scene {
            asked: &NOBODY_ASKED,
            on_terminal: true,
            json: false,
            non_interactive: false,
            over_ssh: false,
            has_browser: true,
        }
    }

    #[test]
    fn a_browser_is_offered_where_a_person_sits_before_it() {
        assert_eq!(decide(&desktop()), Opening::Offer);
        for scene in [
            Scene { on_terminal: false, ..desktop() },
            Scene { json: true, ..desktop() },
            Scene { non_interactive: true, ..desktop() },
            Scene { over_ssh: true, ..desktop() },
            Scene { has_browser: false, ..desktop() },
        ] {
            assert_eq!(decide(&scene), Opening::Leave);
        }
    }

    #[test]
    fn what_was_said_counts_wherever_it_was_said() {
        let nowhere = |asked| Scene {
            asked,
            on_terminal: false,
            json: true,
            non_interactive: false,
            over_ssh: true,
            has_browser: false,
        };
        let here = Browsing { browser: true, no_browser: false };
        let elsewhere = Browsing { browser: false, no_browser: true };
        assert_eq!(decide(&nowhere(&here)), Opening::Open);
        assert_eq!(decide(&nowhere(&elsewhere)), Opening::Elsewhere);
        assert_eq!(decide(&Scene { asked: &elsewhere, ..desktop() }), Opening::Elsewhere);
    }

    #[test]
    fn the_words_of_browser_are_split_and_the_address_is_one_of_them() {
        let url = "https://a/?b=c d&e=%s";
        assert_eq!(words(None, url), ["xdg-open", url]);
        assert_eq!(words(Some(" \t"), url), ["xdg-open", url]);
        assert_eq!(words(Some("firefox"), url), ["firefox", url]);
        assert_eq!(words(Some(" firefox  --new-window "), url), ["firefox", "--new-window", url]);
        assert_eq!(words(Some("w --url=%s -x"), url), ["w", &format!("--url={url}"), "-x"]);
        // a shell would make two commands of it
        assert_eq!(words(Some("true;x $(y)"), url), ["true;x", "$(y)", url]);
    }

    #[test]
    fn only_an_address_of_the_web_is_opened() {
        let here =
            Surroundings { browser: Some("/nonexistent/browser".to_owned()), ..Surroundings::default() };
        for url in ["--help", "file:///etc/passwd", "javascript:1", ""] {
            assert_eq!(open(&here, url).unwrap_err(), "the address is none of the web", "{url}");
        }
        assert_eq!(open(&here, "https://a").unwrap_err(), "there is no program /nonexistent/browser");
    }

    #[test]
    fn a_browser_gets_the_address_and_what_it_says_is_not_heard() {
        let home = tempfile::tempdir().unwrap();
        let script = home.path().join("browser");
        let seen = home.path().join("seen");
        std::fs::write(&script, "read line; echo noise; echo noise >&2; printf %s \"$2\" > \"$1\"\n")
            .unwrap();
        let browser = format!("sh {} {}", script.display(), seen.display());
        let here = Surroundings { browser: Some(browser), ..Surroundings::default() };
        let mut child = open(&here, "https://a/?b=c&d='e'").unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(std::fs::read_to_string(seen).unwrap(), "https://a/?b=c&d='e'");
    }
}
