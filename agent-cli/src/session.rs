//! What every command has at hand.

use crate::args::Global;
use crate::input::Input;
use crate::non_interactive::NonInteractive;
use crate::output::Printer;
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::workspace::Workspace;
use crate::workspace::manifest::complete;
use bursar_proto::call::Method;
use bursar_proto::client::Client;
use bursar_proto::error::{CallError, ErrorName};
use bursar_proto::name::Reference;
use bursar_proto::socket::{Places, SYSTEM};
use std::path::Path;

/// The unit that brings the agent of a server, where packages put it and where `bursar setup systemd` does.
const SERVER_UNITS: [&str; 2] =
    ["/usr/lib/systemd/system/bursar.socket", "/etc/systemd/system/bursar.socket"];

/// What to do about one that does not run.
pub(crate) const START_SERVER: &str =
    "start it: systemctl start bursar.service; why it stopped: journalctl --unit bursar.service";

/// One run of a command.
pub(crate) struct Session {
    pub(crate) surroundings: Surroundings,
    pub(crate) places: Places,
    pub(crate) printer: Printer,
    pub(crate) input: Input,
    /// How this program was called.
    pub(crate) program: String,
    non_interactive: Option<NonInteractive>,
}

impl Session {
    pub(crate) fn new(
        program: String,
        global: Global,
        surroundings: Surroundings,
        printer: Printer,
        non_interactive: Option<NonInteractive>,
    ) -> Self {
        let places = Places {
            flag: global.socket,
            sock: surroundings.sock.clone(),
            home: surroundings.home.clone(),
            runtime_dir: surroundings.runtime_dir.clone(),
            uid: rustix::process::geteuid().as_raw(),
        };
        let input = if non_interactive.is_some() { Input::without_terminal() } else { Input::default() };
        Self { surroundings, places, printer, input, program, non_interactive }
    }

    /// Whether nobody can be asked and client secrets alone decide.
    pub(crate) fn is_non_interactive(&self) -> bool {
        self.non_interactive.is_some()
    }

    /// Connects to the daemon, which must run. The one place where that is done: in non-interactive mode no connection
    /// has the rights of the user who runs the command.
    ///
    /// # Errors
    /// Nobody answers; or none of the client secrets counts.
    pub(crate) fn connect(&self) -> Result<Client, CallError> {
        let mut client = Client::connect(&self.places.candidates()).map_err(|error| self.explained(error))?;
        if client.path() == Path::new(SYSTEM) && self.has_own_vault() {
            self.printer.note("this is the server's agent: yours does not run; hint: bursar agent start");
        }
        if let Some(mode) = &self.non_interactive {
            mode.authenticate(&mut client, &self.printer)?;
        }
        Ok(client)
    }

    /// Whether root looks for the agent of a server whose units are there: nobody else's is meant then.
    pub(crate) fn means_the_server(&self) -> bool {
        self.places.uid == 0
            && self.looks_everywhere()
            && SERVER_UNITS.iter().any(|unit| Path::new(unit).exists())
    }

    /// Whether neither a flag nor a variable says which agent is meant.
    fn looks_everywhere(&self) -> bool {
        self.places.flag.is_none() && self.surroundings.sock.is_none() && self.surroundings.home.is_none()
    }

    fn has_own_vault(&self) -> bool {
        let own = self.surroundings.vault_dir().filter(|_| self.looks_everywhere());
        own.is_some_and(|directory| directory.join("store").exists())
    }

    /// An agent of a server that does not run is started by systemd, and by nobody else.
    fn explained(&self, error: CallError) -> CallError {
        if error.name == ErrorName::DaemonUnreachable && self.means_the_server() {
            let message = "the agent of this server does not run".to_owned();
            return CallError { message, ..error }.hint(START_SERVER);
        }
        error
    }

    /// Says that `BURSAR_SOCK` and `BURSAR_HOME` speak of two agents, before one is started or asked for.
    pub(crate) fn warn_of_two_homes(&self) {
        let (Some(sock), Some(home), None) =
            (&self.surroundings.sock, &self.surroundings.home, &self.places.flag)
        else {
            return;
        };
        let (sock, in_home) = (Path::new(sock), Path::new(home).join("bursar.sock"));
        if !same(sock, &in_home) {
            let (sock, in_home) = (sock.display(), in_home.display());
            self.printer.note(&format!(
                "warning: BURSAR_SOCK is {sock}, and the socket in BURSAR_HOME is {in_home}: unset one of them"
            ));
        }
    }

    /// A name, in the organization that the workspace around sets where the name says none.
    ///
    /// # Errors
    /// The `bursar.toml` in force is broken.
    pub(crate) fn complete(&self, name: Reference) -> Result<Reference, Stop> {
        Ok(self.completed(name)?.0)
    }

    /// The same, with the workspace where it said so. A name with an organization needs no file, and none is looked for.
    ///
    /// # Errors
    /// The `bursar.toml` in force is broken.
    pub(crate) fn completed(&self, name: Reference) -> Result<(Reference, Option<Workspace>), Stop> {
        if name.organization.is_some() {
            return Ok((name, None));
        }
        let workspace = Workspace::find(&self.surroundings)?;
        let said = workspace.filter(|one| one.manifest.organization.is_some());
        let name = complete(name, said.as_ref().and_then(|one| one.manifest.organization.as_ref()));
        Ok((name, said))
    }

    /// Makes the one call of a command that makes one.
    pub(crate) fn ask<M: Method>(&self, method: &M) -> Result<M::Reply, Stop> {
        Ok(self.connect()?.call(method)?)
    }
}

/// Whether two paths name one place, as far as can be told without looking.
fn same(one: &Path, other: &Path) -> bool {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute(one) == absolute(other)
}

#[cfg(test)]
pub(crate) mod tests;
