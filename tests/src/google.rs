//! A real issuer that plays Google: a person consents by a button, refresh tokens rotate, what is replayed is void.
//!
//! Its client is `desktop`, with a secret and a redirect to any port of 127.0.0.1. Both issuers ask for PKCE by
//! S256, and both void the grant of a code or refresh token that comes a second time. oidc-provider adds `iss` to its
//! redirects, and where it does not rotate answers a refresh with the same refresh token. Authlib adds what Google
//! adds (`scope`, `authuser`, `prompt`), and where it does not rotate answers with none, as Google does.

use crate::cli::Run;
use crate::home::Home;
use crate::http::{Response, get, join, parameters, post, send, visit};
use crate::issuer::Issuer;
use crate::patience::until;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::net::TcpStream;

/// The scopes that may be granted.
pub const SCOPES: [&str; 2] =
    ["https://www.googleapis.com/auth/adwords", "https://www.googleapis.com/auth/pubsub"];

/// The lifetime of an access token of [`Google::configure`], in seconds, which is Google's.
pub const LIFETIME: u64 = 3_600;

/// The most pages between an authorization address and its redirect to the client.
const PAGES_MAX: usize = 10;

/// The issuer, and what tests ask of it beside OAuth.
#[derive(Debug)]
pub struct Google {
    issuer: Issuer,
    /// The client.
    pub client_id: &'static str,
    /// Its secret.
    pub client_secret: &'static str,
}

/// Where a token request is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// It has come whole, and the issuer knows nothing of it.
    Before,
    /// The issuer has taken it, and rotated the refresh token; its answer is held.
    After,
}

/// What the issuer saw so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Codes that came, taken or not.
    pub codes: u64,
    /// Codes that were answered with tokens.
    pub codes_granted: u64,
    /// Refresh tokens that came, taken or not.
    pub refreshes: u64,
    /// Refresh tokens that were answered with tokens.
    pub refreshes_granted: u64,
    /// Token requests that are held now.
    pub held: u64,
    /// SHA-256, in hex, of the refresh token that came last.
    pub presented: Option<String>,
    /// SHA-256, in hex, of the refresh token that was issued last, whether the answer held it or not.
    pub issued: Option<String>,
}

impl Google {
    /// Flask and Authlib.
    pub fn authlib() -> Self {
        Self::of(Issuer::authlib())
    }

    /// oidc-provider.
    pub fn oidc() -> Self {
        Self::of(Issuer::oidc())
    }

    fn of(issuer: Issuer) -> Self {
        let client_secret = issuer.client_secret;
        Self { issuer, client_id: "desktop", client_secret }
    }

    /// Its authorization endpoint.
    pub fn authorization_url(&self) -> String {
        self.issuer.at("/auth")
    }

    /// Its token endpoint for tokens of `lifetime` seconds.
    pub fn token_url(&self, lifetime: u64) -> String {
        self.issuer.token_url(lifetime)
    }

    /// Makes this the Google of `home`, by the command line.
    #[track_caller]
    pub fn configure(&self, home: &Home) -> Run {
        self.configure_for(home, LIFETIME)
    }

    /// The same, with access tokens of `lifetime` seconds.
    #[track_caller]
    pub fn configure_for(&self, home: &Home, lifetime: u64) -> Run {
        self.configure_at(home, &self.token_url(lifetime))
    }

    /// The same, with its token endpoint at another address.
    #[track_caller]
    pub fn configure_at(&self, home: &Home, token_url: &str) -> Run {
        let file = home.file("google-client-secret", self.client_secret);
        let path = file.to_str().expect("a path in UTF-8");
        let authorization_url = self.authorization_url();
        let run = home.cli(&[
            "google",
            "configure",
            "--client-id",
            self.client_id,
            "--client-secret-file",
            path,
            "--authorization-url",
            &authorization_url,
            "--token-url",
            token_url,
        ]);
        // a home is searched for it later
        fs::remove_file(file).expect("our own file");
        run.ok()
    }

    /// Makes a secret with one scope, and consents without a browser; answers its attributes at the end.
    #[track_caller]
    pub fn granted(&self, home: &Home, name: &str) -> Value {
        self.land(&ask(home, name));
        home.ok("secret.wait", json!({ "secret": name }))
    }

    /// Consents at `url` and goes where that leads; answers where it ended, and the page.
    #[track_caller]
    pub fn land(&self, url: &str) -> (String, Response) {
        visit(&self.consent(url))
    }

    /// Consents at `url`; answers the address that a browser would go to next, which nobody has asked for yet.
    #[track_caller]
    pub fn consent(&self, url: &str) -> String {
        press(url, "allow")
    }

    /// The same, refusing.
    #[track_caller]
    pub fn deny(&self, url: &str) -> String {
        press(url, "deny")
    }

    /// Voids every grant, as a person does in their account.
    pub fn revoke_all(&self) {
        self.control("revoke");
    }

    /// Holds token requests from now on.
    pub fn hold(&self, hold: Hold) {
        self.control(match hold {
            Hold::Before => "set?hold=before",
            Hold::After => "set?hold=after",
        });
    }

    /// Waits until `count` token requests are held.
    #[track_caller]
    pub fn until_held(&self, count: u64) {
        until("token requests are held", || (self.seen().held >= count).then_some(()));
    }

    /// Lets go what is held, and holds nothing more.
    pub fn release(&self) {
        self.control("release");
    }

