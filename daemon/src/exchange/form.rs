//! The form of a token request: `application/x-www-form-urlencoded`, wiped on drop.

use crate::credentials::Texts;
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

/// A form under construction.
pub(super) struct Form(Zeroizing<String>);

impl Form {
    /// A form that asks for `grant_type`.
    pub(super) fn new(grant_type: &str) -> Self {
        let mut form = Self(Zeroizing::new(String::new()));
        form.push("grant_type", grant_type);
        form
    }

    /// Adds a parameter.
    pub(super) fn push(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        encode(&mut self.0, name);
        self.0.push('=');
        encode(&mut self.0, value);
    }

    /// Adds the parameters that a person chose; none of them is one that the grant sets.
    pub(super) fn options(&mut self, options: Option<&Texts>) {
        for (name, value) in options.into_iter().flat_map(Texts::iter) {
            self.push(name, value.expose());
        }
    }

    /// The body.
    pub(super) fn body(&self) -> &str {
        &self.0
    }
}

/// Appends `text`, encoded as forms are.
pub(super) fn encode(out: &mut String, text: &str) {
    out.extend(byte_serialize(text.as_bytes()));
}
