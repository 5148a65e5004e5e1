//! The name under which systemd connects when it fetches a credential for a unit: `<hex digits>/unit/<unit>/<credential>` among the
//! abstract addresses. Pure.
//!
//! **Anybody can take such a name.** It says what is asked for; who is asking, only the kernel does.

use crate::units::is_unit_name;
use crate::vault::header::is_credential_name;

/// The most hexadecimal digits at its beginning: a random number of 64 bits, without zeros in front.
const DIGITS_MAX: usize = 16;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim<'a> {
    /// The unit that is said to start.
    pub(crate) unit: &'a str,
    /// The credential that it names.
    pub(crate) credential: &'a str,
}

impl<'a> Claim<'a> {
    /// Reads an abstract address, without the byte that makes it one.
    pub(crate) fn read(address: &'a [u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(address).ok()?.split('/');
        let (digits, kind, unit, credential) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let whole = (1..=DIGITS_MAX).contains(&digits.len())
            && digits.bytes().all(is_digit)
            && kind == "unit"
            && is_unit_name(unit)
            && is_credential_name(credential)
            && parts.next().is_none();
        whole.then_some(Self { unit, credential })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_systemd_connects_from_is_read() {
        for (address, unit, credential) in [
            ("f89243e264ae2df8/unit/app.service/db-password", "app.service", "db-password"),
            // as systemd 252 and 257 write a number that begins with a zero
            ("5f8a1334a486f34/unit/a.service/x", "a.service", "x"),
            (r"c5a9bfdb490810d8/unit/d@-a\x20b-c.service/tls.key", r"d@-a\x20b-c.service", "tls.key"),
            ("0/unit/home.mount/..x", "home.mount", "..x"),
        ] {
            assert_eq!(Claim::read(address.as_bytes()), Some(Claim { unit, credential }), "{address}");
        }
    }

    #[test]
    fn what_is_anything_else_is_not() {
        let digits = "f89243e264ae2df8";
        for address in [
            "",
            "/unit/app.service/x",
            "f89243e264ae2df80/unit/app.service/x",
            "F89243E264AE2DF8/unit/app.service/x",
            "g89243e264ae2df8/unit/app.service/x",
            &format!("{digits}/unit/app.service"),
            &format!("{digits}/unit/app.service/"),
            &format!("{digits}/unit/app.service/x/"),
            &format!("{digits}/unit/app.service/a/b"),
            &format!("{digits}/unit//x"),
            &format!("{digits}/unit/../x"),
            &format!("{digits}/unit/app.service/.."),
            &format!("{digits}/unit/app.scope/x"),
            &format!("{digits}/unit/app/x"),
            &format!("{digits}/system/app.service/x"),
            &format!("{digits}/unit/app.service/x\n"),
            &format!("{digits}/unit/app.service/x\0"),
            &format!(" {digits}/unit/app.service/x"),
            &format!("{digits}/unit/{}.service/x", "a".repeat(4_096)),
            &format!("{digits}/unit/app.service/{}", "a".repeat(4_096)),
        ] {
            assert_eq!(Claim::read(address.as_bytes()), None, "{address:?}");
        }
        assert_eq!(Claim::read(b"f89243e264ae2df8/unit/app.service/\xff"), None);
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(number in any::<u64>(), unit in r"[a-z@\\]{1,9}\.service", credential in r"[a-z][!-.0-9;-~]{0,9}") {
            let address = format!("{number:x}/unit/{unit}/{credential}");
            prop_assert_eq!(Claim::read(address.as_bytes()), Some(Claim { unit: &unit, credential: &credential }));
        }

        #[test]
        fn no_address_panics(address in prop::collection::vec(any::<u8>(), 0..110)) {
            if let Some(claim) = Claim::read(&address) {
                prop_assert!(is_unit_name(claim.unit) && is_credential_name(claim.credential));
            }
        }
    }
}
