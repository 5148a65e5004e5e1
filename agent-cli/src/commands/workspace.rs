//! `bursar workspace …`

use crate::args::workspace::{Forget, Init, Verb};
use crate::output::Printer;
use crate::output::text::{cell, grid, record};
use crate::session::Session;
use crate::stop::Stop;
use crate::workspace::manifest::MANIFEST;
use crate::workspace::{Workspace, here, own_config, path_text, required, root};
use bursar_proto::call::{WorkspaceForget, WorkspaceList, WorkspaceShow, WorkspaceTrust};
use bursar_proto::client::Client;
use bursar_proto::reply;
use rustix::process::geteuid;

pub(crate) fn run(session: &Session, verb: Verb) -> Result<(), Stop> {
    match verb {
        Verb::Init(init) => self::init(session, &init),
        Verb::Trust => {
            let workspace = Workspace::open(&session.surroundings)?;
            let trusted = trust(&workspace, &mut session.connect()?)?;
            session.printer.reply(&trusted, |_| describe(&workspace))
        }
        Verb::List => {
            let all = session.ask(&WorkspaceList {})?;
            session.printer.reply(&all, |printer| list(printer, &all, geteuid().as_raw()))
        }
        Verb::Forget(forget) => self::forget(session, &forget),
    }
}

fn init(session: &Session, init: &Init) -> Result<(), Stop> {
    let root = here()?;
    if own_config(&session.surroundings).as_ref() == Some(&root) {
        return Err(Stop::usage(format!("{} is the place of the agent's own {MANIFEST}", root.display()))
            .hint("make the workspace in another directory"));
    }
    let mut client = session.connect()?;
    // who cannot be asked cannot trust: better now than after the file is there
    client.call(&WorkspaceShow { workspace: path_text(&root)? })?;
    let workspace = Workspace::create(&root, &first_text(init))?;
    let trusted = trust(&workspace, &mut client)?;
    session
        .printer
        .reply(&trusted, |_| format!("wrote {}\n", root.join(MANIFEST).display()) + &describe(&workspace))
}

fn trust(workspace: &Workspace, client: &mut Client) -> Result<reply::Workspace, Stop> {
    Ok(client.call(&WorkspaceTrust { workspace: workspace.path()?, digest: workspace.digest })?)
}

/// What a person trusts with a workspace.
fn describe(workspace: &Workspace) -> String {
    let manifest = &workspace.manifest;
    let joined = |all: Vec<String>| if all.is_empty() { None } else { Some(all.join(", ")) };
    let packages = manifest.packages.iter().map(|(name, requirement)| format!("{name} {requirement}"));
    let environments: Vec<String> =
        manifest.environment.iter().chain(manifest.environments.values()).map(ToString::to_string).collect();
    let library = manifest.library.as_ref().map(|library| match &library.version {
        Some(version) => format!("{} {version}", library.name),
        None => library.name.to_string(),
    });
    record(&[
        ("trusted", Some(workspace.root.join(MANIFEST).display().to_string())),
        ("environments", joined(environments)),
        ("packages", joined(packages.collect())),
        ("variables", joined(manifest.env.keys().cloned().collect())),
        ("library", library),
    ])
}

/// The workspaces; whose they are only where that says something.
fn list(printer: &Printer, all: &[reply::WorkspaceListed], own: u32) -> String {
    let others = all.iter().any(|one| one.uid != own);
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|one| {
            let mut row = vec![
                one.workspace.clone(),
                cell(one.environment.as_ref()),
                one.files.to_string(),
                cell(one.synced_at),
            ];
            row.extend(others.then(|| cell((one.uid != own).then_some(one.uid))));
            row
        })
        .collect();
    let heading = ["WORKSPACE", "ENVIRONMENT", "FILES", "SYNCED", "USER"];
    grid(printer, heading.get(..if others { 5 } else { 4 }).unwrap_or(&heading), &rows)
}

fn forget(session: &Session, forget: &Forget) -> Result<(), Stop> {
    let path = match &forget.directory {
        None => required(root(&session.surroundings)?)?,
        // it may be gone; then it is forgotten as it was called
        Some(directory) => match directory.canonicalize() {
            Ok(path) => path,
            Err(_) => std::path::absolute(directory).map_err(|error| Stop::unreadable(directory, &error))?,
        },
    };
    let workspace = path_text(&path)?;
    let reply = session.ask(&WorkspaceForget { workspace: workspace.clone(), uid: forget.uid })?;
    session.printer.reply(&reply, |_| format!("forgot {workspace}\n"))
}

