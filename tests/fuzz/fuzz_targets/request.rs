//! A request line: it decodes or is refused, without a panic and without an echo of what it held.

#![no_main]

use bursar_proto::call::{Call, QuickGet};
use bursar_proto::frame::Request;
use libfuzzer_sys::fuzz_target;

/// Stands in the line in place of every `~`, and must be in no error.
const CANARY: &str = "Canary/51d0";

fuzz_target!(|line: &str| {
    let line = line.replace('~', CANARY);
    let Ok(request) = serde_json::from_str::<Request<'_>>(&line) else { return };
    let params = request.params.map(serde_json::value::RawValue::get);
    let quick = QuickGet::read(params);
    if let Some(Err(refused)) = Call::decode(request.method.unwrap_or_default(), params) {
        assert!(!refused.to_string().contains(CANARY), "{refused}");
    }
    if let (Some(quick), Some(Ok(Call::ArtifactGet(full)))) = (quick, Call::decode("artifact.get", params)) {
        assert_eq!(quick.min_validity, full.min_validity);
        assert_eq!(quick.secret.parse(), Ok(full.secret));
    }
});
