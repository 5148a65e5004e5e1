//! What the config may say, and what becomes of files and requests.

use super::turn::Renderer;
use super::*;
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use tempfile::TempDir;

#[derive(Debug, serde::Deserialize)]
struct File {
    #[serde(default, deserialize_with = "renders")]
    render: Vec<Render>,
}

fn read(text: &str) -> Result<Vec<Render>, String> {
    toml::from_str::<File>(text).map(|file| file.render).map_err(|error| error.to_string())
}

/// A runtime directory in memory.
fn runtime() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}

fn names(path: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(path) else { return BTreeSet::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Takes the requests, as `bursar-reload.service` does.
fn taken(runtime: &Path) -> BTreeSet<String> {
    let units = names(&requests(runtime));
    for unit in &units {
        fs::remove_file(requests(runtime).join(unit)).unwrap();
    }
    units
}

/// What each file becomes, and what was recorded.
#[derive(Default)]
struct Scripted {
    files: BTreeMap<String, Wish>,
    recorded: RefCell<Vec<String>>,
    full: bool,
}

#[derive(Debug, Clone)]
enum Wish {
    Text(String),
    Gone,
    NotNow,
    Locked,
}

impl Scripted {
    fn of<const N: usize>(files: [(&str, Wish); N]) -> Self {
        Self { files: files.map(|(file, wish)| (file.to_owned(), wish)).into(), ..Self::default() }
    }
}

impl Values for Scripted {
    fn fill(&self, render: &Render) -> Filled {
        match &self.files[&render.file] {
            Wish::Text(text) => Filled::Text(
                Zeroizing::new(text.clone()),
                vec![([1; 16], format!("acme/{}", text.len()).parse().unwrap())],
            ),
            Wish::Gone => Filled::Gone("it is gone".into()),
            Wish::NotNow => Filled::NotNow("it is pending".into()),
            Wish::Locked => Filled::Locked,
        }
    }

    fn record(&self, file: &str, secrets: &[(Id, Qualified)]) -> Result<(), NotRecorded> {
        if self.full {
            return Err(NotRecorded);
        }
        assert_eq!(secrets.len(), 1);
        self.recorded.borrow_mut().push(file.to_owned());
        Ok(())
    }
}

fn text(text: &str) -> Wish {
    Wish::Text(text.to_owned())
}

#[test]
fn what_the_config_says_is_read() {
    let all = read(
        "[[render]]\nfile = 'app.env'\ntext = 'T=%secret:acme/t:f|json%'\nreaders = ['group root', 'uid 7', 'uid 7']\n\
         unit = 'app@1.service'\n[[render]]\nfile = 'b'\ntemplate = '/etc/b.tmpl'\nenvironment = 'acme/dev'\n\
         unit = 'b.service'\naction = 'SIGHUP'",
    )
    .unwrap();
    assert_eq!(all[0].readers, [crate::access::Reader::User(7), crate::access::Reader::Group(0)]);
    assert_eq!(all[0].unit, Some(("app@1.service".into(), Action::Reload)));
    assert_eq!(all[1].unit, Some(("b.service".into(), Action::Signal("SIGHUP"))));
    assert_eq!((&all[0].environment, read("").unwrap().len()), (&None, 0));
}

#[test]
fn a_mistake_is_told_with_its_place() {
    let one = |rest: &str| format!("[[render]]\nfile = 'a'\n{rest}");
    let named = |file: &str| format!("[[render]]\nfile = \"{file}\"\ntext = ''");
    let long = "x".repeat(201);
    for (text, expected) in [
        (named("a/b"), "expected a plain name of at most 200 bytes"),
        (named(".a"), "expected a plain name"),
        (named(""), "expected a plain name"),
        (named("a\\nb"), "expected a plain name"),
        (named(&long), "expected a plain name"),
        (one(""), "render of a: give text or template"),
        (one("text = ''\ntemplate = '/t'"), "render of a: give text or template"),
        (one("template = 't'"), "template is the absolute path"),
        (one("text = \"ok\\n%secret:t\""), "render of a: line 2, column 1: this mark is not closed"),
        (one("text = '%t%'"), "render of a: line 1, column 1: %t% is a data element, so say environment"),
        (one("text = ''\naction = 'reload'"), "render of a: action says how a unit is told"),
        (
            one("text = ''\nunit = 'a.service'\naction = 'SIGKILL'"),
            "expected one of: reload, restart, SIGHUP",
        ),
        (one("text = ''\nunit = 'a*.service'"), "render.unit: a unit is NAME.service"),
        (one("text = ''\nunit = '../a.service'"), "render.unit: a unit is NAME.service"),
        (one("text = ''\nunit = 'a'"), "render.unit: a unit is NAME.service"),
        (one("text = ''\nreaders = ['ann']"), "render.readers: expected `uid N`"),
        (one("text = ''\nreaders = ['unit a.service']"), "render.readers: a unit cannot be a reader"),
        (one("text = ''\nmode = 1"), "unknown field `mode`"),
        (named("a") + "\n" + &named("a"), "two files are named a"),
        (
            "[[render]]\nfile = 'a'\ntext = ''\nunit = 'u.service'\n[[render]]\nfile = 'b'\ntext = ''\n\
             unit = 'u.service'\naction = 'restart'"
                .to_owned(),
            "u.service is told in two ways",
        ),
    ] {
        let told = read(&text).unwrap_err();
        assert!(told.contains(expected) && told.contains("line"), "{text}: {told}");
    }
    assert!(read(&named(&long[1..])).is_ok());
    let many = |count: usize| (0..count).map(|at| named(&format!("f{at}")) + "\n").collect::<String>();
    assert_eq!(read(&many(256)).map(|all| all.len()), Ok(256));
    assert!(read(&many(257)).unwrap_err().contains("at most 256 files"));
}

#[test]
fn a_template_that_others_can_write_is_refused_and_so_is_a_large_one() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t");
    let read = || {
        config::Source::File(path.clone()).read().map(|text| text.len()).map_err(|error| error.to_string())
    };
    fs::write(&path, "x".repeat(bursar_proto::template::TEMPLATE_MAX)).unwrap();
    assert_eq!(read(), Ok(bursar_proto::template::TEMPLATE_MAX));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(read().unwrap_err().contains("can write to it"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, "x".repeat(bursar_proto::template::TEMPLATE_MAX + 1)).unwrap();
    assert!(read().unwrap_err().contains("more than"));
    fs::remove_file(&path).unwrap();
    assert!(read().is_err());
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .unwrap();
    assert_eq!(read(), Err("it is no file".into()));
}

/// Two files of one unit, and one that nobody is told of.
fn three() -> Vec<Render> {
    read(
        "[[render]]\nfile = 'a'\ntext = ''\nunit = 'u.service'\n[[render]]\nfile = 'b'\ntext = ''\nunit = 'u.service'\n\
         [[render]]\nfile = 'c'\ntext = ''\nreaders = ['uid 7', 'gid 8']",
    )
    .unwrap()
}

#[test]
fn files_are_written_once_and_their_unit_is_told_once() {
    let (runtime, renders) = (runtime(), three());
    let files = runtime.path().join("render");
    let mut renderer = Renderer::default();
    let mut values = Scripted::of([("a", text("1")), ("b", text("2")), ("c", text("3"))]);
    renderer.turn(&renders, runtime.path(), &values);
    assert_eq!(fs::read_to_string(files.join("b")).unwrap(), "2");
    assert_eq!(fs::metadata(&files).unwrap().mode() & 0o777, 0o711);
    let modes = ["a", "c"].map(|file| fs::metadata(files.join(file)).unwrap().mode() & 0o777);
    assert_eq!(modes, [0o600, 0o640], "with an access list the bits of the group are its mask");
    assert_eq!(taken(runtime.path()), ["u.service".to_owned()].into());
    let inode = |file: &str| fs::metadata(files.join(file)).unwrap().ino();
    let before = ["a", "b", "c"].map(inode);

    // who starts anew knows by the files
    renderer = Renderer::default();
    renderer.turn(&renders, runtime.path(), &values);
    assert_eq!(["a", "b", "c"].map(inode), before);
    assert_eq!(taken(runtime.path()), BTreeSet::new());
    assert_eq!(*values.recorded.borrow(), ["a", "b", "c"]);

    values.files.insert("c".into(), text("4"));
    renderer.turn(&renders, runtime.path(), &values);
    assert_eq!(fs::read_to_string(files.join("c")).unwrap(), "4");
    assert_eq!((taken(runtime.path()), inode("a")), (BTreeSet::new(), before[0]));

    let mut others = three();
    others[2].readers.pop();
    renderer.turn(&others, runtime.path(), &values);
    assert_eq!(values.recorded.borrow().last().unwrap(), "c", "other readers make another file");
    others[2].readers.clear();
    renderer.turn(&others, runtime.path(), &values);
    assert_eq!(fs::metadata(files.join("c")).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn what_is_gone_is_removed_what_waits_stays_and_no_unit_is_told() {
    let (runtime, renders) = (runtime(), three());
    let files = runtime.path().join("render");
    let mut renderer = Renderer::default();
    renderer.turn(&renders, runtime.path(), &Scripted::of(["a", "b", "c"].map(|file| (file, text(file)))));
    taken(runtime.path());
    let values = Scripted::of([("a", Wish::Gone), ("b", Wish::NotNow), ("c", Wish::Locked)]);
    renderer.turn(&renders, runtime.path(), &values);
    assert_eq!(names(&files), ["b", "c"].map(str::to_owned).into());
    assert_eq!(taken(runtime.path()), BTreeSet::new());
    // without the keys what no render names goes all the same
    renderer.turn(&renders[2..], runtime.path(), &values);
    assert_eq!(names(&files), ["c".to_owned()].into());
    assert!(renderer.has_work(&[]));
    renderer.turn(&[], runtime.path(), &values);
    assert_eq!((names(&files), renderer.has_work(&[])), (BTreeSet::new(), false));
}

#[test]
fn what_cannot_be_recorded_is_not_written() {
    let (runtime, renders) = (runtime(), three());
    let values = Scripted { full: true, ..Scripted::of(["a", "b", "c"].map(|file| (file, text(file)))) };
    assert!(Renderer::default().turn(&renders, runtime.path(), &values));
    assert_eq!(names(&runtime.path().join("render")), BTreeSet::new());
    assert_eq!(taken(runtime.path()), BTreeSet::new());
}

#[test]
fn a_request_outlives_a_daemon_that_ends_before_it_is_made() {
    let (runtime, renders) = (runtime(), three());
    let values = Scripted::of(["a", "b", "c"].map(|file| (file, text(file))));
    assert!(!Renderer::default().turn(&renders, runtime.path(), &values));
    taken(runtime.path());
    fs::write(requests(runtime.path()).join(".u.service"), "").unwrap();
    assert!(!Renderer::default().turn(&renders, runtime.path(), &values));
    assert_eq!(taken(runtime.path()), ["u.service".to_owned()].into());
}

#[test]
fn what_fails_is_tried_again_and_asks_for_nothing() {
    let (runtime, renders) = (runtime(), three());
    let values = Scripted::of(["a", "b", "c"].map(|file| (file, text(file))));
    let mut renderer = Renderer::default();
    for file in ["a", "b"] {
        fs::create_dir_all(runtime.path().join("render").join(file)).unwrap();
    }
    assert!(renderer.turn(&renders, runtime.path(), &values));
    assert_eq!(taken(runtime.path()), BTreeSet::new());
    fs::remove_dir(runtime.path().join("render/b")).unwrap();
    assert!(renderer.turn(&renders, runtime.path(), &values));
    assert_eq!(taken(runtime.path()), ["u.service".to_owned()].into(), "one of its files was written");
    fs::remove_dir(runtime.path().join("render/a")).unwrap();
    assert!(!renderer.turn(&renders, runtime.path(), &values));
    assert_eq!(taken(runtime.path()), ["u.service".to_owned()].into());
}

#[test]
fn no_link_is_followed() {
    let (runtime, renders) = (runtime(), three());
    let kept = runtime.path().join("kept");
    fs::write(&kept, "a").unwrap();
    fs::create_dir(runtime.path().join("render")).unwrap();
    for name in ["a", ".unfinished"] {
        symlink(&kept, runtime.path().join("render").join(name)).unwrap();
    }
    let values = Scripted::of(["a", "b", "c"].map(|file| (file, text(file))));
    Renderer::default().turn(&renders, runtime.path(), &values);
    assert!(fs::symlink_metadata(runtime.path().join("render/a")).unwrap().is_file());
    assert_eq!(fs::read_to_string(&kept).unwrap(), "a");

    let other = self::runtime();
    symlink(runtime.path(), other.path().join("render")).unwrap();
    Renderer::default().turn(&renders, other.path(), &values);
    assert_eq!(names(other.path()), ["render".to_owned()].into(), "and nobody is told");
}

#[test]
fn nothing_is_written_to_a_disk() {
    let runtime = tempfile::tempdir_in("/var/tmp").unwrap();
    let path = runtime.path().join("render");
    let renders = three();
    let values = Scripted::of(["a", "b", "c"].map(|file| (file, text(file))));
    let mut renderer = Renderer::default();
    renderer.turn(&renders, runtime.path(), &values);
    let on_disk = !place::Place::open(&path).unwrap().unwrap().is_in_memory().unwrap();
    assert_eq!(names(&path).is_empty(), on_disk);
}

#[test]
fn a_directory_that_others_can_write_is_not_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let (runtime, renders) = (runtime(), three());
    let path = runtime.path().join("render");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    let values = Scripted::of(["a", "b", "c"].map(|file| (file, text(file))));
    Renderer::default().turn(&renders, runtime.path(), &values);
    assert_eq!(names(&path), BTreeSet::new());
}

#[test]
fn a_problem_is_told_once_and_a_locked_vault_ends_none() {
    let mut problems = problems::Problems::default();
    problems.note("a", "no".into());
    problems.tell();
    assert_eq!(problems.told()["a"], "no");
    problems.keep("a");
    problems.keep("b");
    problems.tell();
    assert_eq!(problems.told().len(), 1);
    problems.tell();
    assert!(problems.told().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_batch_ends_a_second_after_its_last_change_and_within_ten() {
    let bell = Notify::new();
    let ring = async |pause: u64, times: usize| {
        for _ in 0..times {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            bell.notify_one();
        }
    };
    let begin = Instant::now();
    tokio::join!(quiet_after(&bell), ring(800, 2));
    assert_eq!(begin.elapsed(), Duration::from_millis(2_600));

    let begin = Instant::now();
    tokio::select! {
        () = quiet_after(&bell) => {}
        () = ring(300, 1_000) => unreachable!(),
    }
    assert_eq!(begin.elapsed(), Duration::from_millis(300) + WAIT_MAX);
}

/// One of three files with what it becomes, and whether the config names it.
fn wishes() -> impl Strategy<Value = Vec<(bool, Wish)>> {
    let wish = prop_oneof![
        4 => "[ab]{0,2}".prop_map(Wish::Text),
        1 => Just(Wish::Gone),
        1 => Just(Wish::NotNow),
        1 => Just(Wish::Locked),
    ];
    proptest::collection::vec((proptest::bool::weighted(0.8), wish), 3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn files_and_requests_follow_what_templates_become(turns in proptest::collection::vec(wishes(), 1..8)) {
        let runtime = runtime();
        let mut renderer = Renderer::default();
        let mut model: BTreeMap<String, String> = BTreeMap::new();
        for turn in turns {
            let renders: Vec<Render> =
                three().into_iter().zip(&turn).filter(|(_, (named, _))| *named).map(|(render, _)| render).collect();
            let wishes = three().into_iter().zip(&turn).map(|(render, (_, wish))| (render.file, wish.clone()));
            let values = Scripted { files: wishes.collect(), ..Scripted::default() };
            renderer.turn(&renders, runtime.path(), &values);

            model.retain(|file, _| renders.iter().any(|render| render.file == *file));
            let (mut written, mut told) = (Vec::new(), BTreeSet::new());
            for render in &renders {
                match &values.files[&render.file] {
                    Wish::Text(text) if model.get(&render.file) != Some(text) => {
                        model.insert(render.file.clone(), text.clone());
                        written.push(render.file.clone());
                        told.extend(render.unit.iter().map(|(unit, _)| unit.clone()));
                    }
                    Wish::Gone => drop(model.remove(&render.file)),
                    _ => {}
                }
            }
            prop_assert_eq!(&*values.recorded.borrow(), &written);
            prop_assert_eq!(taken(runtime.path()), told);
            let files = runtime.path().join("render");
            let held: BTreeMap<String, String> = names(&files)
                .into_iter()
                .map(|name| (name.clone(), fs::read_to_string(files.join(name)).unwrap()))
                .collect();
            prop_assert_eq!(&held, &model);
        }
    }
}
