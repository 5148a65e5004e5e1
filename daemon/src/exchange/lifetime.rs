//! Which lifetimes are accepted, and how early a token is refreshed. Pure.

use super::{Cause, Failure};
use crate::credentials::{Credentials, Jwt, Seconds};
use crate::issuer::named;
use bursar_proto::kind::ExchangePolicy;
use bursar_proto::time::in_words;

/// Under the standard policy a lifetime must be longer: eight hours.
const STANDARD_LIFETIME_S: u64 = 28_800;

/// Under the standard policy a refresh must leave more of the lifetime behind it: four hours.
const STANDARD_MARGIN_S: u64 = 14_400;

/// The offset of client credentials where none is given: four hours.
const OFFSET_S: u64 = 14_400;

/// The offset of a JWT where none is given: half an hour.
const JWT_OFFSET_S: u64 = 1_800;

/// Under the short-lived policy, the shortest lifetime: less is over before a refresh can be retried.
const SHORT_LIFETIME_S: u64 = 20;

/// Under the short-lived policy, the smallest offset that is not given; it leaves time for retries.
const SHORT_OFFSET_S: u64 = 30;

/// How much less than the rule a named issuer's lifetime may be and still count as it, in seconds: Google says 3599.
const CLEARLY_SHORTER_S: u64 = 60;

const OTHER_POLICY: &str =
    "hint: for tokens of short life: bursar secret edit NAME --exchange-policy short-lived";

/// A lifetime that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lifetime {
    /// From now to the end, in seconds.
    pub(crate) expires_in: u64,
    /// From the refresh to the end, in seconds: at least 1, less than `expires_in`.
    pub(crate) refresh_offset: u64,
}

/// Judges the lifetime that an issuer gave.
///
/// # Errors
/// The policy refuses it; permanent, with the rule that it breaks and what to change.
pub(crate) fn judge(
    credentials: &Credentials,
    policy: ExchangePolicy,
    expires_in: u64,
) -> Result<Lifetime, Failure> {
    let given = credentials.refresh_offset();
    match (credentials, policy) {
        (Credentials::ClientCredentialsGrant(_), ExchangePolicy::Standard) => standard(given, expires_in),
        (Credentials::ClientCredentialsGrant(_), ExchangePolicy::ShortLived) => {
            short_lived(given, expires_in)
        }
        (Credentials::Jwt(jwt), policy) => judge_jwt(jwt, policy, expires_in),
        (Credentials::Consent(consent), _) => judge_consent(named(consent.issuer).lifetime, expires_in),
        _ => Err(not_exchanged()),
    }
}

/// The same for a JWT, which has no shortest lifetime under the standard policy.
///
/// # Errors
/// See [`judge`].
pub(crate) fn judge_jwt(jwt: &Jwt, policy: ExchangePolicy, expires_in: u64) -> Result<Lifetime, Failure> {
    let given = jwt.refresh_offset.map(Seconds::count);
    match policy {
        ExchangePolicy::ShortLived => short_lived(given, expires_in),
        ExchangePolicy::Standard => {
            let refresh_offset = given.unwrap_or(JWT_OFFSET_S);
            if refresh_offset < expires_in {
                return Ok(Lifetime { expires_in, refresh_offset });
            }
            let which = if given.is_some() { "" } else { ", the default" };
            let mend = if given.is_some() { "hint: give a smaller refresh_offset" } else { OTHER_POLICY };
            refuse(format!(
                "the lifetime of {} is not longer than refresh_offset ({refresh_offset} s{which}), so the token would be refreshed for ever; {mend}",
                seconds(expires_in)
            ))
        }
    }
}

/// The lifetime of a named issuer's tokens is a rule of ours: they count for as long as their row says. One that the issuer
/// makes clearly shorter counts as it is, as nothing is served that has expired, and is refreshed at its half.
fn judge_consent(rule: Lifetime, expires_in: u64) -> Result<Lifetime, Failure> {
    if expires_in + CLEARLY_SHORTER_S >= rule.expires_in {
        return Ok(rule);
    }
    if expires_in < SHORT_LIFETIME_S {
        return too_short(expires_in, ", then: bursar secret reauthorize NAME");
    }
    Ok(Lifetime { expires_in, refresh_offset: expires_in / 2 })
}

