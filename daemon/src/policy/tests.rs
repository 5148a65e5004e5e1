//! The rules of the table, for each principal.

use super::*;
use bursar_proto::kind::Stage;
use proptest::prelude::*;
use serde_json::json;

/// A call that takes something, and is about nothing but its places.
struct Taking(Needs);

impl Asks for Taking {
    fn needs(&self) -> Needs {
        self.0
    }
}

const ALL_NEEDS: [Needs; 6] =
    [Needs::Anyone, Needs::Viewer, Needs::User, Needs::Contributor, Needs::Owner, Needs::Own];

/// What it makes no difference for whether a rule of the config or a client secret gives a role.
const OF_ROLES: [Needs; 4] = [Needs::Viewer, Needs::Contributor, Needs::Owner, Needs::Own];

fn organization(name: &str) -> OrganizationName {
    name.parse().unwrap()
}

fn qualified(name: &str) -> Qualified {
    name.parse().unwrap()
}

fn public_id(number: u64) -> PublicId {
    PublicId::from_random((number << 14).to_be_bytes())
}

/// A grant for an organization, or for one of its environments (`acme/staging`), by client secret number 1.
fn grant(role: Role, place: &str) -> Grant {
    let environment = place.contains('/').then(|| Some(qualified(place)));
    let name = place.split('/').next().unwrap();
    let by = GrantedBy::Secret(public_id(1));
    Grant { organization: organization(name), environment, role, by, lapse: None }
}

fn viewer(place: &str) -> Grant {
    grant(Role::Viewer, place)
}

fn contributor(place: &str) -> Grant {
    grant(Role::Contributor, place)
}

fn by(number: u64, grant: Grant) -> Grant {
    Grant { by: GrantedBy::Secret(public_id(number)), ..grant }
}

fn expired(grant: Grant) -> Grant {
    Grant { lapse: Some(Lapse::Expired(Timestamp::from_seconds(0))), ..grant }
}

fn revoked(grant: Grant) -> Grant {
    Grant { lapse: Some(Lapse::Revoked(Timestamp::from_seconds(0))), ..grant }
}

fn of(name: &str) -> Place {
    Place::Organization(organization(name))
}

fn within(name: &str) -> Place {
    Place::Environment(qualified(name))
}

fn stage(name: &str, stage: Stage, only: Option<&str>) -> Place {
    Place::Stage(organization(name), stage, only.map(qualified))
}

fn some_of(name: &str) -> Place {
    Place::SomeEnvironment(organization(name))
}

const ALLOWED: &str = "allowed";

/// `allowed`, or the name of the refusal.
fn told(principal: &Principal, needs: Needs, places: &[Place]) -> &'static str {
    Policy::authorize(principal, Taking(needs), places)
        .map_or_else(|refused| refused.name.as_str(), |_| ALLOWED)
}

/// The same for whoever has these grants, and it makes no difference what gives them.
fn of_grants(grants: &[Grant], needs: Needs, places: &[Place]) -> &'static str {
    let by_secrets = told(&Principal::Secrets(grants.into()), needs, places);
    let by_rules = told(&Principal::Admitted(grants.into()), needs, places);
    assert_eq!(by_secrets, by_rules, "{grants:?}: {needs:?} in {places:?}");
    by_secrets
}

/// The refusal of what takes a role.
fn refusal(grants: &[Grant], needs: Needs, places: &[Place]) -> CallError {
    Policy::authorize(&Principal::Secrets(grants.into()), Taking(needs), places).err().unwrap()
}

#[test]
fn the_table_has_every_method_once() {
    let mut rows: Vec<_> = TABLE.iter().map(|(method, _)| *method).collect();
    let mut methods = Call::METHODS.to_vec();
    rows.sort_unstable();
    methods.sort_unstable();
    assert_eq!(rows, methods);
}

