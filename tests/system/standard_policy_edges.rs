//! Which lifetimes the two policies accept, at their edges, and when a token is refreshed.

use bursar_tests::secrets::{grant, standard_grant};
use bursar_tests::{FaultIssuer, Reply, open_vault, seconds};
use serde_json::json;

#[test]
fn standard_takes_more_than_eight_hours_and_an_offset_that_leaves_four() {
    let (home, _daemon) = open_vault();
    let issuer = FaultIssuer::new(Reply::Drop);
    let table = [
        (28_800, None, false),
        (28_801, None, true),
        (36_000, Some(28_800), false),
        (36_000, Some(21_600), false),
        (36_000, Some(21_599), true),
        (86_400, None, true),
    ];
    for (at, (lifetime, offset, accepted)) in table.into_iter().enumerate() {
        issuer.then(Reply::Grant(lifetime));
        let mut params = standard_grant(&format!("edge-{at}"), &issuer.token_url());
        if let Some(offset) = offset {
            params["credentials"]["refresh_offset"] = json!(offset);
        }
        let secret = home.create(params);
        let expected = if accepted { "succeeded" } else { "failed" };
        assert_eq!(secret["status"], expected, "{lifetime} with {offset:?}: {secret}");
        if accepted {
            let early = seconds(&secret["expires_at"]) - seconds(&secret["refresh_at"]);
            assert_eq!(early, offset.unwrap_or(14_400));
            let lasts = seconds(&secret["expires_at"]) - seconds(&secret["activated_at"]);
            assert_eq!(lasts, i64::try_from(lifetime).unwrap());
        }
    }
}

#[test]
fn a_short_token_is_refused_with_the_policy_that_takes_it() {
    let (home, _daemon) = open_vault();
    let issuer = FaultIssuer::new(Reply::Grant(3600));
    let secret = home.create(standard_grant("hour", &issuer.token_url()));
    let details = secret["status_details"].as_str().unwrap();
    assert!(details.contains("3600") && details.contains("short-lived"), "{details}");

    home.ok("secret.edit", json!({ "secret": "hour", "exchange_policy": "short-lived" }));
    let secret = home.ok("secret.wait", json!({ "secret": "hour" }));
    assert_eq!(secret["status"], "succeeded", "{secret}");
    assert_eq!(seconds(&secret["expires_at"]) - seconds(&secret["refresh_at"]), 720);
}

#[test]
fn short_lived_refreshes_after_four_fifths_and_refuses_under_twenty_seconds() {
    let (home, _daemon) = open_vault();
    let issuer = FaultIssuer::new(Reply::Drop);
    // lifetime, explicit offset, and how early it is refreshed; none where it fails
    let table = [
        (19, None, None),
        (20, None, Some(10)),
        (100, None, Some(30)),
        (1000, None, Some(200)),
        (3600, Some(3600), None),
        (3600, Some(3599), Some(3599)),
    ];
    for (at, (lifetime, offset, early)) in table.into_iter().enumerate() {
        issuer.then(Reply::Grant(lifetime));
        let mut params = grant(&format!("edge-{at}"), &issuer.token_url());
        if let Some(offset) = offset {
            params["credentials"]["refresh_offset"] = json!(offset);
        }
        let secret = home.create(params);
        let found = (secret["status"] == "succeeded")
            .then(|| seconds(&secret["expires_at"]) - seconds(&secret["refresh_at"]));
        assert_eq!(found, early, "{lifetime} with {offset:?}: {secret}");
    }
}
