//! What a person may put in, and what is shown, stored and handed out of it.

use super::samples::*;
use super::*;
use proptest::prelude::*;
use serde_json::json;

const PUBSUB: &str = "https://www.googleapis.com/auth/pubsub";
const ADWORDS: &str = "https://www.googleapis.com/auth/adwords";

fn parse(kind: SecretType, json: &Value) -> Result<Credentials, Invalid> {
    Credentials::parse(kind, Some(ExchangePolicy::Standard), &json.to_string())
}

/// The words that refuse `json`.
fn refused(kind: SecretType, json: &Value) -> String {
    parse(kind, json).err().expect("a refusal").to_string()
}

fn with(mut base: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        base[name] = value.clone();
    }
    base
}

fn grant_json() -> Value {
    json!({"client_id": "id", "client_secret": "hunter2", "token_url": "https://issuer.example/token"})
}

fn jwt_json() -> Value {
    json!({"iss": "me", "aud": "them", "ttl": 3_600, "alg": "RS256", "private_key": RSA_PKCS8})
}

pub(crate) fn client_credentials(refresh_offset: Option<u64>) -> Credentials {
    let json = with(grant_json(), &json!({"refresh_offset": refresh_offset})).to_string();
    Credentials::load(SecretType::ClientCredentialsGrant, &json).unwrap()
}

pub(crate) fn jwt_with_token_url(refresh_offset: Option<u64>) -> Credentials {
    let changes = json!({"refresh_offset": refresh_offset, "token_url": "https://issuer.example/token"});
    Credentials::load(SecretType::Jwt, &with(jwt_json(), &changes).to_string()).unwrap()
}

/// What a person is asked for at Google.
pub(crate) fn consent() -> Credentials {
    parse(SecretType::Google, &json!({"scopes": [PUBSUB]})).unwrap()
}

/// A grant at `token_url` that authenticates by `client_auth`.
pub(crate) fn grant_at(token_url: &str, client_auth: &str) -> Credentials {
    let changes = json!({"token_url": token_url, "client_auth": client_auth, "options": {"scope": "a b&c"}});
    parse(SecretType::ClientCredentialsGrant, &with(grant_json(), &changes)).unwrap()
}

pub(crate) fn parse_jwt(members: &Value) -> Result<Credentials, Invalid> {
    parse(SecretType::Jwt, &with(jwt_json(), members))
}

/// One of each type, with every field given.
fn one_of_each() -> Vec<(SecretType, Value)> {
    let mut all = vec![
        (
            SecretType::ClientCredentialsGrant,
            with(
                grant_json(),
                &json!({"refresh_offset": 60, "options": {"scope": "a"}, "client_auth": "basic"}),
            ),
        ),
        (
            SecretType::Jwt,
            with(
                jwt_json(),
                &json!({"sub": "s", "custom_claims": {"x": [1]}, "token_url": "http://localhost:1/t",
                    "private_key_id": "k", "refresh_offset": 60, "options": {"scope": "a"}}),
            ),
        ),
        (SecretType::Google, json!({"scopes": [PUBSUB, ADWORDS]})),
        (SecretType::SimpleHttp, json!({"username": "user", "password": "hunter2"})),
        (SecretType::Token, json!({"token": "hunter2"})),
        (SecretType::ApiKey, json!({"header_name": "X-Key", "value": "hunter2"})),
        (SecretType::BearerToken, json!({"header_name": "Authorization", "header_value": "Bearer hunter2"})),
        (
            SecretType::ClientCredentials,
            json!({"client_id": "id", "client_secret": "hunter2", "scopes": ["a", "b"]}),
        ),
        (SecretType::Certificate, json!({"certificate": RSA_CERTIFICATE, "private_key": RSA_PKCS1})),
        (SecretType::KeyValue, json!({"entries": {"PASSWORD": "hunter2", "USER": "x"}})),
    ];
    all.sort_by_key(|(kind, _)| *kind);
    all
}

#[test]
fn every_field_of_the_table_is_read_and_no_other() {
    for (kind, json) in one_of_each() {
        let credentials = parse(kind, &json).unwrap();
        assert_eq!(credentials.kind(), kind);
        let stored: Value = serde_json::from_str(credentials.store().expose()).unwrap();
        let mut names: Vec<_> = stored.as_object().unwrap().keys().map(String::as_str).collect();
        let mut table: Vec<_> = kind.fields().iter().map(|field| field.name).collect();
        names.sort_unstable();
        table.sort_unstable();
        assert_eq!(names, table, "{kind}");
        assert_eq!(refused(kind, &with(json, &json!({"passwort": "x"}))), "unknown field passwort");
    }
}

