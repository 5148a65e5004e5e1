//! credential.get: what a unit is handed.

use super::request::Request;
use super::{Agent, Answer};
use bursar_proto::call::CredentialGet;
use bursar_proto::error::{CallError, ErrorName};
use std::sync::Arc;

impl Agent {
    pub(super) async fn credential_get(self: &Arc<Self>, call: CredentialGet, _request: &Request) -> Answer {
        Err(CallError::new(ErrorName::Denied, format!("the config hands {} to nobody", call.credential)))
    }
}
