//! Any process can take the address from which systemd fetches a unit's credential. It gets nothing: the kernel says whose process it
//! is, and in which control group.

use bursar_tests::library::bound;
use bursar_tests::units::{Fetched, Manager, Unit, fetch, number, with_table};
use bursar_tests::{Daemon, Home};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// A user that no machine has.
const OTHER: u32 = 64_021;

const TABLE: &str = "[[credential]]\nunit = '*'\ncredential = '*'\nsecret = 'one'\n";

/// A home whose socket anybody reaches, as no unit file of ours allows.
fn open_for_all(manager: Manager) -> (Home, Daemon) {
    let (home, daemon) = with_table(manager, TABLE);
    bound(&home, "one", "development", "value-one");
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o711)).unwrap();
    fs::set_permissions(home.credentials(), fs::Permissions::from_mode(0o666)).unwrap();
    (home, daemon)
}

fn outcomes(home: &Home) -> Vec<(Value, Value, Value)> {
    let page = home.ok("audit.list", json!({}));
    let of_units = |one: &&Value| one["method"] == "credential.get";
    let row = |one: &Value| (one["principal"].clone(), one["uid"].clone(), one["outcome"].clone());
    page["entries"].as_array().unwrap().iter().filter(of_units).map(row).collect()
}

#[test]
fn another_user_is_refused_whatever_its_address_is() {
    let Some(unit) = Unit::new(Manager::System, "app.service") else { return };
    for manager in [Manager::System, Manager::User] {
        let (home, _daemon) = open_for_all(manager);
        assert_eq!(fetch(&home, None, Some(OTHER), &unit.address("x")), Fetched::Refused);
        // not even from within the unit's own control group
        assert_eq!(fetch(&home, Some(&unit), Some(OTHER), &unit.address("x")), Fetched::Refused);
        let denied = (json!("nobody"), json!(OTHER), json!("denied"));
        assert_eq!(outcomes(&home), [denied.clone(), denied]);
        let log = home.log();
        assert!(log.contains("who is no service manager asked for a credential"), "{log}");
        assert!(!log.contains("value-one") && !log.contains(&unit.name), "{log}");
    }
}

#[test]
fn root_itself_is_refused_outside_of_the_unit_that_its_address_names() {
    let Some(unit) = Unit::new(Manager::System, "app.service") else { return };
    let Some(other) = Unit::new(Manager::System, "other.service") else { return };
    let (home, _daemon) = open_for_all(Manager::System);
    assert_eq!(fetch(&home, None, None, &unit.address("x")), Fetched::Refused);
    assert_eq!(fetch(&home, Some(&other), None, &unit.address("x")), Fetched::Refused);
    assert_eq!(unit.fetch(&home, "x"), Fetched::value("value-one"));
    let refused = (json!("nobody"), json!(0), json!("denied"));
    let all = outcomes(&home);
    assert_eq!(all[..2], [refused.clone(), refused]);
    assert_eq!(all[2], (json!(format!("unit {}", unit.name)), json!(0), json!("ok")));
    assert!(
        home.log().contains("not in the control group of the unit that its address names"),
        "{}",
        home.log()
    );
}

#[test]
fn an_address_that_is_not_systemds_is_refused_even_to_the_unit() {
    let Some(unit) = Unit::new(Manager::System, "app.service") else { return };
    let (home, _daemon) = open_for_all(Manager::System);
    let name = &unit.name;
    for address in [
        format!("{}/unit/{name}", number()),
        format!("{}/unit/{name}/", number()),
        format!("{}/unit/{name}/..", number()),
        format!("{}/unit/{name}/a/b", number()),
        format!("{}/unit/{name}/a:b", number()),
        format!("{}/unit//x", number()),
        format!("{}/unit/../x", number()),
        format!("{}/system/{name}/x", number()),
        format!("{}{}/unit/{name}/x", "0".repeat(17), number()),
        format!("X{}/unit/{name}/x", number()),
    ] {
        assert_eq!(fetch(&home, Some(&unit), None, &address), Fetched::Refused, "{address}");
    }
    // the longest that fits into an address
    let address = unit.address("");
    let address = format!("{address}{}", "x".repeat(107 - address.len()));
    assert_eq!(fetch(&home, Some(&unit), None, &address), Fetched::value("value-one"));
}