/// The `bursar.toml` of a new workspace: what was said, and the rest as comments.
fn first_text(init: &Init) -> String {
    let line = |key: &str, value: Option<String>, example: &str| match value {
        // names need no escapes
        Some(value) => format!("{key} = \"{value}\"\n"),
        None => format!("# {key} = \"{example}\"\n"),
    };
    let organization = line("organization", init.organization.as_ref().map(ToString::to_string), "acme");
    let environment = line("environment", init.environment.as_ref().map(ToString::to_string), "staging");
    let library = match &init.library {
        Some(name) => LIBRARY.replace("acme/site", &name.to_string()),
        None => commented(LIBRARY),
    };
    format!(
        "# Names without an organization are this one's:\n{organization}# What is built for; -e says another:\n\
         {environment}\n{USED}\n{library}"
    )
}

/// The same text, every line of it a comment.
fn commented(text: &str) -> String {
    text.lines().fold(String::new(), |text, line| {
        let mark = if line.is_empty() || line.starts_with('#') { "" } else { "# " };
        text + mark + line + "\n"
    })
}

const USED: &str = "\
[packages]
# \"acme/base\" = \"^1.2\"

# Environments of other organizations; if not said, the only one of the same stage:
# [environments]
# beta = \"stage-2\"

# Variables for bursar exec:
# [env]
# NPM_TOKEN = \"%npm-token%\"
";

const LIBRARY: &str = "\
[library]
name = \"acme/site\"
version = \"0.1.0\"

[library.elements]
# API_TOKEN = { development = \"api-dev\", staging = \"api-stg\", production = \"api\" }
# CDN_KEY = \"cdn-key\"

# [[library.files]]
# template = \"templates/npmrc.tmpl\"
# path = \".npmrc\"
# mode = \"0600\"
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::manifest::Manifest;

    fn text(organization: Option<&str>, environment: Option<&str>, library: Option<&str>) -> String {
        first_text(&Init {
            organization: organization.map(|name| name.parse().unwrap()),
            environment: environment.map(|name| name.parse().unwrap()),
            library: library.map(|name| name.parse().unwrap()),
        })
    }

    #[test]
    fn a_user_is_told_only_where_one_is_another() {
        let listed = |uids: &[u32]| {
            let all: Vec<reply::WorkspaceListed> = uids
                .iter()
                .map(|uid| {
                    let json = serde_json::json!({
                        "workspace": "/w", "uid": uid, "trusted": null, "environment": null, "synced_at": null, "files": 0
                    });
                    serde_json::from_value(json).unwrap()
                })
                .collect();
            list(&Printer::new(false, true), &all, 1000)
        };
        assert_eq!(
            listed(&[1000]),
            "WORKSPACE  ENVIRONMENT  FILES  SYNCED\n/w         -            0      -\n"
        );
        assert_eq!(
            listed(&[1000, 33]),
            "WORKSPACE  ENVIRONMENT  FILES  SYNCED  USER\n/w         -            0      -       -\n\
             /w         -            0      -       33\n"
        );
    }

    #[test]
    fn a_new_file_says_what_was_said() {
        assert_eq!(Manifest::read(&text(None, None, None)).unwrap(), Manifest::default());
        let manifest = Manifest::read(&text(Some("acme"), Some("staging"), Some("site"))).unwrap();
        assert_eq!(manifest.environment.unwrap().to_string(), "acme/staging");
        assert_eq!(manifest.library.unwrap().name.to_string(), "acme/site");
    }

    #[test]
    fn every_comment_that_looks_like_a_setting_is_one() {
        for library in [None, Some("acme/site")] {
            let text = text(Some("acme"), None, library);
            let set: Vec<&str> = text
                .lines()
                .map(|line| {
                    line.strip_prefix("# ")
                        .filter(|rest| rest.contains('=') || rest.starts_with('['))
                        .unwrap_or(line)
                })
                .collect();
            let manifest = Manifest::read(&set.join("\n")).unwrap();
            assert_eq!((manifest.packages.len(), manifest.environments.len(), manifest.env.len()), (1, 1, 1));
            let library = manifest.library.unwrap();
            assert_eq!((library.elements.len(), library.files.len()), (2, 1));
        }
    }
}
