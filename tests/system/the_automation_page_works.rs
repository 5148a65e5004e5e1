//! `docs/automation.md` works as it stands: its tour, the commands of its examples for CIs and systemd, its configs, and what it
//! says of expressions and variables.

use bursar_tests::client_secrets::{Issued, issue};
use bursar_tests::library::{acme_with_api, file, organization, publish};
use bursar_tests::pages::{TOUR, blocks, failing_line, page};
use bursar_tests::{Daemon, Home, Run, Workspace, open_vault, unattended};
use serde_json::json;
use std::collections::BTreeSet;
use std::process::Command;

const PAGE: &str = "docs/automation.md";

#[test]
fn every_line_of_the_tour_works_in_a_shell_of_its_own() {
    let failed = failing_line(&page(PAGE));
    assert_eq!(failed, None, "{}", failed.as_deref().unwrap_or_default());
}

/// A machine as the examples take it: two organizations, a checkout of a shop and one of a library.
struct Machine {
    home: Home,
    _daemon: Daemon,
    acme: Issued,
    beta: Issued,
    contributor: Issued,
}

impl Machine {
    fn new() -> Self {
        let (home, daemon) = open_vault();
        acme_with_api(&home);
        let files = json!([file("site.conf", "%TOKEN%")]);
        publish(&home, "acme/site", "1.0.0", json!({ "TOKEN": "acme/api" }), files);
        organization(&home, "beta");
        publish(&home, "beta/tools", "1.0.0", json!({}), json!([]));
        let shop = Workspace::empty(&home, "shop");
        shop.write(
            "bursar.toml",
            "environment = 'acme/staging'\n[packages]\n'acme/site' = '1'\n'beta/tools' = '1'\n",
        );
        let library = Workspace::empty(&home, "library");
        library.write("bursar.toml", "organization = 'acme'\n[library]\nname = 'own'\nversion = '1.0.0'\n[[library.files]]\ntemplate = 't'\npath = 'plain'\n");
        library.write("t", "no value");
        let [acme, beta] = ["acme", "beta"].map(|name| issue(&home, name, "viewer", None));
        let contributor = issue(&home, "acme", "contributor", None);
        Self { home, _daemon: daemon, acme, beta, contributor }
    }

    /// Runs a line of an example, after those that set its variables.
    fn run(&self, variables: &str, line: &str) {
        let list = self.home.file("list", format!("{}\n{}\n", self.acme.value, self.beta.value));
        // a credential of a unit lies in a directory of its own
        std::fs::create_dir_all(self.home.path().join("credentials")).unwrap();
        let credentials = self.home.path().join("credentials");
        std::fs::copy(&list, credentials.join("bursar")).unwrap();
        let directory = if line.contains("publish") { "library" } else { "shop" };
        let script = format!("{variables}\n{line}");
        let directory = self.home.path().join(directory);
        let mut sh = unattended::command(&self.home, &directory, "sh", &["-euc", &script]);
        sh.env("BURSAR_ACME", &self.acme.value)
            .env("BURSAR_BETA", &self.beta.value)
            .env("BURSAR_PUBLISH", &self.contributor.value)
            .env("BURSAR_LIST", list)
            .env("CREDENTIALS_DIRECTORY", credentials)
            .env("PATH", unattended::path());
        let run = Run::of(&mut sh);
        assert_eq!(run.code, 0, "{script}\n{run:?}");
    }
}

/// A line of YAML without what only YAML needs, and how far to the right it begins.
fn of_yaml(line: &str) -> (usize, &str) {
    let text = line.trim_start();
    let text = text.strip_prefix("- ").unwrap_or(text);
    (line.len() - text.len(), text)
}

