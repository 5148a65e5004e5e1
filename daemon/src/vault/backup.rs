//! One sealed file that holds a whole store: for `backup`, `restore`, and the snapshots that are kept.
//!
//! Form: the magic, the header's length and bytes, then each record as its key, length and sealed bytes, then
//! the count as the end mark, then the SHA-256 of all before it. It holds what the store holds, as sealed as
//! there; that it is whole and ours is proved by the manifest, once there is a key.

use crate::vault::header::{HEADER_MAX, Header, open_file};
use crate::vault::store::{Id, Key, Kind, RECORD_MAX, Sealed, Store, StoreError, in_words};
use ring::digest;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// What the file begins with; the digit is the form's version.
const MAGIC: &[u8] = b"bursar backup 1\n";

/// The key byte that ends the records.
const END: u8 = b'.';

/// How many snapshots are kept.
const SNAPSHOTS_KEPT: usize = 3;

/// Why a backup cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    /// The file is none, or was changed or cut.
    #[error("the file is no whole backup: {0}")]
    Damaged(&'static str),
    /// The file system.
    #[error("the backup file: {}", in_words(*.0))]
    File(io::ErrorKind),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<io::Error> for BackupError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Damaged("it ends too early"),
            kind => Self::File(kind),
        }
    }
}

/// Writes everything in `store` to `path`: a private file beside it first, then a rename. On disk when it
/// returns. The caller sees to it that nothing is queued. Answers how many records.
pub(crate) fn write(store: &Store, header: &Header, path: &Path) -> Result<u64, BackupError> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    let written = write_to(store, header, &file).and_then(|records| {
        file.sync_all()?;
        std::fs::rename(&unfinished, path)?;
        File::open(directory)?.sync_all()?;
        Ok(records)
    });
    if written.is_err() {
        // the half file is of no use to anybody; what made it fail is the error to report
        drop(std::fs::remove_file(&unfinished));
    }
    written
}

fn write_to(store: &Store, header: &Header, file: &File) -> Result<u64, BackupError> {
    let mut out = Hashing { inner: BufWriter::new(file), digest: digest::Context::new(&digest::SHA256) };
    let header = header.write().map_err(|_| BackupError::Damaged("the header"))?;
    out.write_all(MAGIC)?;
    out.write_all(&length(header.len())?)?;
    out.write_all(&header)?;
    let mut records = 0_u64;
    let mut outcome = Ok(());
    for kind in Kind::SEALED {
        store.scan(kind, |key, sealed| {
            if outcome.is_ok() {
                records += 1;
                outcome = (|| {
                    out.write_all(key.bytes())?;
                    out.write_all(&length(sealed.len())?)?;
                    out.write_all(&sealed)?;
                    Ok::<_, BackupError>(())
                })();
            }
        })?;
    }
    outcome?;
    out.write_all(&[END])?;
    out.write_all(&records.to_le_bytes())?;
    let sum = out.digest.clone().finish();
    out.inner.write_all(sum.as_ref())?;
    out.inner.flush()?;
    Ok(records)
}

fn length(bytes: usize) -> Result<[u8; 4], BackupError> {
    Ok(u32::try_from(bytes).map_err(|_| BackupError::Damaged("a record is too long"))?.to_le_bytes())
}

/// Reads a backup from `path`, hands each record to `visit`, and checks its form and its sum. What `visit`
/// was given counts only once this returns. Answers the header and how many records.
pub(crate) fn read(path: &Path, mut visit: impl FnMut(Key, Sealed)) -> Result<(Header, u64), BackupError> {
    let file = open_file(path)?;
    let mut input = Hashing { inner: BufReader::new(file), digest: digest::Context::new(&digest::SHA256) };
    let mut magic = [0; MAGIC.len()];
    input.read_exact(&mut magic)?;
    if magic != MAGIC {
        return Err(BackupError::Damaged("it does not begin as one"));
    }
    let header = input.bytes(HEADER_MAX)?;
    let header = Header::read(&header).map_err(|_| BackupError::Damaged("its header cannot be read"))?;
    let mut records = 0_u64;
    loop {
        let mut kind = [0];
        input.read_exact(&mut kind)?;
        if kind[0] == END {
            break;
        }
        let mut id = Id::default();
        input.read_exact(&mut id)?;
        let mut key = [0; 1 + size_of::<Id>()];
        key[0] = kind[0];
        key[1..].copy_from_slice(&id);
        let key = Key::read(&key).ok_or(BackupError::Damaged("a record of an unknown kind"))?;
        let sealed = input.bytes(RECORD_MAX)?;
        visit(key, Sealed::from(sealed));
        records += 1;
    }
    let mut count = [0; 8];
    input.read_exact(&mut count)?;
    let sum = input.digest.clone().finish();
    let mut written = vec![0; sum.as_ref().len()];
    input.inner.read_exact(&mut written)?;
    if u64::from_le_bytes(count) != records || sum.as_ref() != written {
        return Err(BackupError::Damaged("its sum does not fit"));
    }
    Ok((header, records))
}

