//! `bursar exec` becomes the command: environment, arguments, input, terminal, signals and exit code are the command's own,
//! and where something is wrong before, it is not started.

use bursar_tests::cli::{Run, command};
use bursar_tests::library::{acme_with_api, bound};
use bursar_tests::secrets::token;
use bursar_tests::talk::WINDOW;
use bursar_tests::{Daemon, Home, Talk, Workspace, open_vault, processes};
use rustix::process::Signal;
use serde_json::json;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// Prints what `$0` and the arguments are, each in brackets.
const BRACKETS: &str = r#"printf '[%s]' "$0" "$@""#;

fn acme() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    (home, daemon)
}

/// `bursar exec -e acme/staging FLAGS -- COMMAND`
fn line<'a>(flags: &[&'a str], of_command: &[&'a str]) -> Vec<&'a str> {
    [&["exec", "-e", "acme/staging"], flags, &["--"], of_command].concat()
}

fn exec(home: &Home, flags: &[&str], of_command: &[&str]) -> Run {
    home.cli(&line(flags, of_command))
}

/// The shells that are there; `sh` is.
fn shells() -> Vec<&'static str> {
    let path = env::var_os("PATH").unwrap();
    let there = |shell: &&str| env::split_paths(&path).any(|directory| directory.join(shell).is_file());
    ["sh", "bash", "dash", "zsh"].into_iter().filter(|shell| *shell == "sh" || there(shell)).collect()
}

#[test]
fn a_command_has_its_variables_arguments_input_and_directory() {
    let (home, _daemon) = acme();
    let below = home.path().join("a b");
    fs::create_dir(&below).unwrap();
    for shell in shells() {
        let script = format!(r#"printf '[%s]' "$TOKEN" "$PLAIN" "$KEPT" "$PATH"; {BRACKETS}; pwd -P; cat"#);
        let flags =
            ["--set", "TOKEN=<%acme/api%>", "--set", "PLAIN=a=b", "--set", "KEPT=100%% %acme/api|base64%"];
        let arguments = [shell, "-c", &script, "zero", "", "a b", "--json", "--", "é\n", "%acme/api%"];
        let mut bursar = command(&home, &line(&flags, &arguments));
        bursar.current_dir(&below).env("PLAIN", "over this").env("OTHER", "x");
        let run = Run::finish(bursar.spawn().unwrap(), Some("from\0standard input")).ok();
        let path = env::var("PATH").unwrap();
        let there = below.canonicalize().unwrap();
        assert_eq!(
            run.out,
            format!(
                "[<value-of-staging>][a=b][100% dmFsdWUtb2Ytc3RhZ2luZw==][{path}][zero][][a b][--json][--][é\n][%acme/api%]{}\n\
                 from\0standard input",
                there.display()
            ),
            "{shell}"
        );
        assert_eq!(run.err, "", "{shell}");
    }
    let show = ["sh", "-c", "printf %s \"$1\" | od -An -tx1", "x"];
    let mut bursar = command(&home, &line(&["--set", "T=%acme/api%"], &show));
    bursar.arg(OsStr::from_bytes(b"\xff\xfe")).env("ODD", OsStr::from_bytes(b"\xff"));
    let run = Run::finish(bursar.spawn().unwrap(), None).ok();
    assert_eq!(run.out.trim(), "ff fe", "arguments need not be text");
    let variables = exec(&home, &["--set", "TOKEN=%acme/api%"], &["env"]).ok().out;
    let mut names: Vec<_> =
        variables.lines().filter_map(|line| line.split_once('=')).map(|one| one.0).collect();
    names.sort_unstable();
    assert_eq!(names, ["BURSAR_HOME", "PATH", "TOKEN"], "nothing else is added, and nothing is taken away");
}

#[test]
fn an_exit_code_is_the_commands_own() {
    let (home, _daemon) = acme();
    let set = ["--set", "T=%acme/api%"];
    for shell in shells() {
        for code in [0, 1, 2, 3, 42, 125, 126, 127, 255] {
            let run = exec(&home, &set, &[shell, "-c", &format!("exit {code}")]);
            assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (code, "", ""), "{shell}");
        }
    }
    let plain = home.file("plain", "#!/bin/sh\nexit 0\n");
    let odd = home.file("odd", "#!/no/such/interpreter\n");
    fs::set_permissions(&odd, fs::Permissions::from_mode(0o700)).unwrap();
    for (program, code) in [
        (plain.to_str().unwrap(), 126),
        (home.path().to_str().unwrap(), 126),
        ("/no/such/program", 127),
        ("", 127),
    ] {
        for flags in [&set[..], &["--mask", "--set", "T=%acme/api%"]] {
            let run = exec(&home, flags, &[program, "x"]);
            assert_eq!(run.code, code, "{program}: {run:?}");
            assert!(run.err.starts_with("error: cannot run ") && run.err.contains(program), "{run:?}");
            let arguments = [&["--json"], &line(flags, &[program])[..]].concat();
            let error = home.cli(&arguments).json_error();
            assert!(error["message"].as_str().unwrap().starts_with("cannot run "), "{error}");
        }
    }
    // a script that names no interpreter is the shell's
    let bare = home.file("bare", "printf '[%s]' \"$T\" \"$@\"; exit 5\n");
    fs::set_permissions(&bare, fs::Permissions::from_mode(0o700)).unwrap();
    let run = exec(&home, &set, &[bare.to_str().unwrap(), "a b", "$x"]);
    assert_eq!((run.code, run.out.as_str()), (5, "[value-of-staging][a b][$x]"));
    let masked = ["--mask", "--set", "T=%acme/api%", "--file", "F=%acme/api%"];
    let run = exec(&home, &masked, &[bare.to_str().unwrap(), "a b", "$x"]);
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (5, "[***][a b][$x]", ""));
    // as env(1) has it
    for program in [plain.to_str().unwrap(), "no-such-program", "/no/such/program", odd.to_str().unwrap()] {
        let theirs = Command::new("env").arg(program).output().unwrap().status.code();
        assert_eq!(Some(exec(&home, &set, &[program]).code), theirs, "{program}");
    }
}