#[test]
fn every_example_for_a_ci_is_a_job_that_works() {
    let machine = Machine::new();
    let mut seen = 0;
    for block in blocks(&page(PAGE), "```yaml\n") {
        let (mut open, mut may_open) = (Vec::new(), true);
        let mut variables = String::new();
        for line in block.lines() {
            assert!(!line.contains('\t') && line.trim_end() == line, "{line:?}");
            let (depth, text) = of_yaml(line);
            while open.last().is_some_and(|last| *last > depth) {
                open.pop();
            }
            if open.last() != Some(&depth) {
                assert!(may_open, "deeper than what it stands below: {line}");
                open.push(depth);
            }
            may_open = text.ends_with(':');
            let (key, value) = text.split_once(": ").unwrap_or((text.trim_end_matches(':'), ""));
            match key {
                "BURSAR_CLIENT_SECRETS" => {
                    let value = value.replace("${{ secrets.", "$").replace(" }}", "");
                    variables = format!("export BURSAR_CLIENT_SECRETS=\"{value}\"");
                }
                "run" if value.starts_with("bursar ") => {
                    machine.run(&variables, value);
                    seen += 1;
                }
                _ if text.starts_with("bursar ") => {
                    machine.run(&variables, text);
                    seen += 1;
                }
                _ => {}
            }
        }
    }
    assert_eq!(seen, 4, "jobs of two CIs");
    // and what publishes has published
    assert_eq!(machine.home.cli(&["info", "acme/own", "--json"]).ok().json()["package"], "acme/own");
}

#[test]
fn every_unit_runs_what_works() {
    let machine = Machine::new();
    let mut seen = 0;
    for block in blocks(&page(PAGE), "```ini\n") {
        let mut section = "";
        for line in block.lines().filter(|line| !line.is_empty()) {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                assert!(["Unit", "Service", "Timer", "Install"].contains(&name), "{line}");
                section = name;
                continue;
            }
            let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("no setting: {line}"));
            assert!(!section.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphabetic()), "{line}");
            if key.starts_with("Exec") {
                assert_eq!(section, "Service");
                let line = value.strip_prefix("/usr/local/bin/").expect("the path of bursar");
                machine.run("", line);
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 3);
}

#[test]
fn every_config_is_one_that_the_agent_takes() {
    let gid = rustix::process::getgid().as_raw().to_string();
    let gid = format!("group = \"{gid}\"");
    for block in blocks(&page(PAGE), "```toml\n") {
        let home = Home::new();
        // the users of the page are none of this machine
        let config = block
            .replace("group = \"bursar\"", &gid)
            .replace("group = \"www-data\"", &gid)
            .replace("user gitlab-runner", "uid 64031");
        home.config(&config);
        let _daemon = home.start();
        assert_eq!(home.ok("hello", json!({}))["agent"], "bursard", "{config}");
    }
}

#[test]
fn every_other_command_is_one_that_there_is() {
    let machine = Machine::new();
    let all = page(PAGE).replace(TOUR, "");
    let mut seen = 0;
    for line in blocks(&all, "```sh\n").iter().flat_map(|block| block.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        let mut sh = unattended::command(&machine.home, machine.home.path(), "sh", &["-euc", line]);
        let run = Run::of(sh.env("PATH", unattended::path()).env("BURSAR_HOME", machine.home.path()));
        // the client secret of the page is none that was issued here
        assert!([0, 5].contains(&run.code), "{line}: {run:?}");
        seen += 1;
    }
    assert!(seen >= 9, "{seen}");
}

#[test]
fn scanners_find_what_is_issued() {
    let machine = Machine::new();
    let expression = blocks(&page(PAGE), "```text\n").remove(0);
    let expression = expression.trim();
    assert!(page("proto/src/client_secret.rs").contains(&format!("`{expression}`")), "{expression}");
    for issued in [&machine.acme, &machine.beta, &machine.contributor] {
        let text = machine.home.file("log", format!("a line before\nTOKEN={} # and more\n", issued.value));
        let found = Command::new("grep").args(["-Eo", expression]).arg(text).output().expect("grep");
        assert_eq!(String::from_utf8_lossy(&found.stdout), format!("{}\n", issued.value));
    }
}

/// The names of a CI's variables in a text.
fn variables(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("GITHUB_") || word.starts_with("CI_")).collect()
}

#[test]
fn the_variables_that_are_kept_are_those_on_the_page() {
    let (source, text) = (page("agent-cli/src/non_interactive/ci.rs"), page(PAGE));
    let source = source.split("#[cfg(test)]").next().unwrap();
    // what stands in quotes; the variable that says that it is GitHub is no fact
    let quoted = source.split('"').skip(1).step_by(2).flat_map(variables);
    let kept: BTreeSet<_> = quoted.filter(|name| *name != "GITHUB_ACTIONS").collect();
    assert!(kept.len() > 8, "{kept:?}");
    assert_eq!(variables(&text), kept);
}
