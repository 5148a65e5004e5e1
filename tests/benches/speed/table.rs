//! Medians, quartiles and ratios, as text. A ratio is taken within a round, and its median over the rounds.

use std::fmt::Write as _;
use std::io::Write as _;

/// One job that several entrants do; the first one is the floor.
pub(crate) struct Job {
    name: String,
    unit: &'static str,
    entrants: Vec<(String, Vec<f64>)>,
}

impl Job {
    /// A job without samples.
    pub(crate) fn new(name: impl Into<String>, unit: &'static str) -> Self {
        Self { name: name.into(), unit, entrants: Vec::new() }
    }

    /// Adds a sample. Every entrant gets one in every round.
    pub(crate) fn note(&mut self, entrant: &str, sample: f64) {
        match self.entrants.iter_mut().find(|(name, _)| name == entrant) {
            Some((_, samples)) => samples.push(sample),
            None => self.entrants.push((entrant.to_owned(), vec![sample])),
        }
    }

    fn write(&self, out: &mut String) {
        let Some((_, floor)) = self.entrants.first() else { return };
        for (place, (entrant, samples)) in self.entrants.iter().enumerate() {
            let ratios: Vec<f64> = samples.iter().zip(floor).map(|(ours, floor)| ours / floor).collect();
            let (name, ratio) = match place {
                // alone it has nothing to be compared with
                0 if self.entrants.len() == 1 => (&*self.name, String::new()),
                0 => (&*self.name, "floor".to_owned()),
                _ => ("", spread(&ratios, 2)),
            };
            let unit = self.unit;
            let median = number(quantile(samples, 0.5));
            let quartiles =
                format!("{} to {}", number(quantile(samples, 0.25)), number(quantile(samples, 0.75)));
            let _ = writeln!(out, "{name:<34} {entrant:<22} {median:>9} {unit:<10} {quartiles:<20} {ratio}");
        }
    }
}

/// Prints jobs under a title, with what should be known about them.
pub(crate) fn print(title: &str, jobs: &[Job], remarks: &[String]) {
    let mut out = format!(
        "\n{title}\n{:<34} {:<22} {:>9} {:<10} {:<20} {}\n",
        "job", "entrant", "median", "unit", "quartiles", "ratio to the floor"
    );
    for job in jobs {
        job.write(&mut out);
    }
    for remark in remarks {
        let _ = writeln!(out, "- {remark}");
    }
    // nobody reads any more
    let _ = std::io::stdout().write_all(out.as_bytes());
}

/// The sample below which `share` of all lie.
fn quantile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place among some hundred samples"
    )]
    let place = (share * last as f64).round() as usize;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

fn spread(samples: &[f64], digits: usize) -> String {
    let [low, median, high] = [0.25, 0.5, 0.75].map(|share| quantile(samples, share));
    format!("{median:.digits$} ({low:.digits$} to {high:.digits$})")
}

/// Three digits that mean something.
fn number(value: f64) -> String {
    match value {
        v if v < 10.0 => format!("{v:.2}"),
        v if v < 100.0 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}
