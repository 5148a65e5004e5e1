//! Who may be connected to the listener at once: whoever says nothing keeps nobody out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;

/// Connections at once: a browser opens some ahead and says nothing on them; whoever opens more is no browser, and gives up
/// the oldest of its silent ones.
const CONNECTIONS_MAX: usize = 64;

/// The connections, the oldest first.
#[derive(Default)]
pub(super) struct Connections(Vec<Place>);

/// The place of a connection.
#[derive(Clone, Default)]
pub(super) struct Place {
    /// Set when a whole head has come.
    pub(super) heard: Arc<AtomicBool>,
    /// Ended, or to be ended.
    pub(super) over: CancellationToken,
}

impl Connections {
    /// A place for one more. Where all are taken the oldest connection that has said nothing gives its place up: a browser that
    /// comes back says at once what it wants. Nothing where all of them have been heard, and are being answered.
    pub(super) fn enter(&mut self) -> Option<Place> {
        self.0.retain(|one| !one.over.is_cancelled());
        if self.0.len() >= CONNECTIONS_MAX {
            let silent = self.0.iter().position(|one| !one.heard.load(Ordering::Acquire))?;
            self.0.remove(silent).over.cancel();
        }
        let place = Place::default();
        self.0.push(place.clone());
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_that_is_silent_makes_room_and_whoever_was_heard_stays() {
        let mut connections = Connections::default();
        let places: Vec<_> = (0..CONNECTIONS_MAX).filter_map(|_| connections.enter()).collect();
        assert_eq!(places.len(), CONNECTIONS_MAX);
        places[0].heard.store(true, Ordering::Release);
        let next = connections.enter();
        assert!(next.is_some() && places[1].over.is_cancelled());
        assert!(!places[0].over.is_cancelled() && !places[2].over.is_cancelled());
        for place in places.iter().chain(&next) {
            place.heard.store(true, Ordering::Release);
        }
        assert!(connections.enter().is_none());
        places[2].over.cancel();
        assert!(connections.enter().is_some());
    }
}
