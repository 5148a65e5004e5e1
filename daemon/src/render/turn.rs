//! One look at all files: those that differ are written, those that nothing stands behind any more are removed, and once all
//! are in their place each unit of one that was written is told.

use super::config::Render;
use super::place::Place;
use super::problems::Problems;
use super::{Filled, Values, requests};
use crate::audit::NotRecorded;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// What is known from one look to the next.
#[derive(Default)]
pub(super) struct Renderer {
    problems: Problems,
    /// Units that are to be told, and could not be so far.
    owed: BTreeSet<String>,
    /// Whether there is neither a render nor a file of one.
    idle: bool,
}

/// Why a file is not brought up to date.
enum Hindered {
    /// Nothing is known of it now.
    Unknown,
    /// For this reason.
    For(String),
}

impl From<io::Error> for Hindered {
    fn from(error: io::Error) -> Self {
        Self::For(error.to_string())
    }
}

impl Renderer {
    /// Whether a look may find something.
    pub(super) fn has_work(&self, renders: &[Render]) -> bool {
        !self.idle || !renders.is_empty()
    }

    /// Looks at all files.
    pub(super) fn turn(&mut self, renders: &[Render], runtime: &Path, values: &impl Values) {
        let path = runtime.join("render");
        match place(&path, !renders.is_empty()) {
            Ok(Some(place)) => self.bring(renders, &place, values),
            Ok(None) => {}
            Err(error) => {
                renders.iter().for_each(|render| self.problems.keep(&render.file));
                self.problems.note(&path.display().to_string(), error.to_string());
            }
        }
        self.request(renders, &requests(runtime));
        self.problems.tell();
        self.idle = renders.is_empty();
    }

    /// Brings files up to date.
    fn bring(&mut self, renders: &[Render], place: &Place, values: &impl Values) {
        if let Err(error) = remove_unnamed(renders, place) {
            self.problems.note("files that no render names", error.to_string());
        }
        for render in renders {
            match bring_one(render, place, values) {
                Ok(true) => self.owed.extend(render.unit.iter().map(|(unit, _)| unit.clone())),
                Ok(false) => {}
                Err(Hindered::Unknown) => self.problems.keep(&render.file),
                Err(Hindered::For(reason)) => self.problems.note(&render.file, reason),
            }
        }
    }

    /// Asks for units to be told.
    fn request(&mut self, renders: &[Render], path: &Path) {
        let units: BTreeSet<&String> =
            renders.iter().filter_map(|render| render.unit.as_ref()).map(|(unit, _)| unit).collect();
        self.owed.retain(|unit| units.contains(unit));
        if self.owed.is_empty() {
            return;
        }
        let problems = &mut self.problems;
        match Place::make(path) {
            Ok(place) => self.owed.retain(|unit| match place.touch(unit) {
                Ok(()) => false,
                Err(error) => {
                    problems.note(&path.join(unit).display().to_string(), error.to_string());
                    true
                }
            }),
            Err(error) => problems.note(&path.display().to_string(), error.to_string()),
        }
    }
}

/// The directory of the files, which is made if one is `wanted`; `None` where none is, and there is none of ours.
fn place(path: &Path, wanted: bool) -> io::Result<Option<Place>> {
    if !wanted {
        // what is not as we make it holds nothing of ours
        return Ok(Place::open(path).ok().flatten().filter(|place| place.is_in_memory().unwrap_or(false)));
    }
    let place = Place::make(path)?;
    if place.is_in_memory()? {
        return Ok(Some(place));
    }
    Err(io::Error::other("it is on a disk, and values are never written there; hint: it must be on a tmpfs"))
}

fn remove_unnamed(renders: &[Render], place: &Place) -> io::Result<()> {
    for name in place.names()? {
        if !renders.iter().any(|render| render.file.as_bytes() == name.as_bytes()) && place.remove(&name)? {
            tracing::info!(file = ?name, "removed: no render names it any more");
        }
    }
    Ok(())
}

/// Brings a file up to date; answers whether it was written.
fn bring_one(render: &Render, place: &Place, values: &impl Values) -> Result<bool, Hindered> {
    let Render { file, readers, .. } = render;
    let (text, secrets) = match values.fill(render) {
        Filled::Text(text, secrets) => (text, secrets),
        Filled::Locked => return Err(Hindered::Unknown),
        Filled::NotNow(reason) => return Err(Hindered::For(reason)),
        Filled::Gone(reason) => {
            if place.remove(file.as_str())? {
                tracing::info!(file, "removed: what it was rendered from is gone");
            }
            return Err(Hindered::For(reason));
        }
    };
    if place.holds(file, &text, readers)? {
        return Ok(false);
    }
    values
        .record(file, &secrets)
        .map_err(|NotRecorded| Hindered::For("accesses cannot be recorded, so nothing is written".into()))?;
    place.put(file, &text, readers)?;
    tracing::info!(file, "rendered");
    Ok(true)
}