#[test]
fn what_fails_before_the_command_is_125_and_nothing_was_started() {
    let (home, _daemon) = acme();
    home.ok("element.set", json!({ "element": "acme/unset" }));
    home.create(token("acme/off", "value-of-off"));
    home.ok("secret.deactivate", json!({ "secret": "acme/off" }));
    let started = home.path().join("started");
    let script = format!("touch '{}'", started.display());
    let refused = |code: &str, flags: &[&str]| {
        let arguments = [&["--json", "exec"], flags, &["--", "sh", "-c", &script]].concat();
        let run = home.cli(&arguments);
        assert_eq!((run.code, run.out.as_str()), (125, ""), "{flags:?}: {run:?}");
        assert!(!started.exists(), "{flags:?}");
        let error = run.json_error();
        assert_eq!(error["code"], code, "{flags:?}: {error}");
        assert!(!run.err.contains("value-of"), "{run:?}");
        error["message"].as_str().unwrap().to_owned()
    };
    let staging = ["-e", "acme/staging"];
    let set = |templates: &[&'static str]| -> Vec<&'static str> {
        let flags = templates.iter().flat_map(|template| ["--set", template]);
        staging.iter().copied().chain(flags).collect()
    };
    let message = refused("unresolved", &set(&["A=%acme/unset%", "B=%acme/api%", "C=%acme/none%"]));
    let told: Vec<_> = message.lines().collect();
    assert!(
        told.len() == 2
            && told[0].starts_with("--set A: line 1, column 1: acme/unset, staging: ")
            && told[1].starts_with("--set C: line 1, column 1: acme/none, staging: "),
        "{message}"
    );
    refused("inactive", &set(&["A=%secret:acme/off%"]));
    refused("not_found", &set(&["A=%secret:acme/nowhere%"]));
    let message = refused("invalid", &set(&["A=%acme/api", "B=x%acme/api|rot13%", "C=%acme/api%"]));
    assert!(
        message.contains("--set A: line 1, column 1: ") && message.contains("--set B: line 1, column 2: ")
    );
    let message = refused("invalid", &set(&["A=ab%acme/api:nofield%"]));
    assert!(message.starts_with("--set A: line 1, column 3: there is no such field"), "{message}");
    refused("invalid", &set(&["A"]));
    refused("invalid", &set(&["=x"]));
    refused("invalid", &set(&["A=1", "A=2"]));
    refused("invalid", &["-e", "acme/staging", "--set", "A=1", "--file", "A=2"]);
    refused("invalid", &["-e", "acme/staging", "--file", "../A=2"]);
    refused("invalid", &["-e", "acme/staging", "--no-such-flag"]);
    refused("invalid", &["-e", "a/b/c"]);
    refused("invalid", &["--set", "A=%acme/api%"]);
    for set in ["A=%acme/api%", "A=plain", "A=%secret:acme/api-staging%"] {
        let message = refused("not_found", &["-e", "acme/nowhere", "--set", set]);
        assert!(message.contains("acme/nowhere") && !message.contains("line 1"), "{message}");
    }
    assert_eq!(home.cli(&["exec"]).code, 125);
    let run = home.cli(&["exec", "sh", "-c", &script]);
    assert_eq!(run.code, 125, "{run:?}");
    assert!(run.err.contains("bursar exec -- "), "{run:?}");
    assert_eq!(home.cli(&["exec", "--help"]).code, 0);

    let cloned = Workspace::empty(&home, "cloned");
    cloned.write("bursar.toml", "environment = 'acme/staging'\n[env]\nT = '%acme/api%'\n");
    let run = cloned.run(&["exec", "--", "sh", "-c", &script]);
    assert!(run.code == 125 && run.err.contains("bursar workspace trust"), "{run:?}");
    cloned.write("bursar.toml", "environment = 'acme/staging'\n[env]\nOK = 'x'\nT = 'a %acme/api'\n");
    let run = cloned.run(&["exec", "--", "sh", "-c", &script]);
    assert!(run.code == 125 && run.err.contains("bursar.toml, line 4: env.T: "), "{run:?}");

    home.ok("vault.lock", json!({}));
    refused("locked", &set(&["A=%acme/api%"]));
    home.ok("agent.stop", json!({}));
    bursar_tests::until("the agent ends", || (!home.socket().exists()).then_some(()));
    refused("daemon_unreachable", &set(&["A=%acme/api%"]));
    assert!(!started.exists());
    let run = home.cli(&["exec", "--set", "A=100%%", "--", "sh", "-c", "echo $A"]);
    assert_eq!(
        (run.code, run.out.as_str()),
        (0, "100%\n"),
        "nobody is asked where nothing is named: {run:?}"
    );
}

#[test]
fn the_process_is_the_command_and_a_signal_ends_it_as_the_signal() {
    let (home, _daemon) = acme();
    let sleep = ["sh", "-c", r#"echo "$$ $PPID"; exec sleep 60"#];
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::KILL] {
        let mut talk = Talk::start(command(&home, &line(&["--set", "T=%acme/api%"], &sleep)));
        let own = format!("{} {}", talk.pid(), std::process::id());
        assert_eq!(talk.out.expect("\n"), own, "nobody is between");
        talk.signal(signal);
        let status = talk.ended();
        assert_eq!(status.signal(), Some(signal.as_raw()), "{status:?}");
    }
    let mut talk = Talk::start(command(&home, &line(&["--set", "T=%acme/api%"], &sleep)));
    talk.out.expect("\n");
    let program = bursar_tests::until("sleep", || {
        processes::link(talk.pid(), "exe")
            .filter(|program| program.to_str().unwrap().contains("sleep") || is_box(program))
    });
    assert_ne!(program, bursar_tests::binaries::binaries().bursar);

    let trap = "trap 'echo caught; exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    for shell in shells() {
        let mut talk = Talk::start(command(&home, &line(&["--set", "T=%acme/api%"], &[shell, "-c", trap])));
        talk.out.expect("ready\n");
        talk.signal(Signal::TERM);
        assert_eq!(talk.ended().code(), Some(9), "{shell}");
        assert_eq!(talk.out.whole(), "ready\ncaught\n", "{shell}");
    }
}

