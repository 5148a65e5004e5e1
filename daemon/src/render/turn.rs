//! One look at all files: those that differ are written, those that nothing stands behind any more are removed, and once all
//! are in their place each unit of one that was written is told.

use super::config::Render;
use super::place::Place;
use super::problems::Problems;
use super::{Filled, Values, prepared, requests};
use crate::audit::NotRecorded;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// What is known from one look to the next.
#[derive(Default)]
pub(super) struct Renderer {
    problems: Problems,
    /// Whether there is neither a render nor a file of one.
    idle: bool,
}

/// Why a file is not brought up to date.
enum Hindered {
    /// Nothing is known of it now.
    Unknown,
    /// By what it is rendered from.
    Told(String),
    /// By what may be over soon.
    Failed(String),
}

impl From<io::Error> for Hindered {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Renderer {
    /// Whether a look may find something.
    pub(super) fn has_work(&self, renders: &[Render]) -> bool {
        !self.idle || !renders.is_empty()
    }

    /// Looks at all files; answers whether to look again without being rung for.
    pub(super) fn turn(&mut self, renders: &[Render], runtime: &Path, values: &impl Values) -> bool {
        let (path, requests) = (runtime.join("render"), Requests(requests(runtime)));
        let mut failed = false;
        match place(&path, !renders.is_empty()) {
            Ok(Some(place)) => failed |= self.bring(renders, &place, &requests, values),
            Ok(None) => {}
            Err(error) => {
                for render in renders {
                    self.problems.keep(&render.file);
                }
                self.problems.note(&path.display().to_string(), error.to_string());
                failed = true;
            }
        }
        if let Err(error) = requests.hand_over(renders) {
            self.problems.note(&requests.0.display().to_string(), error.to_string());
            failed = true;
        }
        self.problems.tell();
        self.idle = renders.is_empty() && !failed;
        failed
    }

    /// Brings files up to date; answers whether something failed.
    fn bring(
        &mut self,
        renders: &[Render],
        place: &Place,
        requests: &Requests,
        values: &impl Values,
    ) -> bool {
        let (mut failed, mut written) = (false, BTreeSet::new());
        if let Err(error) = remove_unnamed(renders, place) {
            self.problems.note("files that no render names", error.to_string());
            failed = true;
        }
        for render in renders {
            let unit = render.unit.as_ref().map(|(unit, _)| unit.as_str());
            let request = unit.filter(|unit| !written.contains(unit));
            match bring_one(render, place, requests, request, values) {
                Ok(true) => written.extend(unit),
                Ok(false) => {}
                Err(Hindered::Unknown) => self.problems.keep(&render.file),
                Err(Hindered::Told(reason)) => self.problems.note(&render.file, reason),
                Err(Hindered::Failed(reason)) => {
                    self.problems.note(&render.file, reason);
                    failed = true;
                }
            }
        }
        failed
    }
}

/// The directory of requests. One is prepared under a name that nobody looks for before the first file of its unit is written,
/// and handed over once all are: so none is lost with a daemon that ends in between.
struct Requests(PathBuf);

impl Requests {
    fn prepare(&self, unit: &str) -> io::Result<()> {
        Place::make(&self.0)?.touch(&prepared(unit))
    }

    fn withdraw(&self, unit: &str) -> io::Result<()> {
        Place::make(&self.0)?.remove(prepared(unit)).map(drop)
    }

    fn hand_over(&self, renders: &[Render]) -> io::Result<()> {
        let Some(place) = Place::open(&self.0)? else { return Ok(()) };
        for (unit, _) in renders.iter().filter_map(|render| render.unit.as_ref()) {
            place.rename(&prepared(unit), unit)?;
        }
        Ok(())
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

/// Brings a file up to date, and prepares a `request` for it; answers whether it was written.
fn bring_one(
    render: &Render,
    place: &Place,
    requests: &Requests,
    request: Option<&str>,
    values: &impl Values,
) -> Result<bool, Hindered> {
    let Render { file, readers, .. } = render;
    let (text, secrets) = match values.fill(render) {
        Filled::Text(text, secrets) => (text, secrets),
        Filled::Locked => return Err(Hindered::Unknown),
        Filled::NotNow(reason) => return Err(Hindered::Told(reason)),
        Filled::Gone(reason) => {
            if place.remove(file.as_str())? {
                tracing::info!(file, "removed: what it was rendered from is gone");
            }
            return Err(Hindered::Told(reason));
        }
    };
    if place.holds(file, &text, readers)? {
        return Ok(false);
    }
    values.record(file, &secrets).map_err(|NotRecorded| {
        Hindered::Failed("accesses cannot be recorded, so nothing is written".into())
    })?;
    request.map_or(Ok(()), |unit| requests.prepare(unit))?;
    if let Err(error) = place.put(file, &text, readers) {
        request.map_or(Ok(()), |unit| requests.withdraw(unit))?;
        return Err(error.into());
    }
    tracing::info!(file, "rendered");
    Ok(true)
}
