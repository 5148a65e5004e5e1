//! What a token endpoint answers to a person's grant: it grants or refuses, without a panic, within bounds, and no words hold
//! what was sent or what came.

#![no_main]

use bursard::fuzz::tokens;
use libfuzzer_sys::fuzz_target;

/// Stands in the body in place of every `~`: what was sent, which no words may hold.
const SENT: &str = "canary_of_what_was_sent";

/// The largest body that is judged, as the one way out reads it.
const BODY_MAX: usize = 1024 * 1024;

fuzz_target!(|input: (u16, bool, &str)| {
    let (status, by_code, body) = input;
    let body = body.replace('~', SENT);
    if body.len() > BODY_MAX {
        return;
    }
    match tokens(100 + status % 500, body.as_bytes(), by_code, &[SENT]) {
        Err(words) => assert!(!words.contains(SENT), "{words}"),
        Ok(tokens) => {
            let sound = |token: &str, most| {
                !token.trim().is_empty() && token.len() <= most && token.bytes().all(|b| (b' '..=b'~').contains(&b))
            };
            assert!(sound(&tokens.access_token, 40 * 1024));
            assert!(tokens.refresh_token.as_deref().is_none_or(|token| sound(token, 16 * 1024)));
            assert!(tokens.expires_in <= 100 * 365 * 86_400);
            for shown in tokens.shown.iter().flatten() {
                assert!(!shown.contains(SENT) && !shown.contains(&tokens.access_token), "{shown}");
                assert!(tokens.refresh_token.as_deref().is_none_or(|token| !shown.contains(token)), "{shown}");
            }
        }
    }
});
