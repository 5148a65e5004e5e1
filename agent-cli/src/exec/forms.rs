//! Every form in which a value may be printed: what common tools make of it.

use super::mask::VALUE_MIN;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use std::fmt::Write as _;
use zeroize::Zeroizing;

/// The shortest line that is masked by itself, of a text that has several, in bytes: `}` and `-----` are no secrets.
const LINE_MIN: usize = 8;

/// The lengths of lines of base64, in characters: as MIME has it, and as PEM has it.
const WRAPPED_AT: [usize; 2] = [76, 64];

/// What encoders for URLs leave alone beside letters and digits, and what they make of a space.
const URL_STYLES: [(&[u8], &str); 5] = [
    // RFC 3986
    (b"-._~", "%20"),
    // a path: Python's quote
    (b"-._~/", "%20"),
    // JavaScript's encodeURIComponent
    (b"-._~!'()*", "%20"),
    // a form: Python's quote_plus, and URLSearchParams
    (b"-._~", "+"),
    (b"-._*", "+"),
];

/// What encoders for XML and HTML make of `"` and `'`.
const XML_QUOTES: [[&str; 2]; 6] = [
    ["\"", "'"],
    ["&quot;", "'"],
    ["&quot;", "&apos;"],
    ["&quot;", "&#39;"],
    ["&quot;", "&#x27;"],
    ["&#34;", "&#39;"],
];

type Form = Zeroizing<Vec<u8>>;

/// The forms of a value; none of one that is too short.
pub(super) fn forms(value: &str) -> Vec<Form> {
    let mut forms = Vec::new();
    // a shell's `$(…)` takes the newline off
    for whole in [value, value.trim()].into_iter().filter(|text| text.len() >= VALUE_MIN) {
        forms.push(Zeroizing::new(whole.as_bytes().to_vec()));
        base64(whole, &mut forms);
        let mut add = |text: Zeroizing<String>| forms.push(Zeroizing::new(text.as_bytes().to_vec()));
        for (kept, space) in URL_STYLES {
            add(url(whole, kept, space, true));
            add(url(whole, kept, space, false));
        }
        add(json(whole, |_| false));
        add(json(whole, |character| !character.is_ascii()));
        add(json(whole, |character| "<>&\u{2028}\u{2029}".contains(character)));
        for quotes in XML_QUOTES {
            add(xml(whole, quotes));
        }
    }
    lines(value, &mut forms);
    forms
}

/// The lines of a text that has several.
fn lines(text: &str, forms: &mut Vec<Form>) {
    let lines = || text.split(['\n', '\r']).map(str::trim);
    if lines().nth(1).is_some() {
        let long = lines().filter(|line| line.len() >= LINE_MIN);
        forms.extend(long.map(|line| Zeroizing::new(line.as_bytes().to_vec())));
    }
}

/// Base64 of a text: alone, in lines, and as a part of a longer one.
fn base64(text: &str, forms: &mut Vec<Form>) {
    let mut add = |text: &[u8]| forms.push(Zeroizing::new(text.to_vec()));
    for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
        add(Zeroizing::new(engine.encode(text)).as_bytes());
    }
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        for before in 0..3 {
            add(&middle(&engine, before, text));
        }
    }
    for at in WRAPPED_AT {
        // whatever follows the value in its last line, and nothing
        let (whole, open) = (Zeroizing::new(STANDARD.encode(text)), middle(&STANDARD_NO_PAD, 0, text));
        for encoded in [whole.as_bytes(), &open].into_iter().filter(|encoded| encoded.len() > at) {
            encoded.chunks(at).filter(|line| line.len() >= LINE_MIN).for_each(&mut add);
            // a short last line goes with those before it
            let mut joined = Zeroizing::new(Vec::with_capacity(encoded.len() + encoded.len() / at + 1));
            for line in encoded.chunks(at) {
                joined.extend_from_slice(line);
                joined.push(b'\n');
            }
            joined.pop();
            add(&joined);
        }
    }
}

/// The characters of base64 that say nothing but `text`, where it stands behind `before` other bytes, modulo 3.
fn middle(engine: &impl base64::Engine, before: usize, text: &str) -> Form {
    const BITS: usize = 6;
    let mut longer = Zeroizing::new(Vec::with_capacity(before + text.len()));
    longer.resize(before, 0);
    longer.extend_from_slice(text.as_bytes());
    let encoded = Zeroizing::new(engine.encode(&*longer));
    let own = (before * 8).div_ceil(BITS)..longer.len() * 8 / BITS;
    Zeroizing::new(encoded.as_bytes().get(own).unwrap_or_default().to_vec())
}

