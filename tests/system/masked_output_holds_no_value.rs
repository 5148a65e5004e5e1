//! `bursar exec --mask` lets no value through: not encoded, not split, not on either stream; all else comes out as it is.

use bursar_tests::cli::command;
use bursar_tests::library::{acme_with_api, bound};
use bursar_tests::{Daemon, Home, Run, Talk, Workspace, open_vault, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::process::Command;

const VALUE: &str = "s3cr&t?/ü>>~value";
const BASE64: &str = "czNjciZ0Py/DvD4+fnZhbHVl";
const BASE64_URL: &str = "czNjciZ0Py_DvD4-fnZhbHVl";
const URL: &str = "s3cr%26t%3F%2F%C3%BC%3E%3E~value";

fn vault() -> (Home, Daemon) {
    let (home, daemon) = open_vault();
    acme_with_api(&home);
    bound(&home, "acme/odd", "acme/staging", VALUE);
    (home, daemon)
}

fn line<'a>(flags: &[&'a str], script: &'a str) -> Vec<&'a str> {
    [&["exec", "-e", "acme/staging", "--mask"], flags, &["--", "sh", "-c", script]].concat()
}

fn masked(home: &Home, flags: &[&str], script: &str) -> Run {
    home.cli(&line(flags, script))
}

const ODD: [&str; 2] = ["--set", "V=%secret:acme/odd%"];

#[test]
fn a_value_is_blotted_out_in_every_form_on_both_streams() {
    let (home, _daemon) = vault();
    for form in [VALUE, BASE64, BASE64_URL, URL, &URL.to_lowercase()] {
        let run = masked(&home, &ODD, &format!("printf '<%s>' '{form}'; printf '(%s)\\n' '{form}' >&2"));
        assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (0, "<***>", "(***)\n"), "{form}");
    }
    // by the command's own tools
    let run =
        masked(&home, &ODD, "env; printf %s \"$V\" | base64; printf %s \"$V\"; printf %s \"$V$V\" >&2").ok();
    assert!(run.out.contains("V=***\n") && run.out.ends_with("***\n***"), "{run:?}");
    assert_eq!(run.err, "******");
    for form in [VALUE, BASE64] {
        assert!(!run.out.contains(form), "{run:?}");
    }
    // what a filter makes of it, and what stands in several variables and files
    let flags =
        ["--set", "J=[%secret:acme/odd|json%]", "--set", "X=%secret:acme/odd|xml%", "--file", "F=%acme/api%"];
    let run = masked(&home, &flags, "echo \"$J $X $V\"; cat \"$F\"; echo \" $F\"").ok();
    assert!(run.out.starts_with("[\"***\"] *** \n*** /"), "{run:?}");
    // nothing is named, so nothing is masked
    assert_eq!(masked(&home, &[], "echo plain; echo value-of-staging").ok().out, "plain\nvalue-of-staging\n");
}

#[test]
fn a_value_is_blotted_out_though_it_comes_in_pieces() {
    let (home, _daemon) = vault();
    // a pause makes the reads end where the writes do
    for pause in ["", "sleep 0.05;"] {
        let script = format!(
            "printf 'a s3cr&'; {pause} printf 't?/ü>'; {pause} printf '>~val'; {pause} printf 'ue b'; {pause} \
             printf ' czNjciZ0Py'; {pause} printf '/DvD4+fnZhbHVl'; {pause} printf ' s3cr%%26t%%3F%%2'; {pause} \
             printf 'F%%C3%%BC%%3E%%3E~value '; {pause} printf s3; {pause} printf s3cr; {pause} printf '&t?'"
        );
        let run = masked(&home, &ODD, &script).ok();
        assert_eq!(
            run.out, "a *** b *** *** s3s3cr&t?",
            "what only begins like a value comes out in the end"
        );
        let run = masked(&home, &ODD, &format!("{{ {script}; }} >&2")).ok();
        assert_eq!(run.err, "a *** b *** *** s3s3cr&t?");
    }
    // a byte a write
    let script = r#"printf %s "$V" | od -An -v -to1 | tr -s ' ' '\n' | while read byte; do
        test -z "$byte" || printf "\\$byte"; done"#;
    assert_eq!(masked(&home, &["--set", "V=%acme/api%"], script).ok().out, "***");
    // many reads long
    let script = "i=0; while [ $i -lt 3000 ]; do echo \"$i $V and twenty bytes more\"; i=$((i + 1)); done";
    let run = masked(&home, &ODD, script).ok();
    let expected: Vec<_> = (0..3000).map(|at| format!("{at} *** and twenty bytes more\n")).collect();
    assert_eq!(run.out, expected.concat());
}

