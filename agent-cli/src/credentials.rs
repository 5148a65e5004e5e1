//! A secret's fields on their way from flags, files and prompts to the JSON of a call.
//!
//! What is written down here is wiped on drop. Whether values fit is the daemon's to judge; only what it cannot
//! see is judged here: which flags are missing, and the names of files.

use crate::args::fields::{ENTRY, Given, askable, flag};
use crate::input::Input;
use crate::origin::{place, read_json};
use crate::stop::Stop;
use bursar_proto::fields::Fields;
use bursar_proto::kind::{Field, SecretType};
use bursar_proto::sensitive::SensitiveJson;
use serde::Serialize;
use std::path::Path;
use zeroize::Zeroizing;

type GivenFields = [(&'static Field, Given)];

/// The credentials of a new secret: what is missing and sensitive is asked for where somebody is there.
pub(crate) fn of_new(kind: SecretType, given: &GivenFields, input: &Input) -> Result<SensitiveJson, Stop> {
    if let Some((field, _)) = given.iter().find(|(field, _)| !has(kind, field)) {
        let flags: Vec<_> = kind.fields().iter().map(flags).collect();
        return Err(Stop::usage(format!("--{} is for other types than {kind}", flag(field)))
            .hint(format!("{kind} takes {}", flags.join(", "))));
    }
    let is_given = |field: &Field| given.iter().any(|(known, _)| known.name == field.name);
    let missing: Vec<&Field> =
        kind.fields().iter().filter(|field| field.required && !is_given(field)).collect();
    let unanswered: Vec<_> = missing
        .iter()
        .filter(|field| !(askable(field) && input.interactive()))
        .map(|field| flags(field))
        .collect();
    if !unanswered.is_empty() {
        return Err(Stop::usage(format!("missing for {kind}: {}", unanswered.join(", "))));
    }
    let mut object = Object::new();
    write_given(&mut object, kind, given, input)?;
    for field in missing {
        let value = input.prompt(&question(field))?;
        object.member(field.name, value.as_str());
    }
    object.finish()
}

/// The credentials that change; `None` where no flag said any.
pub(crate) fn of_edit(
    kind: SecretType,
    given: &GivenFields,
    input: &Input,
) -> Result<Option<SensitiveJson>, Stop> {
    if given.is_empty() {
        return Ok(None);
    }
    let mut object = Object::new();
    write_given(&mut object, kind, given, input)?;
    object.finish().map(Some)
}

/// What gives a field: its flag, or one of two.
fn flags(field: &Field) -> String {
    match field.name {
        "entries" => format!("--{} or --{ENTRY}", flag(field)),
        _ => format!("--{}", flag(field)),
    }
}

/// The question for a field; its meaning, unless that repeats the name.
fn question(field: &Field) -> String {
    let name = field.name.replace('_', " ");
    if field.help == format!("the {name}") { name } else { format!("{name} ({})", field.help) }
}

fn has(kind: SecretType, field: &Field) -> bool {
    kind.fields().iter().any(|known| known.name == field.name)
}

fn write_given(
    object: &mut Object,
    kind: SecretType,
    given: &GivenFields,
    input: &Input,
) -> Result<(), Stop> {
    let mut entries: Option<Object> = None;
    for (field, value) in given {
        match value {
            Given::Text(text) => object.member(field.name, text),
            Given::Seconds(seconds) => object.member(field.name, seconds),
            // no scope of a named issuer has a comma in it
            Given::List(texts) if kind.issuer().is_some() => {
                let each: Vec<&str> = texts.iter().flat_map(|text| text.split(',')).collect();
                object.member(field.name, &each);
            }
            Given::List(texts) => object.member(field.name, texts),
            Given::Texts(pairs) => {
                let mut texts = Object::new();
                for (name, text) in pairs {
                    texts.member(name, text);
                }
                object.json(field.name, &texts.finish()?);
            }
            Given::Object(text) => {
                let json = match text.strip_prefix('@') {
                    Some(file) => read_json(&input.file(Path::new(file))?, &place(Path::new(file)))?,
                    None => read_json(text, &format!("--{}", flag(field)))?,
                };
                object.json(field.name, &json);
            }
            Given::File(path) if field.name == "entries" => {
                read_entries(entries.get_or_insert_with(Object::new), &input.file(path)?)?;
            }
            Given::File(path) => {
                check_file_name(kind, field, path)?;
                object.member(field.name, input.value(path)?.as_str());
            }
            Given::Entries(pairs) => {
                let entries = entries.get_or_insert_with(Object::new);
                for (name, path) in pairs {
                    entries.member(name, input.value(path)?.as_str());
                }
            }
        }
    }
    if let Some(entries) = entries {
        object.json("entries", &entries.finish()?);
    }
    Ok(())
}

/// A certificate's key comes from a `.key` file, so that no other file goes in by mistake.
fn check_file_name(kind: SecretType, field: &Field, path: &Path) -> Result<(), Stop> {
    let is_key = kind == SecretType::Certificate && field.name == "private_key";
    if is_key && path.as_os_str() != "-" && path.extension() != Some("key".as_ref()) {
        return Err(Stop::usage(format!("--{}: only a .key file is taken for a certificate", flag(field))));
    }
    Ok(())
}

/// Adds the entries of a file: one JSON object, or lines `NAME=VALUE`, empty ones and comments apart.
fn read_entries(entries: &mut Object, text: &str) -> Result<(), Stop> {
    const FLAG: &str = "--entries-file";
    if text.trim_start().starts_with('{') {
        let fields = Fields::parse(Some(text))
            .map_err(|_| Stop::usage(format!("{FLAG}: expected one JSON object, each name once")))?;
        for (name, value) in fields.into_members() {
            entries.raw(&name, value.get());
        }
        return Ok(());
    }
    for (at, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        match line.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => entries.member(name.trim(), value),
            _ => return Err(Stop::usage(format!("{FLAG}: line {}: expected NAME=VALUE", at + 1))),
        }
    }
    Ok(())
}

/// A JSON object, written member by member into a buffer that is wiped.
struct Object(Zeroizing<String>);

impl Object {
    fn new() -> Self {
        Self(Zeroizing::new(String::from("{")))
    }

    fn member(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        // texts, numbers and lists of texts cannot fail; if one did, the empty value is refused as no JSON
        let json = Zeroizing::new(serde_json::to_string(value).unwrap_or_default());
        self.raw(name, &json);
    }

    fn json(&mut self, name: &str, json: &SensitiveJson) {
        self.raw(name, json.expose());
    }

    fn raw(&mut self, name: &str, json: &str) {
        let name = serde_json::to_string(name).unwrap_or_default();
        let comma = if self.0.len() > 1 { "," } else { "" };
        for part in [comma, &name, ":", json] {
            self.0.push_str(part);
        }
    }

    fn finish(mut self) -> Result<SensitiveJson, Stop> {
        self.0.push('}');
        SensitiveJson::new(std::mem::take(&mut *self.0))
            .map_err(|_| Stop::local("the fields cannot be written as json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    fn field(kind: SecretType, name: &str) -> &'static Field {
        kind.fields().iter().find(|field| field.name == name).unwrap()
    }

    fn file(content: &str) -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("f.key");
        fs::write(&path, content).unwrap();
        (home, path)
    }

    fn written(kind: SecretType, given: &GivenFields) -> Result<String, String> {
        // a test has no terminal to ask on, whatever runs it
        let input = Input::without_terminal();
        match of_new(kind, given, &input) {
            Ok(json) => Ok(json.expose().to_owned()),
            Err(Stop::Failed(error)) => Err(error.message),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn fields_are_written_with_their_shapes() {
        use SecretType::ClientCredentialsGrant as Grant;
        let (_home, path) = file("s\"3\n");
        let given = [
            (field(Grant, "client_id"), Given::Text("i".into())),
            (field(Grant, "client_secret"), Given::File(path)),
            (field(Grant, "token_url"), Given::Text("https://t".into())),
            (field(Grant, "refresh_offset"), Given::Seconds(60)),
            (field(Grant, "options"), Given::Texts(vec![("scope".into(), "a b".into())])),
        ];
        assert_eq!(
            written(Grant, &given).unwrap(),
            r#"{"client_id":"i","client_secret":"s\"3","token_url":"https://t","refresh_offset":60,"options":{"scope":"a b"}}"#
        );
    }

    #[test]
    fn what_is_missing_is_said_at_once() {
        assert_eq!(
            written(SecretType::Jwt, &[]).unwrap_err(),
            "missing for oauth2-jwt: --iss, --aud, --ttl, --alg, --private-key-file"
        );
        assert_eq!(
            written(SecretType::KeyValue, &[]).unwrap_err(),
            "missing for key-value: --entries-file or --entry"
        );
        assert_eq!(written(SecretType::Google, &[]).unwrap_err(), "missing for oauth2-google: --scopes");
    }

    #[test]
    fn scopes_of_a_person_are_repeated_or_stand_between_commas() {
        let scopes = |kind| {
            let texts = vec!["https://a,https://b".to_owned(), "https://c".to_owned()];
            of_edit(kind, &[(field(kind, "scopes"), Given::List(texts))], &Input::without_terminal()).unwrap()
        };
        assert_eq!(
            scopes(SecretType::Google).unwrap().expose(),
            r#"{"scopes":["https://a","https://b","https://c"]}"#
        );
        assert_eq!(
            scopes(SecretType::ClientCredentials).unwrap().expose(),
            r#"{"scopes":["https://a,https://b","https://c"]}"#
        );
    }

    #[test]
    fn a_question_does_not_repeat_itself() {
        assert_eq!(question(field(SecretType::Token, "token")), "token");
        assert_eq!(question(field(SecretType::ApiKey, "value")), "value (the header's value)");
    }

    #[test]
    fn a_field_of_another_type_is_refused() {
        let given = [(field(SecretType::SimpleHttp, "username"), Given::Text("u".into()))];
        assert_eq!(
            written(SecretType::Token, &given).unwrap_err(),
            "--username is for other types than token"
        );
    }

    #[test]
    fn a_certificates_key_is_a_key_file() {
        use SecretType::Certificate;
        let (_home, path) = file("PEM\n");
        let given = |key: PathBuf| {
            [
                (field(Certificate, "certificate"), Given::File(path.clone())),
                (field(Certificate, "private_key"), Given::File(key)),
            ]
        };
        assert!(written(Certificate, &given(path.clone())).is_ok());
        assert_eq!(
            written(Certificate, &given("key.pem".into())).unwrap_err(),
            "--private-key-file: only a .key file is taken for a certificate"
        );
    }

    #[test]
    fn entries_come_from_lines_objects_and_single_files() {
        let entries = field(SecretType::KeyValue, "entries");
        let (_lines, lines) = file("# comment\n\nA=1\n B =x=y \n");
        let (_object, object) = file("{\"A\": \"1\"}\n");
        let (_one, one) = file("two\n");
        let of = |given: &GivenFields| written(SecretType::KeyValue, given);
        assert_eq!(of(&[(entries, Given::File(lines))]).unwrap(), r#"{"entries":{"A":"1","B":"x=y "}}"#);
        assert_eq!(
            of(&[(entries, Given::File(object)), (entries, Given::Entries(vec![("C".into(), one)]))])
                .unwrap(),
            r#"{"entries":{"A":"1","C":"two"}}"#
        );
        let (_wrong, wrong) = file("A=1\nHunter2\n");
        assert_eq!(
            of(&[(entries, Given::File(wrong))]).unwrap_err(),
            "--entries-file: line 2: expected NAME=VALUE"
        );
    }

    #[test]
    fn claims_that_are_no_json_are_refused_by_place() {
        let claims = field(SecretType::Jwt, "custom_claims");
        let given = [(claims, Given::Object("{\"a\": hunter2}".into()))];
        let Err(Stop::Failed(error)) = of_edit(SecretType::Jwt, &given, &Input::default()) else { panic!() };
        assert_eq!(error.message, "--custom-claims: no json: line 1, column 7");
    }
}
