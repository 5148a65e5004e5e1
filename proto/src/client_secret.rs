//! The form of a client secret: `bcs_<public id>_<random>_<checksum>`.
//!
//! All parts are written in Crockford's base 32, lower case. The public id names the secret in lists and errors; the
//! random part is the credential; the checksum (CRC-32 of all before it) lets a mistyped one be told without asking
//! anybody. Scanners find them by `bcs_[0-9a-hjkmnp-tv-z]{10}_[0-9a-hjkmnp-tv-z]{52}_[0-9a-hjkmnp-tv-z]{7}`.

use crate::name::text_serde;
use crate::sensitive::Sensitive;
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// What every client secret begins with.
pub const PREFIX: &str = "bcs_";

/// Digits of the public id: 50 random bits, so that ten thousand hardly ever meet.
pub const PUBLIC_ID_LEN: usize = 10;

/// Bytes of the random part: 256 bits.
pub const RANDOM_LEN: usize = 32;

/// Digits of the random part: 52 hold 260 bits, and the last four are zero.
const RANDOM_DIGITS: usize = 52;

/// Digits of the checksum: 7 hold 35 bits, of which CRC-32 takes 32.
const CHECKSUM_DIGITS: usize = 7;

/// Bytes of a whole client secret.
pub const CLIENT_SECRET_LEN: usize = PREFIX.len() + PUBLIC_ID_LEN + 1 + RANDOM_DIGITS + 1 + CHECKSUM_DIGITS;

/// How many client secrets count together at the most: an organization each, for a workspace that is large beyond measure.
pub const CLIENT_SECRETS_MAX: usize = 32;

/// Crockford's digits, without those that are taken for others: i, l, o, u.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A text that is no client secret. It never repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It does not begin with [`PREFIX`].
    #[error("it does not begin with {PREFIX}")]
    Prefix,
    /// It is too short or too long.
    #[error("it has {0} characters, and a client secret has {CLIENT_SECRET_LEN}")]
    Length(usize),
    /// A part has the wrong length, or a character that no part has.
    #[error("its parts are not those of a client secret")]
    Parts,
    /// The checksum does not fit the rest.
    #[error("its checksum does not fit: a character was lost or changed")]
    Checksum,
}

/// The public id of a client secret: ten digits that anybody may see.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicId(Box<str>);

/// A text that is no public id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id of a client secret has {PUBLIC_ID_LEN} characters of 0-9 a-z, without i, l, o, u")]
pub struct PublicIdError;

