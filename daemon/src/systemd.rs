//! What `bursard` is to its service manager: sockets that it is handed, what it tells, the watchdog that it answers.
//!
//! Without systemd all of it does nothing.

pub(crate) mod activation;
pub(crate) mod notify;
pub(crate) mod reload;
pub(crate) mod watchdog;
