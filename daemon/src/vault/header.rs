//! The header: how the root key is wrapped. The one record that is read before there is a key.
//!
//! It is JSON, so that a person with a damaged store can read it. What it says is bound into each wrapped
//! key, so a changed cost or salt makes the key not open.

use crate::vault::crypto::{
    self, CryptoError, KEY_LEN, KeyEncryptingKey, PassphraseCost, RootKey, derive_from_key_file,
    derive_from_passphrase,
};
use crate::vault::store::in_words;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bursar_proto::call::{PASSPHRASE_MAX, PASSPHRASE_MIN};
use bursar_proto::sensitive::Sensitive;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The form of the header.
const VERSION: u32 = 1;

/// The longest header, in bytes: two enrolments take under 1 KiB, a path at most 4 KiB.
pub(crate) const HEADER_MAX: usize = 16 * 1024;

/// The shortest key file, in bytes: as long as the key that comes from it.
const KEY_FILE_MIN: usize = KEY_LEN;

/// The longest key file, in bytes: any key of any other tool fits, a file that is none mostly does not.
const KEY_FILE_MAX: usize = 64 * 1024;

/// The longest name of a credential, in bytes: systemd's limit, which is that of a file's name.
pub(crate) const CREDENTIAL_NAME_MAX: usize = 255;

/// How the root key can be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    version: u32,
    enrolments: Vec<Enrolment>,
}

/// One way to the root key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Enrolment {
    opened_by: OpenedBy,
    /// 32 bytes in base64.
    salt: String,
    /// The root key under the derived key, in base64.
    wrapped: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OpenedBy {
    Passphrase(PassphraseCost),
    KeyFile(PathBuf),
    Credential(String),
}

/// What a caller brings to open the vault.
#[derive(Clone)]
pub(crate) enum Opener {
    /// A passphrase.
    Passphrase(Arc<Sensitive>),
    /// A key file.
    KeyFile(PathBuf),
    /// What the header remembers: a key file, or a credential in this directory.
    Remembered(Option<PathBuf>),
}

