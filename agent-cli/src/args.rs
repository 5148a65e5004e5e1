//! Every command and flag. What `--help`, completions and man pages say comes from here.
//!
//! Nouns are deferred: their flags are put together only when they are used, so that `bursar get` need not wait
//! for the flags of `bursar secret create`.

pub(crate) mod agent;
pub(crate) mod artifact;
pub(crate) mod audit;
pub(crate) mod client_secret;
pub(crate) mod credential;
pub(crate) mod element;
pub(crate) mod environment;
pub(crate) mod expiring;
pub(crate) mod fields;
pub(crate) mod issuer;
pub(crate) mod live;
pub(crate) mod organization;
pub(crate) mod package;
pub(crate) mod secret;
pub(crate) mod setup;
pub(crate) mod usage;
pub(crate) mod vault;
pub(crate) mod workspace;

use crate::non_interactive::taken;
use bursar_proto::kind::{SecretType, Stage, Status};
use bursar_proto::sensitive::Sensitive;
use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::{ArgMatches, FromArgMatches, Parser, Subcommand, ValueEnum};
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

#[derive(Parser)]
#[command(
    name = "bursar",
    version,
    about = "The agent for machine credentials: put one in once, get its fresh artifact ever after",
    // `--client-secrets A B add …`: a command ends the list
    subcommand_precedence_over_arg = true,
    after_help = "Examples:\n  bursar quickstart\n  bursar secret create npm --type token --token-file -\n  \
                  bursar get npm"
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

// In the help they stand behind what a command has of its own.
#[derive(Default, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The agent's socket, before `BURSAR_SOCK` and `BURSAR_HOME`
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Answer with one JSON document
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Ask nobody, and let client secrets alone decide; for `add`, `sync`, `status`, `publish` and `info`
    #[arg(long, global = true)]
    pub(crate) non_interactive: bool,
    /// Client secrets for --non-interactive, with spaces between them. Other processes can read them there: better is a file,
    /// or `BURSAR_CLIENT_SECRETS`, with semicolons
    #[arg(long, global = true, num_args = 1.., value_name = "CLIENT_SECRET", value_parser = client_secret())]
    pub(crate) client_secrets: Vec<Arc<Sensitive>>,
    /// A file with client secrets for --non-interactive, one a line, - for standard input
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) client_secrets_file: Option<PathBuf>,
}