impl PublicId {
    /// An id of random bytes; 50 bits of them count.
    pub fn from_random(bytes: [u8; 8]) -> Self {
        Self(encode(&bytes, PUBLIC_ID_LEN).as_str().into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PublicId {
    type Err = PublicIdError;
    /// Reads an id, with or without [`PREFIX`].
    fn from_str(text: &str) -> Result<Self, PublicIdError> {
        let id = text.strip_prefix(PREFIX).unwrap_or(text);
        if id.len() == PUBLIC_ID_LEN && id.bytes().all(is_digit) {
            Ok(Self(id.into()))
        } else {
            Err(PublicIdError)
        }
    }
}

impl fmt::Display for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

text_serde!(PublicId);

/// The random part of a client secret. Wiped on drop.
pub struct Random(Zeroizing<[u8; RANDOM_LEN]>);

impl Random {
    /// Takes over random bytes.
    pub fn new(bytes: Zeroizing<[u8; RANDOM_LEN]>) -> Self {
        Self(bytes)
    }

    /// The bytes themselves.
    pub fn expose(&self) -> &[u8; RANDOM_LEN] {
        &self.0
    }
}

/// Writes a client secret.
pub fn compose(id: &PublicId, random: &Random) -> Sensitive {
    let mut text = String::with_capacity(CLIENT_SECRET_LEN);
    text.push_str(PREFIX);
    text.push_str(id.as_str());
    text.push('_');
    text.push_str(&encode(random.expose(), RANDOM_DIGITS));
    let checksum = checksum(&text);
    text.push('_');
    text.push_str(&checksum);
    Sensitive::new(text)
}

/// Reads a client secret. Knows nothing of whether it was ever issued.
///
/// # Errors
/// What is wrong with its form.
pub fn parse(text: &str) -> Result<(PublicId, Random), Malformed> {
    let rest = text.strip_prefix(PREFIX).ok_or(Malformed::Prefix)?;
    if text.len() != CLIENT_SECRET_LEN {
        return Err(Malformed::Length(text.chars().count()));
    }
    let mut parts = rest.split('_');
    let (Some(id), Some(random), Some(sum), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Malformed::Parts);
    };
    let whole = [(id, PUBLIC_ID_LEN), (random, RANDOM_DIGITS), (sum, CHECKSUM_DIGITS)]
        .into_iter()
        .all(|(part, length)| part.len() == length && part.bytes().all(is_digit));
    if !whole {
        return Err(Malformed::Parts);
    }
    let (said, _) = text.rsplit_once('_').ok_or(Malformed::Parts)?;
    if *checksum(said) != *sum {
        return Err(Malformed::Checksum);
    }
    // digits whose last bits are not zero would be a second text for one secret
    let random = decode(random).ok_or(Malformed::Checksum)?;
    Ok((PublicId(id.into()), Random(random)))
}

/// The public id that a text shows, where it looks like a client secret at all: to name one that is refused.
pub fn shown_id(text: &str) -> Option<PublicId> {
    let (id, _) = text.strip_prefix(PREFIX)?.split_once('_')?;
    id.parse().ok()
}

fn is_digit(byte: u8) -> bool {
    DIGITS.contains(&byte)
}

fn checksum(text: &str) -> Zeroizing<String> {
    encode(&crc32fast::hash(text.as_bytes()).to_be_bytes(), CHECKSUM_DIGITS)
}

/// The first bits of `bytes` as `digits` digits, filled up with zeros.
fn encode(bytes: &[u8], digits: usize) -> Zeroizing<String> {
    let bit = |at: usize| bytes.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1);
    let digit =
        |at: usize| (0..5).fold(0_usize, |value, offset| value << 1 | usize::from(bit(at * 5 + offset)));
    let mut text = Zeroizing::new(String::with_capacity(digits));
    text.extend((0..digits).map(|at| char::from(DIGITS[digit(at)])));
    text
}

/// What [`encode`] wrote; `None` where a bit stands behind the last byte.
fn decode(digits: &str) -> Option<Zeroizing<[u8; RANDOM_LEN]>> {
    let mut bytes = Zeroizing::new([0; RANDOM_LEN]);
    for (at, digit) in digits.bytes().enumerate() {
        let value = DIGITS.iter().position(|&known| known == digit)?;
        for offset in (0..5).filter(|offset| value >> (4 - offset) & 1 == 1) {
            let bit: usize = at * 5 + offset;
            *bytes.get_mut(bit / 8)? |= 1 << (7 - bit % 8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn made(id: u64, random: [u8; RANDOM_LEN]) -> (PublicId, String) {
        let id = PublicId::from_random(id.to_be_bytes());
        let text = compose(&id, &Random::new(Zeroizing::new(random))).expose().to_owned();
        (id, text)
    }

    #[test]
    fn what_is_wrong_with_a_text_is_told_without_it() {
        let (_, text) = made(7, [9; RANDOM_LEN]);
        let refused = |text: &str| parse(text).err().unwrap().to_string();
        assert!(
            refused("ghp_16C7e42F292c6912E7710c838347Ae178B4a").starts_with("it does not begin with bcs_")
        );
        assert!(refused(&text[..text.len() - 1]).starts_with("it has 74 characters"));
        assert!(refused(&text.replace('_', "-").replacen("bcs-", "bcs_", 1)).starts_with("its parts"));
        assert!(refused(&text.to_uppercase().replacen("BCS_", "bcs_", 1)).starts_with("its parts"));
        let other = if text.ends_with('0') { "1" } else { "0" };
        assert!(refused(&format!("{}{other}", &text[..text.len() - 1])).starts_with("its checksum"));
    }

    #[test]
    fn one_secret_has_one_text() {
        let (_, text) = made(7, [0xff; RANDOM_LEN]);
        let (said, _) = text.rsplit_once('_').unwrap();
        // the last digit holds one bit of the secret: with another bit set it would decode to the same bytes
        let other = format!("{}h", &said[..said.len() - 1]);
        let forged = format!("{other}_{}", *checksum(&other));
        assert_eq!(parse(&forged).err(), Some(Malformed::Checksum));
    }

    proptest! {
        #[test]
        fn a_secret_is_read_as_it_was_written(id: u64, random: [u8; RANDOM_LEN]) {
            let (id, text) = made(id, random);
            prop_assert_eq!(text.len(), CLIENT_SECRET_LEN);
            let (read, bytes) = parse(&text).unwrap();
            prop_assert_eq!((&read, bytes.expose()), (&id, &random));
            prop_assert_eq!(shown_id(&text), Some(id.clone()));
            prop_assert_eq!(text.parse::<PublicId>().is_err(), true);
            prop_assert_eq!(format!("bcs_{id}").parse::<PublicId>(), Ok(id));
        }

        #[test]
        fn one_altered_character_is_noticed(random: [u8; RANDOM_LEN], at in 0_usize..CLIENT_SECRET_LEN, to in "[0-9a-z_]") {
            let (_, text) = made(3, random);
            let altered = format!("{}{to}{}", &text[..at], &text[at + 1..]);
            prop_assert_eq!(parse(&altered).is_ok(), altered == text);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,120}") {
            let _ = parse(&text);
            let _ = parse(&format!("{PREFIX}{text}"));
            let _ = shown_id(&text);
        }
    }
}