/// `then` is what else to do once the issuer gives longer ones.
fn too_short(expires_in: u64, then: &str) -> Result<Lifetime, Failure> {
    refuse(format!(
        "the token lives {}, and the shortest lifetime is {SHORT_LIFETIME_S} s; hint: have the issuer give longer ones{then}",
        seconds(expires_in)
    ))
}

/// The failure of asking for an exchange where there is none.
pub(super) fn not_exchanged() -> Failure {
    Failure::new(Cause::Permanent, "a secret of this type has no exchange")
}

fn standard(given: Option<u64>, expires_in: u64) -> Result<Lifetime, Failure> {
    if expires_in <= STANDARD_LIFETIME_S {
        return refuse(format!(
            "the issuer's token lives {}, and the standard exchange policy wants more than {STANDARD_LIFETIME_S} s (8 h); {OTHER_POLICY}",
            seconds(expires_in)
        ));
    }
    let refresh_offset = given.unwrap_or(OFFSET_S);
    let most = expires_in - STANDARD_MARGIN_S;
    if refresh_offset >= most {
        return refuse(format!(
            "refresh_offset ({refresh_offset} s) must be less than {most} s under the standard exchange policy, which is the token's lifetime of {expires_in} s less {STANDARD_MARGIN_S} s (4 h); hint: give a smaller refresh_offset, or: bursar secret edit NAME --exchange-policy short-lived"
        ));
    }
    Ok(Lifetime { expires_in, refresh_offset })
}

fn short_lived(given: Option<u64>, expires_in: u64) -> Result<Lifetime, Failure> {
    if expires_in < SHORT_LIFETIME_S {
        return too_short(expires_in, "");
    }
    let refresh_offset = given.unwrap_or_else(|| (expires_in / 5).max(SHORT_OFFSET_S).min(expires_in / 2));
    if refresh_offset >= expires_in {
        return refuse(format!(
            "refresh_offset ({refresh_offset} s) must be less than the token's lifetime ({expires_in} s); hint: give a smaller refresh_offset"
        ));
    }
    Ok(Lifetime { expires_in, refresh_offset })
}

fn refuse(details: String) -> Result<Lifetime, Failure> {
    Err(Failure::new(Cause::Permanent, details))
}

