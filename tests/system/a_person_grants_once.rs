//! A person grants once, in a browser; from then on the agent keeps the token fresh by itself.

use bursar_tests::{Google, open_vault};

fn grants_once(google: &Google) {
    let (home, _daemon) = open_vault();
    google.configure(&home);
    let secret = google.granted(&home, "personal/ads");
    assert_eq!(secret["status"], "succeeded", "{secret}");
    let got = home.artifact("personal/ads");
    assert!(got["value"].is_string(), "{got}");
}

#[test]
fn at_oidc_provider() {
    grants_once(&Google::oidc());
}

#[test]
fn at_authlib() {
    grants_once(&Google::authlib());
}
