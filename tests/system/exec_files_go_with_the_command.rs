//! `bursar exec --file` puts values into private files in memory, and they are gone when the command ends, however it ends.

use bursar_tests::cli::{Run, command};
use bursar_tests::library::{acme_with_api, bound};
use bursar_tests::{Daemon, Home, Talk, open_vault, processes, until};
use rustix::process::Signal;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, thread};
use tempfile::TempDir;

/// A vault, and a place in memory that holds the files of this test's commands and nothing else.
struct Case {
    home: Home,
    _daemon: Daemon,
    memory: TempDir,
}

impl Case {
    fn new() -> Self {
        let (home, daemon) = open_vault();
        acme_with_api(&home);
        let memory = tempfile::tempdir_in("/dev/shm").unwrap();
        Self { home, _daemon: daemon, memory }
    }

    fn command(&self, flags: &[&str], of_command: &[&str]) -> Command {
        let arguments = [&["exec", "-e", "acme/staging"], flags, &["--"], of_command].concat();
        let mut bursar = command(&self.home, &arguments);
        bursar.env("XDG_RUNTIME_DIR", self.memory.path());
        bursar
    }

    fn run(&self, flags: &[&str], of_command: &[&str]) -> Run {
        Run::finish(self.command(flags, of_command).spawn().unwrap(), None)
    }