/// Why a header or what it asks for does not do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeaderError {
    /// The record is no header.
    #[error("the vault's header cannot be read")]
    Damaged,
    /// Made by a newer version.
    #[error("the vault was made by a newer version")]
    Newer,
    /// The passphrase or the key file does not fit.
    #[error("{0} does not open this vault")]
    WrongKey(&'static str),
    /// Nothing was given, and neither a key file nor a credential is remembered.
    #[error("this vault is opened by a passphrase")]
    PassphraseRequired,
    /// The credential cannot be used.
    #[error("the credential {name} {reason}")]
    Credential {
        /// Its name.
        name: String,
        /// Why not.
        reason: String,
    },
    /// The vault is not opened by such a thing.
    #[error("this vault has no {0}")]
    NotEnrolled(&'static str),
    /// The key file cannot be used.
    #[error("the key file {}: {reason}", path.display())]
    KeyFile {
        /// Its path.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Too short or too long.
    #[error("a passphrase has {PASSPHRASE_MIN} to {PASSPHRASE_MAX} bytes")]
    PassphraseLength,
    /// Over [`HEADER_MAX`]: a key file's path is the only part without a limit of its own.
    #[error("the path of the key file is too long")]
    TooLong,
    /// The cryptography failed.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

impl Header {
    /// A header without a way to the key; `enrol` adds them.
    pub(crate) fn new() -> Self {
        Self { version: VERSION, enrolments: Vec::new() }
    }

    /// Reads the header's record.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, HeaderError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        if bytes.len() > HEADER_MAX {
            return Err(HeaderError::Damaged);
        }
        let Version { version } = serde_json::from_slice(bytes).map_err(|_| HeaderError::Damaged)?;
        if version > VERSION {
            return Err(HeaderError::Newer);
        }
        let header: Self = serde_json::from_slice(bytes).map_err(|_| HeaderError::Damaged)?;
        if header.enrolments.is_empty() { Err(HeaderError::Damaged) } else { Ok(header) }
    }

    /// The record's bytes.
    pub(crate) fn write(&self) -> Result<Vec<u8>, HeaderError> {
        let bytes = serde_json::to_vec(self).map_err(|_| HeaderError::Damaged)?;
        if bytes.len() > HEADER_MAX { Err(HeaderError::TooLong) } else { Ok(bytes) }
    }

    /// Whether a passphrase opens it.
    pub(crate) fn has_passphrase(&self) -> bool {
        self.enrolments.iter().any(|e| matches!(e.opened_by, OpenedBy::Passphrase(_)))
    }

    /// The key file that opens it.
    pub(crate) fn key_file(&self) -> Option<&Path> {
        self.enrolments.iter().find_map(|e| match &e.opened_by {
            OpenedBy::KeyFile(path) => Some(path.as_path()),
            OpenedBy::Passphrase(_) | OpenedBy::Credential(_) => None,
        })
    }

    /// The name of the credential that opens it.
    pub(crate) fn credential(&self) -> Option<&str> {
        self.enrolments.iter().find_map(|e| match &e.opened_by {
            OpenedBy::Credential(name) => Some(name.as_str()),
            OpenedBy::Passphrase(_) | OpenedBy::KeyFile(_) => None,
        })
    }

    /// Whether it can open without a person.
    pub(crate) fn opens_by_itself(&self) -> bool {
        self.key_file().is_some() || self.credential().is_some()
    }

    /// Adds a passphrase, in the place of an older one. Takes as long as a derivation.
    pub(crate) fn enrol_passphrase(
        &mut self,
        passphrase: &Sensitive,
        root: &RootKey,
    ) -> Result<(), HeaderError> {
        let text = passphrase.expose().as_bytes();
        if !(PASSPHRASE_MIN..=PASSPHRASE_MAX).contains(&text.len()) {
            return Err(HeaderError::PassphraseLength);
        }
        let cost = PassphraseCost::measure();
        let salt = crypto::generate()?;
        let key = derive_from_passphrase(text, &salt, cost)?;
        self.enrol(OpenedBy::Passphrase(cost), &salt, &key, root)
    }

    /// Adds a key file that is there, in the place of an older one.
    pub(crate) fn enrol_key_file(&mut self, path: &Path, root: &RootKey) -> Result<(), HeaderError> {
        let content = read_key_file(path)?;
        let salt = crypto::generate()?;
        let key = derive_from_key_file(&content, &salt)?;
        self.enrol(OpenedBy::KeyFile(path.to_owned()), &salt, &key, root)
    }

    /// Adds a credential out of the directory in which systemd puts them, in the place of an older one.
    pub(crate) fn enrol_credential(
        &mut self,
        name: &str,
        directory: Option<&Path>,
        root: &RootKey,
    ) -> Result<(), HeaderError> {
        let content = read_credential(name, directory)?;
        let salt = crypto::generate()?;
        let key = derive_from_key_file(&content, &salt)?;
        self.enrol(OpenedBy::Credential(name.to_owned()), &salt, &key, root)
    }

    fn enrol(
        &mut self,
        opened_by: OpenedBy,
        salt: &[u8; KEY_LEN],
        key: &KeyEncryptingKey,
        root: &RootKey,
    ) -> Result<(), HeaderError> {
        let wrapped = root.wrap(key, &bound(&opened_by, salt))?;
        let kind = std::mem::discriminant(&opened_by);
        self.enrolments.retain(|e| std::mem::discriminant(&e.opened_by) != kind);
        self.enrolments.push(Enrolment {
            opened_by,
            salt: BASE64_STANDARD.encode(salt),
            wrapped: BASE64_STANDARD.encode(wrapped),
        });
        Ok(())
    }

    /// Unwraps the root key. Takes as long as a derivation, so it belongs on a worker thread.
    pub(crate) fn open(&self, opener: &Opener) -> Result<RootKey, HeaderError> {
        let of = |wanted: fn(&OpenedBy) -> bool| self.enrolments.iter().find(|e| wanted(&e.opened_by));
        match opener {
            Opener::Passphrase(text) => {
                let enrolment = of(|by| matches!(by, OpenedBy::Passphrase(_)));
                let enrolment = enrolment.ok_or(HeaderError::NotEnrolled("passphrase"))?;
                let OpenedBy::Passphrase(cost) = &enrolment.opened_by else {
                    return Err(HeaderError::Damaged);
                };
                let key = derive_from_passphrase(text.expose().as_bytes(), &enrolment.salt()?, *cost)?;
                enrolment.unwrap(&key, "the passphrase")
            }
            Opener::KeyFile(path) => {
                let enrolment = of(|by| matches!(by, OpenedBy::KeyFile(_)));
                let enrolment = enrolment.ok_or(HeaderError::NotEnrolled("key file"))?;
                enrolment.open_with(&read_key_file(path)?, "the key file")
            }
            Opener::Remembered(credentials) => {
                let mut refused = HeaderError::PassphraseRequired;
                for enrolment in &self.enrolments {
                    let root = match &enrolment.opened_by {
                        OpenedBy::Passphrase(_) => continue,
                        OpenedBy::KeyFile(path) => read_key_file(path)
                            .and_then(|content| enrolment.open_with(&content, "the key file")),
                        OpenedBy::Credential(name) => read_credential(name, credentials.as_deref())
                            .and_then(|content| enrolment.open_with(&content, "the credential"))
                            .map_err(|error| match error {
                                HeaderError::WrongKey(_) => {
                                    let reason = "does not open this vault".into();
                                    HeaderError::Credential { name: name.clone(), reason }
                                }
                                error => error,
                            }),
                    };
                    match root {
                        Ok(root) => return Ok(root),
                        Err(error) => refused = error,
                    }
                }
                Err(refused)
            }
        }
    }
}

impl Enrolment {
    fn salt(&self) -> Result<[u8; KEY_LEN], HeaderError> {
        decode(&self.salt)?.try_into().map_err(|_| HeaderError::Damaged)
    }

    /// Unwraps with a key that comes from the bytes of a file.
    fn open_with(&self, content: &[u8], what: &'static str) -> Result<RootKey, HeaderError> {
        self.unwrap(&derive_from_key_file(content, &self.salt()?)?, what)
    }

    fn unwrap(&self, key: &KeyEncryptingKey, what: &'static str) -> Result<RootKey, HeaderError> {
        let wrapped = decode(&self.wrapped)?;
        RootKey::unwrap(&wrapped, key, &bound(&self.opened_by, &self.salt()?))
            .map_err(|_| HeaderError::WrongKey(what))
    }
}

fn decode(text: &str) -> Result<Vec<u8>, HeaderError> {
    BASE64_STANDARD.decode(text).map_err(|_| HeaderError::Damaged)
}

/// What a wrapped key is bound to. A key file may move, so its path is not part of it.
fn bound(opened_by: &OpenedBy, salt: &[u8; KEY_LEN]) -> Vec<u8> {
    let mut words = match opened_by {
        OpenedBy::Passphrase(cost) => {
            format!("bursar v{VERSION} argon2id {} {} {} ", cost.memory_kib, cost.passes, cost.lanes)
        }
        OpenedBy::KeyFile(_) => format!("bursar v{VERSION} key file "),
        OpenedBy::Credential(name) => format!("bursar v{VERSION} credential {name} "),
    }
    .into_bytes();
    words.extend_from_slice(salt);
    words
}

/// Makes a key file with 256 random bits as hex, unless there is one. Whole and on disk when it returns: it is
/// written under another name first.
pub(crate) fn make_key_file(path: &Path) -> Result<(), HeaderError> {
    let make = || -> io::Result<()> {
        if path.try_exists()? {
            return Ok(());
        }
        let random: Zeroizing<[u8; KEY_LEN]> = Zeroizing::new(crypto::generate().map_err(io::Error::other)?);
        let mut text = Zeroizing::new(crypto::hex(&*random));
        text.push('\n');
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".unfinished");
        let unfinished = PathBuf::from(unfinished);
        match std::fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&unfinished, path)?;
        match path.parent() {
            Some(directory) => File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    };
    make().map_err(|error| key_file_fault(path, &error))
}

