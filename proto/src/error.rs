//! The closed set of errors: name, JSON-RPC code, exit code. Every error that leaves the daemon is one of these.

use crate::fields::Invalid;
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! errors {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $code:literal, exit $exit:literal;)+) => {
        /// What went wrong, as a program reads it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ErrorName {
            $($(#[$doc])* #[serde(rename = $name)] $variant),+
        }

        impl ErrorName {
            /// Every error, in the order of the reference.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name on the wire and in `--json`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The JSON-RPC error code.
            pub const fn code(self) -> i32 {
                match self { $(Self::$variant => $code),+ }
            }

            /// The exit code of the command line.
            pub const fn exit_code(self) -> u8 {
                match self { $(Self::$variant => $exit),+ }
            }
        }
    };
}

errors! {
    /// The line is no JSON.
    ParseError = "parse_error", -32700, exit 2;
    /// JSON, but no JSON-RPC 2.0 request.
    InvalidRequest = "invalid_request", -32600, exit 2;
    /// No such method.
    UnknownMethod = "unknown_method", -32601, exit 2;
    /// A parameter, a field or a value was refused.
    Invalid = "invalid", -32602, exit 2;
    /// Something failed inside; the log says more.
    Internal = "internal", -32603, exit 1;
    /// The request line is over the limit; the connection is closed.
    LineTooLong = "line_too_long", -32001, exit 2;
    /// The peer left a line unfinished, or said nothing, for too long; the connection is closed.
    TooSlow = "too_slow", -32002, exit 1;
    /// No place for another connection.
    TooManyConnections = "too_many_connections", -32003, exit 1;
    /// The daemon is stopping.
    Stopping = "stopping", -32004, exit 9;
    /// Client and daemon do not speak the same protocol.
    Incompatible = "incompatible", -32005, exit 1;
    /// The daemon cannot be reached; said by the client.
    DaemonUnreachable = "daemon_unreachable", -32009, exit 9;
    /// The vault is locked.
    Locked = "locked", -32010, exit 3;
    /// There is no vault yet.
    NoVault = "no_vault", -32011, exit 3;
    /// The caller may not do this.
    Denied = "denied", -32020, exit 4;
    /// The passphrase or the key file does not fit the vault.
    WrongKey = "wrong_key", -32021, exit 4;
    /// Only a passphrase opens this, and none was given.
    PassphraseRequired = "passphrase_required", -32023, exit 2;
    /// Too many wrong passphrases, key files or client secrets; wait.
    Throttled = "throttled", -32022, exit 4;
    /// The workspace has not been trusted as it is; said by the client.
    Untrusted = "untrusted", -32024, exit 4;
    /// No thing of that name.
    NotFound = "not_found", -32030, exit 5;
    /// A person has to authorize.
    NeedsAuthorization = "needs_authorization", -32040, exit 6;
    /// The exchange failed; there is no artifact.
    Failed = "failed", -32050, exit 7;
    /// The artifact or the secret is past its date.
    Expired = "expired", -32051, exit 7;
    /// The secret is deactivated.
    Inactive = "inactive", -32052, exit 7;
    /// The secret is bound to no environment.
    Unbound = "unbound", -32053, exit 7;
    /// The exchange still runs.
    Pending = "pending", -32054, exit 7;
    /// More validity was asked for than the issuer gives.
    ValidityTooLong = "validity_too_long", -32055, exit 7;
    /// Data elements do not resolve: a slot is empty, or its secret cannot be used.
    Unresolved = "unresolved", -32056, exit 7;
    /// The issuer's client is not set up.
    NotConfigured = "not_configured", -32057, exit 7;
    /// The page that a person comes back to cannot be opened.
    NoListener = "no_listener", -32058, exit 7;
    /// The issuer did not answer, or not in a way that says anything about the credentials.
    IssuerUnreachable = "issuer_unreachable", -32060, exit 8;
    /// The client secret is not written as one.
    ClientSecretMalformed = "client_secret_malformed", -32090, exit 4;
    /// The client secret is none of this vault's.
    ClientSecretUnknown = "client_secret_unknown", -32091, exit 4;
    /// The client secret's time has passed.
    ClientSecretExpired = "client_secret_expired", -32092, exit 4;
    /// The client secret was revoked.
    ClientSecretRevoked = "client_secret_revoked", -32093, exit 4;
    /// The role does not allow this.
    WrongRole = "wrong_role", -32094, exit 4;
    /// The rights are another organization's.
    WrongOrganization = "wrong_organization", -32095, exit 4;
    /// The rights are another environment's.
    WrongEnvironment = "wrong_environment", -32096, exit 4;
    /// A thing of that name exists, or a binding that cannot change.
    Conflict = "conflict", -32070, exit 10;
    /// The disk refused a write, or an access cannot be recorded, and so it is not given.
    StoreFailed = "store_failed", -32080, exit 1;
}

impl fmt::Display for ErrorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error as it goes over the wire: what failed and why, and what to do about it. It holds no input and no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    /// Which of the closed set.
    pub name: ErrorName,
    /// What failed and why; lower case, no full stop.
    pub message: String,
    /// What to do; often a command.
    pub hint: Option<String>,
}

impl CallError {
    /// An error without a hint.
    pub fn new(name: ErrorName, message: impl Into<String>) -> Self {
        Self { name, message: message.into(), hint: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Takes a reason apart that may end with what to do about it: `REASON; hint: HINT`.
pub fn split_hint(text: &str) -> (&str, Option<&str>) {
    text.split_once("; hint: ").map_or((text, None), |(reason, hint)| (reason, Some(hint)))
}

impl From<Invalid> for CallError {
    /// A reason may end with what to do: `…; hint: …`.
    fn from(invalid: Invalid) -> Self {
        let text = invalid.to_string();
        match split_hint(&text) {
            (message, Some(hint)) => Self::new(ErrorName::Invalid, message).hint(hint),
            (_, None) => Self::new(ErrorName::Invalid, text),
        }
    }
}

/// The JSON-RPC `error` member: `{"code", "message", "data": {"name", "hint"}}`.
#[derive(Debug, Serialize, Deserialize)]
pub struct WireError {
    /// See [`ErrorName::code`].
    pub code: i32,
    /// See [`CallError::message`].
    pub message: String,
    /// Name and hint.
    pub data: WireErrorData,
}

/// The part of an error that JSON-RPC leaves to us.
#[derive(Debug, Serialize, Deserialize)]
pub struct WireErrorData {
    /// The error's name.
    pub name: ErrorName,
    /// What to do, or null.
    pub hint: Option<String>,
}

impl From<CallError> for WireError {
    fn from(error: CallError) -> Self {
        Self {
            code: error.name.code(),
            message: error.message,
            data: WireErrorData { name: error.name, hint: error.hint },
        }
    }
}

impl From<WireError> for CallError {
    fn from(error: WireError) -> Self {
        Self { name: error.data.name, message: error.message, hint: error.data.hint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_and_codes_are_unique() {
        let all = ErrorName::ALL;
        assert_eq!(all.iter().map(|e| e.code()).collect::<HashSet<_>>().len(), all.len());
        assert_eq!(all.iter().map(|e| e.as_str()).collect::<HashSet<_>>().len(), all.len());
    }
}