#[test]
fn a_required_field_is_missed_by_name_and_a_wrong_one_is_not_echoed() {
    for (kind, json) in one_of_each() {
        for field in kind.fields() {
            let mut without = json.clone();
            without.as_object_mut().unwrap().remove(field.name);
            let missed = parse(kind, &without).err().map(|fault| fault.to_string());
            let expected = field.required.then(|| format!("field {}: is required", field.name));
            // a key without its certificate's rest is still a whole secret
            assert_eq!(missed, expected, "{kind}");
            let wrong = refused(kind, &with(json.clone(), &json!({ field.name: [["hunter2"]] })));
            assert!(wrong.starts_with(&format!("field {}: expected ", field.name)), "{wrong}");
            assert!(!wrong.contains("hunter2"), "{wrong}");
        }
    }
}

#[test]
fn what_is_stored_loads_and_stores_the_same() {
    for (kind, json) in one_of_each() {
        let stored = parse(kind, &json).unwrap().store();
        let loaded = Credentials::load(kind, stored.expose()).unwrap();
        assert_eq!(loaded.store().expose(), stored.expose(), "{kind}");
    }
}

#[test]
fn what_is_shown_holds_all_plain_fields_and_no_sensitive_one() {
    for (kind, json) in one_of_each() {
        let shown = parse(kind, &json).unwrap().public();
        let text = serde_json::to_string(&shown).unwrap();
        assert!(!text.contains("hunter2") && !text.contains("PRIVATE"), "{text}");
        if kind == SecretType::KeyValue {
            assert_eq!(Value::Object(shown), json!({"entry_names": ["PASSWORD", "USER"]}));
            continue;
        }
        for field in kind.fields() {
            let expected = (!field.sensitive).then(|| json[field.name].clone());
            assert_eq!(shown.get(field.name), expected.as_ref(), "{kind} {}", field.name);
        }
    }
}

#[test]
fn empty_fields_are_shown_as_null_and_defaults_as_themselves() {
    let shown = Value::Object(parse(SecretType::ClientCredentialsGrant, &grant_json()).unwrap().public());
    assert_eq!(
        shown,
        json!({"client_id": "id", "token_url": "https://issuer.example/token", "refresh_offset": null,
            "options": null, "client_auth": "post"})
    );
}

#[test]
fn token_urls_are_https_or_loopback_and_carry_nobody() {
    let judged = |url: &str| {
        parse(SecretType::ClientCredentialsGrant, &with(grant_json(), &json!({"token_url": url})))
    };
    for url in [
        "https://issuer.example/t?x=1",
        "https://issuer.example:8443",
        "http://localhost:8080/t",
        "http://LOCALHOST/t",
        "http://127.0.0.1/t",
        "http://127.200.3.4:1/t",
        "http://[::1]:9/t",
        "https://issuer.example/@path",
    ] {
        assert!(judged(url).is_ok(), "{url}");
    }
    for (url, why) in [
        ("http://issuer.example/t", "https"),
        ("http://localhost.evil.example/t", "https"),
        ("http://128.0.0.1/t", "https"),
        ("http://0.0.0.0/t", "https"),
        ("http://[::2]/t", "https"),
        ("ftp://127.0.0.1/t", "https"),
        ("file:///etc/passwd", "https"),
        ("javascript:alert(1)", "https"),
        ("issuer.example/t", "is no url"),
        ("https://", "is no url"),
        ("", "must not be empty"),
        ("https://hunter2:x@issuer.example/", "user or a password"),
        ("https://hunter2@issuer.example/", "user or a password"),
        ("https://@issuer.example/", "user or a password"),
        ("http://127.0.0.1@evil.example/t", "https"),
        ("http://evil.example@127.0.0.1/t", "user or a password"),
        ("https://issuer.example/#x", "fragment"),
    ] {
        let words = judged(url).err().expect(url).to_string();
        assert!(words.starts_with("field token_url: ") && words.contains(why), "{url}: {words}");
        assert!(!words.contains("hunter2"), "{words}");
    }
}