/// Takes a client secret as it is: what is wrong with one is told without it, and not by clap.
fn client_secret() -> impl TypedValueParser<Value = Arc<Sensitive>> {
    OsStringValueParser::new().map(|text| Arc::new(taken(text)))
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print a secret's artifact
    #[command(after_help = "Examples:\n  bursar get acme/adobe-io --min-validity 10m\n  \
                            bursar get acme/api --header | curl -H @- https://api.example.com")]
    Get(artifact::Get),
    /// Print a credential that the agent's config hands the systemd unit in which this runs
    #[command(after_help = "Examples:\n  bursar credential db-password --min-validity 10m\n  \
                            ExecReload=/usr/bin/bursar credential tls.certificate --output /run/app/tls.pem")]
    Credential(credential::Credential),
    /// Wait until a secret's exchange has ended, and until a person has authorized it
    #[command(after_help = "Example:\n  bursar wait acme/adobe-io --timeout 30s")]
    Wait(artifact::Wait),
    /// Print a line for every change of a secret, or of all; with --json, one document a line
    #[command(after_help = "Example:\n  bursar watch acme/adobe-io --json")]
    Watch(artifact::Watch),
    /// Make, see and change secrets
    #[command(after_help = "Example:\n  bursar secret list --status failed")]
    Secret(Deferred<secret::Secret>),
    /// Make, see and change data elements: one name, a secret for each stage
    #[command(after_help = "Example:\n  bursar element set acme/api-token --development api-dev")]
    Element(Deferred<element::Element>),
    /// Show whether every element can be used: in an environment, or in each stage; exit code 1 if one cannot
    #[command(after_help = "Examples:\n  bursar check -e staging\n  bursar check --stage all --json")]
    Check(live::Check),
    /// Print a template with its values
    #[command(after_help = "Examples:\n  bursar render npmrc.tmpl -e acme/development --output .npmrc\n  \
                      bursar render -\n\nA template names a data element, %acme/api-token%, a field of one, \
                      %acme/crm:username%, or a secret, %secret:acme/npm%; %acme/crm:password|base64% is filtered, and \
                      %% is a percent sign. Filters: base64, json, url, xml.")]
    Render(live::Render),
    /// Run a command with live values
    #[command(after_help = "Examples:\n  bursar exec -- npm publish\n  \
                      bursar exec -e staging --set NPM_TOKEN=%acme/npm-token% -- npm publish\n  \
                      bursar exec --file KUBECONFIG=%acme/kubeconfig% --mask -- kubectl get pods\n\nThe command takes \
                      the place of bursar: its terminal, its signals and its exit code are its own. Exit codes beside: \
                      125 if bursar fails before it, 126 if it cannot be run, 127 if there is no such command. With \
                      --mask it runs below bursar, which passes its signals and its exit code on, and ends when its \
                      output ends.")]
    Exec(live::Exec),
    /// Write the files of this workspace's own library, with their values
    #[command(after_help = "Example:\n  bursar build -e staging")]
    Build(package::Build),
    /// Add packages to this workspace, and write their files
    #[command(
        after_help = "Examples:\n  bursar add -p acme/site\n  bursar add -p acme/site@1.2 -p acme/base"
    )]
    Add(package::Add),
    /// Bring this workspace to what its bursar.toml and bursar.lock say
    #[command(after_help = "Examples:\n  bursar sync\n  bursar sync -e production --update")]
    Sync(package::Sync),
    /// Show how this workspace stands: versions, elements, files; exit code 1 if anything is not current
    #[command(after_help = "Example:\n  bursar status --json")]
    Status(package::Status),
    /// Show a package: versions, who published them when, elements and files; or list all packages
    #[command(
        after_help = "Examples:\n  bursar info\n  bursar info acme/site\n  bursar info acme/site@1.2.0"
    )]
    Info(package::Shown),
    /// Publish this workspace's library as a new version
    #[command(after_help = "Examples:\n  bursar publish --dry-run\n  bursar publish")]
    Publish(package::Publish),
    /// Make, trust, see and forget workspaces
    #[command(after_help = "Example:\n  bursar workspace init --organization acme -e staging")]
    Workspace(Deferred<workspace::Workspace>),
    /// Make, see and delete environments
    #[command(after_help = "Example:\n  bursar environment create acme/staging --stage staging")]
    Environment(Deferred<environment::Environment>),
    /// Make, see and delete organizations
    #[command(after_help = "Example:\n  bursar organization create acme")]
    Organization(Deferred<organization::Organization>),
    /// Set up Google's OAuth client, once, for secrets that a person authorizes in a browser
    #[command(after_help = "Example:\n  bursar google configure --client-file client_secret.json")]
    Google(Deferred<issuer::Issuer>),
    /// Issue, see, rotate and revoke client secrets: what automation has in a person's place
    #[command(after_help = "Example:\n  bursar client-secret create --role viewer --description nightly")]
    ClientSecret(Deferred<client_secret::ClientSecret>),
    /// Show how often secrets and client secrets were used, day by day
    #[command(after_help = "Examples:\n  bursar usage\n  bursar usage acme/npm --days 90\n  \
                            bursar usage --unused 90d\n  bursar usage k3j9x2m4pq --events\n  \
                            bursar usage --csv > usage.csv")]
    Usage(Deferred<usage::Usage>),
    /// List what ends soon, or has ended; exit code 1 if anything does
    #[command(after_help = "Example:\n  bursar expiring --within 90d --organization acme")]
    Expiring(expiring::Expiring),
    /// Show the record of accesses, or prove it
    #[command(
        after_help = "Examples:\n  bursar audit --since 1h\n  bursar audit --secret acme/npm --follow\n  \
                            bursar audit --client-secret k3j9x2m4pq --last 200\n  bursar audit verify"
    )]
    Audit(Deferred<Box<audit::Audit>>),
    /// Start, stop and see the agent
    #[command(after_help = "Example:\n  bursar agent status")]
    Agent(Deferred<agent::Agent>),
    /// Show what protects the agent, and what does not; exit code 1 if anything has to be mended, 9 when no agent runs
    #[command(after_help = "Examples:\n  bursar doctor\n  bursar doctor --json")]
    Doctor,
    /// Make the vault, and start the agent if none runs
    #[command(
        after_help = "Examples:\n  bursar init\n  bursar init --key-file ~/.config/bursar/vault.key\n  bursar init --credential unlock-key"
    )]
    Init(vault::Init),
    /// Bring the vault's keys into memory
    #[command(
        after_help = "Examples:\n  bursar unlock\n  pass show bursar | bursar unlock --passphrase-file -"
    )]
    Unlock(vault::Unlock),
    /// Wipe the vault's keys from memory
    #[command(after_help = "Example:\n  bursar lock")]
    Lock,
    /// Set a new passphrase
    #[command(after_help = "Example:\n  bursar passphrase")]
    Passphrase(vault::Passphrase),
    /// Make new data keys and write the whole store anew
    #[command(
        after_help = "Examples:\n  bursar rekey\n  bursar rekey --credential unlock-key --passphrase-file FILE"
    )]
    Rekey(vault::Rekey),
    /// Write the whole vault into one sealed file
    #[command(
        after_help = "Examples:\n  bursar backup ~/bursar.backup\n  bursar backup ~/bursar.backup --yes"
    )]
    Backup(vault::Backup),
    /// Put a backup in the place of the vault
    #[command(after_help = "Example:\n  bursar restore ~/bursar.backup")]
    Restore(vault::Restore),
    /// Try it out: a vault with a key file, and a first secret
    #[command(after_help = "Example:\n  BURSAR_HOME=$(mktemp -d) bursar quickstart")]
    Quickstart,
    /// Let systemd run the agent
    #[command(after_help = "Example:\n  bursar setup systemd --apply --now")]
    Setup(Deferred<setup::Setup>),
    /// Print the completions of a shell
    #[command(
        after_help = "Examples:\n  bursar completions bash > ~/.local/share/bash-completion/completions/bursar\n  \
                      bursar completions zsh > ~/.zfunc/_bursar    # with fpath+=(~/.zfunc) before compinit\n  \
                      bursar completions fish > ~/.config/fish/completions/bursar.fish"
    )]
    Completions(Completions),
    /// Print the manual page, or write all pages
    #[command(
        after_help = "Examples:\n  bursar man | man -l -\n  bursar man --output ~/.local/share/man/man1"
    )]
    Man(Man),
}

