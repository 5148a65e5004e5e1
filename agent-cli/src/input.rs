//! What comes in: passphrases, sensitive files, confirmations. All of it is bounded, and wiped on drop.

use crate::origin::place;
use crate::stop::Stop;
use bursar_proto::call::{PASSPHRASE_MAX, PASSPHRASE_MIN};
use bursar_proto::frame::REQUEST_MAX;
use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use zeroize::{Zeroize, Zeroizing};

/// The longest file that is read, in bytes: what does not fit a request cannot be sent.
const FILE_MAX: usize = REQUEST_MAX;

/// How long a new passphrase is, in bytes. The agent is the judge; a person hears it before typing it twice.
const PASSPHRASE_LENGTH: std::ops::RangeInclusive<usize> = PASSPHRASE_MIN..=PASSPHRASE_MAX;

/// The longest confirmation, in bytes: an organization, a slash, a name, and a newline, rounded up.
const CONFIRMATION_MAX: u64 = 256;

/// Standard input and the keyboard.
#[derive(Default)]
pub(crate) struct Input {
    /// Standard input has been read to its end, for the first `-`.
    stdin_taken: Cell<bool>,
}

impl Input {
    /// Whether there is somebody to ask.
    pub(crate) fn interactive(&self) -> bool {
        !self.stdin_taken.get() && io::stdin().is_terminal()
    }

    /// Nobody to ask, and nothing to read from standard input.
    pub(crate) fn without_terminal() -> Self {
        Self { stdin_taken: Cell::new(true) }
    }

    /// Reads a text file, or standard input where `path` is `-`.
    pub(crate) fn file(&self, path: &Path) -> Result<Zeroizing<String>, Stop> {
        self.text(path, FILE_MAX)
    }

    /// The same of at most `most` bytes.
    pub(crate) fn text(&self, path: &Path, most: usize) -> Result<Zeroizing<String>, Stop> {
        if path.as_os_str() != "-" {
            let file = File::open(path).map_err(|error| Stop::unreadable(path, &error))?;
            return read_text(file, path, most);
        }
        if self.stdin_taken.replace(true) {
            return Err(taken_twice());
        }
        read_text(io::stdin().lock(), path, most)
    }

    /// Reads one sensitive value from a file: its last newline is the editor's, not the value's.
    pub(crate) fn value(&self, path: &Path) -> Result<Zeroizing<String>, Stop> {
        let mut text = self.file(path)?;
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        Ok(text)
    }

    /// Asks for a value without echo.
    pub(crate) fn prompt(&self, question: &str) -> Result<Zeroizing<String>, Stop> {
        if !self.interactive() {
            return Err(Stop::usage(format!("{question}: there is no terminal to ask on")));
        }
        rpassword::prompt_password(format!("{question}: "))
            .map(Zeroizing::new)
            .map_err(|error| Stop::usage(format!("no answer was read: {}", error.kind())))
    }

    /// Reads one line of at most `most` bytes from standard input, and leaves the rest there.
    pub(crate) fn line(&self, most: usize) -> Result<Zeroizing<String>, Stop> {
        if self.stdin_taken.get() {
            return Err(taken_twice());
        }
        let unreadable = |error: io::Error| Stop::unreadable(Path::new("standard input"), &error);
        // the library's own handle would keep a copy of what it read
        let stdin = io::stdin().as_fd().try_clone_to_owned().map_err(unreadable)?;
        read_line(File::from(stdin), most)
    }

    /// Whether a line can still be read, from a person or from standard input.
    pub(crate) fn is_open(&self) -> bool {
        !self.stdin_taken.get()
    }

    /// A new passphrase from a file; without one it is asked for, twice.
    pub(crate) fn new_passphrase(&self, file: Option<&Path>) -> Result<Zeroizing<String>, Stop> {
        if let Some(file) = file {
            return within_length(self.value(file)?);
        }
        let least = PASSPHRASE_LENGTH.start();
        let first = within_length(self.prompt(&format!("new passphrase ({least} bytes or more)"))?)?;
        let again = self.prompt("the same again")?;
        if *first == *again { Ok(first) } else { Err(Stop::usage("the two passphrases differ")) }
    }

    /// Whether a person agrees; who cannot be asked does not.
    pub(crate) fn agrees(&self, question: &str) -> bool {
        self.interactive() && ask(&format!("{question} [y/N] ")).is_ok_and(|answer| is_yes(&answer))
    }

    /// Lets a person confirm by typing `expected`; `yes` has done so already.
    pub(crate) fn confirm(&self, what: &str, expected: &str, yes: bool) -> Result<(), Stop> {
        if yes {
            return Ok(());
        }
        if !self.interactive() {
            return Err(Stop::usage(format!(
                "{what} needs a confirmation, and there is no terminal to ask on"
            ))
            .hint("confirm with --yes"));
        }
        let answer = ask(&format!("{what}; type {expected} to confirm: "))
            .map_err(|error| Stop::usage(format!("no answer was read: {}", error.kind())))?;
        if answer.trim() == expected {
            Ok(())
        } else {
            Err(Stop::usage(format!("that was not {expected}: nothing was changed")))
        }
    }
}