/// Reads a key file, its trailing white space apart.
fn read_key_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, HeaderError> {
    let refuse = |reason: String| HeaderError::KeyFile { path: path.to_owned(), reason };
    let file = open_file(path).map_err(|error| key_file_fault(path, &error))?;
    let about = file.metadata().map_err(|error| key_file_fault(path, &error))?;
    if about.permissions().mode() & 0o077 != 0 {
        return Err(refuse("others may read or write it; chmod 600 mends that".into()));
    }
    read_key(file).map_err(|error| key_file_fault(path, &error))?.map_err(refuse)
}

/// Reads a credential, as a key file. Who may read it is systemd's to say: some versions do so by an ACL, which looks
/// like a group's right.
fn read_credential(name: &str, directory: Option<&Path>) -> Result<Zeroizing<Vec<u8>>, HeaderError> {
    let refuse = |reason: String| HeaderError::Credential { name: name.to_owned(), reason };
    let missing = || refuse("was not handed to the agent".into());
    let path = directory.ok_or_else(missing)?.join(name);
    match open_file(&path).and_then(read_key) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing()),
        Err(error) => Err(refuse(format!("cannot be read: {}", in_words(error.kind())))),
        Ok(content) => content.map_err(|reason| refuse(format!("cannot be used: {reason}"))),
    }
}

