use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::Ordering;

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.0.path().join(path)
    }

    fn tree(&self) -> Tree {
        Tree::open(self.0.path()).unwrap()
    }

    /// Every path below, directories with a slash.
    fn all(&self) -> Vec<String> {
        fn walk(directory: &Path, prefix: &str, all: &mut Vec<String>) {
            for entry in fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
                if entry.file_type().unwrap().is_dir() {
                    walk(&entry.path(), &format!("{name}/"), all);
                    all.push(format!("{name}/"));
                } else {
                    all.push(name);
                }
            }
        }
        let mut all = Vec::new();
        walk(self.0.path(), "", &mut all);
        all.sort();
        all
    }

    fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.path(path)).unwrap().permissions().mode() & 0o777
    }
}

fn file<'a>(path: &'a str, content: &'a str) -> NewFile<'a> {
    NewFile { path, content: content.as_bytes(), mode: Some(0o600) }
}

fn refused<T>(result: Result<T, Stop>) -> String {
    match result {
        Err(Stop::Failed(error)) => error.message,
        _ => panic!("was not refused"),
    }
}

#[test]
fn files_come_into_their_places_and_others_go() {
    let home = Home::new();
    fs::create_dir_all(home.path("old/er/deep")).unwrap();
    for path in ["old/er/deep/x", "old/er/y", "old/z", "kept"] {
        fs::write(home.path(path), "x").unwrap();
    }
    fs::set_permissions(home.path("kept"), fs::Permissions::from_mode(0o640)).unwrap();
    let tree = home.tree();
    let open = NewFile { path: "kept", content: b"new", mode: None };
    let files = [file("a", "1"), file("deep/er/b", "2"), file("deep/c", "3"), open];
    let drafts = Drafts::write(&tree, files, &Interrupt::default()).unwrap();
    assert_eq!(fs::read(home.path("kept")).unwrap(), b"x");
    assert_eq!(home.mode("deep/er/.b.bursar-draft"), 0o600);
    drafts.commit(["old/er/deep/x", "old/er/y", "never/was"]).unwrap();
    assert_eq!(home.all(), ["a", "deep/", "deep/c", "deep/er/", "deep/er/b", "kept", "old/", "old/z"]);
    assert_eq!(fs::read(home.path("deep/er/b")).unwrap(), b"2");
    assert_eq!((home.mode("a"), home.mode("kept")), (0o600, 0o640));
}

#[test]
fn what_is_not_committed_leaves_nothing() {
    let home = Home::new();
    fs::create_dir(home.path("was")).unwrap();
    fs::write(home.path("a"), "old").unwrap();
    let tree = home.tree();
    let files = [file("a", "1"), file("was/b", "2"), file("deep/er/c", "3")];
    drop(Drafts::write(&tree, files, &Interrupt::default()).unwrap());
    assert_eq!(home.all(), ["a", "was/"]);
    assert_eq!(fs::read(home.path("a")).unwrap(), b"old");
}

#[test]
fn a_refusal_in_the_middle_leaves_nothing() {
    let home = Home::new();
    fs::create_dir(home.path("d")).unwrap();
    let tree = home.tree();
    let files = || [file("a", "1"), file("x/b", "2"), file("d", "3")];
    assert_eq!(refused(Drafts::write(&tree, files(), &Interrupt::default())), "d is no plain file");
    assert_eq!(home.all(), ["d/"]);
}

#[test]
fn an_interrupt_leaves_nothing() {
    let home = Home::new();
    let tree = home.tree();
    let interrupt = Interrupt::default();
    let files = ["a", "b"].into_iter().map(|path| {
        interrupt.0.store(path == "b", Ordering::Relaxed);
        file(path, "x")
    });
    assert!(matches!(Drafts::write(&tree, files, &interrupt), Err(Stop::Ended(130))));
    assert_eq!(home.all(), [""; 0]);
}

#[test]
fn drafts_that_were_left_are_replaced() {
    let home = Home::new();
    fs::write(home.path(".a.bursar-draft"), "left").unwrap();
    fs::hard_link(home.path(".a.bursar-draft"), home.path("other")).unwrap();
    let tree = home.tree();
    Drafts::write(&tree, [file("a", "1")], &Interrupt::default()).unwrap().commit([]).unwrap();
    assert_eq!(home.all(), ["a", "other"]);
    assert_eq!(fs::read(home.path("other")).unwrap(), b"left");
    fs::create_dir(home.path(".b.bursar-draft")).unwrap();
    let said = refused(Drafts::write(&tree, [file("b", "1")], &Interrupt::default()));
    assert!(said.starts_with("cannot write .b.bursar-draft: "), "{said}");
}

#[test]
fn drafts_that_were_left_are_swept() {
    let home = Home::new();
    fs::create_dir(home.path("d")).unwrap();
    for path in [".a.bursar-draft", "d/.b.bursar-draft", ".c.bursar-draft"] {
        fs::write(home.path(path), "left").unwrap();
    }
    sweep(&home.tree(), ["a", "d/b", "none/x"]);
    assert_eq!(home.all(), [".c.bursar-draft", "d/"]);
}

#[test]
fn nothing_is_written_through_a_symlink() {
    let home = Home::new();
    let outside = Home::new();
    fs::write(outside.path("f"), "theirs").unwrap();
    symlink(outside.0.path(), home.path("dir")).unwrap();
    symlink(outside.path("f"), home.path("file")).unwrap();
    symlink(outside.path("f"), home.path(".x.bursar-draft")).unwrap();
    let tree = home.tree();
    let write = |path| Drafts::write(&tree, [file(path, "ours")], &Interrupt::default());
    assert!(refused(write("dir/f")).starts_with("dir is a symlink"));
    assert!(refused(write("dir/new/f")).starts_with("dir is a symlink"));
    assert_eq!(refused(write("file")), "file is no plain file");
    write("x").unwrap().commit(["dir/f"]).unwrap_err();
    assert_eq!(fs::read(outside.path("f")).unwrap(), b"theirs");
    assert_eq!(outside.all(), ["f"]);
    assert_eq!(fs::read(home.path("x")).unwrap(), b"ours");
}