/// Asks for a line that anybody may see.
fn ask(question: &str) -> io::Result<String> {
    let mut stderr = io::stderr();
    let _ = write!(stderr, "{question}");
    let _ = stderr.flush();
    let mut answer = String::new();
    io::stdin().lock().take(CONFIRMATION_MAX).read_line(&mut answer)?;
    Ok(answer)
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].iter().any(|yes| answer.trim().eq_ignore_ascii_case(yes))
}

fn taken_twice() -> Stop {
    Stop::usage("standard input was asked for twice")
        .hint("one value can come from `-`, the others from files")
}

fn within_length(passphrase: Zeroizing<String>) -> Result<Zeroizing<String>, Stop> {
    if PASSPHRASE_LENGTH.contains(&passphrase.len()) {
        return Ok(passphrase);
    }
    let (least, most) = (PASSPHRASE_LENGTH.start(), PASSPHRASE_LENGTH.end());
    Err(Stop::usage(format!("a passphrase has {least} to {most} bytes")))
}

fn read_text(source: impl Read, path: &Path, most: usize) -> Result<Zeroizing<String>, Stop> {
    let mut bytes = Zeroizing::new(Vec::new());
    source.take(most as u64 + 1).read_to_end(&mut bytes).map_err(|error| Stop::unreadable(path, &error))?;
    if bytes.len() > most {
        return Err(Stop::usage(format!("{}: over {} KiB", place(path), most / 1024)));
    }
    text(std::mem::take(&mut bytes), &place(path))
}

/// Reads byte by byte up to a newline, which is no part of the line, or to the end.
fn read_line(mut source: impl Read, most: usize) -> Result<Zeroizing<String>, Stop> {
    let mut line = Zeroizing::new(Vec::with_capacity(most));
    let mut byte = Zeroizing::new([0_u8]);
    loop {
        match source.read(&mut *byte) {
            Ok(0) => break,
            Ok(_) if *byte == *b"\n" => break,
            Ok(_) if line.len() == most => {
                return Err(Stop::usage(format!("standard input: over {} KiB in a line", most / 1024)));
            }
            Ok(_) => line.extend_from_slice(&*byte),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Stop::unreadable(Path::new("standard input"), &error)),
        }
    }
    text(std::mem::take(&mut line), "standard input")
}

/// Takes bytes for a text.
fn text(bytes: Vec<u8>, place: &str) -> Result<Zeroizing<String>, Stop> {
    String::from_utf8(bytes).map(Zeroizing::new).map_err(|error| {
        error.into_bytes().zeroize();
        Stop::usage(format!("{place}: no utf-8 text"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn read(content: &[u8]) -> Result<String, String> {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("f");
        fs::write(&path, content).unwrap();
        match Input::default().value(&path) {
            Ok(text) => Ok(text.to_string()),
            Err(Stop::Failed(error)) => Err(error.message),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_closing_newline_is_no_part_of_a_value() {
        assert_eq!(read(b"v"), Ok("v".into()));
        assert_eq!(read(b"v\n"), Ok("v".into()));
        assert_eq!(read(b"v\r\n"), Ok("v".into()));
        assert_eq!(read(b" v \n\n"), Ok(" v \n".into()));
    }

    #[test]
    fn a_file_over_the_limit_is_refused() {
        assert!(read(&vec![b'a'; FILE_MAX]).is_ok());
        assert!(read(&vec![b'a'; FILE_MAX + 1]).unwrap_err().ends_with("over 256 KiB"));
    }

    #[test]
    fn a_new_passphrase_has_its_length() {
        for (length, fits) in [(7, false), (8, true), (1024, true), (1025, false)] {
            let passphrase = Zeroizing::new("x".repeat(length));
            assert_eq!(within_length(passphrase).is_ok(), fits, "{length}");
        }
    }

    #[test]
    fn what_is_no_text_is_refused_unseen() {
        assert!(read(b"hunter2\xff").unwrap_err().ends_with("no utf-8 text"));
    }

    #[test]
    fn a_line_ends_at_its_newline_and_the_rest_is_left() {
        let mut source = io::Cursor::new(b"one\ntwo".to_vec());
        assert_eq!(*read_line(&mut source, 8).unwrap(), "one");
        assert_eq!(*read_line(&mut source, 8).unwrap(), "two");
        assert_eq!(*read_line(&mut source, 8).unwrap(), "");
        let refused = |content: &[u8]| match read_line(content, 1024) {
            Err(Stop::Failed(error)) => error.message,
            other => panic!("{other:?}"),
        };
        assert_eq!(read_line(&[b'a'; 1024][..], 1024).unwrap().len(), 1024);
        assert_eq!(refused(&[b'a'; 1025]), "standard input: over 1 KiB in a line");
        assert_eq!(refused(b"hunter2\xff\n"), "standard input: no utf-8 text");
    }

    #[test]
    fn only_a_yes_is_one() {
        for (answer, agrees) in [("y\n", true), (" Yes", true), ("", false), ("n", false), ("yep", false)] {
            assert_eq!(is_yes(answer), agrees, "{answer}");
        }
        assert!(!Input::without_terminal().agrees("open it?"));
    }

    #[test]
    fn standard_input_is_read_once() {
        let input = Input::without_terminal();
        assert!(!input.is_open() && input.line(8).is_err());
    }

    #[test]
    fn yes_confirms_without_a_question() {
        assert!(Input::default().confirm("deleting acme/x", "acme/x", true).is_ok());
    }
}
