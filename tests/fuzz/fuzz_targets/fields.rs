//! The parameters of every method: whatever they are, decoding neither panics nor echoes them.

#![no_main]

use bursar_proto::call::Call;
use libfuzzer_sys::fuzz_target;

/// Stands in the parameters in place of every `~`, and must be in no error.
const CANARY: &str = "Canary/51d0";

fuzz_target!(|params: &str| {
    let params = params.replace('~', CANARY);
    for method in Call::METHODS {
        if let Some(Err(refused)) = Call::decode(method, Some(&params)) {
            assert!(!refused.to_string().contains(CANARY), "{method}: {refused}");
        }
    }
});
