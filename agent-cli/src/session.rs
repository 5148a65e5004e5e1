//! What every command has at hand.

use crate::args::Global;
use crate::input::Input;
use crate::output::Printer;
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use bursar_proto::call::Method;
use bursar_proto::client::Client;
use bursar_proto::error::CallError;
use bursar_proto::socket::Places;

/// One run of a command.
pub(crate) struct Session {
    pub(crate) surroundings: Surroundings,
    pub(crate) places: Places,
    pub(crate) printer: Printer,
    pub(crate) input: Input,
}

impl Session {
    pub(crate) fn new(global: Global, surroundings: Surroundings, printer: Printer) -> Self {
        let places = Places {
            flag: global.socket,
            sock: surroundings.sock.clone(),
            home: surroundings.home.clone(),
            runtime_dir: surroundings.runtime_dir.clone(),
            uid: rustix::process::geteuid().as_raw(),
        };
        Self { surroundings, places, printer, input: Input::default() }
    }

    /// Connects to the daemon, which must run.
    pub(crate) fn connect(&self) -> Result<Client, CallError> {
        Client::connect(&self.places.candidates())
    }

    /// Makes the one call of a command that makes one.
    pub(crate) fn ask<M: Method>(&self, method: &M) -> Result<M::Reply, Stop> {
        Ok(self.connect()?.call(method)?)
    }
}
