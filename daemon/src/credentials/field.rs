//! The kinds of fields that credentials are made of: a value of one of these types is within its rules.
//!
//! Reading goes through `FromField`, so a fault names its field, and the content is never repeated.

use bursar_proto::fields::{Fields, FromField, Invalid, Wrong};
use bursar_proto::sensitive::{Expose, Sensitive};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use url::{Host, Url};

/// The longest plain text (an id, an issuer, a URL), in bytes; more is a mistake, not a name.
pub(super) const TEXT_MAX: usize = 2048;

/// The longest name of an option or an entry, in bytes.
pub(super) const MEMBER_NAME_MAX: usize = 100;

/// The longest lifetime or offset, in seconds: ten years of 365 days. More is a slip of the unit.
pub(super) const SECONDS_MAX: u64 = 10 * 365 * 86_400;

fn wrong(reason: &'static str) -> Wrong {
    Wrong(Cow::Borrowed(reason))
}

/// A text of at least one character, at most [`TEXT_MAX`] bytes, without control characters.
#[derive(serde::Serialize)]
#[serde(transparent)]
pub(crate) struct Plain(String);

impl Plain {
    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromField for Plain {
    fn from_field(raw: Option<&RawValue>) -> Result<Self, Wrong> {
        Self::checked(String::from_field(raw)?)
    }
}

impl Plain {
    fn checked(text: String) -> Result<Self, Wrong> {
        if text.is_empty() {
            return Err(wrong("must not be empty"));
        }
        if text.len() > TEXT_MAX {
            return Err(Wrong(format!("is over {TEXT_MAX} bytes").into()));
        }
        if text.chars().any(char::is_control) {
            return Err(wrong("has control characters, such as a line break"));
        }
        Ok(Self(text))
    }
}

/// A sensitive text of at least one character.
pub(crate) struct Filled(Sensitive);

impl Filled {
    /// The text itself.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl FromField for Filled {
    fn from_field(raw: Option<&RawValue>) -> Result<Self, Wrong> {
        let text = Sensitive::from_field(raw)?;
        if text.expose().is_empty() { Err(wrong("must not be empty")) } else { Ok(Self(text)) }
    }
}

impl From<Sensitive> for Filled {
    fn from(text: Sensitive) -> Self {
        Self(text)
    }
}

impl Expose for Filled {
    fn expose_to<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.expose_to(serializer)
    }
}

/// A number of seconds from 1 to [`SECONDS_MAX`].
#[derive(Clone, Copy, serde::Serialize)]
#[serde(transparent)]
pub(crate) struct Seconds(u64);

impl Seconds {
    /// The number.
    pub(crate) fn count(self) -> u64 {
        self.0
    }
}

impl FromField for Seconds {
    fn from_field(raw: Option<&RawValue>) -> Result<Self, Wrong> {
        match u64::from_field(raw)? {
            0 => Err(wrong("must be at least 1 (second)")),
            count if count > SECONDS_MAX => {
                Err(Wrong(format!("must be at most {SECONDS_MAX} (seconds: ten years)").into()))
            }
            count => Ok(Self(count)),
        }
    }
}

/// The name of a header: a token of RFC 9110 section 5.6.2.
#[derive(serde::Serialize)]
#[serde(transparent)]
pub(crate) struct HeaderName(String);

impl HeaderName {
    /// The name as it was given.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromField for HeaderName {
    fn from_field(raw: Option<&RawValue>) -> Result<Self, Wrong> {
        let name = String::from_field(raw)?;
        let legal = (1..=MEMBER_NAME_MAX).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        if legal { Ok(Self(name)) } else { Err(wrong("is no legal name of an http header")) }
    }
}

/// The value of a header: see [`is_header_value`].
pub(crate) struct HeaderValue(Sensitive);

impl HeaderValue {
    /// The value itself.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl FromField for HeaderValue {
    fn from_field(raw: Option<&RawValue>) -> Result<Self, Wrong> {
        let value = Sensitive::from_field(raw)?;
        if is_header_value(value.expose()) {
            Ok(Self(value))
        } else {
            Err(wrong(
                "is no legal value of an http header: visible ascii, and blanks between, no line breaks",
            ))
        }
    }
}

