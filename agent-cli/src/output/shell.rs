//! What a shell reads as it is meant.

/// Whose syntax.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Syntax {
    Sh,
    Fish,
    Csh,
}

/// A line that sets a variable for the shell and what it runs.
pub(crate) fn assignment(syntax: Syntax, name: &str, value: &str) -> String {
    match syntax {
        Syntax::Sh => format!("export {name}={}\n", quoted(value)),
        Syntax::Fish => {
            format!("set -gx {name} '{}'\n", value.replace('\\', r"\\").replace('\'', r"\'"))
        }
        // in single quotes csh still expands history
        Syntax::Csh => format!("setenv {name} {}\n", quoted(value).replace('!', r"\!")),
    }
}

/// A text as one word of `sh`, in quotes where it needs them.
pub(crate) fn word(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_reads_the_value_as_it_is() {
        let line = |syntax, value| assignment(syntax, "BURSAR_SOCK", value);
        assert_eq!(line(Syntax::Sh, "/a b/it's"), "export BURSAR_SOCK='/a b/it'\\''s'\n");
        assert_eq!(line(Syntax::Fish, "/it's\\"), "set -gx BURSAR_SOCK '/it\\'s\\\\'\n");
        assert_eq!(line(Syntax::Csh, "/a!b"), "setenv BURSAR_SOCK '/a\\!b'\n");
    }

    #[test]
    fn a_word_is_quoted_where_it_must_be() {
        assert_eq!(word("target/release/bursar"), "target/release/bursar");
        assert_eq!(word("/a b"), "'/a b'");
        assert_eq!(word(""), "''");
    }
}
