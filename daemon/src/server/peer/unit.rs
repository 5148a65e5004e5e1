//! The systemd unit of a process, from what `/proc/PID/cgroup` says; pure.
//!
//! Only what the system's manager made counts. A user makes groups at will below `user@UID.service`, a container below its
//! own; so the first part of the path that is no slice is the unit, whatever stands behind it. Of a user's own units the same holds
//! below that.

use crate::units::is_unit_name;

/// What ends the name of a slice, which holds units and is none that anything runs as.
const SLICE: &str = ".slice";

/// The unit of the system that a process belongs to; none for a scope (a login, a container) and for what is outside of all units.
pub(crate) fn unit_of(cgroup: &str) -> Option<&str> {
    units_of(cgroup)?.next().filter(|unit| is_unit_name(unit))
}

/// The unit of a user's own manager that a process belongs to. Whoever runs as that user can be in any.
pub(crate) fn user_unit_of(cgroup: &str, uid: u32) -> Option<&str> {
    let mut units = units_of(cgroup)?;
    let manager = units.next()?;
    let of = manager.strip_prefix("user@")?.strip_suffix(".service")?;
    units.next().filter(|unit| of == uid.to_string() && is_unit_name(unit))
}

/// The parts of the path that are no slices.
fn units_of(cgroup: &str) -> Option<impl Iterator<Item = &str>> {
    let parts = path_of(cgroup)?.strip_prefix('/')?.split('/').filter(|part| !part.ends_with(SLICE));
    // systemd puts it before names that would clash with the kernel's own files, and before names that begin with one
    Some(parts.map(|part| part.strip_prefix('_').unwrap_or(part)))
}

/// The path in the hierarchy that systemd keeps: the unified one, or where that holds nothing (cgroup v1) its own.
fn path_of(cgroup: &str) -> Option<&str> {
    let unified = cgroup.lines().find_map(|line| line.strip_prefix("0::"));
    if unified.is_some_and(|path| path != "/") {
        return unified;
    }
    let named = |line| str::split_once(line, ':')?.1.strip_prefix("name=systemd:");
    cgroup.lines().find_map(named).or(unified)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_service_is_found_below_its_slices() {
        for (path, unit) in [
            ("/system.slice/nginx.service", Some("nginx.service")),
            ("/nginx.service", Some("nginx.service")),
            ("/system.slice/system-web.slice/web@blue.service", Some("web@blue.service")),
            ("/system.slice/nginx.service/worker/deep", Some("nginx.service")),
            (r"/system.slice/dev\x2dtools.service", Some(r"dev\x2dtools.service")),
            ("/system.slice/_io.service", Some("io.service")),
            ("/system.slice/__odd.service", Some("_odd.service")),
            ("/", None),
            ("/system.slice", None),
            ("/init.scope", None),
            ("/system.slice/.service", None),
            ("/system.slice/nginx.service (deleted)", None),
            ("/system.slice/nginx.socket", Some("nginx.socket")),
            ("/system.slice/home-data.mount", Some("home-data.mount")),
            ("/system.slice/backup.timer", None),
            ("/../system.slice/nginx.service", None),
            ("/docker/0123/system.slice/nginx.service", None),
        ] {
            assert_eq!(unit_of(&format!("0::{path}\n")), unit, "{path}");
        }
    }

    #[test]
    fn nothing_below_a_user_or_a_container_is_a_unit_of_the_system() {
        let user = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service\n";
        assert_eq!(unit_of(user), Some("user@1000.service"));
        let forged = "0::/user.slice/user-1000.slice/user@1000.service/../../../system.slice/nginx.service\n";
        assert_eq!(unit_of(forged), Some("user@1000.service"));
        assert_eq!(unit_of("0::/user.slice/user-1000.slice/session-3.scope/nginx.service\n"), None);
        let container = "0::/machine.slice/systemd-nspawn@box.service/payload/system.slice/nginx.service\n";
        assert_eq!(unit_of(container), Some("systemd-nspawn@box.service"));
        assert_eq!(unit_of("0::/system.slice/docker-0123.scope/system.slice/nginx.service\n"), None);
    }

    #[test]
    fn the_hierarchy_of_systemd_is_read_where_the_unified_one_is_empty() {
        let legacy = "12:cpu,cpuacct:/system.slice/cpu.service\n1:name=systemd:/system.slice/nginx.service\n";
        assert_eq!(unit_of(legacy), Some("nginx.service"));
        assert_eq!(unit_of(&format!("{legacy}0::/\n")), Some("nginx.service"));
        let hybrid = format!("{legacy}0::/user.slice/user-7.slice/session-1.scope\n");
        assert_eq!(unit_of(&hybrid), None);
        assert_eq!(unit_of("1:name=other:/system.slice/nginx.service\n"), None);
        assert_eq!(unit_of("12:cpu:/system.slice/nginx.service\n0::/\n"), None);
    }

    #[test]
    fn a_unit_of_a_user_is_found_below_its_manager() {
        let of = |path: &str, uid| user_unit_of(&format!("0::{path}\n"), uid).map(str::to_owned);
        let user = "/user.slice/user-1000.slice/user@1000.service";
        for (below, unit) in [
            ("/app.slice/app-ub.slice/ub@1.service", Some("ub@1.service")),
            ("/foo.slice/ua.service", Some("ua.service")),
            ("/ua.service/worker", Some("ua.service")),
            ("/app.slice/run-1.scope/ua.service", None),
            ("/init.scope", None),
            ("/app.slice", None),
            ("", None),
        ] {
            assert_eq!(of(&format!("{user}{below}"), 1000).as_deref(), unit, "{below}");
        }
        assert_eq!(of(&format!("{user}/ua.service"), 1001), None);
        assert_eq!(of("/system.slice/ua.service", 1000), None);
        assert_eq!(of("/system.slice/user@1000x.service/ua.service", 1000), None);
        assert_eq!(
            of("/user.slice/user-1000.slice/session-1.scope/user@1000.service/ua.service", 1000),
            None
        );
    }

    proptest! {
        #[test]
        fn no_text_panics_and_every_unit_has_a_plain_name(text in r"(\PC|[/:\n]|0::/|\.slice/|\.service|user@7\.service/|name=systemd:){0,40}") {
            for unit in [unit_of(&text), user_unit_of(&text, 7)].into_iter().flatten() {
                prop_assert!(is_unit_name(unit));
            }
        }

        #[test]
        fn what_a_service_makes_below_itself_changes_nothing(below in "(/[a-z@.]{1,12}(\\.slice|\\.service|\\.scope)?){0,4}") {
            let text = format!("0::/system.slice/web.service{below}\n");
            prop_assert_eq!(unit_of(&text), Some("web.service"));
        }
    }
}
