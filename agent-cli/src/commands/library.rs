//! `publish`, `build`: what a workspace makes.

use super::package::{describe_content, print_synced};
use crate::args::package::{Build, Publish};
use crate::session::Session;
use crate::stop::Stop;
use crate::workspace::Workspace;
use crate::workspace::library::Names;
use crate::workspace::operations;
use bursar_proto::call::PackagePublish;
use bursar_proto::frame::{REQUEST_MAX, size_of};

pub(crate) fn publish(session: &Session, publish: &Publish) -> Result<(), Stop> {
    let call = request(&Workspace::open(&session.surroundings)?, publish.dry_run)?;
    let published = session.ask(&call)?;
    session.printer.reply(&published, |printer| {
        let done = if publish.dry_run { "would publish" } else { "published" };
        let head = format!("{done} {} {}", published.package, published.version);
        printer.bold(&head) + "\n" + &describe_content(printer, &published)
    })
}

/// The request that publishes what a workspace has.
fn request(workspace: &Workspace, dry_run: bool) -> Result<PackagePublish, Stop> {
    let library = workspace.library()?;
    let version = library.version.clone().ok_or_else(|| {
        Stop::usage("bursar.toml does not say which version is to be published")
            .hint("set it: [library] with version = \"1.0.0\"")
    })?;
    let content = workspace.content(library, Names::OfOrganization)?;
    if content.files.is_empty() {
        return Err(Stop::usage("the library has no files")
            .hint("say them: [[library.files]] with template and path"));
    }
    let package = library.name.clone();
    let dry_run = dry_run.then_some(true);
    let call = PackagePublish { package, version, elements: content.elements, files: content.files, dry_run };
    check_size(&call)?;
    Ok(call)
}

fn check_size(call: &PackagePublish) -> Result<(), Stop> {
    let size = size_of(call);
    if size <= REQUEST_MAX {
        return Ok(());
    }
    let mut largest: Vec<_> = call.files.iter().map(|file| (file.template.len(), &file.path)).collect();
    largest.sort_unstable_by(|one, other| other.cmp(one));
    let largest: Vec<String> =
        largest.iter().take(3).map(|(size, path)| format!("{path} {} KiB", size.div_ceil(1024))).collect();
    let (size, most) = (size.div_ceil(1024), REQUEST_MAX / 1024);
    let message = format!("the package takes {size} KiB, and {most} KiB is the most; {}", largest.join(", "));
    Err(Stop::usage(message).hint("publish it as several packages"))
}

pub(crate) fn build(session: &Session, build: Build) -> Result<(), Stop> {
    let synced = operations::build(session, build.place.environment, build.allowed)?;
    print_synced(session, &synced, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use bursar_proto::library::{FileMode, PackageFile};

    fn call(sizes: &[usize]) -> PackagePublish {
        let file = |(at, size): (usize, &usize)| PackageFile {
            path: format!("f{at}").parse().unwrap(),
            mode: FileMode::PRIVATE,
            template: "x".repeat(*size),
        };
        PackagePublish {
            package: "acme/site".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            elements: std::collections::BTreeMap::new(),
            files: sizes.iter().enumerate().map(file).collect(),
            dry_run: None,
        }
    }

    #[test]
    fn a_package_that_fits_no_request_is_refused_with_its_sizes() {
        assert!(check_size(&call(&[100 * 1024, 100 * 1024])).is_ok());
        let Err(Stop::Failed(error)) = check_size(&call(&[10, 128 * 1024, 127 * 1024, 2 * 1024])) else {
            panic!()
        };
        assert!(
            error.message.starts_with("the package takes 258 KiB, and 256 KiB is the most"),
            "{}",
            error.message
        );
        assert!(error.message.ends_with("; f1 128 KiB, f2 127 KiB, f3 2 KiB"), "{}", error.message);
    }
}
