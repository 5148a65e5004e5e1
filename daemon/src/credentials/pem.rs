//! Reads PEM (RFC 7468, and the older kind with headers) without leaving copies of a key behind.
//!
//! It knows nothing of what the blocks hold.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bursar_proto::sensitive::Sensitive;
use zeroize::Zeroizing;

/// A text that is no PEM. It says where the fault lies, never what stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum PemError {
    /// No `-----BEGIN …-----` line.
    #[error("holds no PEM block (-----BEGIN …-----, base64 lines, -----END …-----, each on its own line)")]
    Nothing,
    /// A block without its end line, or with another one's.
    #[error("line {0}: a PEM block begins that has no end of its own")]
    Open(usize),
    /// What stands between is no base64.
    #[error("line {0}: the PEM block that begins here is no base64")]
    Content(usize),
    /// RFC 1421 headers: the key has a passphrase.
    #[error("line {0}: the key is encrypted; decrypt it first: openssl pkey -in FILE")]
    Encrypted(usize),
}

/// One block.
pub(super) struct Block<'a> {
    /// What it says it is, for example `PRIVATE KEY`.
    pub(super) label: &'a str,
    /// Its content. Wiped on drop.
    pub(super) der: Zeroizing<Vec<u8>>,
}

/// The blocks of `text`, in order, at least one; what stands outside of them is left alone.
pub(super) fn blocks(text: &str) -> Result<Vec<Block<'_>>, PemError> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim).enumerate();
    while let Some((at, line)) = lines.next() {
        let Some(label) = boundary(line, "-----BEGIN ") else { continue };
        let start = at + 1;
        let mut body = Zeroizing::new(String::with_capacity(text.len()));
        loop {
            let (_, line) = lines.next().ok_or(PemError::Open(start))?;
            if line.starts_with("-----") {
                match boundary(line, "-----END ") {
                    Some(end) if end == label => break,
                    _ => return Err(PemError::Open(start)),
                }
            }
            if line.contains("ENCRYPTED") {
                return Err(PemError::Encrypted(start));
            }
            body.push_str(line);
        }
        let der = STANDARD.decode(body.as_bytes()).map_err(|_| PemError::Content(start))?;
        blocks.push(Block { label, der: Zeroizing::new(der) });
    }
    if blocks.is_empty() { Err(PemError::Nothing) } else { Ok(blocks) }
}

/// One block as text, in lines of 64 characters.
pub(super) fn write(label: &str, der: &[u8]) -> Sensitive {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut text = String::with_capacity(body.len() + body.len() / 64 + 2 * label.len() + 40);
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    Sensitive::new(text)
}

fn boundary<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    line.strip_prefix(start)?.strip_suffix("-----").filter(|label| !label.contains("-----"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fault(text: &str) -> PemError {
        blocks(text).err().unwrap()
    }

    #[test]
    fn faults_say_where() {
        assert_eq!(fault(""), PemError::Nothing);
        assert_eq!(fault("-----BEGIN A-----MAA=-----END A-----"), PemError::Nothing);
        assert_eq!(fault("x\n-----BEGIN A-----\nMAA="), PemError::Open(2));
        assert_eq!(fault("-----BEGIN A-----\nMAA=\n-----END B-----"), PemError::Open(1));
        assert_eq!(fault("-----BEGIN A-----\nhunter2!\n-----END A-----"), PemError::Content(1));
        assert_eq!(
            fault("-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\n\nMAA=\n-----END A-----"),
            PemError::Encrypted(1)
        );
    }

    #[test]
    fn line_ends_blanks_and_text_around_do_not_matter() {
        let read = blocks("Bag\r\n  -----BEGIN A-----\r\n MA\r\nA= \r\n-----END A-----\r\n").unwrap();
        assert_eq!((read[0].label, read[0].der.as_slice()), ("A", &[0x30, 0][..]));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(-----(BEGIN|END) [AB]-----|\n|MAA=|\\PC){0,20}") {
            let _ = blocks(&text);
        }

        #[test]
        fn what_is_written_reads_the_same(der in proptest::collection::vec(any::<u8>(), 0..300)) {
            let text = write("PRIVATE KEY", &der);
            let read = blocks(text.expose()).unwrap();
            prop_assert_eq!(read.len(), 1);
            prop_assert_eq!(read[0].der.as_slice(), der.as_slice());
        }
    }
}
