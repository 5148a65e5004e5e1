//! Which signals this process heeds: what its caller lets it ignore, under nohup for one, stays ignored.

/// Those of `signals` that are not ignored. A handler would make them count.
pub(crate) fn heeded(signals: &[i32]) -> impl Iterator<Item = i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    signals.iter().copied().filter(move |signal| ignored & (1 << (signal - 1)) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use signal_hook::consts::{SIGPIPE, SIGTERM};

    #[test]
    fn what_is_ignored_is_not_heeded() {
        // rust programs ignore the one, nobody the other
        assert_eq!(heeded(&[SIGPIPE, SIGTERM]).collect::<Vec<_>>(), [SIGTERM]);
    }
}
