use super::*;
use std::fs;

fn home() -> (tempfile::TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().canonicalize().unwrap();
    (home, root)
}

fn refused(result: Result<Workspace, Stop>) -> (u8, String) {
    match result {
        Err(Stop::Failed(error)) => (error.name.exit_code(), error.message),
        _ => panic!("was not refused"),
    }
}

#[test]
fn a_workspace_is_made_once() {
    let (_home, root) = home();
    let made = Workspace::create(&root, "organization = 'acme'\n").unwrap();
    assert_eq!(made.digest, sha256(b"organization = 'acme'\n"));
    let (code, said) = refused(Workspace::create(&root, ""));
    assert!(code == 10 && said.ends_with("bursar.toml is there already"), "{said}");
    assert_eq!(Workspace::at(&root).unwrap().digest, made.digest);
}

#[test]
fn what_is_no_manifest_is_refused_by_size_text_and_kind() {
    let (_home, root) = home();
    let with = |bytes: &[u8]| {
        fs::write(root.join(MANIFEST), bytes).unwrap();
        Workspace::at(&root)
    };
    assert!(with(&vec![b'\n'; MANIFEST_MAX]).is_ok());
    assert_eq!(refused(with(&vec![b'\n'; MANIFEST_MAX + 1])), (2, "bursar.toml: over 256 KiB".into()));
    assert_eq!(refused(with(b"\x7fELF\0\0")).0, 2);
    assert_eq!(refused(with(b"a = '\xff'")), (2, "bursar.toml, line 1: no utf-8 text".into()));
    fs::remove_file(root.join(MANIFEST)).unwrap();
    fs::create_dir(root.join(MANIFEST)).unwrap();
    assert_eq!(refused(Workspace::at(&root)), (2, "bursar.toml is no plain file".into()));
}

#[test]
fn an_environment_is_said_or_set() {
    let (_home, root) = home();
    let workspace = Workspace::create(&root, "organization = 'acme'\n").unwrap();
    let said = |text: &str| workspace.environment(Some(text.parse().unwrap())).unwrap().to_string();
    assert_eq!((said("staging"), said("beta/x")), ("acme/staging".to_owned(), "beta/x".to_owned()));
    assert!(workspace.environment(None).is_err());
    fs::write(root.join(MANIFEST), "environment = 'a/stg'\n[environments]\nbeta = 's'").unwrap();
    let workspace = Workspace::at(&root).unwrap();
    let others = |said: &str| workspace.others(&said.parse().unwrap()).len();
    assert_eq!((others("a/stg"), others("a/prod")), (1, 0));
    fs::write(root.join(MANIFEST), "environment = 'x'").unwrap();
    assert_eq!(Workspace::at(&root).unwrap().environment(None).unwrap().to_string(), "x");
}

#[test]
fn the_config_of_the_agent_makes_no_workspace() {
    let (_home, root) = home();
    let (config, below) = (root.join("outer/config"), root.join("outer/config/below/deep"));
    let us = geteuid().as_raw();
    fs::create_dir_all(&below).unwrap();
    fs::write(config.join(MANIFEST), "").unwrap();
    assert_eq!(nearest(&below, None, us), Some(config.clone()));
    assert_eq!(nearest(&below, Some(&config), us), None);
    fs::write(root.join("outer").join(MANIFEST), "").unwrap();
    assert_eq!(nearest(&config, Some(&config), us), Some(root.join("outer")));
    fs::write(below.join(MANIFEST), "").unwrap();
    assert_eq!(nearest(&below, Some(&config), us), Some(below));

    std::os::unix::fs::symlink(&config, root.join("link")).unwrap();
    let surroundings = Surroundings { home: Some(root.join("link").into()), ..Surroundings::default() };
    assert_eq!(own_config(&surroundings), Some(config));
    assert_eq!(own_config(&Surroundings::default()), None);
}

#[test]
fn an_organization_has_its_own_environment_or_the_one_that_is_said_for_it() {
    let others = BTreeMap::from([("beta".parse().unwrap(), "beta/stage-2".parse().unwrap())]);
    for (home, organization, environment) in [
        ("acme/staging", "acme", Some("acme/staging")),
        ("acme/staging", "beta", Some("beta/stage-2")),
        ("beta/one", "beta", Some("beta/one")),
        ("acme/staging", "gamma", None),
        ("staging", "acme", None),
    ] {
        let found = environment_in(&organization.parse().unwrap(), &home.parse().unwrap(), &others);
        assert_eq!(found.map(|one| one.to_string()).as_deref(), environment, "{home} {organization}");
    }
}

#[test]
fn without_a_lock_nothing_is_pinned() {
    let (_home, root) = home();
    let workspace = Workspace::create(&root, "").unwrap();
    assert!(workspace.lock().unwrap().is_empty());
    fs::write(root.join(LOCK), "x").unwrap();
    assert!(Workspace::at(&root).unwrap().lock().is_err());
}

#[test]
fn what_was_read_must_still_be_there() {
    let (_home, root) = home();
    let workspace = Workspace::create(&root, "").unwrap();
    workspace.still_holds().unwrap();
    fs::write(root.join(LOCK), lock::write(&Lock::new())).unwrap();
    workspace.still_holds().unwrap();
    workspace.lock().unwrap();
    let refused = |path: &str| {
        let Err(Stop::Failed(error)) = workspace.still_holds() else { panic!("it was not refused") };
        let said = format!("{path} was changed by somebody else just now");
        assert_eq!((error.name.exit_code(), error.message), (10, said));
    };
    fs::remove_file(root.join(LOCK)).unwrap();
    refused(LOCK);
    fs::write(root.join(MANIFEST), "# mine").unwrap();
    refused(MANIFEST);
}

#[test]
fn what_another_user_put_above_makes_no_workspace() {
    let (_home, root) = home();
    let below = root.join("below");
    fs::create_dir(&below).unwrap();
    fs::write(root.join(MANIFEST), "").unwrap();
    let us = geteuid().as_raw();
    assert_eq!(nearest(&below, None, us), Some(root.clone()));
    let other = if geteuid().is_root() {
        std::os::unix::fs::chown(root.join(MANIFEST), Some(12_345), None).unwrap();
        us
    } else {
        us + 1
    };
    assert_eq!(nearest(&below, None, other), None);
    assert_eq!(nearest(&root, None, other), Some(root));
}
