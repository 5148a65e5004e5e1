//! What keeps files from being rendered: each is told once, and once more when it is over.

use std::collections::BTreeMap;

/// Problems, by what they are about.
#[derive(Debug, Default)]
pub(super) struct Problems {
    told: BTreeMap<String, String>,
    now: BTreeMap<String, String>,
}

impl Problems {
    /// Notes a problem.
    pub(super) fn note(&mut self, about: &str, reason: String) {
        self.now.insert(about.to_owned(), reason);
    }

    /// Notes that nothing is known now: what was told stays.
    pub(super) fn keep(&mut self, about: &str) {
        if let Some(told) = self.told.get(about) {
            self.now.insert(about.to_owned(), told.clone());
        }
    }

    /// Tells what is new since the last time, and what is over.
    pub(super) fn tell(&mut self) {
        let now = std::mem::take(&mut self.now);
        for (about, reason) in now.iter().filter(|(about, reason)| self.told.get(*about) != Some(*reason)) {
            tracing::warn!(about, reason, "not rendered");
        }
        for about in self.told.keys().filter(|about| !now.contains_key(*about)) {
            tracing::info!(about, "what kept it from being rendered is over");
        }
        self.told = now;
    }

    /// What was told, and is not over.
    #[cfg(test)]
    pub(super) fn told(&self) -> &BTreeMap<String, String> {
        &self.told
    }
}