/// Reads what a key is derived from; the inner error says what is wrong with it.
fn read_key(file: File) -> io::Result<Result<Zeroizing<Vec<u8>>, String>> {
    // room for all that may come, so that no reallocation leaves a copy behind
    let mut content = Zeroizing::new(Vec::with_capacity(KEY_FILE_MAX + 1));
    file.take(KEY_FILE_MAX as u64 + 1).read_to_end(&mut content)?;
    if content.len() > KEY_FILE_MAX {
        return Ok(Err(format!("it has more than {KEY_FILE_MAX} bytes")));
    }
    let length = content.trim_ascii_end().len();
    if length < KEY_FILE_MIN {
        return Ok(Err(format!("it has under {KEY_FILE_MIN} bytes, too few for a key")));
    }
    content.truncate(length);
    Ok(Ok(content))
}

/// Whether systemd could hand over a credential of that name: a plain file name.
pub(crate) fn is_credential_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"/:".contains(&byte);
    (1..=CREDENTIAL_NAME_MAX).contains(&name.len()) && name.bytes().all(fits) && !matches!(name, "." | "..")
}

/// Opens a plain file that a caller named; a pipe or a device there must not make anybody wait.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

fn key_file_fault(path: &Path, error: &io::Error) -> HeaderError {
    HeaderError::KeyFile { path: path.to_owned(), reason: in_words(error.kind()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with_key_file(path: &Path) -> (Header, RootKey) {
        let root = RootKey::generate().unwrap();
        let mut header = Header::new();
        make_key_file(path).unwrap();
        header.enrol_key_file(path, &root).unwrap();
        (header, root)
    }

    #[test]
    fn a_key_file_is_made_private_and_opens_after_it_moved() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let (header, _) = with_key_file(&path);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let header = Header::read(&header.write().unwrap()).unwrap();
        assert!(header.open(&Opener::Remembered(None)).is_ok());
        let moved = dir.path().join("moved");
        std::fs::rename(&path, &moved).unwrap();
        assert!(matches!(header.open(&Opener::Remembered(None)), Err(HeaderError::KeyFile { .. })));
        assert!(header.open(&Opener::KeyFile(moved)).is_ok());
    }

    fn with_credential(directory: &Path) -> Header {
        std::fs::write(directory.join("unlock-key"), [b'k'; KEY_FILE_MIN]).unwrap();
        let mut header = Header::new();
        header.enrol_credential("unlock-key", Some(directory), &RootKey::generate().unwrap()).unwrap();
        Header::read(&header.write().unwrap()).unwrap()
    }

    #[test]
    fn a_credential_opens_from_whatever_directory_it_is_handed_over_in() {
        let (dir, next) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let header = with_credential(dir.path());
        assert!(header.opens_by_itself() && header.credential() == Some("unlock-key"));
        // as systemd does where it gives the right to read by an ACL
        let file = next.path().join("unlock-key");
        std::fs::write(&file, [b'k'; KEY_FILE_MIN]).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o440)).unwrap();
        assert!(header.open(&Opener::Remembered(Some(next.path().to_owned()))).is_ok());
    }

    #[test]
    fn a_credential_that_is_missing_short_or_another_is_told_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let header = with_credential(dir.path());
        let told = |directory: Option<&Path>| {
            header.open(&Opener::Remembered(directory.map(Path::to_owned))).map(drop).unwrap_err().to_string()
        };
        assert_eq!(told(None), "the credential unlock-key was not handed to the agent");
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(told(Some(empty.path())), "the credential unlock-key was not handed to the agent");
        std::fs::write(empty.path().join("unlock-key"), "short").unwrap();
        assert!(told(Some(empty.path())).ends_with("it has under 32 bytes, too few for a key"));
        std::fs::write(empty.path().join("unlock-key"), [b'o'; KEY_FILE_MIN]).unwrap();
        assert_eq!(told(Some(empty.path())), "the credential unlock-key does not open this vault");
        assert!(matches!(
            header.open(&Opener::KeyFile("k".into())),
            Err(HeaderError::NotEnrolled("key file"))
        ));
    }

    #[test]
    fn of_two_things_that_are_remembered_one_is_enough() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let (mut header, root) = with_key_file(&path);
        std::fs::write(dir.path().join("unlock-key"), [b'k'; KEY_FILE_MIN]).unwrap();
        header.enrol_credential("unlock-key", Some(dir.path()), &root).unwrap();
        let remembered = Opener::Remembered(Some(dir.path().to_owned()));
        std::fs::remove_file(&path).unwrap();
        assert!(header.open(&remembered).is_ok());
        make_key_file(&path).unwrap();
        // another key file by now
        assert!(header.open(&remembered).is_ok());
        std::fs::remove_file(dir.path().join("unlock-key")).unwrap();
        assert!(header.open(&remembered).is_err());
    }

    #[test]
    fn a_credentials_name_is_one_file_of_one_directory() {
        for name in ["unlock-key", "a", "bursar.key", &"n".repeat(CREDENTIAL_NAME_MAX)] {
            assert!(is_credential_name(name), "{name}");
        }
        for name in
            ["", ".", "..", "../shadow", "/etc/shadow", "a/b", "a:b", "a b", "ä", "a\n", &"n".repeat(256)]
        {
            assert!(!is_credential_name(name), "{name}");
        }
    }

    #[test]
    fn a_passphrase_opens_and_another_does_not() {
        let root = RootKey::generate().unwrap();
        let mut header = Header::new();
        header.enrol_passphrase(&Sensitive::new("correct horse".into()), &root).unwrap();
        assert!(header.open(&Opener::Passphrase(Sensitive::new("correct horse".into()).into())).is_ok());
        let wrong = header.open(&Opener::Passphrase(Sensitive::new("correct house".into()).into()));
        assert!(matches!(wrong, Err(HeaderError::WrongKey("the passphrase"))));
        assert!(matches!(header.open(&Opener::Remembered(None)), Err(HeaderError::PassphraseRequired)));
        for length in [PASSPHRASE_MIN - 1, PASSPHRASE_MAX + 1] {
            let refused = header.enrol_passphrase(&Sensitive::new("x".repeat(length)), &root);
            assert!(matches!(refused, Err(HeaderError::PassphraseLength)));
        }
    }

    #[test]
    fn a_key_file_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let (header, _) = with_key_file(&path);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused = header.open(&Opener::Remembered(None)).err().unwrap().to_string();
        assert!(refused.ends_with("others may read or write it; chmod 600 mends that"), "{refused}");
    }

    #[test]
    fn a_key_file_of_the_wrong_size_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for size in [0, KEY_FILE_MIN - 1, KEY_FILE_MAX + 1] {
            let path = dir.path().join(size.to_string());
            std::fs::write(&path, "k".repeat(size)).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(read_key_file(&path), Err(HeaderError::KeyFile { .. })), "{size}");
        }
    }

    proptest! {
        #[test]
        fn rubbish_is_no_header(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Header::read(&bytes).is_err());
        }
    }
}
