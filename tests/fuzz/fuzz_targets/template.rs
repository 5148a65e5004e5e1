//! A template: it is read or refused, without a panic and without an echo of what it held; what is read renders, within
//! its bound, to the same text each time.

#![no_main]

use bursar_proto::template::{FAULTS_MAX, RENDERED_MAX, Template};
use libfuzzer_sys::fuzz_target;

/// Stands in the template in place of every `~`, and must be in no fault.
const CANARY: &str = "Canary/51d0";

/// What marks stand for: characters that each of the filters writes in another way.
const VALUE: &str = "a\"b\\c&<>'d%é\n\u{1}";

fuzz_target!(|text: &str| {
    let text = text.replace('~', CANARY);
    let template = match Template::parse(&text) {
        Ok(template) => template,
        Err(faults) => {
            assert!((1..=FAULTS_MAX).contains(&faults.len()));
            for fault in faults {
                assert!(!fault.to_string().contains(CANARY), "{fault}");
                assert!((1..=text.lines().count().max(1)).contains(&fault.place.line), "{fault}");
            }
            return;
        }
    };
    for mark in template.marks() {
        let line = text.split('\n').nth(mark.place.line - 1).unwrap();
        assert_eq!(line.chars().nth(mark.place.column - 1), Some('%'));
    }
    let rendered = template.render(|_| Ok(VALUE));
    if let Ok(rendered) = &rendered {
        assert!(rendered.len() <= RENDERED_MAX);
        assert_eq!(template.render(|_| Ok(VALUE)).as_ref(), Ok(rendered));
        if !text.contains('%') {
            assert_eq!(rendered.as_str(), text);
        }
    }
    let refused = template.render(|_| Err("no".into()));
    assert_eq!(refused.is_err(), template.marks().next().is_some());
});