/// Seconds as the rules count them, and as a person does where that says more.
fn seconds(count: u64) -> String {
    match i64::try_from(count) {
        Ok(whole) if whole >= 60 => format!("{count} s ({})", in_words(whole)),
        _ => format!("{count} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::tests::{client_credentials, consent, jwt_with_token_url};
    use ExchangePolicy::{ShortLived, Standard};
    use proptest::prelude::*;

    fn offset(credentials: &Credentials, policy: ExchangePolicy, expires_in: u64) -> Option<u64> {
        judge(credentials, policy, expires_in).ok().map(|lifetime| lifetime.refresh_offset)
    }

    #[test]
    fn the_standard_policy_at_its_edges() {
        for (expires_in, given, accepted) in [
            (28_800, None, None),
            (28_801, None, Some(14_400)),
            (28_801, Some(14_401), None),
            (36_000, Some(28_800), None),
            (36_000, Some(21_600), None),
            (36_000, Some(21_599), Some(21_599)),
            (86_400, None, Some(14_400)),
            (0, None, None),
        ] {
            assert_eq!(
                offset(&client_credentials(given), Standard, expires_in),
                accepted,
                "{expires_in} {given:?}"
            );
        }
    }

    #[test]
    fn the_short_lived_policy_at_its_edges() {
        for (expires_in, given, accepted) in [
            (19, None, None),
            (19, Some(1), None),
            (20, None, Some(10)),
            (21, None, Some(10)),
            (60, None, Some(30)),
            (149, None, Some(30)),
            (150, None, Some(30)),
            (155, None, Some(31)),
            (3_600, None, Some(720)),
            (3_600, Some(3_599), Some(3_599)),
            (3_600, Some(3_600), None),
        ] {
            let both = [client_credentials(given), jwt_with_token_url(given)];
            for credentials in both {
                assert_eq!(offset(&credentials, ShortLived, expires_in), accepted, "{expires_in} {given:?}");
            }
        }
    }

    #[test]
    fn a_jwt_lives_longer_than_its_offset() {
        for (expires_in, given, accepted) in [
            (1_800, None, None),
            (1_801, None, Some(1_800)),
            (300, Some(299), Some(299)),
            (300, Some(300), None),
            (300, Some(301), None),
        ] {
            assert_eq!(
                offset(&jwt_with_token_url(given), Standard, expires_in),
                accepted,
                "{expires_in} {given:?}"
            );
        }
    }

    #[test]
    fn a_persons_grant_counts_an_hour_refreshed_at_its_half_unless_the_issuer_says_clearly_less() {
        for (expires_in, accepted) in [
            (0, None),
            (19, None),
            (20, Some((20, 10))),
            (21, Some((21, 10))),
            (1_800, Some((1_800, 900))),
            (3_539, Some((3_539, 1_769))),
            (3_540, Some((3_600, 1_800))),
            (3_599, Some((3_600, 1_800))),
            (3_600, Some((3_600, 1_800))),
            (3_601, Some((3_600, 1_800))),
            (86_400, Some((3_600, 1_800))),
        ] {
            // it has no policy, so none of them changes anything
            for policy in [Standard, ShortLived] {
                let lifetime = judge(&consent(), policy, expires_in);
                let lifetime = lifetime.map(|lifetime| (lifetime.expires_in, lifetime.refresh_offset));
                assert_eq!(lifetime.as_ref().ok(), accepted.as_ref(), "{expires_in}");
                if let Err(failure) = lifetime {
                    assert_eq!(failure.cause, Cause::Permanent);
                    assert!(failure.details.contains("the shortest lifetime is 20 s"), "{}", failure.details);
                }
            }
        }
    }

    #[test]
    fn a_refusal_under_standard_names_the_other_policy() {
        for (credentials, expires_in) in [
            (client_credentials(None), 3_600),
            (client_credentials(Some(28_800)), 36_000),
            (jwt_with_token_url(None), 600),
        ] {
            let failure = judge(&credentials, Standard, expires_in).unwrap_err();
            assert_eq!(failure.cause, Cause::Permanent);
            assert!(failure.details.contains("short-lived"), "{}", failure.details);
        }
    }

    proptest! {
        #[test]
        fn an_accepted_offset_lies_within_the_lifetime(
            expires_in in prop_oneof![0_u64..100_000, any::<u64>()],
            given in prop_oneof![Just(None), (1_u64..100_000).prop_map(Some)],
            short in any::<bool>(),
            jwt in any::<bool>(),
        ) {
            let credentials = if jwt { jwt_with_token_url(given) } else { client_credentials(given) };
            let policy = if short { ShortLived } else { Standard };
            if let Ok(lifetime) = judge(&credentials, policy, expires_in) {
                prop_assert_eq!(lifetime.expires_in, expires_in);
                prop_assert!((1..expires_in).contains(&lifetime.refresh_offset));
            }
        }

        #[test]
        fn a_persons_grant_never_counts_a_minute_longer_than_the_issuer_says(
            // the most that is ever read of an answer
            expires_in in prop_oneof![0_u64..10_000, 0..=crate::exchange::wire::EXPIRES_IN_MAX],
        ) {
            if let Ok(lifetime) = judge(&consent(), Standard, expires_in) {
                prop_assert!(lifetime.expires_in <= expires_in + 60);
                prop_assert!((1..lifetime.expires_in).contains(&lifetime.refresh_offset));
                prop_assert!(lifetime.refresh_offset <= lifetime.expires_in / 2);
            }
        }
    }
}
