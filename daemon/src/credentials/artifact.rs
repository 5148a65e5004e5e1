//! What is handed out for a secret, and its JSON.

use super::fixed::bearer;
use bursar_proto::reply::Header;
use bursar_proto::sensitive::Sensitive;
use serde::Serialize;
use zeroize::Zeroizing;

/// An artifact; which members it has follows from the secret's type. Wiped on drop.
pub(crate) struct Artifact {
    /// The value, of types with a single one.
    pub(crate) value: Option<Sensitive>,
    /// The fields by name, of types that have several, and of the header types.
    pub(crate) fields: Option<Vec<(String, Sensitive)>>,
    /// How the value is sent in a header, where it can be.
    pub(crate) header: Option<Header>,
}

impl Artifact {
    /// The artifact that is one token, sent as `Authorization: Bearer` where it can stand in a header.
    pub(crate) fn access_token(token: Sensitive) -> Self {
        Self { header: bearer(token.expose()), value: Some(token), fields: None }
    }

    /// Appends `"value":…,"fields":…,"header":…`, null where empty and without braces, so that a reply can
    /// splice it in.
    pub(crate) fn write_json(&self, out: &mut Zeroizing<Vec<u8>>) {
        out.extend_from_slice(b"\"value\":");
        write(out, &self.value.as_ref().map(Sensitive::expose));
        out.extend_from_slice(b",\"fields\":");
        match &self.fields {
            None => out.extend_from_slice(b"null"),
            Some(fields) => {
                for (at, (name, value)) in fields.iter().enumerate() {
                    out.push(if at == 0 { b'{' } else { b',' });
                    write(out, name);
                    out.push(b':');
                    write(out, value.expose());
                }
                out.extend_from_slice(if fields.is_empty() { b"{}" } else { b"}" });
            }
        }
        out.extend_from_slice(b",\"header\":");
        write(out, &self.header);
    }
}

/// A second copy of a text, wiped like the first.
pub(super) fn copy(text: &str) -> Sensitive {
    Sensitive::new(text.to_owned())
}

fn write<T: Serialize + ?Sized>(out: &mut Zeroizing<Vec<u8>>, text: &T) {
    let start = out.len();
    if serde_json::to_writer(&mut **out, text).is_err() {
        // a text written to memory cannot fail; if it ever did, the JSON must still be whole
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json(artifact: &Artifact) -> serde_json::Value {
        let mut out = Zeroizing::new(b"{".to_vec());
        artifact.write_json(&mut out);
        out.push(b'}');
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_token_that_no_header_can_hold_makes_none() {
        assert!(Artifact::access_token(copy("a b")).header.is_some());
        for token in ["a\nb", "a\u{e9}", " a", "a\r\nX: y"] {
            assert!(Artifact::access_token(copy(token)).header.is_none(), "{token:?}");
        }
    }

    #[test]
    fn absent_members_are_null() {
        let empty = Artifact { value: None, fields: Some(vec![]), header: None };
        assert_eq!(json(&empty), serde_json::json!({"value": null, "fields": {}, "header": null}));
    }

    proptest! {
        #[test]
        fn any_text_survives_its_json(value in any::<String>(), name in any::<String>()) {
            let artifact = Artifact {
                value: Some(copy(&value)),
                fields: Some(vec![(name.clone(), copy(&value))]),
                header: None,
            };
            let read = json(&artifact);
            prop_assert_eq!(read["value"].as_str(), Some(value.as_str()));
            prop_assert_eq!(read["fields"][&name].as_str(), Some(value.as_str()));
        }
    }
}
