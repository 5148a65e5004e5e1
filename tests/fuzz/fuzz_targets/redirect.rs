//! What a browser brings back, as a query and as a pasted address: it is read or refused, without a panic, and what is read has
//! one state and one answer, in characters that an issuer may use.

#![no_main]

use bursard::fuzz::{Read, address, query};
use libfuzzer_sys::fuzz_target;

/// What [`query`] takes, behind what [`address`] wants before it.
const BEFORE: &str = "http://127.0.0.1:4711/oauth2/callback?";

fn visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| (b' '..=b'~').contains(&b))
}

fn is_sound((state, answer): &Read) {
    assert!(visible(state), "{state:?}");
    match answer {
        Ok(code) => assert!(visible(code), "{code:?}"),
        Err(Some(error)) => {
            assert!(error.len() <= 40 && error.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{error:?}");
        }
        Err(None) => {}
    }
}

fuzz_target!(|text: &str| {
    let read = query(text);
    if let Some(read) = &read {
        is_sound(read);
    }
    if let Some(read) = address(text) {
        is_sound(&read);
        let text = text.trim();
        // the parser of addresses takes any case, and no tabs and line breaks
        let start: String = text.chars().filter(|c| !"\t\r\n".contains(*c)).take(7).collect();
        assert!(start.to_ascii_lowercase().starts_with("http:"), "{start}");
    }
    // nothing but a fragment, and what an address drops, makes a difference between the two
    let whole = format!("{BEFORE}{text}");
    if whole.len() <= 8 * 1024 && !text.contains(['#', '\t', '\r', '\n']) && text == text.trim_end() {
        assert_eq!(address(&whole), read);
    }
});
