//! A library is published once, and each workspace that syncs it gets the values of its own stage; a refreshed token arrives
//! by the next sync.

use bursar_tests::issuer::Issuer;
use bursar_tests::keys::known;
use bursar_tests::{Home, Workspace, open_vault, until};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

const LIFETIME: u64 = 3_600;

const LIBRARY: &str = r#"organization = "acme"
environment = "staging"

[library]
name = "site"
version = "1.0.0"

[library.elements]
NPM_TOKEN = "npm-token"
PIP_LOGIN = "acme/pip-login"
MVN_TOKEN = { development = "mvn-dev", staging = "mvn-stg" }
CDN_KEY = { development = "cdn", staging = "cdn-stg" }

[[library.files]]
template = "templates/npmrc"
path = ".npmrc"

[[library.files]]
template = "templates/pip.conf"
path = "config/pip/pip.conf"

[[library.files]]
template = "templates/settings.xml"
path = ".m2/settings.xml"
mode = "0600"
"#;

/// Two stages of everything, behind two real issuers.
fn acme(home: &Home, authlib: &Issuer, oidc: &Issuer) {
    home.ok("organization.create", json!({ "organization": "acme" }));
    home.ok("environment.create", json!({ "environment": "acme/staging", "stage": "staging" }));
    let grant = |issuer: &Issuer, client: &str| json!({ "client_id": client, "client_secret": issuer.client_secret, "token_url": issuer.token_url(LIFETIME) });
    let assertion = || {
        json!({ "iss": "robot", "aud": authlib.audience(), "sub": "robot@example.test", "ttl": 60, "alg": "RS256",
            "token_url": authlib.token_url(LIFETIME), "private_key": known().pkcs8 })
    };
    let login = |id: &str, secret: &str| json!({ "client_id": id, "client_secret": secret });
    let key = |value: &str| json!({ "header_name": "X-Key", "value": value });
    let oauth = "oauth2-client_credentials";
    for (name, environment, kind, credentials) in [
        ("npm-dev", "development", oauth, grant(authlib, "robot")),
        ("npm-stg", "staging", oauth, grant(oidc, "robot-post")),
        ("mvn-dev", "development", "oauth2-jwt", assertion()),
        ("mvn-stg", "staging", "oauth2-jwt", assertion()),
        ("pip-dev", "development", "client-credentials", login("ann", "p@ss/dev")),
        ("pip-stg", "staging", "client-credentials", login("bob", "p@ss/stg")),
        ("cdn", "development", "api-key", key("<dev&key>")),
        ("cdn-stg", "staging", "api-key", key("<stg&key>")),
    ] {
        let mut params = json!({ "secret": format!("acme/{name}"), "type": kind, "credentials": credentials,
            "environment": format!("acme/{environment}") });
        if kind.starts_with("oauth2") {
            params["exchange_policy"] = json!("short-lived");
        }
        let secret = home.create(params);
        assert_eq!(secret["status"], "succeeded", "{secret}");
    }
    for element in ["npm-token", "pip-login"] {
        let stem = element.split('-').next().unwrap();
        home.cli(&[
            "element",
            "set",
            &format!("acme/{element}"),
            "--development",
            &format!("{stem}-dev"),
            "--staging",
            &format!("{stem}-stg"),
        ])
        .ok();
    }
}

fn value(home: &Home, secret: &str) -> String {
    home.artifact(secret)["value"].as_str().expect("a value").to_owned()
}

fn inode(workspace: &Workspace<'_>, file: &str) -> u64 {
    fs::metadata(workspace.path(file)).unwrap().ino()
}

fn states(status: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages = status["packages"].as_array().expect("packages");
    let files = packages.iter().flat_map(|package| package["files"].as_array().expect("files"));
    files.map(|file| (text(&file["path"]), text(&file["state"]))).collect()
}

