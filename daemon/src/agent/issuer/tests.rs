//! The client of a named issuer: what is taken, what is refused by its field, and that its secret is shown to nobody.

use crate::agent::tests::{PUBSUB, Stage};
use crate::vault::store::Kind;
use bursar_proto::error::ErrorName;
use serde_json::{Value, json};

fn client() -> Value {
    json!({ "issuer": "google", "client_id": "id.example", "client_secret": "hunter2-of-the-client" })
}

fn with(name: &str, value: impl Into<Value>) -> Value {
    let mut client = client();
    client[name] = value.into();
    client
}

#[tokio::test]
async fn the_addresses_are_the_issuers_own_unless_they_are_said() {
    let stage = Stage::set().await;
    let now = stage.now();
    let shown = stage.ok("issuer.configure", client()).await;
    let expected = json!({
        "issuer": "google", "client_id": "id.example",
        "authorization_url": "https://accounts.google.com/o/oauth2/v2/auth",
        "token_url": "https://oauth2.googleapis.com/token",
        "updated_at": now, "secrets": 0,
    });
    assert_eq!(shown, expected);
    assert_eq!(stage.ok("issuer.show", json!({ "issuer": "google" })).await, expected);
    stage.clock.advance(5);
    let mut other = with("authorization_url", "http://127.0.0.1:4711/auth?tenant=1");
    other["token_url"] = "http://localhost:4711/token".into();
    let shown = stage.ok("issuer.configure", other).await;
    assert_eq!(shown["authorization_url"], "http://127.0.0.1:4711/auth?tenant=1");
    assert_eq!(shown["token_url"], "http://localhost:4711/token");
    assert_eq!(shown["updated_at"], json!(now.plus(5)));
    // what is not said again is the issuer's own again
    assert_eq!(stage.ok("issuer.configure", client()).await["token_url"], expected["token_url"]);
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_by_its_field_and_changes_nothing() {
    let stage = Stage::set().await;
    let before = stage.ok("issuer.configure", client()).await;
    stage.clock.advance(5);
    let long = "x".repeat(2_049);
    for (field, value, why) in [
        ("client_id", "", "must not be empty"),
        ("client_id", " \t", "must not be empty"),
        ("client_id", &long as &str, "is over 2048 bytes"),
        ("client_id", "hunter2\n", "has control characters"),
        ("client_secret", "", "must not be empty"),
        ("client_secret", &long, "is over 2048 bytes"),
        ("client_secret", "hunter2\r\nX: y", "has control characters"),
        ("authorization_url", "", ""),
        ("authorization_url", "hunter2", "is no url"),
        ("authorization_url", "http://issuer.example/auth", "must be an https url"),
        ("authorization_url", "javascript:alert(1)", "must be an https url"),
        (
            "authorization_url",
            "https://me:hunter2@issuer.example/auth",
            "must not carry a user or a password",
        ),
        ("authorization_url", "https://issuer.example/auth#hunter2", "must not have a fragment"),
        ("token_url", "http://127.0.0.1.example/token", "must be an https url"),
        ("token_url", "file:///etc/passwd", "must be an https url"),
        ("token_url", "https://@issuer.example/token", "must not carry a user or a password"),
        ("token_url", "https://issuer.example/token#", "must not have a fragment"),
    ] {
        let error = stage.call("issuer.configure", with(field, value)).await.unwrap_err();
        assert_eq!(error.name, ErrorName::Invalid, "{field}: {error}");
        assert!(error.message.starts_with(&format!("field {field}: ")), "{error}");
        assert!(error.message.contains(why) && !error.message.contains("hunter2"), "{error}");
    }
    assert!(
        stage.ok("issuer.configure", with("client_id", "x".repeat(2_048))).await["client_id"].is_string()
    );
    stage.clock.advance(-5);
    assert_eq!(stage.ok("issuer.configure", client()).await, before);
}

#[tokio::test]
async fn without_a_client_nobody_is_asked_and_what_to_do_is_said() {
    let stage = Stage::set().await;
    let create = |scopes: Value| json!({ "secret": "x", "type": "oauth2-google", "credentials": { "scopes": scopes } });
    for (method, params) in
        [("issuer.show", json!({ "issuer": "google" })), ("secret.create", create(json!([PUBSUB])))]
    {
        let error = stage.call(method, params).await.unwrap_err();
        assert_eq!((error.name, error.name.exit_code()), (ErrorName::NotConfigured, 7), "{method}");
        assert!(error.hint.as_deref().unwrap().contains("bursar google configure"), "{error}");
    }
    // what is wrong with the credentials is said first
    let error = stage.call("secret.create", create(json!(["all"]))).await.unwrap_err();
    assert_eq!(error.name, ErrorName::Invalid);
    assert_eq!(stage.ok("secret.list", json!({})).await, json!([]));
}

#[tokio::test]
async fn the_clients_secret_is_in_no_answer_and_the_one_before_is_gone() {
    let stage = Stage::set().await;
    let mut answers = stage.ok("issuer.configure", client()).await.to_string();
    stage.ok("issuer.configure", with("client_secret", "hunter3-of-the-client")).await;
    stage.ask("x").await;
    for (method, params) in [
        ("issuer.show", json!({ "issuer": "google" })),
        ("audit.list", json!({})),
        ("secret.list", json!({})),
        ("agent.status", json!({})),
    ] {
        answers.push_str(&stage.ok(method, params).await.to_string());
    }
    assert!(!answers.contains("-of-the-client"), "{answers}");
    let mut vault = stage.agent.vault();
    let mut parts = 0;
    vault.bare_store().scan(Kind::Part, |_, _| parts += 1).unwrap();
    let unlocked = vault.unlocked().unwrap();
    let (id, _) = unlocked.catalog.issuer(bursar_proto::kind::Issuer::Google).unwrap();
    let kept = unlocked.issuer_client(&id).unwrap();
    assert_eq!((parts, kept.client_secret.expose()), (1, "hunter3-of-the-client"));
}

#[tokio::test]
async fn how_many_secrets_are_the_issuers_is_counted() {
    let stage = Stage::configured().await;
    let count = async || stage.ok("issuer.show", json!({ "issuer": "google" })).await["secrets"].clone();
    assert_eq!(count().await, 0);
    stage.ask("x").await;
    stage.granted("y", "r").await;
    stage.create("of-another-type").await;
    assert_eq!(count().await, 2);
    stage.ok("secret.delete", json!({ "secret": "x" })).await;
    assert_eq!(count().await, 1);
}

#[tokio::test]
async fn the_record_of_accesses_names_the_issuer() {
    let stage = Stage::configured().await;
    stage.ok("issuer.show", json!({ "issuer": "google" })).await;
    let entries = stage.ok("audit.list", json!({})).await;
    for method in ["issuer.configure", "issuer.show"] {
        let entry =
            entries["entries"].as_array().unwrap().iter().find(|one| one["method"] == method).unwrap();
        assert_eq!((&entry["subject"], &entry["outcome"]), (&json!("google"), &json!("ok")), "{entry}");
    }
}