/// Whether one program is all of the tools, as busybox is.
fn is_box(program: &Path) -> bool {
    program.to_str().is_some_and(|program| program.contains("busybox") || program.contains("coreutils"))
}

#[test]
fn signals_files_and_limits_are_what_they_would_be_without() {
    let (home, _daemon) = acme();
    let state = "grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status; ls -l /proc/self/fd | wc -l; umask; pwd; \
                 ulimit -S -a; ulimit -H -a";
    for before in ["", "trap '' HUP TERM;", "umask 027; ulimit -n 99; ulimit -c 10;"] {
        let said = |command: &str| {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(format!("{before} exec {command} sh -c \"$STATE\"")).env("STATE", state);
            shell.env("BURSAR_HOME", home.path()).env("BURSAR", &bursar_tests::binaries::binaries().bursar);
            let output = shell.current_dir("/").output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let with = said(r#""$BURSAR" exec -e acme/staging --set T=%acme/api% --"#);
        assert_eq!(with, said("env T=x"), "{before}");
    }
}

#[test]
fn a_value_is_in_no_arguments_and_in_no_environment_but_the_commands() {
    let (home, _daemon) = acme();
    let value = format!("canary-{}-{:x}", std::process::id(), home.path().as_os_str().len());
    bound(&home, "acme/canary", "acme/staging", &value);
    home.ok("element.set", json!({ "element": "acme/canary", "staging": "acme/canary" }));
    for masked in [true, false] {
        let mut flags = vec!["--set", "TOKEN=%acme/canary%", "--file", "KEY=%acme/canary%"];
        flags.extend(masked.then_some("--mask"));
        let mut talk = Talk::start(command(&home, &line(&flags, &["sh", "-c", "echo $$; read x"])));
        let inner: u32 = talk.out.expect("\n").parse().unwrap();
        assert_eq!(inner == talk.pid(), !masked);
        assert_eq!(processes::with(&value, "environ"), [inner], "masked: {masked}");
        assert_eq!(processes::with(&value, "cmdline"), Vec::<u32>::new());
        let arguments = processes::arguments(talk.pid());
        assert!(!masked || arguments.contains("--mask"), "{arguments}");
        talk.say("go on\n");
        assert!(talk.ended().success());
    }
}

#[test]
fn a_command_on_a_terminal_has_that_terminal() {
    let (home, _daemon) = acme();
    let on_terminal = |script: &str| {
        Talk::on_terminal(&command(&home, &line(&["--set", "T=%acme/api%"], &["sh", "-c", script])))
    };
    let (rows, columns) = WINDOW;
    let mut talk = on_terminal(
        "test -t 0 && test -t 1 && test -t 2 && echo all three; stty size; echo \"$$\"; \
         read line; echo \"<$line $T>\"; stty -echo; echo hidden; read line; echo \"<$line>\"; exit 7",
    );
    assert_eq!(talk.out.expect("\r\n"), "all three");
    assert_eq!(talk.out.expect("\r\n"), format!("{rows} {columns}"));
    assert_eq!(talk.out.expect("\r\n"), talk.pid().to_string());
    talk.say("typed\n");
    assert_eq!(talk.out.expect("<"), "typed\r\n", "the terminal echoes");
    assert_eq!(talk.out.expect(">\r\n"), "typed value-of-staging");
    talk.out.expect("hidden\r\n");
    talk.say("unseen\n");
    assert_eq!(talk.out.expect("<unseen>"), "", "the terminal does not echo");
    assert_eq!(talk.ended().code(), Some(7));

    let mut talk = on_terminal("trap 'echo caught; exit 42' INT; echo ready; while :; do sleep 0.05; done");
    talk.out.expect("ready\r\n");
    talk.say("\x03");
    talk.out.expect("caught");
    assert_eq!(talk.ended().code(), Some(42));

    for (key, signal) in [("\x03", Signal::INT), ("\x1c", Signal::QUIT)] {
        let mut talk = on_terminal("echo ready; exec sleep 60");
        talk.out.expect("ready\r\n");
        talk.say(key);
        assert_eq!(talk.ended().signal(), Some(signal.as_raw()));
    }

    // a shell that a person works in
    let mut shell = command(&home, &[]);
    shell.env("BURSAR", &bursar_tests::binaries::binaries().bursar).env("PS1", "> ").env("TERM", "dumb");
    let mut inside = Command::new("sh");
    inside.arg("-i").envs(shell.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut talk = Talk::on_terminal(inside.current_dir(home.path()));
    talk.out.expect("> ");
    talk.say("\"$BURSAR\" exec -e acme/staging --set T=%acme/api% -- sh -c 'echo in; exec sleep 60'\n");
    talk.out.expect("\r\nin\r\n");
    talk.say("\x1a");
    talk.out.expect("> ");
    talk.say("jobs; fg\n");
    talk.out.expect("topped");
    talk.out.expect("exec -e acme/staging");
    talk.say("\x03");
    talk.out.expect("> ");
    talk.say("echo code $?; exit\n");
    talk.out.expect("\r\ncode 130\r\n");
    talk.ended();
}
