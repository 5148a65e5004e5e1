//! The one printer. Results go to stdout, everything else to stderr; nothing else in this crate writes there.

pub(crate) mod bars;
pub(crate) mod csv;
pub(crate) mod shell;
pub(crate) mod text;

use crate::stop::Stop;
use bursar_proto::error::{CallError, ErrorName};
use rustix::io::Errno;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use text::printable_json;
use zeroize::Zeroizing;

/// How answers and errors are shown.
pub(crate) struct Printer {
    json: bool,
    no_color: bool,
}

impl Printer {
    pub(crate) fn new(json: bool, no_color: bool) -> Self {
        Self { json, no_color }
    }

    /// Whether answers are JSON.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Shows a reply: as JSON, or as what `text` makes of it.
    pub(crate) fn reply<T: Serialize>(
        &self,
        reply: &T,
        text: impl FnOnce(&Self) -> String,
    ) -> Result<(), Stop> {
        if self.json { write_out(&json_line(reply)?) } else { write_out(text(self).as_bytes()) }
    }

    /// Says something beside the result. Under `--json` stderr is for the one error object.
    pub(crate) fn note(&self, text: &str) {
        if !self.json {
            let _ = writeln!(io::stderr(), "{}", text.trim_end());
        }
    }

    /// Says what is waited for, where a person looks on.
    pub(crate) fn progress(&self, text: &str) {
        if io::stderr().is_terminal() {
            self.note(text);
        }
    }

    /// Says what failed.
    pub(crate) fn failure(&self, error: &CallError) {
        let text = if self.json {
            error_json(error)
        } else {
            let label = |word: &str| self.bold_if(io::stderr().is_terminal(), word);
            let hint =
                error.hint.as_ref().map(|hint| format!("\n{} {}", label("hint:"), text::printable(hint)));
            let lines: Vec<_> = error.message.lines().map(text::printable).collect();
            format!("{} {}{}", label("error:"), lines.join("\n"), hint.unwrap_or_default())
        };
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Bold on a terminal that shows results.
    pub(crate) fn bold(&self, word: &str) -> String {
        self.bold_if(io::stdout().is_terminal(), word)
    }

    /// In a colour on a terminal that shows results.
    pub(crate) fn tinted(&self, text: &str) -> String {
        if io::stdout().is_terminal() && !self.no_color {
            format!("\x1b[36m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn bold_if(&self, terminal: bool, word: &str) -> String {
        if terminal && !self.no_color { format!("\x1b[1m{word}\x1b[0m") } else { word.to_owned() }
    }
}

/// Writes to stdout, with no buffer between that would keep a value.
pub(crate) fn write_out(bytes: &[u8]) -> Result<(), Stop> {
    write_to(io::stdout(), bytes).map_err(|error| match error {
        Errno::PIPE => Stop::ReaderLeft,
        error => {
            let kind = io::Error::from(error).kind();
            Stop::local(format!("cannot write to standard output: {kind}"))
        }
    })
}

/// The same to any stream.
pub(crate) fn write_to(stream: impl AsFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(&stream, bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// `{"error": {"code", "message", "hint"}}`
fn error_json(error: &CallError) -> String {
    #[derive(Serialize)]
    struct Outer<'a> {
        error: Inner<'a>,
    }
    #[derive(Serialize)]
    struct Inner<'a> {
        code: ErrorName,
        message: &'a str,
        hint: Option<&'a str>,
    }
    let inner = Inner { code: error.name, message: &error.message, hint: error.hint.as_deref() };
    // texts and a word cannot fail to serialize
    let json = serde_json::to_string(&Outer { error: inner }).unwrap_or_default();
    printable_json(&json).map_or(json, |plain| plain.to_string())
}

/// One JSON document and a newline, in a buffer that is wiped.
pub(crate) fn json_line<T: Serialize>(document: &T) -> Result<Zeroizing<Vec<u8>>, Stop> {
    let mut line = Zeroizing::new(Vec::new());
    serde_json::to_writer(&mut *line, document)
        .map_err(|_| Stop::local("the answer cannot be written as json"))?;
    line.push(b'\n');
    // what is serialized is UTF-8
    Ok(match std::str::from_utf8(&line).ok().and_then(printable_json) {
        Some(plain) => Zeroizing::new(plain.as_bytes().to_vec()),
        None => line,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_bold_where_color_is_not_wanted() {
        assert_eq!(Printer::new(false, true).bold_if(true, "NAME"), "NAME");
        assert_eq!(Printer::new(false, false).bold_if(false, "NAME"), "NAME");
        assert_eq!(Printer::new(false, false).bold_if(true, "NAME"), "\x1b[1mNAME\x1b[0m");
    }

    #[test]
    fn an_error_has_code_message_and_hint() {
        let error = CallError::new(ErrorName::NotFound, "no secret acme/x");
        assert_eq!(
            error_json(&error),
            r#"{"error":{"code":"not_found","message":"no secret acme/x","hint":null}}"#
        );
    }

    #[test]
    fn a_document_is_one_line() {
        assert_eq!(&**json_line(&["a\nb"]).unwrap(), b"[\"a\\nb\"]\n");
        // escapes say the same, and steer no terminal
        let steering = ["\u{9b}31m\u{202e}\u{7f}"];
        let line = json_line(&steering).unwrap();
        assert!(line.is_ascii(), "{line:?}");
        assert_eq!(serde_json::from_slice::<[String; 1]>(&line).unwrap(), steering);
    }
}
