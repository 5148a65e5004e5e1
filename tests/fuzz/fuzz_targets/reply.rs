//! What a client reads: replies, errors and notifications of any daemon, without a panic.

#![no_main]

use bursar_proto::error::CallError;
use bursar_proto::frame::Incoming;
use bursar_proto::reply;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| {
    let Ok(incoming) = serde_json::from_slice::<Incoming<'_>>(line) else { return };
    if let Some(error) = incoming.error {
        let error = CallError::from(error);
        let _ = (error.to_string(), error.name.exit_code());
    }
    for part in [incoming.result, incoming.params].into_iter().flatten() {
        let json = part.get();
        let _ = serde_json::from_str::<reply::Artifact>(json);
        let _ = serde_json::from_str::<Vec<reply::Secret>>(json);
        let _ = serde_json::from_str::<reply::AgentStatus>(json);
        let _ = serde_json::from_str::<reply::Changed>(json);
        let _ = serde_json::from_str::<reply::Element>(json);
        let _ = serde_json::from_str::<reply::Resolution>(json);
        let _ = serde_json::from_str::<reply::Package>(json);
        let _ = serde_json::from_str::<reply::PackageContent>(json);
        let _ = serde_json::from_str::<Vec<reply::Workspace>>(json);
        let _ = serde_json::from_str::<reply::Applied>(json);
        if let Ok(secret) = serde_json::from_str::<reply::Secret>(json) {
            let again = serde_json::to_string(&secret).unwrap();
            assert_eq!(serde_json::from_str::<reply::Secret>(&again).unwrap(), secret);
        }
    }
});
