//! One word of a rule: `uid 33`, `user ann`, `gid 33`, `group ci`, `unit nginx.service`.
//!
//! Names of users and groups become numbers when the config is read, never later: whom a rule means does not change
//! under a running daemon.

use super::Facts;
use nix::errno::Errno;
use nix::unistd::{Group, User};
use serde::{Deserialize as _, Deserializer};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest name of a user, a group or a unit, in bytes: systemd's limit, the largest of the three.
const NAME_MAX: usize = 255;

/// The number that the kernel shows for every user and group without one in the daemon's user namespace.
const UNNAMED: u32 = 65_534;

/// Whom a rule means.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Who {
    told: Arc<str>,
    is: Is,
}

#[derive(Debug, Clone, PartialEq)]
enum Is {
    Uid(u32),
    Gid(u32),
    Unit(Box<str>),
}

impl Who {
    /// Whether that process is meant.
    pub(super) fn is(&self, peer: &Facts) -> bool {
        match &self.is {
            Is::Uid(uid) => *uid == peer.uid,
            Is::Gid(gid) => *gid == peer.gid || peer.groups.contains(gid),
            Is::Unit(unit) => peer.unit.as_deref() == Some(unit),
        }
    }

    /// As it stands in the config.
    pub(super) fn told(&self) -> &Arc<str> {
        &self.told
    }

    /// Whether that is a unit.
    pub(super) fn is_unit(&self) -> bool {
        matches!(self.is, Is::Unit(_))
    }

    /// Whether more must be known than the socket says.
    pub(super) fn asks_the_process(&self) -> bool {
        !matches!(self.is, Is::Uid(_))
    }
}

impl FromStr for Who {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        let (word, name) = text.split_once(' ').ok_or(Fault::Form)?;
        let name = well_formed(name)?;
        let is = match word {
            "uid" => Is::Uid(number(name)?),
            "user" => Is::Uid(user(name)?),
            "gid" => Is::Gid(number(name)?),
            "group" => Is::Gid(group(name)?),
            "unit" => Is::Unit(unit(name)?.into()),
            _ => return Err(Fault::Form),
        };
        Ok(Self { told: text.into(), is })
    }
}

/// Reads a group by its name or its number, for `socket.group`.
pub(crate) fn group_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    struct NameOrNumber;
    impl serde::de::Visitor<'_> for NameOrNumber {
        type Value = u32;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a group, by its name or its number")
        }
        fn visit_i64<E: serde::de::Error>(self, id: i64) -> Result<u32, E> {
            self.visit_str(&id.to_string())
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<u32, E> {
            let digits = text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit());
            let found = well_formed(text).and_then(if digits { number } else { group });
            found.map_err(|fault| fault.of("socket.group"))
        }
    }
    deserializer.deserialize_any(NameOrNumber).map(Some)
}

/// A user or a group that may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reader {
    /// A user, by the number.
    User(u32),
    /// A group, by the number.
    Group(u32),
}

/// Reads users and groups, for `render.readers`: sorted, each once.
pub(crate) fn readers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Reader>, D::Error> {
    const KEY: &str = "render.readers";
    let reader = |who: Who| match who.is {
        Is::Uid(uid) => Ok(Reader::User(uid)),
        Is::Gid(gid) => Ok(Reader::Group(gid)),
        Is::Unit(_) => Err(Fault::UnitAsReader.of(KEY)),
    };
    let readers = super::list(deserializer, KEY)?.into_iter().map(reader);
    let sorted: BTreeSet<Reader> = readers.collect::<Result<_, _>>()?;
    Ok(sorted.into_iter().collect())
}

/// Reads the name of a service, for `render.unit`.
pub(crate) fn service<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let name = String::deserialize(deserializer)?;
    well_formed(&name).and_then(unit).map_err(|fault| fault.of("render.unit"))?;
    Ok(Some(name))
}

/// Why a rule cannot be used. It repeats a name only where that has no control character.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("expected `uid N`, `user NAME`, `gid N`, `group NAME` or `unit NAME.service`")]
    Form,
    #[error("a name has 1 to {NAME_MAX} bytes, no control character, and no blank at its ends")]
    Name,
    #[error("expected a number from 0 to 4294967294")]
    Number,
    #[error("{UNNAMED} is shown for everybody who has no number here, so nobody can be meant by it")]
    Unnamed,
    #[error("there is no {0} on this machine")]
    Nobody(String),
    #[error("{0} cannot be looked up: {1}")]
    LookUp(String, Errno),
    #[error("a unit is NAME.service, of A-Z a-z 0-9 : - _ . \\ @")]
    Unit,
    #[error("a unit cannot be an owner: name a user or a group, or give the unit a role")]
    UnitAsOwner,
    #[error("a unit cannot be a reader: name the user or the group as whom it runs")]
    UnitAsReader,
    #[error("that is an environment of another organization")]
    Environment,
    #[error("at most {0} entries")]
    TooMany(usize),
}

impl Fault {
    /// Says which key it is about; the place in the file is the reader's to say.
    pub(super) fn of<E: serde::de::Error>(self, key: &str) -> E {
        E::custom(format_args!("{key}: {self}"))
    }
}

/// Names go to terminals and into the record of accesses.
fn well_formed(name: &str) -> Result<&str, Fault> {
    let fits = !name.is_empty() && name.len() <= NAME_MAX && name.trim() == name;
    if fits && !name.contains(char::is_control) { Ok(name) } else { Err(Fault::Name) }
}

fn number(text: &str) -> Result<u32, Fault> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::Number);
    }
    // the largest means "no change" to the system
    text.parse().ok().filter(|number| *number != u32::MAX).ok_or(Fault::Number).and_then(named)
}

fn named(number: u32) -> Result<u32, Fault> {
    if number == UNNAMED { Err(Fault::Unnamed) } else { Ok(number) }
}

fn user(name: &str) -> Result<u32, Fault> {
    let told = || format!("user {name}");
    let found = User::from_name(name).map_err(|error| Fault::LookUp(told(), error))?;
    named(found.ok_or_else(|| Fault::Nobody(told()))?.uid.as_raw())
}

fn group(name: &str) -> Result<u32, Fault> {
    let told = || format!("group {name}");
    let found = Group::from_name(name).map_err(|error| Fault::LookUp(told(), error))?;
    named(found.ok_or_else(|| Fault::Nobody(told()))?.gid.as_raw())
}

fn unit(name: &str) -> Result<&str, Fault> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    let stem = name.strip_suffix(".service").ok_or(Fault::Unit)?;
    if !stem.is_empty() && stem.bytes().all(fits) { Ok(name) } else { Err(Fault::Unit) }
}
