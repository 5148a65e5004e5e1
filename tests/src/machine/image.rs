//! The image of all machines: Debian bookworm with systemd and what tests use in it. It is made once, into
//! `target/machines`: half a minute, 134 MB.

use crate::binaries::profile_dir;
use rustix::process::geteuid;
use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// What is in it: a bootable systemd with sessions and user managers, a server that takes certificates, and what asks
/// it; Python, to do what no other program does.
const PACKAGES: &str = "usr-is-merged,systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,\
                        nginx,openssl,curl,python3-minimal";

/// What happens in it before it is done: what no test needs is left out, and nothing runs by itself.
const FINISH: &str = r#"
chroot "$1" apt-get purge --quiet=2 --yes --auto-remove usrmerge perl-modules-5.36 >/dev/null
chroot "$1" systemctl disable --quiet nginx.service apt-daily.timer apt-daily-upgrade.timer \
    dpkg-db-backup.timer e2scrub_all.timer fstrim.timer
rm -rf "$1"/usr/share/doc/* "$1"/usr/share/man/* "$1"/usr/share/locale/* "$1"/etc/hostname
"#;

/// Makes it, unless somebody else has; what is not whole has another name.
const MAKE: &str = r#"
[ ! -e "$1" ] || exit 0
rm -rf "$1.part"
mmdebstrap --quiet --mode=root --variant=minbase --include="$2" --customize-hook="$3" bookworm "$1.part" &&
    mv "$1.part" "$1"
"#;

/// The programs without which there is no machine, each with its package.
const PROGRAMS: [(&str, &str); 6] = [
    ("mmdebstrap", "mmdebstrap"),
    ("systemd-nspawn", "systemd-container"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("fsfreeze", "util-linux"),
    ("mkfs.ext4", "e2fsprogs"),
];

/// The image, or the reason why there is none.
pub(super) fn image() -> Result<&'static Path, String> {
    static IMAGE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    IMAGE.get_or_init(made).as_deref().map_err(Clone::clone)
}

fn made() -> Result<PathBuf, String> {
    if !geteuid().is_root() {
        return Err("only root can boot a machine".to_owned());
    }
    if let Some((program, package)) = PROGRAMS.iter().find(|(program, _)| !is_there(program)) {
        return Err(format!("there is no {program}; on Debian: apt-get install {package}"));
    }
    let mut hasher = DefaultHasher::new();
    (PACKAGES, FINISH).hash(&mut hasher);
    let root = profile_dir().parent().expect("a target directory").join("machines");
    fs::create_dir_all(&root).expect("a directory for images");
    let image = root.join(format!("bookworm-{:016x}", hasher.finish()));
    // the lock outlives this process, as the work does; mounts of the work are seen by nobody
    let mut work = Command::new("flock");
    work.arg(root.join("lock")).args(["unshare", "--mount", "sh", "-c", MAKE, "sh"]);
    let made = work.arg(&image).args([PACKAGES, FINISH]).stdin(Stdio::null()).output();
    let made = made.map_err(|error| format!("flock: {error}"))?;
    if made.status.success() {
        Ok(image)
    } else {
        Err(format!("no image could be made: {}", String::from_utf8_lossy(&made.stderr).trim()))
    }
}

fn is_there(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(program).is_file())
}