#[test]
fn a_value_of_several_lines_is_blotted_out_line_by_line() {
    let (home, _daemon) = vault();
    let key = "-----BEGIN THING-----\nfirst-line-of-it\nsecond-line-of-it\n-----END THING-----\n";
    home.create(json!({ "secret": "kv", "type": "key-value", "credentials": { "entries": {
        "key": key, "three": "abc", "four": "abcd", "trailing": "newline-after\n",
    }}}));
    let set = ["--set", "K=%secret:kv:key%"];
    assert_eq!(masked(&home, &set, "printf %s \"$K\"").ok().out, "***");
    let run = masked(&home, &set, "x=$(echo \"$K\"); printf '%s.' \"$x\"").ok();
    assert_eq!(run.out, "***.", "a shell takes the last newline off");
    let run = masked(&home, &set, "echo \"$K\" | sed -n '2p;3p' | sed 's/^/  /'").ok();
    assert_eq!(run.out, "  ***\n  ***\n");
    let run = masked(&home, &set, "echo \"$K\" | tr '\\n' ' '").ok();
    assert!(!run.out.contains("line-of-it"), "{run:?}");
    let run = masked(&home, &["--set", "T=%secret:kv:trailing%"], "echo \"<$(echo \"$T\")>\"").ok();
    assert_eq!(run.out, "<***>\n");

    let run = masked(&home, &["--set", "T=%secret:kv:three%"], "echo abc").ok();
    assert_eq!(run.out, "abc\n");
    assert_eq!(run.err, "note: secret:kv has fewer than 4 bytes, and is not masked\n");
    assert_eq!(masked(&home, &["--set", "T=%secret:kv:four%"], "echo abcd abc").ok().out, "*** abc\n");
}

#[test]
fn exit_codes_and_signals_pass_through_the_mask() {
    let (home, _daemon) = vault();
    for code in [0, 1, 42, 125, 255] {
        assert_eq!(masked(&home, &ODD, &format!("exit {code}")).code, code);
    }
    for (name, number) in [("TERM", 15), ("KILL", 9), ("SEGV", 11)] {
        assert_eq!(masked(&home, &ODD, &format!("kill -{name} $$")).code, 128 + number, "{name}");
    }
    for (signal, name) in [
        (Signal::TERM, "TERM"),
        (Signal::INT, "INT"),
        (Signal::HUP, "HUP"),
        (Signal::QUIT, "QUIT"),
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
    ] {
        let script =
            format!("trap 'echo \"caught $V\"; exit 9' {name}; echo ready; while :; do sleep 0.05; done");
        let mut talk = Talk::start(command(&home, &line(&ODD, &script)));
        talk.out.expect("ready\n");
        talk.signal(signal);
        assert_eq!(talk.ended().code(), Some(9), "{name}");
        assert_eq!(talk.out.whole(), "ready\ncaught ***\n", "{name}");
    }
    let mut talk = Talk::start(command(&home, &line(&ODD, "echo ready; exec sleep 60")));
    talk.out.expect("ready\n");
    talk.signal(Signal::TERM);
    assert_eq!(talk.ended().code(), Some(128 + 15));
    // whoever reads has seen enough
    let run = home.cli(&line(&ODD, "trap 'exit 3' PIPE; yes | head -1"));
    assert_eq!((run.code, run.out.as_str()), (0, "y\n"));
}

#[test]
fn what_common_tools_make_of_a_value_is_blotted_out() {
    let (home, _daemon) = vault();
    let long = "a line of forty characters, and a few, \\".repeat(4);
    home.create(
        json!({ "secret": "kv", "type": "key-value", "credentials": { "entries": { "long": long } } }),
    );
    let set = ["--set", "L=%secret:kv:long%"];
    for wrap in ["76", "64", "0"] {
        let run = masked(&home, &set, &format!("printf %s \"$L\" | base64 -w {wrap}")).ok();
        assert_eq!(run.out.trim_end(), "***", "{wrap}");
    }
    let run = masked(&home, &set, "printf %s \"$L\" | base64 | sed 's/^/  /'").ok();
    assert!(run.out.lines().all(|line| line == "  ***"), "{run:?}");
    for before in ["user:", "u:", "us:"] {
        let run = masked(&home, &ODD, &format!("printf %s \"{before}$V\" | base64 -w 0")).ok();
        assert!(run.out.contains("***") && run.out.len() <= 8 + 3 + 3, "{run:?}");
    }
    for form in [
        "s3cr%26t%3F/%C3%BC%3E%3E~value",
        "s3cr&amp;t?/ü&gt;&gt;~value",
        r"s3cr&t?/\u00fc>>~value",
        r"s3cr\u0026t?/ü\u003e\u003e~value",
    ] {
        let run = masked(
            &home,
            &["--set", "V=%secret:acme/odd%", "--set", &format!("F={}", form.replace('%', "%%"))],
            "printf %s \"$F\"",
        );
        assert_eq!(run.ok().out, "***", "{form}");
    }
}