    /// Hangs up on what is held, untaken or unanswered, and holds nothing more.
    pub fn hang_up(&self) {
        self.control("drop");
    }

    /// Whether a refresh token is good for one refresh alone; it is from the start.
    pub fn rotates(&self, yes: bool) {
        self.control(if yes { "set?rotate=yes" } else { "set?rotate=no" });
    }

    /// Whether answers hold refresh tokens; they do from the start.
    pub fn gives_refresh_tokens(&self, yes: bool) {
        self.control(if yes { "set?refresh_token=yes" } else { "set?refresh_token=no" });
    }

    /// What it saw so far.
    pub fn seen(&self) -> Seen {
        let seen: Value = serde_json::from_str(&get(&self.issuer.at("/control")).body).expect("json");
        let count = |of: &str, grant_type: &str| seen[of][grant_type].as_u64().unwrap_or(0);
        let hash = |name: &str| seen[name].as_str().map(str::to_owned);
        Seen {
            codes: count("requests", "authorization_code"),
            codes_granted: count("granted", "authorization_code"),
            refreshes: count("requests", "refresh_token"),
            refreshes_granted: count("granted", "refresh_token"),
            held: seen["held"].as_u64().expect("a number"),
            presented: hash("refresh_token_presented"),
            issued: hash("refresh_token_issued"),
        }
    }

    fn control(&self, action: &str) {
        let answer = post(&self.issuer.at(&format!("/control/{action}")), "");
        assert_eq!(answer.status, 200, "{action}: {}", answer.body);
    }
}

/// Parameters of `secret.create`, for one scope.
pub fn ads(name: &str) -> Value {
    json!({ "secret": name, "type": "oauth2-google", "credentials": { "scopes": [SCOPES[0]] } })
}

/// Makes a secret; answers where a person grants it.
#[track_caller]
pub fn ask(home: &Home, name: &str) -> String {
    address(&home.ok("secret.create", ads(name)))
}

/// Starts over; answers where a person grants it now.
#[track_caller]
pub fn ask_again(home: &Home, name: &str) -> String {
    address(&home.ok("secret.reauthorize", json!({ "secret": name })))
}

/// Where a person grants a secret, in the answer that says so.
#[track_caller]
pub fn address(answer: &Value) -> String {
    answer["authorization_url"].as_str().unwrap_or_else(|| panic!("no address: {answer}")).to_owned()
}

/// Makes the Google of `home` one that asks nobody, and exchanges at `token_url`.
pub fn exchanged_at(home: &Home, token_url: &str) {
    let settings = json!({
        "issuer": "google", "client_id": "desktop", "client_secret": "cs-0123456789",
        "authorization_url": "http://127.0.0.1:1/auth", "token_url": token_url,
    });
    home.ok("issuer.configure", settings);
}

/// Where an issuer that answers so sends the browser of a person who was sent to `url`: `code=4711`.
pub fn redirected(url: &str, answer: &str) -> String {
    let asked = parameters(url);
    format!("{}?{answer}&state={}", asked["redirect_uri"], asked["state"])
}

/// The port on which the browser comes back of a person who was sent to `url`.
#[track_caller]
pub fn port(url: &str) -> u16 {
    let redirect_uri = &parameters(url)["redirect_uri"];
    let port = redirect_uri.strip_prefix("http://127.0.0.1:").and_then(|rest| rest.split('/').next());
    port.and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("no port: {redirect_uri}"))
}

/// Whether nobody listens any more where the browser comes back that a person sent to `url`.
pub fn is_closed(url: &str) -> bool {
    TcpStream::connect(("127.0.0.1", port(url)))
        .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// The same page of an issuer on this machine, but of another site than 127.0.0.1; for [`Browser`], which knows the
/// name.
///
/// [`Browser`]: crate::browser::Browser
pub fn of_another_site(url: &str) -> String {
    url.replacen("//127.0.0.1:", "//accounts.test:", 1)
}

/// A person at `url`: presses the button, follows the issuer, and stops where it leads back to the client.
#[track_caller]
fn press(url: &str, decision: &str) -> String {
    let mut cookies = BTreeMap::new();
    let (mut url, mut form) = (url.to_owned(), None);
    for _ in 0..PAGES_MAX {
        let answer = browse(&url, form.take(), &mut cookies);
        if let Some(location) = answer.header("location") {
            url = join(&url, location);
            if is_redirect_to_client(&url) {
                return url;
            }
        } else {
            assert!(answer.body.contains(">Allow</button>"), "no page to consent on: {answer:?}");
            form = Some(format!("decision={decision}"));
        }
    }
    panic!("the issuer leads nowhere: {url}");
}

fn is_redirect_to_client(url: &str) -> bool {
    let bare = url.split('?').next().unwrap_or_default();
    let named = ["code", "error"].iter().any(|name| parameters(url).contains_key(*name));
    bare.starts_with("http://127.0.0.1:") && bare.ends_with("/oauth2/callback") && named
}

fn browse(url: &str, form: Option<String>, cookies: &mut BTreeMap<String, String>) -> Response {
    let line = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
    let method = if form.is_some() { "POST" } else { "GET" };
    let answer = send(method, url, &[("cookie", &line)], form.as_deref());
    let answer = answer.unwrap_or_else(|error| panic!("{url}: {error}"));
    for (_, cookie) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
        let pair = cookie.split(';').next().unwrap_or_default();
        if let Some((name, value)) = pair.split_once('=') {
            cookies.insert(name.to_owned(), value.to_owned());
        }
    }
    answer
}