#[test]
fn what_goes_a_way_of_its_own_takes_what_its_row_says() {
    let row = |name| TABLE.iter().find(|(method, _)| *method == name).unwrap().1;
    assert_eq!(call::ArtifactWatch { secret: None }.needs(), row("artifact.watch"));
    assert_eq!(call::AuditWatch { secret: None, client_secret: None }.needs(), row("audit.watch"));
    assert_eq!(call::QuickGet { secret: "t", min_validity: None }.needs(), row("artifact.get"));
}

#[test]
fn only_the_own_user_names_files_for_the_daemon() {
    let unlock = |params: &str| Call::decode("vault.unlock", Some(params)).unwrap().unwrap().needs();
    assert_eq!(unlock("{}"), Needs::Owner);
    assert_eq!(unlock(r#"{"passphrase":"a passphrase"}"#), Needs::Owner);
    assert_eq!(unlock(r#"{"key_file":"/etc/shadow"}"#), Needs::Own);
    for (method, params) in [
        ("vault.init", r#"{"key_file":"/etc/shadow"}"#),
        ("vault.backup", r#"{"file":"/root/.bashrc"}"#),
        ("vault.restore", r#"{"file":"/root/.bashrc"}"#),
    ] {
        assert_eq!(Call::decode(method, Some(params)).unwrap().unwrap().needs(), Needs::Own, "{method}");
    }
}

#[test]
fn only_owners_have_a_person_asked_and_name_the_client_by_which_that_is_done() {
    let redirect = "http://127.0.0.1:1/oauth2/callback?code=c&state=s";
    for (method, params, about) in [
        ("secret.reauthorize", json!({ "secret": "x" }), None),
        ("secret.authorize", json!({ "secret": "x", "redirect": redirect }), None),
        (
            "issuer.configure",
            json!({ "issuer": "google", "client_id": "i", "client_secret": "s" }),
            Some("google"),
        ),
        ("issuer.show", json!({ "issuer": "google" }), Some("google")),
    ] {
        let call = Call::decode(method, Some(&params.to_string())).unwrap().unwrap();
        assert_eq!(call.needs(), Needs::Owner, "{method}");
        let subject = Subject::of(&call, &organization("acme"), None);
        assert_eq!(subject.told.as_deref(), about, "{method}");
        // which is all that the record of accesses tells: no address, no client
        assert_eq!(subject.secret, about.is_none().then(|| qualified("acme/x")), "{method}");
        assert!(subject.places.is_empty(), "{method}");
    }
}

#[test]
fn who_has_no_role_gets_what_takes_none() {
    let nowhere: &[Place] = &[];
    for places in [nowhere, &[of("acme")], &[within("acme/staging"), of("globex")]] {
        let row = |principal: &Principal| ALL_NEEDS.map(|needs| told(principal, needs, places));
        assert_eq!(row(&Principal::Own), [ALLOWED; 6]);
        assert_eq!(row(&Principal::Owner), [ALLOWED, ALLOWED, ALLOWED, ALLOWED, ALLOWED, "denied"]);
        for nothing in [Principal::Admitted([].into()), Principal::Secrets([].into())] {
            assert_eq!(row(&nothing), [ALLOWED, "denied", "denied", "denied", "denied", "denied"]);
        }
        assert_eq!(row(&Principal::Stranger), ["denied"; 6]);
    }
}

#[test]
fn no_role_is_as_good_as_being_an_owner() {
    let all = [contributor("acme"), contributor("globex"), contributor("acme/staging")];
    for place in [of("acme"), within("acme/staging"), some_of("acme"), Place::Anywhere] {
        for needs in [Needs::Owner, Needs::Own] {
            assert_eq!(
                of_grants(&all, needs, std::slice::from_ref(&place)),
                "denied",
                "{needs:?} in {place}"
            );
        }
        assert_eq!(of_grants(&all, Needs::Anyone, &[place]), ALLOWED);
    }
}

#[test]
fn a_role_reaches_its_organization_and_its_environment_alone() {
    const OUT: &str = "wrong_organization";
    const BESIDE: &str = "wrong_environment";
    let is_staging = || stage("acme", Stage::Staging, Some("acme/staging"));
    let no_single = || stage("acme", Stage::Staging, None);
    // for all of acme, for one environment of it, for one that is gone, for another organization with the same names
    let reach = |place: Place, [whole, one, gone, other]: [&'static str; 4]| {
        let gone_grant = |role| Grant { environment: Some(None), ..grant(role, "acme") };
        let places = [place];
        for role in [Role::Viewer, Role::Contributor] {
            let of_role = |grant: Grant| of_grants(&[grant], Needs::Viewer, &places);
            assert_eq!(of_role(grant(role, "acme")), whole, "{places:?}");
            assert_eq!(of_role(grant(role, "acme/staging")), one, "{places:?}");
            assert_eq!(of_role(gone_grant(role)), gone, "{places:?}");
            assert_eq!(of_role(grant(role, "globex")), other, "{places:?}");
            assert_eq!(of_role(grant(role, "globex/staging")), other, "{places:?}");
        }
    };
    reach(Place::Anywhere, [ALLOWED, ALLOWED, ALLOWED, ALLOWED]);
    reach(of("acme"), [ALLOWED, ALLOWED, ALLOWED, OUT]);
    reach(of("nowhere"), [OUT, OUT, OUT, OUT]);
    reach(within("acme/staging"), [ALLOWED, ALLOWED, BESIDE, OUT]);
    reach(within("acme/production"), [ALLOWED, BESIDE, BESIDE, OUT]);
    reach(within("acme/nowhere"), [ALLOWED, BESIDE, BESIDE, OUT]);
    reach(is_staging(), [ALLOWED, ALLOWED, BESIDE, OUT]);
    reach(stage("acme", Stage::Production, Some("acme/production")), [ALLOWED, BESIDE, BESIDE, OUT]);
    reach(no_single(), [ALLOWED, BESIDE, BESIDE, OUT]);
    reach(some_of("acme"), [ALLOWED, BESIDE, BESIDE, OUT]);
}

#[test]
fn a_contributor_may_what_a_viewer_may_and_not_the_other_way() {
    for place in [Place::Anywhere, of("acme"), within("acme/staging"), some_of("acme")] {
        let places = [place];
        assert_eq!(of_grants(&[contributor("acme")], Needs::Viewer, &places), ALLOWED);
        assert_eq!(of_grants(&[contributor("acme")], Needs::Contributor, &places), ALLOWED);
        assert_eq!(of_grants(&[viewer("acme")], Needs::Contributor, &places), "wrong_role");
    }
    // a wrong role elsewhere is a wrong organization: the place is looked at first
    assert_eq!(of_grants(&[viewer("acme")], Needs::Contributor, &[of("globex")]), "wrong_organization");
    let beside = [within("acme/production")];
    assert_eq!(of_grants(&[viewer("acme/staging")], Needs::Contributor, &beside), "wrong_environment");
}

#[test]
fn what_is_a_users_to_say_takes_a_role_by_the_config() {
    for role in [viewer("acme"), contributor("acme/staging")] {
        assert_eq!(told(&Principal::Admitted([role.clone()].into()), Needs::User, &[]), ALLOWED);
        assert_eq!(told(&Principal::Secrets([role].into()), Needs::User, &[]), "denied");
    }
    let elsewhere = Principal::Admitted([viewer("globex")].into());
    assert_eq!(told(&elsewhere, Needs::User, &[of("acme")]), "wrong_organization");
}

#[test]
fn what_lapsed_allows_nothing_and_its_end_is_told_only_where_it_would_have_done() {
    let acme = [of("acme")];
    for (ended, name) in [
        (expired(contributor("acme")), "client_secret_expired"),
        (revoked(contributor("acme")), "client_secret_revoked"),
    ] {
        let one = [ended];
        assert_eq!(of_grants(&one, Needs::Viewer, &acme), name);
        assert_eq!(of_grants(&one, Needs::Contributor, &acme), name);
        assert_eq!(of_grants(&one, Needs::Viewer, &[]), name);
        assert_eq!(of_grants(&one, Needs::Owner, &acme), "denied");
        assert_eq!(of_grants(&one, Needs::Anyone, &acme), ALLOWED);
        assert_eq!(of_grants(&one, Needs::Viewer, &[of("globex")]), "wrong_organization");
    }
    assert_eq!(of_grants(&[revoked(viewer("acme"))], Needs::Contributor, &acme), "wrong_role");
    let both = [expired(viewer("acme")), viewer("acme")];
    assert_eq!(of_grants(&both, Needs::Viewer, &acme), ALLOWED, "one that counts is enough");
}

#[test]
fn a_refusal_names_the_client_secret_and_why() {
    let acme = [of("acme")];
    let id = public_id(1);
    let told = |grant: Grant, needs, places: &[Place]| refusal(&[grant], needs, places).message;
    assert_eq!(
        told(viewer("globex"), Needs::Viewer, &acme),
        format!("client secret {id} is for globex, not for acme")
    );
    assert_eq!(
        told(viewer("acme/staging"), Needs::Viewer, &[within("acme/production")]),
        format!("client secret {id} is for acme/staging, not for acme/production")
    );
    let gone = Grant { environment: Some(None), ..viewer("acme") };
    assert_eq!(
        told(gone, Needs::Viewer, &[within("acme/staging")]),
        format!("client secret {id} is for an environment that is gone")
    );
    assert_eq!(
        told(viewer("acme"), Needs::Contributor, &acme),
        format!("client secret {id} has the role viewer in acme, and this takes the role contributor")
    );
    assert_eq!(
        told(expired(viewer("acme")), Needs::Viewer, &acme),
        format!("client secret {id} expired at 1970-01-01T00:00:00Z")
    );
    assert_eq!(
        told(revoked(viewer("acme")), Needs::Viewer, &acme),
        format!("client secret {id} was revoked at 1970-01-01T00:00:00Z")
    );
    let rule = Grant { by: GrantedBy::Rule("unit deploy.service".into()), ..viewer("globex") };
    assert_eq!(told(rule, Needs::Viewer, &acme), "unit deploy.service is for globex, not for acme");
}

#[test]
fn of_several_the_one_that_came_nearest_is_told_first() {
    let places = [within("acme/production")];
    // from the farthest to the nearest
    let steps = [
        (viewer("globex"), "wrong_organization"),
        (contributor("acme/staging"), "wrong_environment"),
        (viewer("acme/production"), "wrong_role"),
        (expired(contributor("acme")), "client_secret_expired"),
        (revoked(contributor("acme")), "client_secret_revoked"),
    ];
    let numbered = (1..).zip(steps).map(|(number, (grant, name))| (by(number, grant), name));
    let (grants, names): (Vec<_>, Vec<_>) = numbered.unzip();
    for nearest in 0..grants.len() {
        let mut those = grants[..=nearest].to_vec();
        for _ in 0..those.len() {
            those.rotate_left(1);
            let error = refusal(&those, Needs::Contributor, &places);
            assert_eq!(error.name.as_str(), names[nearest], "{those:?}");
            let first = u64::try_from(nearest).unwrap() + 1;
            let begins = format!("client secret {} ", public_id(first));
            assert!(error.message.starts_with(&begins), "{} begins with {begins}", error.message);
            assert!(error.hint.is_some());
        }
    }
    assert_eq!(
        of_grants(&[grants, vec![contributor("acme")]].concat(), Needs::Contributor, &places),
        ALLOWED
    );
}

#[test]
fn a_refusal_tells_of_a_few_and_counts_the_rest() {
    let grants: Vec<_> = (1..=6).map(|number| by(number, viewer("globex"))).collect();
    let message = refusal(&grants, Needs::Viewer, &[of("acme")]).message;
    let told = (1..=6).filter(|number| message.contains(public_id(*number).as_str())).count();
    assert_eq!(told, REASONS_MAX, "{message}");
    assert!(message.ends_with("; and 2 more do not fit"), "{message}");
    let few = refusal(&grants[..REASONS_MAX], Needs::Viewer, &[of("acme")]).message;
    assert!(!few.contains("more"), "{few}");
}

#[test]
fn a_right_is_needed_in_every_place() {
    let both = [of("acme"), of("globex")];
    assert_eq!(of_grants(&[viewer("acme")], Needs::Viewer, &both), "wrong_organization");
    assert_eq!(of_grants(&[viewer("acme"), viewer("globex")], Needs::Viewer, &both), ALLOWED);
    let roles = [contributor("acme"), viewer("globex")];
    assert_eq!(of_grants(&roles, Needs::Contributor, &both), "wrong_role");
    assert_eq!(
        refusal(&roles, Needs::Contributor, &both).message,
        format!(
            "client secret {0} has the role viewer in globex, and this takes the role contributor; \
             client secret {0} is for acme, not for globex",
            public_id(1)
        )
    );
}

#[test]
fn what_is_about_no_place_takes_a_right_in_any() {
    for places in [&[][..], &[Place::Anywhere]] {
        assert_eq!(of_grants(&[viewer("globex/staging")], Needs::Viewer, places), ALLOWED);
        assert_eq!(of_grants(&[viewer("globex")], Needs::Contributor, places), "wrong_role");
        assert_eq!(of_grants(&[expired(viewer("globex"))], Needs::Viewer, places), "client_secret_expired");
        assert_eq!(of_grants(&[], Needs::Viewer, places), "denied");
    }
}

#[test]
fn a_stage_is_refused_alike_whatever_it_stands_for() {
    for grant in [viewer("globex"), viewer("acme/staging")] {
        let refused = |only| {
            refusal(std::slice::from_ref(&grant), Needs::Viewer, &[stage("acme", Stage::Production, only)])
        };
        let [there, missing] = [refused(Some("acme/our-secret-name")), refused(None)];
        assert_eq!(
            (there.name, &there.message, &there.hint),
            (missing.name, &missing.message, &missing.hint)
        );
        assert!(there.message.ends_with("not for production of acme"), "{}", there.message);
    }
}

#[test]
fn what_allowed_a_call_is_known_afterwards() {
    let allowed_by = |principal: &Principal, needs, places: &[Place]| {
        Policy::authorize(principal, Taking(needs), places).ok().unwrap().by().cloned()
    };
    let grants = Principal::Secrets(
        [
            by(1, viewer("globex")),
            by(2, expired(viewer("acme"))),
            by(3, viewer("acme")),
            by(4, viewer("acme")),
        ]
        .into(),
    );
    let secret = |number| Some(GrantedBy::Secret(public_id(number)));
    assert_eq!(allowed_by(&grants, Needs::Viewer, &[of("acme")]), secret(3));
    assert_eq!(
        allowed_by(&grants, Needs::Viewer, &[of("acme"), of("globex")]),
        secret(3),
        "the first place's"
    );
    assert_eq!(allowed_by(&grants, Needs::Viewer, &[]), secret(1));
    assert_eq!(allowed_by(&grants, Needs::Anyone, &[of("acme")]), None);
    assert_eq!(allowed_by(&Principal::Own, Needs::Own, &[of("acme")]), None);
    assert_eq!(allowed_by(&Principal::Owner, Needs::Viewer, &[of("acme")]), None);
}

#[test]
fn answers_hold_what_belongs_to_the_organizations_of_the_rights() {
    let acme = organization("acme");
    let with = |grants: &[Grant]| [Principal::Secrets(grants.into()), Principal::Admitted(grants.into())];
    for principal in [Principal::Own, Principal::Owner] {
        assert!(principal.sees(&acme) && principal.owns() && principal.has_rights());
    }
    assert!(
        !Principal::Stranger.sees(&acme) && !Principal::Stranger.owns() && !Principal::Stranger.has_rights()
    );
    for principal in with(&[]) {
        assert!(!principal.sees(&acme) && !principal.owns() && !principal.has_rights());
    }
    for grant in [viewer("acme"), contributor("acme"), viewer("acme/staging")] {
        for principal in with(&[expired(viewer("acme")), grant]) {
            assert!(principal.sees(&acme) && !principal.sees(&organization("globex")), "{principal:?}");
            assert!(principal.has_rights() && !principal.owns());
        }
    }
    for grant in [expired(viewer("acme")), revoked(contributor("acme")), viewer("globex")] {
        for principal in with(&[grant]) {
            assert!(!principal.sees(&acme), "{principal:?}");
        }
    }
}

const PLACES: [&str; 6] =
    ["acme", "acme/staging", "acme/production", "globex", "globex/staging", "globex/production"];

fn any_grant() -> impl Strategy<Value = Grant> {
    let role = prop_oneof![Just(Role::Viewer), Just(Role::Contributor)];
    let place = prop::sample::select(&PLACES[..]);
    (role, place, 0..8, 0..4).prop_map(|(role, place, gone, lapse)| {
        let grant = grant(role, place);
        let grant = if gone == 0 { Grant { environment: Some(None), ..grant } } else { grant };
        match lapse {
            0 => expired(grant),
            1 => revoked(grant),
            _ => grant,
        }
    })
}

fn any_place() -> impl Strategy<Value = Place> {
    let place = prop::sample::select(&PLACES[..]);
    (place, 0..4).prop_map(|(place, kind)| {
        let name = place.split('/').next().unwrap();
        match (place.contains('/'), kind) {
            (true, 0) => stage(name, Stage::Staging, Some(place)),
            (true, _) => within(place),
            (false, 0) => some_of(name),
            (false, 1) => stage(name, Stage::Staging, None),
            (false, 2) => Place::Anywhere,
            (false, _) => of(name),
        }
    })
}

proptest! {
    #[test]
    fn grants_together_give_what_each_gives_alone_and_no_more(
        grants in prop::collection::vec(any_grant(), 0..6),
        places in prop::collection::vec(any_place(), 0..4),
        needs in prop::sample::select(&OF_ROLES[..]),
    ) {
        let each = if places.is_empty() { vec![Place::Anywhere] } else { places.clone() };
        let alone = |place: &Place, grant: &Grant| {
            of_grants(std::slice::from_ref(grant), needs, std::slice::from_ref(place)) == ALLOWED
        };
        let expected = each.iter().all(|place| grants.iter().any(|grant| alone(place, grant)));
        prop_assert_eq!(of_grants(&grants, needs, &places) == ALLOWED, expected);
    }

    #[test]
    fn a_grant_that_lapsed_adds_nothing(
        grants in prop::collection::vec(any_grant(), 0..6),
        places in prop::collection::vec(any_place(), 0..4),
        needs in prop::sample::select(&OF_ROLES[..]),
    ) {
        let counting: Vec<_> = grants.iter().filter(|grant| grant.lapse.is_none()).cloned().collect();
        let with = of_grants(&grants, needs, &places);
        prop_assert_eq!(with == ALLOWED, of_grants(&counting, needs, &places) == ALLOWED);
    }

    #[test]
    fn whoever_is_allowed_in_an_organization_sees_it(grants in prop::collection::vec(any_grant(), 0..6)) {
        let principal = Principal::Secrets(grants.into());
        for name in ["acme", "globex"] {
            let allowed = told(&principal, Needs::Viewer, &[of(name)]) == ALLOWED;
            prop_assert_eq!(principal.sees(&organization(name)), allowed);
        }
    }
}
