//! The ten secret types with their fields, and the closed sets of words that describe a secret.
//!
//! The table in [`SecretType::fields`] is the one list of fields: the daemon checks against it, the command
//! line makes its flags from it, the reference prints it.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A text that is none of a closed set of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected one of: {0}")]
pub struct UnknownWord(pub &'static str);

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant),+
        }

        impl $name {
            /// Every word of the set, in the order of the reference.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word on the wire and on the command line.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;
            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                const WORDS: &str = words!(@list $($word),+);
                Self::ALL.iter().copied().find(|word| word.as_str() == text).ok_or(UnknownWord(WORDS))
            }
        }
    };
    (@list $first:literal $(, $rest:literal)*) => { concat!($first $(, ", ", $rest)*) };
}

words! {
    /// What a secret is, and so how its credentials become an artifact.
    SecretType {
        /// RFC 6749 section 4.4.
        ClientCredentialsGrant = "oauth2-client_credentials",
        /// A signed JWT, handed out itself or exchanged by RFC 7523.
        Jwt = "oauth2-jwt",
        /// A person authorizes in a browser, once.
        Google = "oauth2-google",
        /// RFC 7617 user and password.
        SimpleHttp = "simple-http",
        /// One opaque text.
        Token = "token",
        /// A header of its own name.
        ApiKey = "api-key",
        /// A header, its value as it is sent.
        BearerToken = "bearer-token",
        /// Client id and secret, handed out as they are.
        ClientCredentials = "client-credentials",
        /// A PEM chain, with or without its key.
        Certificate = "certificate",
        /// Named texts.
        KeyValue = "key-value",
    }
}

words! {
    /// An OAuth server that Bursar knows by name: its secrets need a person, once, and are named after it.
    Issuer {
        /// Google's, with the type `oauth2-google`.
        Google = "google",
    }
}

words! {
    /// The stage of an environment.
    Stage {
        /// Any number of environments.
        Development = "development",
        /// At most one environment of an organization.
        Staging = "staging",
        /// At most one environment of an organization.
        Production = "production",
    }
}

words! {
    /// How the last exchange of a secret's present credentials ended.
    Status {
        /// An exchange runs, or is about to.
        Pending = "pending",
        /// There is an artifact (kept only where the secret is bound).
        Succeeded = "succeeded",
        /// `status_details` says why.
        Failed = "failed",
        /// A person has to authorize in a browser.
        ManualAuthorization = "manual_authorization",
    }
}

words! {
    /// How the last refresh ended.
    RefreshStatus {
        /// The artifact is the newest.
        Succeeded = "succeeded",
        /// All attempts failed; the artifact is served until it expires.
        Failed = "failed",
    }
}

words! {
    /// What the failure of the last exchange means for further attempts.
    FailureCause {
        /// The issuer did not answer, or is out of order; that says nothing of the credentials.
        Unreachable = "unreachable",
        /// The issuer refused, perhaps for now.
        Transient = "transient",
        /// The same request will be refused again.
        Permanent = "permanent",
    }
}

words! {
    /// Which lifetimes an exchange accepts (client credentials and jwt).
    ExchangePolicy {
        /// More than eight hours, and an offset that leaves four.
        Standard = "standard",
        /// From twenty seconds on.
        ShortLived = "short-lived",
    }
}

words! {
    /// Where the vault stands.
    VaultState {
        /// None was made yet.
        Absent = "absent",
        /// Keys are not in memory.
        Locked = "locked",
        /// Secrets are served.
        Unlocked = "unlocked",
    }
}

words! {
    /// How something stands that `agent.doctor` looked at.
    FindingState {
        /// As it should be.
        Good = "good",
        /// Less than there could be; the agent works.
        Weak = "weak",
        /// To be mended.
        Bad = "bad",
    }
}

words! {
    /// What happened to a secret, in a notification of `artifact.watch`.
    Change {
        /// It was made.
        Created = "created",
        /// There is a new artifact.
        Refreshed = "refreshed",
        /// An exchange after create, edit, bind or retry failed.
        Failed = "failed",
        /// An attempt to refresh failed; the artifact is served until it expires.
        RefreshFailed = "refresh_failed",
        /// A person has to authorize it; the artifact is served until it expires.
        NeedsAuthorization = "needs_authorization",
        /// Its attributes or credentials changed.
        Edited = "edited",
        /// It was bound to an environment.
        Bound = "bound",
        /// Its environment was deleted.
        Unbound = "unbound",
        /// It is unavailable until reactivated.
        Deactivated = "deactivated",
        /// It is available again.
        Reactivated = "reactivated",
        /// It is gone.
        Deleted = "deleted",
    }
}