/// Percent-encoded, all but letters, digits and what is `kept`; the digits of codes in upper or lower case.
fn url(text: &str, kept: &[u8], space: &str, upper: bool) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(text.len() * 3));
    for byte in text.bytes() {
        match byte {
            b' ' => out.push_str(space),
            _ if byte.is_ascii_alphanumeric() || kept.contains(&byte) => out.push(byte.into()),
            // a text takes whatever is written to it
            _ if upper => drop(write!(out, "%{byte:02X}")),
            _ => drop(write!(out, "%{byte:02x}")),
        }
    }
    out
}

/// What stands between the quotes of a JSON text; `coded` are the characters that it has by number, though it need not.
fn json(text: &str, coded: impl Fn(char) -> bool) -> Zeroizing<String> {
    // a character of four bytes becomes twelve; a control character six
    let mut out = Zeroizing::new(String::with_capacity(text.len() * 6));
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            _ if character < ' ' || coded(character) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // a text takes whatever is written to it
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            other => out.push(other),
        }
    }
    out
}

/// Escaped for XML, with one way to write quotes.
fn xml(text: &str, [double, single]: [&str; 2]) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(text.len() * 6));
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str(double),
            '\'' => out.push_str(single),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(value: &str, form: &str) -> bool {
        forms(value).iter().any(|one| one.as_slice() == form.as_bytes())
    }

    #[test]
    fn common_encoders_are_known() {
        let value = "a b/ü~!'\"*(<&>)";
        for form in [
            "a%20b%2F%C3%BC~%21%27%22%2A%28%3C%26%3E%29",
            "a%20b/%C3%BC~%21%27%22%2A%28%3C%26%3E%29",
            "a%20b%2F%C3%BC~!'%22*(%3C%26%3E)",
            "a+b%2F%C3%BC~%21%27%22%2A%28%3C%26%3E%29",
            "a+b%2F%C3%BC%7E%21%27%22*%28%3C%26%3E%29",
            "a+b%2f%c3%bc~%21%27%22%2a%28%3c%26%3e%29",
            r#"a b/ü~!'\"*(<&>)"#,
            r#"a b/\u00fc~!'\"*(<&>)"#,
            r#"a b/ü~!'\"*(\u003c\u0026\u003e)"#,
            "a b/ü~!'\"*(&lt;&amp;&gt;)",
            "a b/ü~!&apos;&quot;*(&lt;&amp;&gt;)",
            "a b/ü~!&#39;&#34;*(&lt;&amp;&gt;)",
            "a b/ü~!&#x27;&quot;*(&lt;&amp;&gt;)",
        ] {
            assert!(has(value, form), "{form}");
        }
        assert!(has("tab\t\u{8}\u{1}😀", r"tab\t\b\u0001\ud83d\ude00"));
        assert!(has("ends \\\"", r#"ends \\\""#));
    }

    #[test]
    fn base64_of_a_longer_text_is_known_by_its_middle() {
        let value = "s3cr&t?/ü>>~value";
        for before in ["", "u", "us", "user:", "é:"] {
            for after in ["", "\n", "!?"] {
                for engine in [STANDARD, URL_SAFE] {
                    let longer = engine.encode(format!("{before}{value}{after}"));
                    let found = forms(value).into_iter().any(|form| {
                        form.len() >= value.len() * 8 / 6 - 1
                            && longer.contains(std::str::from_utf8(&form).unwrap())
                    });
                    assert!(found, "{longer}");
                }
            }
        }
    }

    #[test]
    fn wrapped_base64_is_known_line_by_line() {
        let value = "0123456789".repeat(17);
        let encoded = STANDARD.encode(&value);
        for at in WRAPPED_AT {
            let lines: Vec<&str> =
                encoded.as_bytes().chunks(at).map(|line| std::str::from_utf8(line).unwrap()).collect();
            assert!(lines.len() >= 3);
            assert!(lines.iter().filter(|line| line.len() >= LINE_MIN).all(|line| has(&value, line)));
            assert!(has(&value, &lines.join("\n")));
        }
    }

    #[test]
    fn what_is_short_has_no_form() {
        assert!(forms("abc").is_empty());
        assert!(forms(" ab\n").iter().all(|form| form.len() >= VALUE_MIN));
        assert!(forms("abcd").iter().all(|form| form.len() >= VALUE_MIN));
    }
}
