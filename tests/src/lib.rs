//! The harness of the system tests: real daemons in homes of their own, real issuers, and one that misbehaves.
//!
//! It speaks to the daemon and the command line from outside alone, over their socket, files and exit codes;
//! nothing here knows how they are built. Whatever it starts ends with the value that started it.
//!
//! | module | holds |
//! |---|---|
//! | [`binaries`] | the binaries under test, built once |
//! | [`home`] | a directory as `BURSAR_HOME`, with what is in it |
//! | [`daemon`] | a running `bursard` |
//! | [`cli`] | runs of `bursar` |
//! | [`unattended`] | runs without a person |
//! | [`client_secrets`] | client secrets, and connections that authenticated with them |
//! | [`record`] | the record of accesses, as the owner reads it |
//! | [`raw`] | bytes and lines on the socket, and calls as plain JSON |
//! | [`secrets`] | parameters of `secret.create`, one of every type |
//! | [`library`] | an organization with elements, and parameters of packages |
//! | [`keys`] | RSA keys, certificates, a private CA |
//! | [`issuer`] | real issuers: Authlib and oidc-provider |
//! | [`google`] | the same as Google: a person consents, refresh tokens rotate |
//! | [`rotation`] | a refresh token that rotates, while the daemon is cut off |
//! | [`browser`] | a real browser: Debian's Chromium |
//! | [`http`] | HTTP as a stranger speaks it |
//! | [`fault`] | an issuer that does as it is told |
//! | [`gate`] | a port before an issuer, which can be shut |
//! | [`workspace`] | a directory in which `bursar` is run |
//! | [`talk`] | a process that is talked to while it runs, on a terminal too |
//! | [`users`] | what is done under another user id |
//! | [`units`] | units without a service manager, and the socket that systemd fetches credentials from |
//! | [`pages`] | pages of the documentation, and the commands in them |
//! | [`processes`] | what `/proc` says of processes |
//! | [`machine`] | a machine with a booted systemd |
//! | [`power`] | a disk of its own, whose power can be cut |
//! | [`patience`] | bounded waiting for what must come |

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::return_self_not_must_use,
    clippy::needless_pass_by_value,
    reason = "a harness fails its test by panicking, and takes json literals by value"
)]

pub mod binaries;
pub mod browser;
pub mod cli;
pub mod client_secrets;
pub mod daemon;
pub mod fault;
pub mod gate;
pub mod google;
pub mod home;
pub mod http;
mod installed;
pub mod issuer;
pub mod keys;
pub mod library;
pub mod machine;
pub mod pages;
pub mod patience;
pub mod power;
pub mod processes;
pub mod raw;
pub mod record;
pub mod rotation;
pub mod secrets;
pub mod talk;
pub mod unattended;
pub mod units;
pub mod users;
pub mod workspace;

pub use browser::{Browser, Choice};
pub use cli::Run;
pub use daemon::Daemon;
pub use fault::{FaultIssuer, Reply};
pub use gate::{Gate, Wall};
pub use google::{Google, Hold};
pub use home::{Home, configured, open_vault};
pub use machine::{Machine, has_program};
pub use patience::until;
pub use power::Disk;
pub use raw::{Answer, RawSocket, Refused, now, seconds};
pub use talk::Talk;
pub use workspace::Workspace;