words! {
    /// How a data element stands in an environment, or in a stage.
    ElementState {
        /// Its artifact can be handed out.
        Good = "good",
        /// Its slot is empty.
        Empty = "empty",
        /// There is no such element, or no such secret.
        Missing = "missing",
        /// Its secret is bound to another environment.
        Elsewhere = "elsewhere",
        /// Its secret is bound to none.
        Unbound = "unbound",
        /// Its secret is deactivated.
        Inactive = "inactive",
        /// Its secret, or the artifact of it, is past its date.
        Expired = "expired",
        /// Its secret's exchange still runs.
        Pending = "pending",
        /// Its secret's exchange failed.
        Failed = "failed",
        /// A person has to authorize its secret.
        NeedsAuthorization = "needs_authorization",
    }
}

words! {
    /// What a template does to the text of a mark.
    Filter {
        /// RFC 4648 section 4, with padding.
        Base64 = "base64",
        /// A JSON text with its quotes.
        Json = "json",
        /// Percent-encoded, all but RFC 3986's unreserved characters.
        Url = "url",
        /// Escaped for the text and the attributes of XML.
        Xml = "xml",
    }
}

words! {
    /// What somebody who is not the owner may do in an organization.
    Role {
        /// Have published packages, and what they hand out.
        Viewer = "viewer",
        /// That, and publish.
        Contributor = "contributor",
    }
}

words! {
    /// How much is kept of the use of a client secret, or of the secrets.
    Analytics {
        /// Nothing but when it was last used.
        Disabled = "disabled",
        /// Counts by day and command.
        Limited = "limited",
        /// That, and each event with its caller.
        Complete = "complete",
    }
}

words! {
    /// How a client secret stands.
    ClientSecretStatus {
        /// It counts.
        Active = "active",
        /// Its time has passed.
        Expired = "expired",
        /// It was revoked.
        Revoked = "revoked",
    }
}

words! {
    /// What ends, on the one calendar.
    Ending {
        /// A secret with an expiration date.
        Secret = "secret",
        /// A secret that is a certificate.
        Certificate = "certificate",
        /// A token whose refresh fails.
        Token = "token",
        /// A client secret.
        ClientSecret = "client_secret",
    }
}

words! {
    /// What is wrong in the record of accesses.
    AuditFault {
        /// Entries are missing.
        Cut = "cut",
        /// Entries are not what was written there.
        Altered = "altered",
        /// Entries do not follow the ones before them.
        Broken = "broken",
        /// Entries stand behind the end.
        Surplus = "surplus",
    }
}

/// The JSON shape of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A text.
    Text,
    /// A whole number of seconds, at least 1.
    Seconds,
    /// An object whose members are texts.
    Texts,
    /// An object of any JSON.
    Object,
    /// An array of texts.
    List,
}

/// One field of a secret type's credentials.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name in JSON; its flag has dashes for underscores.
    pub name: &'static str,
    /// Its JSON shape.
    pub shape: Shape,
    /// Whether it must be given.
    pub required: bool,
    /// Never in an answer, but as its own secret's artifact.
    pub sensitive: bool,
    /// One line for help texts and the reference.
    pub help: &'static str,
}

const fn field(
    name: &'static str,
    shape: Shape,
    required: bool,
    sensitive: bool,
    help: &'static str,
) -> Field {
    Field { name, shape, required, sensitive, help }
}

const TOKEN_URL: &str = "the issuer's token endpoint; https, or http to loopback";
const OFFSET: &str = "how many seconds before it expires the token is refreshed";
const OPTIONS: &str = "further parameters of the token request, for example scope";

