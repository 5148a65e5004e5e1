use super::*;
use proptest::prelude::*;

const WHOLE: &str = r#"
organization = "acme"
environment = "staging"                # acme/staging

[environments]
beta = "stage-2"

[packages]
base = "1.2"
"beta/tools" = ">=2, <3"

[env]
NPM_TOKEN = "%npm-token%"

[library]
name = "site"
version = "1.2.0"

[library.elements]
API_TOKEN = { development = "api-dev", staging = "acme/api-stg" }
CDN_KEY = "acme/cdn-key"

[[library.files]]
template = "templates/npmrc.tmpl"
path = ".npmrc"

[[library.files]]
template = "templates/motd.tmpl"
path = "etc/motd"
mode = "0644"
"#;

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

fn refused(text: &str) -> (String, String) {
    match Manifest::read(text) {
        Err(Stop::Failed(error)) => (error.message, error.hint.unwrap_or_default()),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_whole_file_is_read_and_names_are_completed() {
    let manifest = Manifest::read(WHOLE).unwrap();
    assert_eq!(manifest.environment, Some(reference("acme/staging")));
    assert_eq!(manifest.environments.values().collect::<Vec<_>>(), [&reference("beta/stage-2")]);
    let packages: Vec<String> = manifest.packages.iter().map(|(name, req)| format!("{name} {req}")).collect();
    assert_eq!(packages, ["acme/base ^1.2", "beta/tools >=2, <3"]);
    assert_eq!(manifest.env["NPM_TOKEN"], "%npm-token%");
    let library = manifest.library.unwrap();
    assert_eq!(library.name, reference("acme/site"));
    assert_eq!(library.elements[&reference("CDN_KEY")], Definition::Uses(reference("acme/cdn-key")));
    let Definition::Defines(slots) = &library.elements[&reference("API_TOKEN")] else { panic!() };
    assert_eq!(
        (slots.development.clone(), slots.production.clone()),
        (Some(reference("acme/api-dev")), None)
    );
    assert_eq!(library.files.iter().map(|file| file.mode.to_string()).collect::<Vec<_>>(), ["0600", "0644"]);
}

#[test]
fn nothing_is_required() {
    assert_eq!(Manifest::read("").unwrap(), Manifest::default());
    assert_eq!(Manifest::read("[packages]\nsite = '*'\n").unwrap().packages.len(), 1);
}

#[test]
fn an_unknown_key_is_named_with_the_one_that_was_meant() {
    for (text, message, hint) in [
        ("\n[packges]\n", "bursar.toml, line 2: unknown key packges", "did you mean: packages"),
        (
            "x = 1",
            "bursar.toml, line 1: unknown key x",
            "known there: organization, environment, environments",
        ),
        (
            "[library]\nname = 'a'\nverison = '1.0.0'",
            "bursar.toml, line 3: unknown key verison in [library]",
            "did you mean: version",
        ),
        (
            "library.name = 'a/b'\n[library.elements]\nx = { stagin = 'y' }",
            "bursar.toml, line 3: unknown key stagin in [library.elements.x]",
            "did you mean: staging",
        ),
        (
            "[[library.files]]\ntemplate = 'a'\npath = 'b'\nmod = '0600'\n[library]\nname = 'x'",
            "bursar.toml, line 4: unknown key mod in [library.files.1]",
            "did you mean: mode",
        ),
    ] {
        let (said, hinted) = refused(text);
        assert_eq!(said, message, "{text}");
        assert!(hinted.starts_with(hint), "{hinted}");
    }
}

#[test]
fn a_fault_names_key_and_line() {
    for (text, message) in [
        ("organization = 1", "line 1: organization: expected a text, found a number"),
        ("packages = 'x'", "line 1: packages: expected a table, found a text"),
        ("[packages]\n\n'acme/x' = '1..2'", "line 3: packages.acme/x: expected a version requirement"),
        ("[packages]\n'a b' = '1'", "line 2: packages.(a key): a name has 1 to 100"),
        (
            "organization = 'acme'\n[packages]\nx = '1'\n'acme/x' = '1'",
            "line 4: packages.acme/x: the package is named twice",
        ),
        (
            "[environments]\nbeta = 'acme/x'",
            "line 2: environments.beta: an environment of beta is expected here",
        ),
        ("[library]\nversion = '1.0.0'", "line 1: library.name is missing"),
        ("[library]\nname = 'x'\nversion = '1.0'", "line 3: library.version: expected a version: MAJOR"),
        (
            "[library]\nname = 'x'\nfiles = 1",
            "line 3: library.files: expected a list of tables, found a number",
        ),
        (
            "[library]\nname = 'x'\nfiles = [{ template = 'a', path = '../x' }]",
            "line 3: library.files.1.path: the path leaves",
        ),
        (
            "[library]\nname = 'x'\nfiles = [{ template = '/a', path = 'x' }]",
            "line 3: library.files.1.template: the path leaves",
        ),
        (
            "[library]\nname = 'x'\nfiles = [{ template = 'a', path = 'x', mode = '0999' }]",
            "line 3: library.files.1.mode: a mode has",
        ),
        (
            "[library]\nname = 'x'\nfiles = [{ template = 'a', path = 'x' },\n{ template = 'a', path = 'x/y' }]",
            "line 4: library.files.2.path: clashes with the file x",
        ),
        (
            "[library.elements]\nx = 7\n[library]\nname = 'x'",
            "line 2: library.elements.x: expected a table, found a number",
        ),
        ("a = \n", "line 1: "),
        ("[env]\n'A=B' = 'x'", "line 2: env.(a key): a variable's name"),
        ("[env]\nA = ''\n'' = 'x'", "line 3: env.(a key): a variable's name"),
    ] {
        let (said, _) = refused(text);
        assert!(said.starts_with(&format!("bursar.toml, {message}")), "{text}: {said}");
    }
}

#[test]
fn a_fault_in_env_does_not_repeat_its_value() {
    for value in ["%Hunter2 x", "Hunter2%", "%Hunter2 !%"] {
        let (said, _) = refused(&format!("[env]\nA = '{value}'"));
        assert!(said.starts_with("bursar.toml, line 2: env.A: in the template, line 1, column "), "{said}");
        assert!(!said.contains("unter2"), "{said}");
    }
    for text in ["[env]\nA = Hunter2", "[env]\nA = 'Hunter2", "[env]\nA = \"\\Hunter2\"", "[env]\nHunter2!"] {
        let (said, hint) = refused(text);
        assert!(!said.contains("unter2") && !hint.contains("unter2"), "{said}");
    }
}

#[test]
fn elements_and_files_are_bounded() {
    let many = |count: usize| {
        let lines: Vec<String> = (0..count).map(|at| format!("e{at} = 'x'")).collect();
        format!("[library]\nname = 'x'\n[library.elements]\n{}", lines.join("\n"))
    };
    assert!(Manifest::read(&many(ELEMENTS_MAX)).is_ok());
    assert!(refused(&many(ELEMENTS_MAX + 1)).0.contains("at most 1000 elements"));
    let files = |count: usize| {
        let lines: Vec<String> =
            (0..count).map(|at| format!("{{ template = 't', path = 'p{at}' }}")).collect();
        format!("[library]\nname = 'x'\nfiles = [{}]", lines.join(", "))
    };
    assert!(Manifest::read(&files(PACKAGE_FILES_MAX)).is_ok());
    assert!(refused(&files(PACKAGE_FILES_MAX + 1)).0.contains("at most 100 files"));
}

#[test]
fn deep_nesting_is_refused() {
    assert!(Manifest::read(&format!("x = {}", "[".repeat(10_000))).is_err());
    assert!(Manifest::read(&format!("x = {}1", "{ a = ".repeat(10_000))).is_err());
}

proptest! {
    #[test]
    fn no_text_panics(text in "[\\PC\n]{0,200}") {
        let _ = Manifest::read(&text);
    }

    #[test]
    fn no_damage_to_a_good_file_panics(at in 0..WHOLE.len(), length in 0..40_usize, put in "[\\PC\n\"'=\\[{]{0,4}") {
        let mut text = WHOLE.to_owned();
        text.replace_range(at..(at + length).min(WHOLE.len()), &put);
        let _ = Manifest::read(&text);
    }
}