#[test]
fn what_cannot_be_written_is_an_error() {
    let (home, _daemon) = vault();
    let run = |redirected: &str, script: &str| {
        let mut shell = Command::new("sh");
        let line = "\"$BURSAR\" exec --mask --set V=%secret:acme/odd% -- sh -c \"$SCRIPT\"";
        shell.arg("-c").arg(format!("{line} {redirected}; echo \"code $?\"")).env("SCRIPT", script);
        shell.env("BURSAR", &bursar_tests::binaries::binaries().bursar).env("BURSAR_HOME", home.path());
        let output = shell.output().unwrap();
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap())
    };
    let [out, err] = run(">/dev/full", "echo \"$V\"");
    assert_eq!(out, "code 125\n");
    assert!(err.starts_with("error: cannot write what the command says: "), "{err}");
    let [out, err] = run("2>/dev/full", "echo \"$V\" >&2; echo \"$V\"; exit 3");
    assert_eq!((out.as_str(), err.as_str()), ("***\ncode 125\n", ""));
    assert_eq!(run(">/dev/full", "exit 3")[0], "code 3\n", "nothing is lost where nothing is said");
}

#[test]
fn a_question_is_seen_before_it_is_answered() {
    let (home, _daemon) = vault();
    let script = "printf 'your name: '; read name; printf 'hello %s, %s' \"$name\" \"$V\"; cat";
    let mut talk = Talk::start(command(&home, &line(&ODD, script)));
    talk.out.expect("your name: ");
    talk.say("ann\nand the rest");
    talk.out.expect("hello ann, ***");
    talk.hush();
    assert!(talk.ended().success());
    assert_eq!(talk.out.whole(), "your name: hello ann, ***and the rest");

    // on a terminal: the command writes into a pipe, and reads what is typed
    let script =
        "test -t 1 || test -t 2 || echo no terminal; test -t 0 && echo keys; read name; echo \"<$name $V>\"";
    let mut talk = Talk::on_terminal(&command(&home, &line(&ODD, script)));
    talk.out.expect("no terminal\r\nkeys\r\n");
    talk.say("bob\n");
    talk.out.expect("<bob ***>\r\n");
    assert!(talk.ended().success());
    let script = "trap 'n=$((n + 1))' INT; echo ready; read line; echo \"caught $n\"; exit 4";
    let mut talk = Talk::on_terminal(&command(&home, &line(&ODD, script)));
    talk.out.expect("ready\r\n");
    talk.say("\x03");
    talk.out.expect("caught 1");
    assert_eq!(talk.ended().code(), Some(4), "the key counts once");
}

#[test]
fn variables_of_a_workspace_are_masked_too() {
    let (home, _daemon) = vault();
    let manifest = "organization = 'acme'\nenvironment = 'staging'\n[env]\nT = 'x%api%'\n";
    let workspace = Workspace::with(&home, "w", manifest);
    let run = workspace.run(&["exec", "--mask", "--", "sh", "-c", "echo \"$T value-of-staging\""]).ok();
    assert_eq!(run.out, "x*** ***\n");
    let set = ["exec", "--mask", "--set", "T=none", "--", "sh", "-c", "echo \"$T value-of-staging\""];
    assert_eq!(workspace.run(&set).ok().out, "none value-of-staging\n", "what is not pulled is not known");
    let run = workspace.run(&["--json", "exec", "--mask", "--", "sh", "-c", "echo \"$T\"; exit 3"]);
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (3, "x***\n", ""));
}

#[test]
fn what_a_command_leaves_behind_is_masked_too_and_nobody_writes_into_nothing() {
    let (home, _daemon) = vault();
    // a part of it goes on and holds the output, and reads what comes in
    let script = "exec 3<&0; { read line <&3; echo \"late $V $line\"; } & echo \"$F\"";
    let flags = [&ODD[..], &["--file", "F=%acme/api%"]].concat();
    let mut talk = Talk::start(command(&home, &line(&flags, script)));
    let file = talk.out.expect("\n");
    until("the file goes with the command", || (!std::path::Path::new(&file).exists()).then_some(()));
    talk.say("typed\n");
    assert_eq!((talk.ended().code(), talk.out.whole()), (Some(0), format!("{file}\nlate *** typed\n")));
    // a signal means what is left
    let mut talk = Talk::start(command(&home, &line(&ODD, "sleep 20 & echo $!")));
    let left: i32 = talk.out.expect("\n").parse().unwrap();
    talk.signal(Signal::TERM);
    talk.ended();
    let _ = kill_process(Pid::from_raw(left).unwrap(), Signal::KILL);
    // whoever reads us goes away, and so does the command
    let mut shell = Command::new("sh");
    shell.arg("-c").arg("{ \"$BURSAR\" exec --mask -- yes; echo \"code $?\" >&2; } | head -n 1");
    shell.env("BURSAR", &bursar_tests::binaries::binaries().bursar).env("BURSAR_HOME", home.path());
    let mut talk = Talk::start(shell);
    assert_eq!((talk.out.whole(), talk.err.whole()), ("y\n".into(), "code 141\n".into()));
    assert!(talk.ended().success());
}
