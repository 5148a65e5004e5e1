//! What commands do: one file for each noun. A command asks, prints, and holds no rule of its own.

mod agent;
mod artifact;
mod audit;
mod check;
mod client_secret;
mod credential;
mod doctor;
mod element;
mod environment;
mod exec;
mod expiring;
mod issuer;
mod library;
mod organization;
mod package;
mod quickstart;
mod reference;
mod render;
mod secret;
mod setup;
mod usage;
mod vault;
mod workspace;

use crate::args::Command;
use crate::session::Session;
use crate::stop::Stop;
use bursar_proto::kind::Issuer;

/// Runs one command.
pub(crate) fn run(session: &Session, command: Command) -> Result<(), Stop> {
    match command {
        Command::Get(get) => artifact::get(session, get),
        Command::Credential(asked) => credential::run(session, asked),
        Command::Wait(wait) => artifact::wait(session, wait),
        Command::Watch(watch) => artifact::watch(session, watch),
        Command::Element(noun) => element::run(session, noun.0.verb),
        Command::Check(check) => check::run(session, check),
        Command::Render(render) => render::run(session, render),
        Command::Exec(exec) => exec::run(session, exec),
        Command::Build(build) => library::build(session, build),
        Command::Add(add) => package::add(session, add),
        Command::Sync(sync) => package::sync(session, sync),
        Command::Status(status) => package::status(session, status),
        Command::Info(shown) => package::info(session, shown),
        Command::Publish(publish) => library::publish(session, &publish),
        Command::Workspace(noun) => workspace::run(session, noun.0.verb),
        Command::Secret(noun) => secret::run(session, noun.0.verb),
        Command::Environment(noun) => environment::run(session, noun.0.verb),
        Command::Organization(noun) => organization::run(session, noun.0.verb),
        Command::Google(noun) => issuer::run(session, Issuer::Google, noun.0.verb),
        Command::ClientSecret(noun) => client_secret::run(session, noun.0.verb),
        Command::Usage(usage) => usage::run(session, usage.0),
        Command::Expiring(expiring) => expiring::run(session, expiring),
        Command::Audit(audit) => audit::run(session, *audit.0),
        Command::Agent(noun) => agent::run(session, &noun.0.verb),
        Command::Doctor => doctor::run(session),
        Command::Init(init) => vault::init(session, &init),
        Command::Unlock(key) => vault::unlock(session, &key),
        Command::Lock => vault::lock(session),
        Command::Passphrase(passphrase) => vault::passphrase(session, &passphrase),
        Command::Rekey(rekey) => vault::rekey(session, &rekey),
        Command::Backup(backup) => vault::backup(session, &backup),
        Command::Restore(restore) => vault::restore(session, &restore),
        Command::Quickstart => quickstart::run(session),
        Command::Setup(noun) => setup::run(session, &noun.0.verb),
        Command::Completions(completions) => reference::completions(completions.shell),
        Command::Man(man) => reference::man(session, man.output.as_deref()),
    }
}