impl Expose for HeaderValue {
    fn expose_to<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.expose_to(serializer)
    }
}

/// Whether `text` can stand in a header as it is: RFC 9110 section 5.5 without the obsolete bytes.
pub(super) fn is_header_value(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_graphic() || b == b' ' || b == b'\t';
    !text.is_empty() && text.trim() == text && text.bytes().all(inner)
}

/// An object of texts, in its order; each name once.
pub(crate) struct Texts(Vec<(String, Sensitive)>);

impl Texts {
    /// Names and values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Sensitive)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl FromField for Texts {
    fn from_field(raw: Option<&RawValue>) -> Result<Self, Wrong> {
        let raw = raw.ok_or(wrong("is required"))?;
        if !raw.get().starts_with('{') {
            return Err(Wrong::expected("an object", raw));
        }
        let members = Fields::parse(Some(raw.get())).map_err(|fault| Wrong(fault.to_string().into()))?;
        let member = |(at, (name, value)): (usize, (Cow<'_, str>, &RawValue))| {
            if name.is_empty() || name.len() > MEMBER_NAME_MAX || name.chars().any(char::is_control) {
                let reason = format!(
                    "member number {}: a name has 1 to {MEMBER_NAME_MAX} bytes and no control characters",
                    at + 1
                );
                return Err(Wrong(reason.into()));
            }
            let value = Sensitive::from_field(Some(value))
                .map_err(|fault| Wrong(format!("member number {}: {fault}", at + 1).into()))?;
            Ok((name.into_owned(), value))
        };
        members.into_members().into_iter().enumerate().map(member).collect::<Result<_, _>>().map(Self)
    }
}

impl Expose for Texts {
    fn expose_to<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value.expose())?;
        }
        map.end()
    }
}

/// A token endpoint: https, or http to loopback, and no user info.
pub(crate) struct TokenUrl {
    text: String,
    url: Url,
}

impl TokenUrl {
    /// The parsed address.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }
}

impl FromField for TokenUrl {
    fn from_field(raw: Option<&RawValue>) -> Result<Self, Wrong> {
        Self::parse(Plain::from_field(raw)?)
    }
}

/// Reads the address of an issuer's endpoint that is no field of credentials.
///
/// # Errors
/// The rules of a token url, named as `field`.
pub(crate) fn endpoint(field: &str, text: &str) -> Result<Url, Invalid> {
    let plain = Plain::checked(text.to_owned()).map_err(|wrong| Invalid::field(field, wrong))?;
    TokenUrl::parse(plain).map(|read| read.url).map_err(|wrong| Invalid::field(field, wrong))
}

impl TokenUrl {
    fn parse(Plain(text): Plain) -> Result<Self, Wrong> {
        let url = Url::parse(&text).map_err(|_| wrong("is no url"))?;
        let allowed = match url.scheme() {
            "https" => url.has_host(),
            "http" => is_loopback(&url),
            _ => false,
        };
        if !allowed {
            return Err(wrong(
                "must be an https url (http is for loopback only: 127.0.0.0/8, ::1, localhost)",
            ));
        }
        // `https://@host` has no user by the parser, and still means to have one
        let authority = text.split_once("://").map_or("", |(_, rest)| rest);
        let authority = authority.split(['/', '?', '#', '\\']).next().unwrap_or_default();
        if !url.username().is_empty() || url.password().is_some() || authority.contains('@') {
            return Err(wrong("must not carry a user or a password: use client_id and client_secret"));
        }
        if url.fragment().is_some() {
            return Err(wrong("must not have a fragment (#)"));
        }
        Ok(Self { text, url })
    }
}

impl Serialize for TokenUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
}

/// Whether the host of `url` is this machine: `localhost`, 127.0.0.0/8 or `::1`, by name and not by lookup.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

/// Host and port of `url`, as they may be shown.
pub(crate) fn host_name(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
