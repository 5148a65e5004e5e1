//! The hook with real programs.

use super::*;
use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

/// When a test gives up: far beyond what a busy machine takes.
const PATIENCE: Duration = Duration::from_mins(1);

/// A hook whose runs are told to the test.
struct Told {
    hooks: Hooks,
    runs: Receiver<Run>,
}

impl Told {
    fn start(config: HookConfig) -> Self {
        let (sender, runs) = channel();
        let hooks = Hooks::start_telling(config, move |run| drop(sender.send(run))).unwrap();
        Self { hooks, runs }
    }

    fn fire(&self, event: Event) {
        self.hooks.fire(Occasion::new(event, at(0)));
    }

    fn next(&self) -> Run {
        self.runs.recv_timeout(PATIENCE).unwrap()
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

/// A shell that runs `script` in `directory`.
fn shell(directory: &Path, script: &str) -> HookConfig {
    let script = format!("cd '{}' || exit 99\n{script}", directory.display());
    let command = ["/bin/sh", "-c", &script].map(str::to_owned).to_vec();
    HookConfig { command, timeout: TIMEOUT_MAX, ..HookConfig::default() }
}

fn well(run: &Run) -> bool {
    matches!(run.outcome, Outcome::Ended(status) if status.success())
}

/// A fifo whose writers can be waited for. Opened first, so that nobody waits for the other end.
struct Fifo(File);

impl Fifo {
    fn make(directory: &Path) -> Self {
        let path = directory.join("fifo");
        mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        Self(fs::OpenOptions::new().read(true).custom_flags(flags).open(path).unwrap())
    }

    /// Everything that was written, once nobody has it open for writing any more.
    fn until_closed(&mut self) -> String {
        let started = Instant::now();
        let mut written = Vec::new();
        while let Err(error) = self.0.read_to_end(&mut written) {
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            assert!(started.elapsed() < PATIENCE, "somebody still has it open");
            std::thread::sleep(Duration::from_millis(5));
        }
        String::from_utf8(written).unwrap()
    }
}

fn occasion() -> Occasion {
    Occasion {
        secret: Some("acme/adobe-io".parse().unwrap()),
        client_secret: Some("k3v9x0a1b2".parse().unwrap()),
        description: Some("the nightly build".into()),
        environment: Some("acme/production".parse().unwrap()),
        expires_at: Some(at(86_400)),
        days: Some(7),
        details: Some("the issuer said \"no\"\nand hung up".into()),
        hint: Some("bursar secret retry acme/adobe-io".into()),
        ..Occasion::new(Event::RefreshFailed, at(0))
    }
}

#[test]
fn a_command_reads_the_whole_document() {
    let dir = tempfile::tempdir().unwrap();
    let told = Told::start(shell(dir.path(), "cat > got"));
    told.hooks.fire(occasion());
    assert!(well(&told.next()));
    assert_eq!(
        fs::read_to_string(dir.path().join("got")).unwrap(),
        concat!(
            r#"{"event":"refresh_failed","at":"1970-01-01T00:00:00Z","secret":"acme/adobe-io","#,
            r#""client_secret":"k3v9x0a1b2","description":"the nightly build","#,
            r#""environment":"acme/production","expires_at":"1970-01-02T00:00:00Z","days":7,"#,
            r#""details":"the issuer said \"no\" and hung up","hint":"bursar secret retry acme/adobe-io"}"#,
            "\n"
        )
    );
    told.fire(Event::Refreshed);
    assert!(well(&told.next()));
    assert_eq!(
        fs::read_to_string(dir.path().join("got")).unwrap(),
        concat!(
            r#"{"event":"refreshed","at":"1970-01-01T00:00:00Z","secret":null,"client_secret":null,"#,
            r#""description":null,"environment":null,"expires_at":null,"days":null,"details":null,"hint":null}"#,
            "\n"
        )
    );
}

#[test]
fn a_command_inherits_a_path_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let open = File::create(dir.path().join("open")).unwrap();
    let script = "readlink /proc/$$/cwd > $1/directory; cat /proc/$$/environ > $1/environment
        readlink /proc/$$/fd/* > $1/files
        echo $$ > $1/process; cut -d ' ' -f 5 /proc/$$/stat > $1/group";
    let command = ["/bin/sh", "-c", script, "hook", dir.path().to_str().unwrap()].map(str::to_owned).to_vec();
    let told = Told::start(HookConfig { command, ..HookConfig::default() });
    told.fire(Event::Refreshed);
    assert!(well(&told.next()));
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!(read("directory"), "/\n");
    assert_eq!(read("environment"), format!("PATH={PATH}\0"));
    assert_eq!(read("group"), read("process"));
    assert!(read("files").contains("pipe:") && !read("files").contains("/open"), "{}", read("files"));
    drop(open);
}

#[test]
fn commands_run_one_at_a_time_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    // the pause is what an overlap would fall into
    let told = Told::start(shell(dir.path(), "mkdir lock && sleep 0.05 && cat >> runs && rmdir lock"));
    for days in 0..5 {
        told.hooks.fire(Occasion { days: Some(days), ..Occasion::new(Event::Expiring, at(0)) });
    }
    for _ in 0..5 {
        let run = told.next();
        assert!(well(&run), "{run:?}");
    }
    let runs = fs::read_to_string(dir.path().join("runs")).unwrap();
    let days =
        runs.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["days"].clone());
    assert_eq!(days.collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}

#[test]
fn a_command_that_takes_too_long_ends_with_its_children() {
    let dir = tempfile::tempdir().unwrap();
    let mut fifo = Fifo::make(dir.path());
    let mut config = shell(dir.path(), "exec 3> fifo; sleep 600 & (sleep 600; true) & echo up >&3; wait");
    config.timeout = Duration::from_secs(1);
    let told = Told::start(config);
    let started = Instant::now();
    loop {
        told.fire(Event::Refreshed);
        let run = told.next();
        assert!(matches!(run.outcome, Outcome::TooLong(limit) if limit.as_secs() == 1), "{run:?}");
        // on a machine that is very busy the limit may come before the children
        if fifo.until_closed() == "up\n" {
            break;
        }
        assert!(started.elapsed() < PATIENCE);
    }
}

#[test]
fn what_a_command_leaves_behind_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut fifo = Fifo::make(dir.path());
    let told = Told::start(shell(dir.path(), "exec 3> fifo; sleep 600 & echo up >&3"));
    told.fire(Event::Refreshed);
    assert!(well(&told.next()));
    assert_eq!(fifo.until_closed(), "up\n");
}

#[test]
fn a_command_that_is_not_there_is_told_and_the_next_still_runs() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let mut config = shell(dir.path(), "exit 3");
    config.command[0] = missing.to_str().unwrap().to_owned();
    let told = Told::start(config);
    told.fire(Event::Expiring);
    let run = told.next();
    assert!(
        matches!(&run.outcome, Outcome::NotRun(error) if error.kind() == io::ErrorKind::NotFound),
        "{run:?}"
    );
    std::os::unix::fs::symlink("/bin/sh", missing).unwrap();
    told.fire(Event::Expiring);
    let run = told.next();
    assert!(matches!(run.outcome, Outcome::Ended(status) if status.code() == Some(3)), "{run:?}");
}

#[test]
fn a_command_that_reads_nothing_is_no_fault() {
    let dir = tempfile::tempdir().unwrap();
    let told = Told::start(shell(dir.path(), "exec < /dev/null"));
    for _ in 0..20 {
        told.hooks.fire(largest());
        assert!(well(&told.next()));
    }
}

#[test]
fn an_event_that_is_not_wanted_does_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let events = vec![Event::RefreshFailed];
    let told = Told::start(HookConfig { events, ..shell(dir.path(), "cat >> got") });
    told.fire(Event::Refreshed);
    told.fire(Event::Expiring);
    told.fire(Event::RefreshFailed);
    let run = told.next();
    assert!(well(&run) && run.event == Event::RefreshFailed, "{run:?}");
    let got = fs::read_to_string(dir.path().join("got")).unwrap();
    assert_eq!((got.lines().count(), got.contains("refresh_failed")), (1, true), "{got}");
}

#[test]
fn a_full_queue_drops_and_counts_and_a_new_config_holds_for_what_waits() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
    // both ends, so that neither side waits for the other to open
    let mut go = fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    let script = "echo run >> runs; read line < fifo";
    let told = Told::start(shell(dir.path(), script));
    let runs = dir.path().join("runs");
    let begun = |count: usize| {
        let started = Instant::now();
        while fs::read_to_string(&runs).unwrap_or_default().lines().count() < count {
            assert!(started.elapsed() < PATIENCE);
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    told.fire(Event::Refreshed);
    begun(1);
    for _ in 0..QUEUE_MAX + 3 {
        told.fire(Event::Refreshed);
    }
    go.write_all(b"\n").unwrap();
    let first = told.next();
    assert!(well(&first) && first.lost == 0, "{first:?}");
    begun(2);
    told.hooks.reconfigure(HookConfig::default());
    go.write_all(b"\n").unwrap();
    let second = told.next();
    assert!(well(&second) && second.lost == 3, "{second:?}");
    // a config without a command wants nothing of what waited, also when the next has one again
    told.hooks.reconfigure(shell(dir.path(), "exit 4"));
    told.fire(Event::Expiring);
    let third = told.next();
    assert!(third.event == Event::Expiring && third.lost == 0, "{third:?}");
}

#[test]
fn the_end_drops_what_waits_and_ends_what_runs() {
    let dir = tempfile::tempdir().unwrap();
    let mut fifo = Fifo::make(dir.path());
    let Told { hooks, runs } =
        Told::start(shell(dir.path(), "exec 3> fifo; sleep 600 & echo up >&3; : > up; wait"));
    for _ in 0..3 {
        hooks.fire(Occasion::new(Event::Refreshed, at(0)));
    }
    let started = Instant::now();
    while !dir.path().join("up").exists() {
        assert!(started.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(hooks);
    let run = runs.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(run.outcome, Outcome::CutOff), "{run:?}");
    assert_eq!(fifo.until_closed(), "up\n");
    assert_eq!(runs.recv_timeout(PATIENCE).err(), Some(RecvTimeoutError::Disconnected));
}

#[test]
fn the_log_names_the_event_and_nothing_of_the_document() {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let outcomes = [
            Outcome::NotRun(io::ErrorKind::NotFound.into()),
            Outcome::TooLong(Duration::from_secs(30)),
            Outcome::CutOff,
        ];
        for outcome in outcomes {
            log(&Run { event: Event::Expiring, outcome, lost: 7 });
        }
    });
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().count(), 6, "{text}");
    for expected in ["lost=7", "could not be run event=\"expiring\"", "limit_s=30", "with the daemon"] {
        assert!(text.contains(expected), "{text}");
    }
}

fn read(text: &str) -> Result<HookConfig, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}

#[test]
fn a_config_is_read_with_its_defaults() {
    assert_eq!(read(""), Ok(HookConfig::default()));
    let config = read("command = [\"/usr/bin/logger\", \"-t\", \"bursar\"]\ntimeout = \"1h\"").unwrap();
    assert_eq!((config.command.len(), config.timeout, config.events.len()), (3, TIMEOUT_MAX, 4));
    let config = read("events = [\"refreshed\", \"refresh_failed\", \"needs_authorization\", \"expiring\"]");
    assert_eq!(config, Ok(HookConfig::default()));
    assert_eq!(read("events = [\"expiring\"]").unwrap().events, [Event::Expiring]);
    for event in Event::ALL {
        assert_eq!(serde_json::to_value(event).unwrap(), event.word());
    }
}

#[test]
fn mistakes_in_a_config_are_told() {
    let long = format!("command = [\"/bin/true\"{}]", ", \"x\"".repeat(WORDS_MAX));
    for (text, expected) in [
        ("command = [\"notify\"]", "absolute path"),
        ("command = [\"\"]", "absolute path"),
        ("command = [\"/bin/true\", \"\\u0000\"]", "zero byte"),
        (long.as_str(), "at most 64 words"),
        ("command = \"/bin/true\"", "expected a sequence"),
        ("timeout = \"0s\"", "at least 1s"),
        ("timeout = \"61m\"", "at most 1h"),
        ("timeout = \"soon\"", "a duration is"),
        ("events = [\"created\"]", "expected one of `refreshed`"),
        ("shell = true", "unknown field"),
    ] {
        let told = read(text).unwrap_err();
        assert!(told.contains(expected), "{text}: {told}");
    }
    assert!(read(&long.replacen(", \"x\"", "", 1)).is_ok());
}

/// With everything as long as it gets, of characters that JSON escapes.
fn largest() -> Occasion {
    let name = || Some(format!("{}/{}", "o".repeat(39), "n".repeat(100)).parse().unwrap());
    let text = || Some("\"\\\u{1}\u{9b}".repeat(2_000));
    Occasion {
        secret: name(),
        environment: name(),
        days: Some(u32::MAX),
        description: text(),
        details: text(),
        hint: text(),
        ..Occasion { event: Event::NeedsAuthorization, ..occasion() }
    }
}

#[test]
fn the_largest_document_fits_the_pipe() {
    let mut quotes = largest();
    quotes.details = Some("\"".repeat(5_000));
    (quotes.description, quotes.hint) = (quotes.details.clone(), quotes.details.clone());
    let length = quotes.bounded().document().unwrap().len();
    assert!((DOCUMENT_MAX / 2..=DOCUMENT_MAX).contains(&length), "{length}");
}

proptest! {
    #[test]
    fn a_document_is_one_line_of_a_bounded_length(
        text in "\\PC{0,1100}|[\\x00-\\x1f\"]{0,1100}",
        more in "[é\u{1f980}\u{85}]{0,600}",
    ) {
        let mut occasion = largest();
        (occasion.details, occasion.hint, occasion.description) = (Some(text.clone()), Some(more), Some(text));
        let document = occasion.bounded().document().unwrap();
        prop_assert!(document.len() <= DOCUMENT_MAX);
        prop_assert_eq!(document.iter().position(|&byte| byte == b'\n'), Some(document.len() - 1));
        let read: serde_json::Value = serde_json::from_slice(&document).unwrap();
        prop_assert!(read["details"].as_str().unwrap().chars().all(|c| !c.is_control()));
    }
}
