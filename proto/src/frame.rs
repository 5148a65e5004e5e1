//! One JSON-RPC 2.0 message a line: the envelopes, and the limits of a line.

use crate::call::Method;
use crate::error::WireError;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The longest request line in bytes, its newline apart. A chain of certificates with its key takes some 20 KiB;
/// what is longer is not a credential.
pub const REQUEST_MAX: usize = 256 * 1024;

/// The longest reply line that a client reads, in bytes: a full page of the largest secrets.
pub const REPLY_MAX: usize = 64 * 1024 * 1024;

/// The longest `id` of a request, in bytes of JSON: ids are echoed, so they are kept short.
pub const ID_MAX: usize = 128;

/// How many requests of a connection are under way at once; what is sent beyond waits its turn.
pub const UNDER_WAY_MAX: usize = 64;

/// The length of a call's line, its newline apart, in bytes: what [`REQUEST_MAX`] bounds.
pub fn size_of<M: Method>(call: &M) -> usize {
    let request = RequestOut { jsonrpc: "2.0", id: u64::MAX, method: M::NAME, params: call };
    serde_json::to_vec(&request).map_or(usize::MAX, |line| zeroize::Zeroizing::new(line).len())
}

/// A request, borrowed from its line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request<'a> {
    /// Must be `2.0`.
    #[serde(borrow)]
    pub jsonrpc: Option<&'a str>,
    /// A number or a text; a request without one is a notification and is refused.
    #[serde(borrow)]
    pub id: Option<&'a RawValue>,
    /// The method; names have no escapes.
    #[serde(borrow)]
    pub method: Option<&'a str>,
    /// An object, or absent.
    #[serde(borrow)]
    pub params: Option<&'a RawValue>,
}

/// A request as a client writes it.
#[derive(Serialize)]
pub(crate) struct RequestOut<'a, P> {
    pub(crate) jsonrpc: &'a str,
    pub(crate) id: u64,
    pub(crate) method: &'a str,
    pub(crate) params: &'a P,
}

/// Anything that the daemon writes, borrowed from its line.
#[derive(Deserialize)]
pub struct Incoming<'a> {
    /// The id of the request that this answers.
    pub id: Option<u64>,
    /// What it answers.
    #[serde(borrow)]
    pub result: Option<&'a RawValue>,
    /// Why there is no result.
    pub error: Option<WireError>,
    /// The name of a notification.
    #[serde(borrow)]
    pub method: Option<&'a str>,
    /// Its parameters.
    #[serde(borrow)]
    pub params: Option<&'a RawValue>,
}