#[test]
fn from_publish_to_synced_files_and_a_refreshed_token() {
    let (home, _daemon) = open_vault();
    let (authlib, oidc) = (Issuer::authlib(), Issuer::oidc());
    acme(&home, &authlib, &oidc);

    let site = Workspace::with(&home, "site", LIBRARY);
    site.write("templates/npmrc", "//registry.example.test/:_authToken=%NPM_TOKEN%\n");
    site.write(
        "templates/pip.conf",
        "[global]\nindex-url = https://%PIP_LOGIN:client_id%:%PIP_LOGIN:client_secret|url%@pip.example.test/\n",
    );
    site.write(
        "templates/settings.xml",
        "<settings a=\"100%%\"><token>%MVN_TOKEN|xml%</token><cdn>%CDN_KEY|xml%</cdn></settings>\n",
    );
    site.run(&["check", "--stage", "staging"]).ok();
    let unfilled = site.run(&["check", "--stage", "all"]);
    assert_eq!(unfilled.code, 1, "nothing is in the slots of production: {}", unfilled.out);
    site.run(&["publish", "--dry-run"]).ok();
    let published = site.run(&["publish", "--json"]).ok().json();
    assert_eq!(published["version"], "1.0.0");
    let info = home.cli(&["info", "acme/site"]).ok().out;
    assert!(info.contains("1.0.0") && info.contains(".npmrc") && info.contains("NPM_TOKEN"), "{info}");

    for (stage, short, user) in [("development", "dev", "ann"), ("staging", "stg", "bob")] {
        let shop = Workspace::empty(&home, &format!("shop-{stage}"));
        shop.run(&["workspace", "init", "--organization", "acme", "--environment", stage]).ok();
        shop.run(&["add", "-p", "acme/site"]).ok();
        let npm = value(&home, &format!("acme/npm-{short}"));
        assert_eq!(shop.read(".npmrc"), format!("//registry.example.test/:_authToken={npm}\n"));
        assert_eq!(
            shop.read("config/pip/pip.conf"),
            format!("[global]\nindex-url = https://{user}:p%40ss%2F{short}@pip.example.test/\n")
        );
        let maven = value(&home, &format!("acme/mvn-{short}"));
        assert_eq!(
            shop.read(".m2/settings.xml"),
            format!(
                "<settings a=\"100%\"><token>{maven}</token><cdn>&lt;{short}&amp;key&gt;</cdn></settings>\n"
            )
        );
        for file in [".npmrc", "config/pip/pip.conf", ".m2/settings.xml"] {
            assert_eq!(fs::metadata(shop.path(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
        }
        shop.run(&["status"]).ok();

        let untouched = inode(&shop, ".npmrc");
        shop.run(&["sync"]).ok();
        assert_eq!(inode(&shop, ".npmrc"), untouched, "a second sync writes nothing");

        // a get that needs nearly all of the lifetime makes the agent refresh, once a second has passed
        let secret = format!("acme/npm-{short}");
        let need = json!({ "secret": secret, "min_validity": LIFETIME });
        let fresh = until("a refreshed token", || {
            home.ok("artifact.get", need.clone());
            Some(value(&home, &secret)).filter(|fresh| *fresh != npm)
        });
        let status = shop.run(&["status", "--json"]);
        assert_eq!(status.code, 1, "{}", status.out);
        let files = states(&status.json());
        assert!(files.contains(&(".npmrc".into(), "stale".into())), "{files:?}");
        assert!(files.contains(&(".m2/settings.xml".into(), "current".into())), "{files:?}");
        let (npmrc, settings) = (inode(&shop, ".npmrc"), inode(&shop, ".m2/settings.xml"));
        shop.run(&["sync"]).ok();
        assert_eq!(shop.read(".npmrc"), format!("//registry.example.test/:_authToken={fresh}\n"));
        assert_ne!(inode(&shop, ".npmrc"), npmrc);
        assert_eq!(inode(&shop, ".m2/settings.xml"), settings, "what is current is left alone");
        shop.run(&["status"]).ok();
    }

    let applied = home.ok("secret.where", json!({ "secret": "acme/npm-stg" }));
    assert_eq!(applied["elements"][0]["element"], "acme/npm-token");
    assert_eq!(applied["packages"][0]["package"], "acme/site");
    let workspace = home.path().join("shop-staging").canonicalize().unwrap();
    assert_eq!(applied["workspaces"][0]["workspace"], workspace.to_str().unwrap(), "{applied}");
    assert_eq!(applied["workspaces"][0]["files"], json!([".npmrc"]));
}
