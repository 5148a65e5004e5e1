//! Landlock: where the agent's threads may write, and that they run no program. Best effort over what kernels have.

use ::landlock::{
    ABI, AccessFs, CompatLevel, Compatible as _, LandlockStatus, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, Scope, path_beneath_rules,
};
use bursar_proto::error::{CallError, ErrorName};
use std::path::{Path, PathBuf};

/// What this is written for. A newer kernel does no more than this; an older one does what it can.
const KNOWN: ABI = ABI::V6;

/// What landlock holds the agent to.
#[derive(Debug)]
pub(crate) enum Landlock {
    /// Writing only below these directories, and running no program.
    Holds {
        /// The version of the kernel's interface.
        abi: i32,
        /// The directories that were there.
        writable: Vec<PathBuf>,
    },
    /// Nothing, and why.
    Nothing(String),
}

impl Landlock {
    /// Restricts this thread, and those that it starts. `abstract_sockets` says whether it may speak to abstract sockets of others.
    pub(super) fn restrict(writable: &[PathBuf], abstract_sockets: bool) -> Self {
        // what is not there cannot be ruled on
        let writable: Vec<PathBuf> = writable.iter().filter_map(|path| path.canonicalize().ok()).collect();
        match restricted(&writable, abstract_sockets) {
            Ok(LandlockStatus::Available { effective_abi, .. }) => {
                Self::Holds { abi: effective_abi as i32, writable }
            }
            Ok(LandlockStatus::NotEnabled) => Self::Nothing("it is not enabled on this machine".into()),
            Ok(LandlockStatus::NotImplemented) => Self::Nothing("this kernel has none".into()),
            Err(_) => Self::Nothing("this kernel's is too old, or something above us forbids it".into()),
        }
    }

    /// Whether a file may be made there, as far as landlock says. Where there is no such directory, it is not landlock that refuses.
    fn allows(&self, file: &Path) -> bool {
        let Self::Holds { writable, .. } = self else { return true };
        let Some(Ok(directory)) = file.parent().map(Path::canonicalize) else { return true };
        writable.iter().any(|allowed| directory.starts_with(allowed))
    }
}

fn restricted(writable: &[PathBuf], abstract_sockets: bool) -> Result<LandlockStatus, RulesetError> {
    let ruleset = Ruleset::default()
        // without it every rename from one directory into another fails: then rather none at all
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::Refer)?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_write(KNOWN) | AccessFs::Execute)?
        .scope(Scope::Signal)?;
    let ruleset = if abstract_sockets { ruleset } else { ruleset.scope(Scope::AbstractUnixSocket)? };
    let rules = path_beneath_rules(writable, AccessFs::from_write(KNOWN));
    Ok(ruleset.create()?.add_rules(rules)?.restrict_self()?.landlock)
}

/// Refuses a path of a caller's where landlock will not let a file be made.
///
/// # Errors
/// What to do about it.
pub(crate) fn check(file: &Path) -> Result<(), CallError> {
    if super::held().is_none_or(|held| held.landlock.allows(file)) {
        return Ok(());
    }
    let message = format!("{} is outside of what the agent may write", file.display());
    let directory = file.parent().unwrap_or(Path::new("/")).display();
    Err(CallError::new(ErrorName::Invalid, message).hint(format!(
        "choose another place, or add {directory} to landlock.writable in the agent's config and restart it"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn holds(writable: &Path) -> Landlock {
        Landlock::Holds { abi: 6, writable: vec![writable.canonicalize().unwrap()] }
    }

    #[test]
    fn a_file_is_allowed_below_a_directory_by_whatever_way_it_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("in"), dir.path().join("in2"));
        std::fs::create_dir_all(inside.join("deep")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("link")).unwrap();
        let landlock = holds(&inside);
        for (path, allowed) in [
            ("in/file", true),
            ("in/deep/file", true),
            ("in2/../in/file", true),
            ("in2/file", false),
            ("in/../in2/file", false),
            ("in/link/file", false),
            // the system says that there is no such directory
            ("none/file", true),
        ] {
            assert_eq!(landlock.allows(&dir.path().join(path)), allowed, "{path}");
        }
        assert!(Landlock::Nothing(String::new()).allows(&outside.join("file")));
    }

    #[test]
    fn a_restricted_thread_writes_below_its_directories_and_runs_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("in"), dir.path().join("out"));
        std::fs::create_dir_all(inside.join("deep")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("there"), "it is").unwrap();
        let done = thread::spawn({
            let (inside, outside) = (inside.clone(), outside.clone());
            move || {
                let Landlock::Holds { abi, .. } = Landlock::restrict(std::slice::from_ref(&inside), false)
                else {
                    return false;
                };
                assert!(abi >= 2);
                std::fs::write(inside.join("file"), "new").unwrap();
                std::fs::rename(inside.join("file"), inside.join("deep/file")).unwrap();
                std::os::unix::net::UnixListener::bind(inside.join("socket")).unwrap();
                assert_eq!(std::fs::read_to_string(outside.join("there")).unwrap(), "it is");
                assert!(std::fs::write(outside.join("file"), "new").is_err());
                assert!(std::fs::remove_file(outside.join("there")).is_err());
                assert!(std::process::Command::new("/bin/true").status().is_err());
                true
            }
        });
        if done.join().unwrap() {
            assert!(inside.join("deep/file").exists() && outside.join("there").exists());
        }
        // this one is free
        std::fs::write(outside.join("file"), "new").unwrap();
    }
}