#[test]
fn options_and_claims_cannot_take_what_the_grant_sets() {
    for name in ["grant_type", "client_id", "client_secret", "assertion"] {
        let options = json!({"options": {"scope": "a", name: "x"}});
        for refusal in [
            refused(SecretType::ClientCredentialsGrant, &with(grant_json(), &options)),
            refused(SecretType::Jwt, &with(jwt_json(), &options)),
        ] {
            assert!(refusal.starts_with(&format!("field options: {name} ")), "{refusal}");
        }
    }
    for name in ["iss", "aud", "sub", "exp", "iat"] {
        let refusal = parse_jwt(&json!({"custom_claims": {name: 1}})).err().unwrap().to_string();
        assert!(refusal.starts_with(&format!("field custom_claims: {name} ")), "{refusal}");
    }
    assert!(parse_jwt(&json!({"custom_claims": {"nbf": 1, "ISS": 2}})).is_ok());
}

#[test]
fn options_are_texts_under_a_name_each_once() {
    let judged = |options: &str| {
        let json = grant_json().to_string().replacen('{', &format!("{{\"options\":{options},"), 1);
        Credentials::parse(SecretType::ClientCredentialsGrant, None, &json)
            .err()
            .map(|fault| fault.to_string())
    };
    assert_eq!(judged("{}"), None);
    assert_eq!(
        judged(r#"{"a":"x","b":7}"#).unwrap(),
        "field options: member number 2: expected a text, found a number"
    );
    assert_eq!(judged(r#"{"a":"x","a":"y"}"#).unwrap(), "field options: field a is given twice");
    assert!(judged(r#"{"":"x"}"#).unwrap().contains("member number 1: a name has 1 to 100 bytes"));
    assert!(judged(&format!(r#"{{"{}":"x"}}"#, "n".repeat(100))).is_none());
    assert!(judged(&format!(r#"{{"{}":"x"}}"#, "n".repeat(101))).is_some());
}

#[test]
fn seconds_start_at_one_and_end_at_ten_years() {
    for (offset, accepted) in
        [(json!(1), true), (json!(315_360_000), true), (json!(0), false), (json!(315_360_001), false)]
    {
        let json = with(grant_json(), &json!({"refresh_offset": offset}));
        assert_eq!(parse(SecretType::ClientCredentialsGrant, &json).is_ok(), accepted, "{offset}");
    }
    for offset in [json!(-1), json!(1.5), json!("60"), json!(true)] {
        let json = with(grant_json(), &json!({"refresh_offset": offset}));
        assert!(
            refused(SecretType::ClientCredentialsGrant, &json).starts_with("field refresh_offset: expected")
        );
    }
}

#[test]
fn a_jwt_that_would_be_refreshed_for_ever_is_refused_where_its_lifetime_is_ours() {
    let token_url = "https://issuer.example/t";
    let words = |members: Value| parse_jwt(&members).err().map(|fault| fault.to_string());
    let refusal = words(json!({"ttl": 1_800})).unwrap();
    assert!(refusal.starts_with("field ttl: ") && refusal.contains("short-lived"), "{refusal}");
    assert_eq!(words(json!({"ttl": 1_801})), None);
    assert_eq!(words(json!({"ttl": 1_800, "token_url": token_url})), None);
    assert!(words(json!({"ttl": 60, "refresh_offset": 60})).is_some());
    assert_eq!(words(json!({"ttl": 60, "refresh_offset": 59})), None);
    let short = |ttl: u64| {
        let json = with(jwt_json(), &json!({ "ttl": ttl })).to_string();
        Credentials::parse(SecretType::Jwt, Some(ExchangePolicy::ShortLived), &json)
    };
    assert!(short(20).is_ok() && short(19).is_err());
}

#[test]
fn only_rs256_signs() {
    for alg in ["none", "HS256", "rs256", "RS512", ""] {
        assert_eq!(
            parse_jwt(&json!({"alg": alg})).err().unwrap().to_string(),
            "field alg: only RS256 is supported"
        );
    }
}

#[test]
fn a_bad_key_is_named_and_not_shown() {
    for (key, why) in
        [(RSA_1024, "under 2048 bits"), (RSA_4608, "over 4096 bits"), ("hunter2", "no PEM block")]
    {
        let words = parse_jwt(&json!({"private_key": key})).err().unwrap().to_string();
        assert!(words.starts_with("field private_key: ") && words.contains(why), "{words}");
        assert!(!words.contains("hunter2"));
    }
}

#[test]
fn header_names_and_values_are_legal() {
    let key =
        |name: &str, value: &str| parse(SecretType::ApiKey, &json!({"header_name": name, "value": value}));
    assert!(key("X-Api_Key.1", "a b\tc").is_ok());
    for name in ["", "X Key", "X:", "X\r\nY", "Ä", &"n".repeat(101)] {
        assert!(key(name, "v").err().unwrap().to_string().starts_with("field header_name: "), "{name:?}");
    }
    for value in ["", " v", "v ", "a\nb", "a\r\nX: y", "\u{e9}", "a\0"] {
        assert!(key("X", value).err().unwrap().to_string().starts_with("field value: "), "{value:?}");
    }
}

#[test]
fn simple_http_follows_rfc_7617() {
    let pair = |username: &str, password: &str| {
        let json = json!({"username": username, "password": password});
        parse(SecretType::SimpleHttp, &json).map_err(|fault| fault.to_string())
    };
    assert_eq!(pair("a:b", "x").err().unwrap(), "field username: must not hold a colon (RFC 7617)");
    assert!(pair("a", "x\ny").is_err() && pair("a\t", "x").is_err() && pair("", "").is_err());
    assert!(pair("", "x").is_ok() && pair("x", "").is_ok() && pair("a", "b:c").is_ok());
    let artifact = pair("Aladdin", "open sesame").unwrap().artifact().unwrap();
    assert_eq!(artifact.value.unwrap().expose(), "QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert_eq!(artifact.header.unwrap().prefix, "Basic ");
}

#[test]
fn scopes_can_be_joined_by_blanks() {
    let of = |scopes: Value| {
        let json = json!({"client_id": "i", "client_secret": "s", "scopes": scopes});
        parse(SecretType::ClientCredentials, &json)
    };
    assert!(of(json!(["iam.role", "x/y"])).is_ok() && of(json!([])).is_ok() && of(json!(null)).is_ok());
    for scope in ["", "a b", "a\"", "\u{e9}"] {
        assert!(of(json!(["ok", scope])).err().unwrap().to_string().starts_with("field scopes: number 2 "));
    }
}

#[test]
fn a_certificate_ends_when_its_first_one_does_and_shows_its_own_text() {
    let chain = format!("{P256_CERTIFICATE}{RSA_CERTIFICATE}");
    let credentials =
        parse(SecretType::Certificate, &json!({"certificate": chain, "private_key": P256_KEY})).unwrap();
    let end = |json: &Value| parse(SecretType::Certificate, json).unwrap().expiration();
    assert_eq!(credentials.expiration(), end(&json!({"certificate": P256_CERTIFICATE})));
    assert!(credentials.expiration().is_some());
    assert_eq!(credentials.public(), Map::from_iter([("certificate".to_owned(), chain.into())]));
    assert_eq!(client_credentials(None).expiration(), None);
}

#[test]
fn what_is_no_certificate_is_refused_by_its_place() {
    let refusal = |certificate: &str, key: Option<&str>| {
        refused(SecretType::Certificate, &json!({"certificate": certificate, "private_key": key}))
    };
    let both = format!("{P256_CERTIFICATE}{P256_KEY}");
    assert!(refusal(&both, None).contains("give the key as private_key"));
    assert!(refusal("x", None).contains("no PEM block"));
    let broken = P256_CERTIFICATE.replacen("MII", "AAA", 1);
    assert!(refusal(&broken, None).contains("number 1 is damaged"));
    assert!(refusal(&format!("{RSA_CERTIFICATE}{broken}"), None).contains("number 2 is damaged"));
    let other = P256_CERTIFICATE.replace("CERTIFICATE", "X509 CRL");
    assert!(refusal(&other, None).contains("number 1 is no CERTIFICATE"));
    assert!(refusal(&P256_CERTIFICATE.repeat(17), None).contains("more than 16"));
    assert!(refusal(P521_CERTIFICATE, None).contains("another kind of key"));
    let foreign = refusal(RSA_CERTIFICATE, Some(P256_KEY));
    assert!(foreign.starts_with("field private_key: does not belong"), "{foreign}");
    // the certificate of the key stands second
    let swapped = format!("{RSA_CERTIFICATE}{P256_CERTIFICATE}");
    assert!(refusal(&swapped, Some(P256_KEY)).contains("the first one"));
}

#[test]
fn artifacts_have_the_members_of_their_type() {
    let shape = |kind: SecretType, json: &Value| -> Value {
        let Some(artifact) = parse(kind, json).unwrap().artifact() else { return Value::Null };
        let mut out = Zeroizing::new(b"{".to_vec());
        artifact.write_json(&mut out);
        out.push(b'}');
        serde_json::from_slice(&out).unwrap()
    };
    for (kind, json) in one_of_each() {
        let expected = match kind {
            SecretType::ClientCredentialsGrant | SecretType::Jwt | SecretType::Google => Value::Null,
            SecretType::SimpleHttp => {
                json!({"value": "dXNlcjpodW50ZXIy", "fields": null, "header": {"name": "Authorization", "prefix": "Basic "}})
            }
            SecretType::Token => {
                json!({"value": "hunter2", "fields": null, "header": {"name": "Authorization", "prefix": "Bearer "}})
            }
            SecretType::ApiKey => {
                json!({"value": "hunter2", "fields": {"header_name": "X-Key", "value": "hunter2"}, "header": {"name": "X-Key", "prefix": ""}})
            }
            SecretType::BearerToken => {
                json!({"value": "Bearer hunter2", "header": {"name": "Authorization", "prefix": ""},
                    "fields": {"header_name": "Authorization", "header_value": "Bearer hunter2"}})
            }
            SecretType::ClientCredentials => {
                json!({"value": null, "header": null,
                    "fields": {"client_id": "id", "client_secret": "hunter2", "scopes": "a b"}})
            }
            SecretType::Certificate => json!({"value": null, "fields": json, "header": null}),
            SecretType::KeyValue => json!({"value": null, "fields": json["entries"], "header": null}),
        };
        assert_eq!(shape(kind, &json), expected, "{kind}");
    }
}

#[test]
fn an_edit_replaces_what_it_names_clears_by_null_and_is_checked() {
    let kind = SecretType::ClientCredentialsGrant;
    let all =
        with(grant_json(), &json!({"refresh_offset": 60, "options": {"scope": "a"}, "client_auth": "basic"}));
    let ours = parse(kind, &all).unwrap();
    let edit = |json: &Value| {
        ours.edited(kind, Some(ExchangePolicy::Standard), &json.to_string())
            .map_err(|fault| fault.to_string())
    };
    let edited = edit(&json!({"client_id": "new", "refresh_offset": null, "client_auth": null})).unwrap();
    assert_eq!(
        Value::Object(edited.public()),
        json!({"client_id": "new", "token_url": "https://issuer.example/token", "refresh_offset": null,
            "options": {"scope": "a"}, "client_auth": "post"})
    );
    assert!(edited.store().expose().contains("hunter2"));
    assert_eq!(edit(&json!({"passwort": "x"})).err().unwrap(), "unknown field passwort");
    assert!(edit(&json!({"client_id": null})).err().unwrap().starts_with("field client_id: expected a text"));
    assert!(edit(&json!({"token_url": "http://x.example"})).err().unwrap().starts_with("field token_url: "));
    assert!(edit(&json!({})).is_ok());
}

#[test]
fn every_type_can_be_edited_by_nothing() {
    for (kind, json) in one_of_each() {
        let ours = parse(kind, &json).unwrap();
        let same = ours.edited(kind, Some(ExchangePolicy::Standard), "{}").unwrap();
        assert_eq!(same.store().expose(), ours.store().expose());
    }
}

#[test]
fn credentials_and_their_artifact_stay_under_the_limit_of_a_record() {
    let entries = |bytes: usize| json!({"entries": {"k": "v".repeat(bytes)}});
    assert!(parse(SecretType::KeyValue, &entries(STORED_MAX - 100)).is_ok());
    assert!(refused(SecretType::KeyValue, &entries(STORED_MAX)).contains("48 KiB at most"));
    let token = |bytes: usize| json!({"token": "v".repeat(bytes)});
    assert!(parse(SecretType::Token, &token(STORED_MAX - 200)).is_ok());
    assert!(refused(SecretType::Token, &token(STORED_MAX)).contains("48 KiB at most"));
    // a header's value stands twice in its artifact
    let key = |bytes: usize| json!({"header_name": "X-Key", "value": "v".repeat(bytes)});
    assert!(refused(SecretType::ApiKey, &key(STORED_MAX / 2)).contains("48 KiB at most"));
    let ours = parse(SecretType::Token, &token(10)).unwrap();
    assert!(ours.edited(SecretType::Token, None, &token(STORED_MAX).to_string()).is_err());
}

#[test]
fn plain_texts_have_a_limit_and_custom_claims_too() {
    let id = |bytes: usize| with(grant_json(), &json!({"client_id": "i".repeat(bytes)}));
    assert!(parse(SecretType::ClientCredentialsGrant, &id(2048)).is_ok());
    assert!(parse(SecretType::ClientCredentialsGrant, &id(2049)).is_err());
    let claims = |bytes: usize| parse_jwt(&json!({"custom_claims": {"x": "c".repeat(bytes)}}));
    assert!(claims(8 * 1024 - 8).is_ok() && claims(8 * 1024 - 7).is_err());
}

#[test]
fn custom_claims_nest_sixteen_levels_and_no_more() {
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    assert!(parse_jwt(&json!({"custom_claims": {"x": nested(16)}})).is_ok());
    assert!(parse_jwt(&json!({"custom_claims": {"x": nested(17)}})).is_err());
}

#[test]
fn google_is_asked_for_one_or_both_of_two_scopes_each_once() {
    let scopes = |scopes: &[&str]| json!({ "scopes": scopes });
    for good in [&[PUBSUB][..], &[ADWORDS], &[ADWORDS, PUBSUB], &[PUBSUB, ADWORDS]] {
        let Credentials::Consent(consent) = parse(SecretType::Google, &scopes(good)).unwrap() else {
            panic!("it is a consent");
        };
        assert_eq!(
            (consent.issuer, consent.scopes.list()),
            (Issuer::Google, &good.iter().map(ToString::to_string).collect::<Vec<_>>()[..])
        );
    }
    let both = format!("{ADWORDS}, {PUBSUB}");
    for (bad, why) in [
        (&[][..], format!("field scopes: at least one is needed: {ADWORDS} or {PUBSUB}")),
        (&["pubsub"], format!("field scopes: number 1 is not one of those that are allowed: {both}")),
        (
            &[PUBSUB, "https://www.googleapis.com/auth/drive"],
            format!("field scopes: number 2 is not one of those that are allowed: {both}"),
        ),
        (
            &[&PUBSUB.to_uppercase()],
            format!("field scopes: number 1 is not one of those that are allowed: {both}"),
        ),
        (
            &[&format!("{PUBSUB}/")],
            format!("field scopes: number 1 is not one of those that are allowed: {both}"),
        ),
        (&[PUBSUB, ADWORDS, PUBSUB], "field scopes: number 3 is given twice".to_owned()),
    ] {
        assert_eq!(refused(SecretType::Google, &scopes(bad)), why);
    }
    // texts in a list, nothing else, and none of them is repeated
    for bad in [
        json!({}),
        json!({"scopes": null}),
        json!({"scopes": PUBSUB}),
        json!({"scopes": [7]}),
        json!({"scopes": [format!("{PUBSUB} {ADWORDS}")]}),
    ] {
        let told = refused(SecretType::Google, &bad);
        assert!(told.starts_with("field scopes: ") || told.contains("missing"), "{told}");
    }
    assert_eq!(
        refused(SecretType::Google, &json!({"scopes": [PUBSUB], "refresh_token": "hunter2"})),
        "unknown field refresh_token"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_panics_or_is_echoed(at in 0..SecretType::ALL.len(), text in "\\PC{0,60}") {
        if let Err(fault) = Credentials::parse(SecretType::ALL[at], None, &text) {
            prop_assert!(text.len() < 12 || !fault.to_string().contains(&text));
        }
    }

    #[test]
    fn no_member_panics_or_is_echoed(
        of in 0..SecretType::ALL.len(),
        field in any::<prop::sample::Index>(),
        value in "[A-Z\"\\\\:@#/\u{0}\n]{12,40}",
    ) {
        let (kind, json) = one_of_each().swap_remove(of);
        let field = kind.fields()[field.index(kind.fields().len())];
        if let Err(fault) = parse(kind, &with(json, &json!({field.name: value.clone()}))) {
            prop_assert!(!fault.to_string().contains(&value));
        }
    }
}
