//! Client secrets: issued over the socket, and connections that have authenticated with them.

use crate::home::Home;
use crate::raw::RawSocket;
use serde_json::{Value, json};

/// A client secret as it was issued.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Its public id.
    pub id: String,
    /// Its value.
    pub value: String,
}

/// Issues a client secret for all of an organization, or for one of its environments.
pub fn issue(home: &Home, organization: &str, role: &str, environment: Option<&str>) -> Issued {
    issue_with(home, organization, role, json!({ "environment": environment }))
}

/// The same with further parameters of `client_secret.create`.
pub fn issue_with(home: &Home, organization: &str, role: &str, further: Value) -> Issued {
    let mut params = json!({ "organization": organization, "role": role, "description": "of a test" });
    for (name, value) in further.as_object().expect("parameters are an object") {
        params[name] = value.clone();
    }
    issued(&home.ok("client_secret.create", params))
}

/// What `client_secret.create` and `client_secret.rotate` answer.
pub fn issued(answer: &Value) -> Issued {
    let text = |member: &str| answer[member].as_str().unwrap_or_else(|| panic!("no {member}")).to_owned();
    Issued { id: text("id"), value: text("client_secret") }
}

/// A connection that has authenticated with client secrets, at least one of which counts.
#[track_caller]
pub fn authenticated(home: &Home, client_secrets: &[&Issued]) -> RawSocket {
    let values: Vec<_> = client_secrets.iter().map(|issued| issued.value.as_str()).collect();
    let mut socket = home.connect();
    let answer = socket.call("authenticate", json!({ "client_secrets": values }));
    assert!(answer.is_ok(), "authenticate was refused: {answer:?}");
    socket
}
