//! Whoever guesses client secrets waits, longer each time; nobody else does.

use bursar_proto::client_secret::{PublicId, Random, compose};
use bursar_tests::client_secrets::{Issued, issue};
use bursar_tests::secrets::token;
use bursar_tests::users::{as_user, can_become_others};
use bursar_tests::{Answer, Daemon, Home, configured, until};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// The user who comes with wrong ones, where there are two.
const GUESSER: u32 = 64_041;

/// A vault that lets [`GUESSER`] in, with an organization and a client secret for it.
fn vault() -> (Home, Daemon, Issued) {
    let (home, daemon) = configured(&format!("[access]\nadmit = [\"uid {GUESSER}\"]\n"));
    home.ok("organization.create", json!({ "organization": "acme" }));
    home.create(token("t", "the-value"));
    let issued = issue(&home, "acme", "viewer", None);
    (home, daemon, issued)
}

fn authenticate(home: &Home, value: &str) -> Answer {
    home.call("authenticate", json!({ "client_secrets": [value] }))
}

/// Well-formed, and issued by nobody.
fn guess() -> String {
    let id: PublicId = "k3j9x2m4pq".parse().unwrap();
    compose(&id, &Random::new([9; 32].into())).expose().to_owned()
}

/// How long one has to wait, as a refusal says; `None` where it is another refusal.
fn wait_of(answer: Answer) -> Option<u64> {
    let refused = answer.err().filter(|refused| refused.name == "throttled")?;
    let words: Vec<&str> = refused.message.split(' ').collect();
    let number = words.iter().find_map(|word| word.parse().ok());
    assert!(number.is_some() && refused.message.contains("client secret"), "{refused}");
    number
}

/// Guesses until it is told to wait; answers for how long.
fn guess_until_told_to_wait(home: &Home) -> u64 {
    until("guessing has to wait", || wait_of(authenticate(home, &guess())))
}

#[test]
fn guesses_cost_a_growing_wait_and_the_right_one_waits_too() {
    let (home, _daemon, issued) = vault();
    // a typing error that the checksum does not catch is forgiven
    assert_eq!(authenticate(&home, &guess()).unwrap_err().name, "client_secret_unknown");
    authenticate(&home, &issued.value).unwrap();
    let first = guess_until_told_to_wait(&home);
    let refused = authenticate(&home, &issued.value).unwrap_err();
    assert_eq!(refused.name, "throttled", "who has to wait is not told whether he is right: {refused}");
    // asking while one has to wait costs nothing more
    until("the wait is over", || authenticate(&home, &issued.value).ok());
    let second = guess_until_told_to_wait(&home);
    until("the wait is over", || authenticate(&home, &issued.value).ok());
    let third = guess_until_told_to_wait(&home);
    assert!(first <= second && second <= third && first < third, "{first} s, {second} s, {third} s");
}

#[test]
fn a_whole_list_of_guesses_is_one() {
    let (home, _daemon, issued) = vault();
    let guesses = vec![guess(); 32];
    let refused = home.call("authenticate", json!({ "client_secrets": guesses })).unwrap_err();
    assert_eq!(refused.name, "client_secret_unknown");
    // it was the first, which is forgiven
    authenticate(&home, &issued.value).unwrap();
    home.call("authenticate", json!({ "client_secrets": guesses })).unwrap_err();
    assert_eq!(authenticate(&home, &issued.value).unwrap_err().name, "throttled");
}

#[test]
fn who_has_a_right_one_is_guessing_nothing() {
    let (home, _daemon, issued) = vault();
    let mut with_a_right_one = vec![guess(); 31];
    for at in 0..20 {
        with_a_right_one.insert(at, issued.value.clone());
        let told = home.call("authenticate", json!({ "client_secrets": with_a_right_one })).unwrap();
        let errors: Vec<_> =
            told["client_secrets"].as_array().unwrap().iter().map(|one| &one["error"]).collect();
        assert_eq!(errors.iter().filter(|error| error.is_null()).count(), 1, "{errors:?}");
        assert!(errors.contains(&&json!("client_secret_unknown")), "the others are told all the same");
        with_a_right_one.remove(at);
    }
    // one that ended is nobody's guess either
    let revoked = issue(&home, "acme", "viewer", None);
    home.ok("client_secret.revoke", json!({ "id": revoked.id }));
    let ended = json!({ "client_secrets": [revoked.value, guess()] });
    for _ in 0..10 {
        assert_eq!(home.refused("authenticate", ended.clone()), "client_secret_revoked");
    }
    authenticate(&home, &issued.value).unwrap();
    // nor does that forgive wrong ones alone
    guess_until_told_to_wait(&home);
    let listed = home.call("authenticate", json!({ "client_secrets": with_a_right_one }));
    assert_eq!(listed.unwrap_err().name, "throttled");
    with_a_right_one[0] = issued.value;
    let listed = home.call("authenticate", json!({ "client_secrets": with_a_right_one }));
    assert_eq!(listed.unwrap_err().name, "throttled", "who has to wait is not told whether it is right");
}

#[test]
fn what_is_no_guess_costs_nothing() {
    let (home, _daemon, issued) = vault();
    let revoked = issue(&home, "acme", "viewer", None);
    home.ok("client_secret.revoke", json!({ "id": revoked.id }));
    for (value, name) in
        [("rubbish", "client_secret_malformed"), (revoked.value.as_str(), "client_secret_revoked")]
    {
        for _ in 0..10 {
            assert_eq!(authenticate(&home, value).unwrap_err().name, name);
        }
    }
    authenticate(&home, &issued.value).unwrap();
}

#[test]
fn the_vault_s_own_key_and_client_secrets_wait_apart() {
    let (home, _daemon, issued) = vault();
    let mut before = home.connect();
    before.call("authenticate", json!({ "client_secrets": [issued.value] })).unwrap();
    guess_until_told_to_wait(&home);
    // who authenticated before, and who does not, goes on
    before.call("package.list", json!({})).unwrap();
    assert_eq!(home.artifact("t")["value"], "the-value");
    // and the vault may be opened
    home.ok("vault.lock", json!({}));
    home.ok("vault.unlock", json!({}));

    until("the wait is over", || authenticate(&home, &issued.value).ok());
    home.ok("vault.lock", json!({}));
    let wrong = json!({ "key_file": home.file("wrong", [7_u8; 64]) });
    until("wrong keys have to wait", || {
        (home.refused("vault.unlock", wrong.clone()) == "throttled").then_some(())
    });
    assert_eq!(authenticate(&home, &issued.value).unwrap_err().name, "locked");
    until("the wait is over", || home.call("vault.unlock", json!({})).ok());
    authenticate(&home, &issued.value).unwrap();
}

#[test]
fn other_users_do_not_wait() {
    if !can_become_others() {
        return;
    }
    let (home, _daemon, issued) = vault();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o711)).unwrap();
    fs::set_permissions(home.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    as_user(GUESSER, || {
        guess_until_told_to_wait(&home);
        assert_eq!(authenticate(&home, &issued.value).unwrap_err().name, "throttled");
    });
    authenticate(&home, &issued.value).unwrap();
    assert_eq!(authenticate(&home, &guess()).unwrap_err().name, "client_secret_unknown");
    // nor does the guesser for what others tried
    guess_until_told_to_wait(&home);
    as_user(GUESSER, || {
        until("the wait is over", || authenticate(&home, &issued.value).ok());
    });
}
