//! The rules of `[access]`, read and applied.

use super::*;

fn read(text: &str) -> Result<Access, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}

fn peer(uid: u32, gid: u32) -> Facts {
    Facts { uid, gid, ..Facts::default() }
}

/// The roles that a process gets, in words; `None` for one that is not let in, or is an owner.
fn roles_of(access: &Access, peer: &Facts) -> Option<Vec<String>> {
    let Principal::Admitted(grants) = access.principal(peer) else { return None };
    let tell = |grant: &Grant| {
        let GrantedBy::Rule(rule) = &grant.by else { panic!("{grant:?}") };
        let environment = grant.environment.as_ref().map(|there| there.as_ref().unwrap().to_string());
        let place = environment.unwrap_or(grant.organization.to_string());
        format!("{} of {place} by {rule}", grant.role)
    };
    Some(grants.iter().map(tell).collect())
}

#[test]
fn without_rules_everybody_is_a_stranger_and_nothing_is_looked_up() {
    let access = read("").unwrap();
    assert_eq!(access, Access::default());
    assert_eq!(access.principal(&peer(0, 0)), Principal::Stranger);
    assert!(!access.asks_the_process());
}

#[test]
fn only_groups_and_units_need_a_look_at_the_process() {
    for (rule, asks) in [("uid 5", false), ("user root", false), ("gid 5", true), ("unit a.service", true)] {
        assert_eq!(read(&format!("admit = ['{rule}']")).unwrap().asks_the_process(), asks, "{rule}");
    }
    assert!(read("owners = ['uid 5', 'group root']").unwrap().asks_the_process());
    let role = "[[roles]]\nwho = 'unit a.service'\norganization = 'acme'\nrole = 'viewer'";
    assert!(read(role).unwrap().asks_the_process());
}

#[test]
fn an_owner_needs_no_role_and_a_role_needs_no_admission() {
    let access = read(
        "owners = ['uid 7', 'gid 70']
         admit = ['gid 80']
         [[roles]]
         who = 'uid 7'
         organization = 'acme'
         role = 'viewer'
         [[roles]]
         who = 'uid 8'
         organization = 'acme'
         role = 'viewer'",
    )
    .unwrap();
    assert_eq!(access.principal(&peer(7, 1)), Principal::Owner);
    assert_eq!(access.principal(&peer(1, 70)), Principal::Owner);
    assert_eq!(access.principal(&peer(70, 7)), Principal::Stranger);
    assert_eq!(roles_of(&access, &peer(8, 1)), Some(vec!["viewer of acme by uid 8".to_owned()]));
    assert_eq!(roles_of(&access, &peer(1, 80)), Some(vec![]));
    assert_eq!(access.principal(&peer(1, 1)), Principal::Stranger);
}

#[test]
fn a_supplementary_group_counts_like_the_first() {
    let access = read("owners = ['gid 70']").unwrap();
    let member = Facts { groups: vec![4, 70], ..peer(1, 1) };
    assert_eq!(access.principal(&member), Principal::Owner);
    let other = Facts { groups: vec![4, 71], ..peer(70, 1) };
    assert_eq!(access.principal(&other), Principal::Stranger);
}

#[test]
fn the_roles_of_all_rules_that_match_add_up() {
    let access = read(
        r"[[roles]]
          who = 'unit web@blue.service'
          organization = 'acme'
          environment = 'staging'
          role = 'viewer'
          [[roles]]
          who = 'uid 33'
          organization = 'other'
          role = 'contributor'
          [[roles]]
          who = 'unit web@green.service'
          organization = 'acme'
          environment = 'acme/production'
          role = 'viewer'",
    )
    .unwrap();
    let blue = Facts { unit: Some("web@blue.service".to_owned()), ..peer(33, 33) };
    let expected = ["viewer of acme/staging by unit web@blue.service", "contributor of other by uid 33"];
    assert_eq!(roles_of(&access, &blue).unwrap(), expected);
    let green = Facts { unit: Some("web@green.service".to_owned()), ..peer(34, 33) };
    assert_eq!(roles_of(&access, &green).unwrap(), ["viewer of acme/production by unit web@green.service"]);
    let near = Facts { unit: Some("web@green.service.service".to_owned()), ..peer(34, 33) };
    assert_eq!(access.principal(&near), Principal::Stranger);
}