/// Passes bytes through and sums them up.
struct Hashing<T> {
    inner: T,
    digest: digest::Context,
}

impl<T: Write> Hashing<T> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.inner.write_all(bytes)
    }
}

impl<T: Read> Hashing<T> {
    fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.inner.read_exact(bytes)?;
        self.digest.update(bytes);
        Ok(())
    }

    /// A length and that many bytes, `most` at the most.
    fn bytes(&mut self, most: usize) -> Result<Vec<u8>, BackupError> {
        let mut length = [0; 4];
        self.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > most {
            return Err(BackupError::Damaged("a record is too long"));
        }
        let mut bytes = vec![0; length];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// The snapshots in `directory`, the newest first.
pub(crate) fn snapshots(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "snapshot"))
        .collect();
    // by what they hold: the clock may have been set back between two of them
    found.sort_by_cached_key(|path| std::cmp::Reverse((generation(path), path.clone())));
    found
}

/// The generation that a snapshot says it holds.
pub(crate) fn generation(snapshot: &Path) -> Option<u64> {
    snapshot.file_stem()?.to_str()?.split_once('-')?.1.parse().ok()
}

/// Writes a snapshot, named by the second and the generation that it holds, and drops all but the newest three.
pub(crate) fn snapshot(
    store: &Store,
    header: &Header,
    directory: &Path,
    second: i64,
    generation: u64,
) -> Result<(), BackupError> {
    crate::vault::store::make_private(directory)?;
    remove_unfinished(directory)?;
    write(store, header, &directory.join(format!("{second:012}-{generation}.snapshot")))?;
    for old in snapshots(directory).into_iter().skip(SNAPSHOTS_KEPT) {
        std::fs::remove_file(old)?;
    }
    Ok(())
}

/// What a kill left half written is of no use to anybody.
fn remove_unfinished(directory: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "unfinished") {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::crypto::RootKey;
    use proptest::prelude::*;

    fn backup(dir: &Path) -> PathBuf {
        let root = RootKey::generate().unwrap();
        let mut header = Header::new();
        crate::vault::header::make_key_file(&dir.join("key")).unwrap();
        header.enrol_key_file(&dir.join("key"), &root).unwrap();
        let store = Store::open(&dir.join("store")).unwrap();
        let record = |n: u8| (Key::new(Kind::Secret, [n; 16]), Some(Sealed::from(vec![n; 100])));
        store.commit((0..5).map(record).collect()).durable_blocking().unwrap();
        let path = dir.join("backup");
        assert_eq!(write(&store, &header, &path).unwrap(), 5);
        path
    }

    #[test]
    fn what_was_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let mut seen = Vec::new();
        let (_, records) =
            read(&backup(dir.path()), |key, sealed| seen.push((key.id()[0], sealed.len()))).unwrap();
        assert_eq!((records, seen), (5, (0..5).map(|n| (n, 100)).collect()));
    }

    #[test]
    fn three_snapshots_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        backup(dir.path());
        let store = Store::open(&dir.path().join("store")).unwrap();
        let kept = dir.path().join("snapshots");
        let mut header = Header::new();
        crate::vault::header::make_key_file(&dir.path().join("key")).unwrap();
        header.enrol_key_file(&dir.path().join("key"), &RootKey::generate().unwrap()).unwrap();
        // a clock that goes back: what counts is what they hold
        for second in (1..=5_i64).rev() {
            let generation = 16 - second.unsigned_abs();
            snapshot(&store, &header, &kept, second, generation).unwrap();
        }
        let names: Vec<_> = snapshots(&kept).iter().map(|p| p.file_stem().unwrap().to_owned()).collect();
        assert_eq!(names, ["000000000001-15", "000000000002-14", "000000000003-13"]);
    }

    #[test]
    fn every_cut_and_every_changed_byte_shows() {
        let dir = tempfile::tempdir().unwrap();
        let whole = std::fs::read(backup(dir.path())).unwrap();
        let path = dir.path().join("changed");
        let mut runner = proptest::test_runner::TestRunner::default();
        runner
            .run(&(any::<proptest::sample::Index>(), 1_u8..), |(at, flip)| {
                let at = at.index(whole.len());
                let mut changed = whole.clone();
                changed[at] ^= flip;
                std::fs::write(&path, &changed).unwrap();
                prop_assert!(read(&path, |_, _| ()).is_err(), "byte {at}");
                std::fs::write(&path, &whole[..at]).unwrap();
                prop_assert!(read(&path, |_, _| ()).is_err(), "cut at {at}");
                Ok(())
            })
            .unwrap();
    }
}