    fn left(&self) -> Vec<PathBuf> {
        fs::read_dir(self.memory.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    fn until_nothing_is_left(&self) {
        until("the files go", || self.left().is_empty().then_some(()));
    }
}

const KEY: [&str; 2] = ["--file", "KEY=<%acme/api%>\n"];

#[test]
fn a_file_is_private_in_memory_and_gone_with_the_command() {
    let case = Case::new();
    let values = json!({ "lines": "one\ntwo", "empty-ish": " ", "zero": "a\0b", "long": "x".repeat(40_000) });
    case.home
        .create(json!({ "secret": "acme/kv", "type": "key-value", "credentials": { "entries": values } }));
    let flags = [
        "--file",
        "KEY=<%acme/api%>\n",
        "--file",
        "a.b-C_9=%secret:acme/kv:lines%",
        "--file",
        "LONG=%secret:acme/kv:long%%secret:acme/kv:zero%",
        "--file",
        "EMPTY=",
        "--set",
        "PLAIN=%acme/api%",
    ];
    let script = r#"
        for file in "$KEY" "$LONG" "$EMPTY"; do
            stat -c '%a %s %h %F' "$file"; stat -f -c %T "$file"
        done
        stat -c %a "${KEY%/*}"; ls -A "${KEY%/*}" | tr '\n' ' '; echo; cat "$KEY"; echo "$PLAIN"; echo "$KEY""#;
    let run = case.run(&flags, &["sh", "-c", script]).ok();
    let said: Vec<&str> = run.out.lines().collect();
    assert_eq!(
        said[..11],
        [
            "600 19 1 regular file",
            "tmpfs",
            "600 40003 1 regular file",
            "tmpfs",
            "600 0 1 regular empty file",
            "tmpfs",
            "700",
            "EMPTY KEY LONG a.b-C_9 ",
            "<value-of-staging>",
            "value-of-staging",
            said[10],
        ]
    );
    let file = Path::new(said[10]);
    assert!(file.starts_with(case.memory.path()) && file.ends_with("KEY"), "{said:?}");
    case.until_nothing_is_left();
}

#[test]
fn the_files_go_however_the_command_ends() {
    let case = Case::new();
    for masked in [&[][..], &["--mask"]] {
        let flags = [&KEY, masked].concat();
        for (script, code) in
            [("exit 3", 3), ("rm -f \"$KEY\"", 0), ("rm -rf \"${KEY%/*}\"", 0), ("touch \"$KEY.more\"", 0)]
        {
            let run = case.run(&flags, &["sh", "-c", script]);
            assert_eq!((run.code, run.err.as_str()), (code, ""), "{script}");
            case.until_nothing_is_left();
        }
        for program in ["/no/such/program", "/dev/null"] {
            assert!(case.run(&flags, &[program]).code >= 126);
            case.until_nothing_is_left();
        }
    }
    for signal in [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP] {
        let mut talk = Talk::start(case.command(&KEY, &["sh", "-c", "cat \"$KEY\"; exec sleep 60"]));
        talk.out.expect("<value-of-staging>\n");
        assert_eq!(case.left().len(), 1);
        talk.signal(signal);
        assert_eq!(talk.ended().signal(), Some(signal.as_raw()));
        case.until_nothing_is_left();
    }
    // a key of the terminal reaches all that belongs to it
    let mut talk = Talk::on_terminal(&case.command(&KEY, &["sh", "-c", "cat \"$KEY\"; exec sleep 60"]));
    talk.out.expect("<value-of-staging>\r\n");
    talk.say("\x03");
    assert_eq!(talk.ended().signal(), Some(Signal::INT.as_raw()));
    case.until_nothing_is_left();
}

#[test]
fn a_masked_command_that_is_killed_with_its_bursar_leaves_no_file() {
    let case = Case::new();
    let flags = [&KEY[..], &["--mask"]].concat();
    let mut talk = Talk::start(case.command(&flags, &["sh", "-c", "echo ready; read line; exit 5"]));
    talk.out.expect("ready\n");
    assert_eq!(case.left().len(), 1);
    talk.signal(Signal::KILL);
    assert_eq!(talk.ended().signal(), Some(Signal::KILL.as_raw()));
    case.until_nothing_is_left();
}

#[test]
fn nobody_waits_for_the_one_that_cleans_up() {
    let case = Case::new();
    // a shell reads a substitution to its end
    let mut shell = Command::new("sh");
    let bursar = &bursar_tests::binaries::binaries().bursar;
    shell.arg("-c").arg(
        "read=$(\"$BURSAR\" exec -e acme/staging --file KEY=%acme/api% -- sh -c 'cat \"$KEY\"; echo >&2; wait'); \
         echo \"[$read]\"",
    );
    shell
        .env("BURSAR", bursar)
        .env("BURSAR_HOME", case.home.path())
        .env("XDG_RUNTIME_DIR", case.memory.path());
    let mut talk = Talk::start(shell);
    assert_eq!(talk.out.whole(), "[value-of-staging]\n");
    assert!(talk.ended().success());
    case.until_nothing_is_left();

    let mut talk = Talk::start(case.command(&KEY, &["sh", "-c", "echo \"$KEY\"; read line"]));
    let file = PathBuf::from(talk.out.expect("\n"));
    let directory = file.parent().unwrap().to_str().unwrap();
    // the first half of it may be about to end
    let sweeper = until("one that cleans up", || match processes::with(directory, "cmdline")[..] {
        [only] if only != talk.pid() => Some(only),
        _ => None,
    });
    assert!(!processes::arguments(sweeper).contains("value-of"));
    assert_eq!(processes::file(sweeper, "environ"), b"", "it has no environment");
    assert_ne!(processes::number(sweeper, "PPid"), Some(talk.pid()), "it is no child of the command");
    let open = |pid: u32| -> Vec<PathBuf> {
        let all = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
        all.filter_map(|one| fs::read_link(one.path()).ok()).collect()
    };
    let streams: Vec<_> =
        (0..3).filter_map(|one| processes::link(talk.pid(), &format!("fd/{one}"))).collect();
    assert_eq!(streams.len(), 3);
    for held in open(sweeper) {
        assert!(!streams.contains(&held), "it holds {} of the command", held.display());
        assert!(!held.to_str().unwrap().starts_with("socket:"), "it holds a connection");
    }
    assert_eq!(processes::link(sweeper, "cwd").unwrap(), Path::new("/"));
    talk.say("go on\n");
    assert!(talk.ended().success());
    case.until_nothing_is_left();
    until("it ends as well", || processes::with(directory, "cmdline").is_empty().then_some(()));
}

#[test]
fn commands_at_once_have_files_of_their_own() {
    let case = Case::new();
    for name in 0..8 {
        bound(&case.home, &format!("acme/s{name}"), "acme/staging", &format!("value-{name}"));
    }
    thread::scope(|scope| {
        for name in 0..8 {
            let case = &case;
            scope.spawn(move || {
                let flag = format!("KEY=%secret:acme/s{name}%");
                let run =
                    case.run(&["--file", &flag], &["sh", "-c", "cat \"$KEY\"; sleep 0.1; cat \"$KEY\""]).ok();
                assert_eq!(run.out, format!("value-{name}value-{name}"));
            });
        }
    });
    case.until_nothing_is_left();
}

#[test]
fn without_a_place_in_memory_of_its_own_the_shared_one_is_taken() {
    let case = Case::new();
    let elsewhere = case.home.path().join("run");
    fs::create_dir(&elsewhere).unwrap();
    let relative = Path::new("run");
    for runtime in [Some(elsewhere.as_path()), Some(relative), Some(Path::new("/no/such/directory")), None] {
        let mut bursar = case.command(&KEY, &["sh", "-c", "printf %s \"$KEY\""]);
        match runtime {
            Some(path) => bursar.env("XDG_RUNTIME_DIR", path),
            None => bursar.env_remove("XDG_RUNTIME_DIR"),
        };
        let run = Run::finish(bursar.spawn().unwrap(), None).ok();
        // where even the place for temporary files is in memory, that is as good
        assert!(run.out.starts_with("/dev/shm/") || in_memory(&elsewhere), "{run:?}");
        until("the file goes", || (!Path::new(&run.out).exists()).then_some(()));
    }
    // what cannot be written is told, and nothing is started
    let closed = tempfile::tempdir_in("/dev/shm").unwrap();
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let mut bursar = case.command(&KEY, &["sh", "-c", "cat \"$KEY\""]);
    bursar.env("XDG_RUNTIME_DIR", closed.path());
    let run = Run::finish(bursar.spawn().unwrap(), None).ok();
    assert_eq!(run.out, "<value-of-staging>\n", "the next place is taken");
}

fn in_memory(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|found| found.f_type == 0x0102_1994)
}