#[derive(clap::Args)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: Shell,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(clap::Args)]
pub(crate) struct Man {
    /// Write one page for each command into this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

// A doc comment on a group of flags would become the words of the command that has it.
// Answers the questions of what cannot be undone.
#[derive(clap::Args)]
pub(crate) struct Confirmation {
    /// Do not ask for a confirmation
    #[arg(long)]
    pub(crate) yes: bool,
}

/// A noun whose flags are put together when it is used.
pub(crate) struct Deferred<T>(pub(crate) T);

impl<T: clap::Args> clap::Args for Deferred<T> {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.defer(T::augment_args)
    }
    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        command.defer(T::augment_args_for_update)
    }
}

impl<T: FromArgMatches> FromArgMatches for Deferred<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        T::from_arg_matches(matches).map(Self)
    }
    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

/// Reads one of a closed set of words, which help and completions list.
fn word<T>(all: &'static [T]) -> impl TypedValueParser<Value = T>
where
    T: Copy + Display + FromStr<Err: std::error::Error + Send + Sync> + Send + Sync,
{
    PossibleValuesParser::new(all.iter().map(ToString::to_string)).try_map(|text| text.parse::<T>())
}

pub(crate) fn secret_type() -> impl TypedValueParser<Value = SecretType> {
    word(SecretType::ALL)
}

pub(crate) fn stage() -> impl TypedValueParser<Value = Stage> {
    word(Stage::ALL)
}

pub(crate) fn status() -> impl TypedValueParser<Value = Status> {
    word(Status::ALL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn each(command: &clap::Command, visit: &mut impl FnMut(&clap::Command)) {
        visit(command);
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            each(inner, visit);
        }
    }

    #[test]
    fn the_definitions_are_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_command_has_words_and_an_example() {
        let mut top = Args::command();
        top.build();
        let mut seen = 0;
        each(&top, &mut |command| {
            let name = command.get_name();
            let example = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(example.starts_with("Example") && example.contains("bursar "), "{name}: no example");
            assert!(command.get_about().is_some(), "{name}: no words");
            seen += 1;
        });
        assert!(seen > 30, "{seen}");
    }

    #[test]
    fn no_group_of_flags_gives_a_command_its_words() {
        for (words, line) in [
            ("Put a credential in and start its exchange", "secret create"),
            ("Bring the vault's keys into memory", "unlock"),
            ("Delete a secret for good", "secret delete"),
        ] {
            let mut top = Args::command();
            top.build();
            let found = line.split(' ').try_fold(&top, |command, name| command.find_subcommand(name));
            assert_eq!(
                found.and_then(|command| command.get_about()).map(ToString::to_string),
                Some(words.into())
            );
        }
    }

    #[test]
    fn every_example_parses() {
        let mut top = Args::command();
        top.build();
        let mut examples = Vec::new();
        each(&top, &mut |command| {
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines = text.lines().map(str::trim).filter(|line| line.starts_with("bursar "));
            examples
                .extend(lines.map(|line| line.split(['>', '|', '<']).next().unwrap_or("").trim().to_owned()));
        });
        for example in examples {
            if let Err(error) = Args::try_parse_from(example.split_whitespace()) {
                panic!("{example}: {error}");
            }
        }
    }

    #[test]
    fn a_negative_duration_is_told_as_one() {
        for line in [
            "bursar get x --min-validity -5s",
            "bursar wait x --timeout -5",
            "bursar secret create x --type token --ttl -1h",
        ] {
            let Err(error) = Args::try_parse_from(line.split(' ')) else { panic!("{line}") };
            assert_eq!(error.kind(), clap::error::ErrorKind::ValueValidation, "{line}");
        }
    }

    #[test]
    fn to_wait_and_not_to_wait_exclude_each_other() {
        for line in ["secret retry x --wait --no-wait", "secret create x --from-file f --no-wait --wait"] {
            assert!(Args::try_parse_from(format!("bursar {line}").split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn a_browser_is_here_or_elsewhere_and_the_one_elsewhere_is_waited_for() {
        for command in ["secret reauthorize x", "secret create x --from-file f", "secret edit x --name y"] {
            let parses =
                |flags: &str| Args::try_parse_from(format!("bursar {command} {flags}").split(' ')).is_ok();
            for flags in ["--browser", "--no-browser", "--browser --no-wait", "--no-browser --wait"] {
                assert!(parses(flags), "{command} {flags}");
            }
            for flags in ["--browser --no-browser", "--no-browser --no-wait", "--no-wait --no-browser"] {
                assert!(!parses(flags), "{command} {flags}");
            }
        }
        assert!(Args::try_parse_from("bursar secret retry x --browser".split(' ')).is_err());
    }

    #[test]
    fn global_flags_stand_anywhere() {
        for line in ["bursar --json --socket /s get x", "bursar secret list --json --socket /s"] {
            let args = Args::try_parse_from(line.split(' ')).unwrap();
            assert!(args.global.json && args.global.socket.is_some());
        }
    }
}