impl SecretType {
    /// The fields of this type's credentials, in the order of the reference.
    pub const fn fields(self) -> &'static [Field] {
        use Shape::{List, Object, Seconds, Text, Texts};
        match self {
            Self::ClientCredentialsGrant => {
                const {
                    &[
                        field("client_id", Text, true, false, "the client's id at the issuer"),
                        field("client_secret", Text, true, true, "the client's secret at the issuer"),
                        field("token_url", Text, true, false, TOKEN_URL),
                        field("refresh_offset", Seconds, false, false, OFFSET),
                        field("options", Texts, false, false, OPTIONS),
                        field(
                            "client_auth",
                            Text,
                            false,
                            false,
                            "post (in the form) or basic (in the header)",
                        ),
                    ]
                }
            }
            Self::Jwt => {
                const {
                    &[
                        field("iss", Text, true, false, "the issuer claim"),
                        field("aud", Text, true, false, "the audience claim"),
                        field("sub", Text, false, false, "the subject claim"),
                        field("ttl", Seconds, true, false, "the lifetime of the jwt, in seconds"),
                        field("alg", Text, true, false, "the signature: RS256"),
                        field("custom_claims", Object, false, false, "further claims"),
                        field("token_url", Text, false, false, TOKEN_URL),
                        field("private_key_id", Text, false, false, "the kid header"),
                        field("private_key", Text, true, true, "an RSA key as PEM, 2048 to 4096 bits"),
                        field("refresh_offset", Seconds, false, false, OFFSET),
                        field("options", Texts, false, false, OPTIONS),
                    ]
                }
            }
            Self::Google => const { &[field("scopes", List, true, false, "what the token may do")] },
            Self::SimpleHttp => {
                const {
                    &[
                        field("username", Text, true, false, "the user, without a colon"),
                        field("password", Text, true, true, "the password"),
                    ]
                }
            }
            Self::Token => const { &[field("token", Text, true, true, "the token")] },
            Self::ApiKey => {
                const {
                    &[
                        field("header_name", Text, true, false, "the header's name"),
                        field("value", Text, true, true, "the header's value"),
                    ]
                }
            }
            Self::BearerToken => {
                const {
                    &[
                        field("header_name", Text, true, false, "the header's name"),
                        field("header_value", Text, true, true, "the header's value, as it is sent"),
                    ]
                }
            }
            Self::ClientCredentials => {
                const {
                    &[
                        field("client_id", Text, true, false, "the client's id"),
                        field("client_secret", Text, true, true, "the client's secret"),
                        field("scopes", List, false, false, "what the client asks for"),
                    ]
                }
            }
            Self::Certificate => {
                const {
                    &[
                        field("certificate", Text, true, false, "the certificate and its chain, as PEM"),
                        field("private_key", Text, false, true, "the certificate's key, as PEM"),
                    ]
                }
            }
            Self::KeyValue => const { &[field("entries", Texts, true, true, "names and their values")] },
        }
    }

    /// The field that a single value answers to in `--field`; `None` where there are several fields.
    pub const fn value_field(self) -> Option<&'static str> {
        match self {
            Self::ClientCredentialsGrant | Self::Jwt | Self::Google => Some("access_token"),
            Self::SimpleHttp => Some("basic"),
            Self::Token => Some("token"),
            Self::ApiKey => Some("value"),
            Self::BearerToken => Some("header_value"),
            Self::ClientCredentials | Self::Certificate | Self::KeyValue => None,
        }
    }

    /// Whether an issuer or a signature stands behind the artifact, so that it expires and is refreshed.
    pub const fn is_oauth2(self) -> bool {
        matches!(self, Self::ClientCredentialsGrant | Self::Jwt | Self::Google)
    }

    /// The issuer whose grant a person gives in a browser; `None` for types that need no person.
    pub const fn issuer(self) -> Option<Issuer> {
        match self {
            Self::Google => Some(Issuer::Google),
            _ => None,
        }
    }

    /// Whether the type has an exchange policy.
    pub const fn has_policy(self) -> bool {
        matches!(self, Self::ClientCredentialsGrant | Self::Jwt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_as_they_print() {
        for kind in SecretType::ALL {
            assert_eq!(kind.as_str().parse(), Ok(*kind));
            assert_eq!(serde_json::to_string(kind).unwrap(), format!("\"{kind}\""));
        }
        assert_eq!(
            "prod".parse::<Stage>().unwrap_err().to_string(),
            "expected one of: development, staging, production"
        );
    }
}
