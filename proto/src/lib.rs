//! The contract between `bursard` and its clients.
//!
//! Names, calls, replies and errors have one definition each, here, and both ends use it; the blocking
//! [`client`] is what the command line and the tests speak with. Nothing here opens a store, derives a key
//! or talks to an issuer. `docs/protocol.md` is the same contract in prose.
//!
//! | module | holds |
//! |---|---|
//! | [`name`] | organizations, names, references such as `acme/adobe-io` |
//! | [`time`] | whole seconds: instants and durations as text |
//! | [`sensitive`] | text that is wiped on drop and cannot print |
//! | [`kind`] | the ten secret types and their fields, stages, statuses |
//! | [`client_secret`] | the form of a client secret |
//! | [`library`] | slots, element definitions, files of packages |
//! | [`template`] | the template language: marks, filters, places of faults |
//! | [`fields`] | reading a JSON object without ever echoing it |
//! | [`call`] | every method with its parameters |
//! | [`reply`] | what methods answer |
//! | [`error`] | the closed set of errors, their codes and exit codes |
//! | [`frame`] | lines on the wire and their limits |
//! | [`socket`] | where the socket is |
//! | [`client`] | a blocking client |

pub mod call;
pub mod client;
pub mod client_secret;
pub mod error;
pub mod fields;
pub mod frame;
pub mod kind;
pub mod library;
pub mod name;
#[cfg(test)]
mod protocol_doc;
pub mod reply;
pub mod sensitive;
pub mod socket;
pub mod template;
pub mod time;

pub use semver;

/// The protocol that this crate speaks.
pub const PROTOCOL: u64 = 1;

/// The oldest protocol that this crate still understands.
pub const PROTOCOL_OLDEST: u64 = 1;
