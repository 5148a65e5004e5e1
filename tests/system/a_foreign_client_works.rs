//! The client in `docs/protocol.md`, which knows nothing but that page, gets an artifact.

use bursar_tests::open_vault;
use bursar_tests::secrets::token;
use std::fs;
use std::process::Command;

const PROTOCOL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol.md");

fn the_script() -> String {
    let page = fs::read_to_string(PROTOCOL).unwrap();
    let (_, rest) = page.split_once("```python\n").expect("a block of python in docs/protocol.md");
    rest.split_once("```").expect("the end of the block").0.to_owned()
}

#[test]
fn the_documented_script_prints_the_value() {
    let (home, _daemon) = open_vault();
    home.create(token("t", "value"));
    let script = home.file("client.py", the_script());
    let run = |secret: &str| {
        Command::new("python3")
            .arg(&script)
            .arg(secret)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("BURSAR_SOCK", home.socket())
            .output()
            .expect("python3; on Debian: apt-get install python3")
    };
    let good = run("t");
    assert_eq!(String::from_utf8_lossy(&good.stdout), "value\n", "{}", String::from_utf8_lossy(&good.stderr));
    let bad = run("nowhere");
    assert!(!bad.status.success());
    assert!(!bad.stderr.is_empty() && bad.stdout.is_empty());
}