#[test]
fn names_are_looked_up() {
    let access = read("owners = ['user root']\nadmit = ['group root']").unwrap();
    assert_eq!(access.principal(&peer(0, 5)), Principal::Owner);
    assert_eq!(roles_of(&access, &peer(5, 0)), Some(vec![]));
}

#[test]
fn a_word_that_means_nobody_is_told_with_its_key() {
    for (word, expected) in [
        ("user no-such-user-here", "there is no user no-such-user-here on this machine"),
        ("group no such group", "there is no group no such group on this machine"),
        ("uid -1", "a number from 0"),
        ("uid 4294967295", "a number from 0"),
        ("gid 4294967296", "a number from 0"),
        ("uid 1a", "a number from 0"),
        ("uid 65534", "shown for everybody"),
        ("gid 65534", "shown for everybody"),
        ("33", "expected `uid N`"),
        ("UID 33", "expected `uid N`"),
        ("uid  33", "no blank"),
        ("uid ", "a name has 1 to 255"),
        ("unit nginx", "a unit is NAME.service"),
        ("unit .service", "a unit is NAME.service"),
        ("unit ../x.service", "a unit is NAME.service"),
        ("unit run-7.scope", "a unit is NAME.service"),
    ] {
        for key in ["owners", "admit"] {
            let told = read(&format!("{key} = ['uid 1', '{word}']")).unwrap_err();
            assert!(told.contains(expected) && told.contains(&format!("access.{key}: ")), "{told}");
        }
        let rule = format!("[[roles]]\nwho = '{word}'\norganization = 'acme'\nrole = 'viewer'");
        let told = read(&rule).unwrap_err();
        assert!(told.contains(expected) && told.contains("access.roles.who: "), "{told}");
    }
}

#[test]
fn a_name_with_control_characters_is_not_repeated() {
    let told = read("owners = [\"user a\\u001b[31m\"]").unwrap_err();
    assert!(told.contains("no control character") && !told.contains('\u{1b}'), "{told}");
}

#[test]
fn a_unit_owns_nothing() {
    let told = read("owners = ['unit nginx.service']").unwrap_err();
    assert!(told.contains("access.owners: a unit cannot be an owner"), "{told}");
}

#[test]
fn a_role_stays_in_its_organization() {
    let rule = |more: &str| format!("[[roles]]\nwho = 'uid 1'\norganization = 'acme'\n{more}");
    for (more, expected) in [
        ("role = 'owner'", "expected `viewer` or `contributor`"),
        ("role = 'viewer'\nenvironment = 'other/staging'", "another organization"),
        ("role = 'viewer'\nenvironment = '-x'", "a name has 1 to 100"),
        ("role = 'viewer'\nstage = 'staging'", "unknown field"),
        ("", "missing field `role`"),
    ] {
        let told = read(&rule(more)).unwrap_err();
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn the_number_of_rules_is_bounded() {
    let rules = |count: usize| format!("admit = [{}]", "'uid 1',".repeat(count));
    assert!(read(&rules(RULES_MAX)).is_ok());
    assert!(read(&rules(RULES_MAX + 1)).unwrap_err().contains("access.admit: at most 256 entries"));
    let role = "[[roles]]\nwho = 'uid 1'\norganization = 'acme'\nrole = 'viewer'\n";
    assert!(read(&role.repeat(RULES_MAX)).is_ok());
    assert!(read(&role.repeat(RULES_MAX + 1)).unwrap_err().contains("access.roles: at most 256 entries"));
}
