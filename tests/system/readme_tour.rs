//! `README.md` works as it stands: every command of the `sh` blocks right after a line `<!-- tour -->`, and every
//! `json` block as a file for `secret create`.

use bursar_tests::pages::{blocks, failing_line, page};
use bursar_tests::{Daemon, Home};
use serde_json::{Value, json};

#[test]
fn every_line_of_the_tour_works_in_a_shell_of_its_own() {
    let failed = failing_line(&page("README.md"));
    assert_eq!(failed, None, "{}", failed.as_deref().unwrap_or_default());
}

#[test]
fn every_json_block_is_a_file_that_create_takes() {
    let home = Home::new();
    // its issuers are asked by way of a proxy that refuses: nothing leaves this machine
    let _daemon = Daemon::start(&home, &[("HTTPS_PROXY", "http://127.0.0.1:1")]);
    home.ok("vault.init", json!({ "key_file": home.key_file() }));
    for (at, block) in blocks(&page("README.md"), "```json\n").iter().enumerate() {
        let (name, file) = (format!("block-{at}"), home.file("block.json", block));
        home.cli(&["secret", "create", &name, "--from-file", file.to_str().unwrap()]).ok();
        let said: Value = serde_json::from_str(block).expect("the block is json");
        let shown = home.cli(&["secret", "show", &name, "--json"]).ok().json();
        assert_eq!(shown["type"], said["type"], "{block}");
    }
}
