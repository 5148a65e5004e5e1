//! What is said of a person's authorization is true at that moment: while it waits, while its code is exchanged, when the
//! hour's address is gone, and after requests whose answers are known.

use bursar_tests::google::{SCOPES, ask, ask_again};
use bursar_tests::http::get;
use bursar_tests::rotation::{Way, answered, settled, show, told};
use bursar_tests::{Google, Hold, now, open_vault, until};
use serde_json::json;

#[test]
fn each_step_has_its_words() {
    let (home, daemon) = open_vault();
    let google = Google::authlib();
    google.configure(&home);
    let says = |words: &str| {
        let details = show(&home, "ads")["status_details"].as_str().unwrap_or_default().to_owned();
        assert!(details.contains(words), "{words}: {details}");
        details
    };
    let url = ask(&home, "ads");
    says("a person has to open its authorization url");
    let redirect = google.consent(&url);
    google.hold(Hold::Before);
    get(&redirect);
    google.until_held(1);
    let meanwhile = says("is being exchanged");
    assert!(!meanwhile.contains("has to open"), "{meanwhile}");
    google.release();
    assert_eq!(settled(&home, "ads")["status_details"], json!(null));
    let began = now();
    until("a second passes in which the agent did not start", || (now() > began).then_some(()));
    ask_again(&home, "ads");
    home.ok("vault.lock", json!({}));
    home.ok("vault.unlock", json!({}));
    says("a person has to open its authorization url");
    let backup = home.path().join("backup");
    home.ok("vault.backup", json!({ "file": backup }));
    home.ok("vault.restore", json!({ "file": backup, "key_file": home.key_file() }));
    let gone = says("its authorization url is not open any more");
    assert!(!gone.contains("started anew"), "the agent was not: {gone}");
    ask_again(&home, "ads");
    drop(daemon);
    let _daemon = home.start();
    says("its authorization url is not open any more: the agent was started anew");
}

#[test]
fn an_answer_that_came_is_never_told_as_unknown() {
    let (home, _daemon) = open_vault();
    let google = Google::authlib();
    google.configure(&home);
    google.granted(&home, "ads");
    google.revoke_all();
    assert!(
        home.call("secret.test", json!({ "secret": "ads" })).unwrap_err().message.contains("invalid_grant")
    );
    assert_eq!(told(&home, "ads"), "");
    // and where the secret was changed while it was on its way
    google.land(&ask_again(&home, "ads"));
    settled(&home, "ads");
    google.revoke_all();
    google.hold(Hold::After);
    let caller = Way::Get.begin(&home, "ads");
    google.until_held(1);
    ask_again(&home, "ads");
    google.release();
    answered(caller).unwrap().unwrap_err();
    assert_eq!(told(&home, "ads"), "");
}

#[test]
fn a_request_with_what_is_dropped_is_told_of_no_more() {
    let (home, _daemon) = open_vault();
    let google = Google::authlib();
    google.configure(&home);
    google.granted(&home, "ads");
    google.hold(Hold::After);
    let caller = Way::Test.begin(&home, "ads");
    google.until_held(1);
    google.hang_up();
    answered(caller).unwrap().unwrap_err();
    assert!(told(&home, "ads").contains("its answer is not known"));
    ask_again(&home, "ads");
    assert!(told(&home, "ads").contains("its answer is not known"), "it is the one that is kept");
    home.ok("secret.edit", json!({ "secret": "ads", "credentials": { "scopes": SCOPES } }));
    assert_eq!(told(&home, "ads"), "");
}
