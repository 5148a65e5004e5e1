//! Our own edits of `bursar.toml`: comments, order and what else a person wrote stay.

use super::manifest::{MANIFEST, complete};
use crate::stop::Stop;
use bursar_proto::name::{OrganizationName, Qualified, Reference};
use bursar_proto::semver::VersionReq;
use toml_edit::{DocumentMut, Item, Table, TableLike, value};

/// The byte order mark, with which some editors begin a file.
const MARK: char = '\u{feff}';

/// The text with these packages in `[packages]`; a requirement that was there is replaced. A byte order mark stays, and
/// so do the line ends where all are those of Windows.
///
/// # Errors
/// The text is no `bursar.toml`.
pub(crate) fn with_packages(
    text: &str,
    home: Option<&OrganizationName>,
    packages: &[(Qualified, VersionReq)],
) -> Result<String, Stop> {
    let odd = || Stop::usage(format!("{MANIFEST}: there is no table [packages] that can be edited"));
    let mut document: DocumentMut = text.parse().map_err(|_| odd())?;
    let table = document.entry("packages").or_insert_with(|| Item::Table(Table::new()));
    let table = table.as_table_like_mut().ok_or_else(odd)?;
    for (package, requirement) in packages {
        set(table, home, package, requirement);
    }
    let edited = document.to_string();
    let edited = edited.trim_start_matches(MARK);
    let ends = text.matches('\n').count();
    let edited = if ends > 0 && text.matches("\r\n").count() == ends {
        edited.replace("\r\n", "\n").replace('\n', "\r\n")
    } else {
        edited.to_owned()
    };
    Ok(if text.starts_with(MARK) { format!("{MARK}{edited}") } else { edited })
}

fn set(
    table: &mut dyn TableLike,
    home: Option<&OrganizationName>,
    package: &Qualified,
    requirement: &VersionReq,
) {
    let meant = Reference::from(package.clone());
    let is_meant = |key: &str| key.parse().is_ok_and(|name| complete(name, home) == meant);
    let key = table.iter().map(|(key, _)| key).find(|key| is_meant(key));
    let key = key.map_or_else(|| package.to_string(), str::to_owned);
    let mut item = value(requirement.to_string());
    match table.get_mut(&key) {
        Some(old) => {
            // what stands beside the old requirement, a comment perhaps, stays
            if let (Some(old), Some(new)) = (old.as_value(), item.as_value_mut()) {
                *new.decor_mut() = old.decor().clone();
            }
            *old = item;
        }
        None => {
            table.insert(&key, item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::manifest::Manifest;

    fn added(text: &str, packages: &[(&str, &str)]) -> String {
        let home = Manifest::read(text).unwrap().organization;
        let packages: Vec<_> =
            packages.iter().map(|(name, req)| (name.parse().unwrap(), req.parse().unwrap())).collect();
        let edited = with_packages(text, home.as_ref(), &packages).unwrap();
        let manifest = Manifest::read(&edited).unwrap();
        for (name, requirement) in &packages {
            assert_eq!(manifest.packages.get(&Reference::from(name.clone())), Some(requirement), "{edited}");
        }
        edited
    }

    #[test]
    fn a_new_package_comes_last_and_all_else_stays() {
        let text = "# mine\nenvironment = 'staging'   # soon production\n\n[packages] # used\n\"b/x\" = '1'  # old\n\n\
                    # the end\n[env]\nA = 'x'\n";
        assert_eq!(added(text, &[("a/y", "^1.2")]), text.replace("# old\n", "# old\n\"a/y\" = \"^1.2\"\n"));
    }

    #[test]
    fn a_requirement_is_replaced_where_it_stands() {
        let text = "organization = 'acme'\n[packages]\nsite = '1' # why\n'acme/base' = '*'\n";
        assert_eq!(
            added(text, &[("acme/site", "^2"), ("acme/base", "~1.1")]),
            "organization = 'acme'\n[packages]\nsite = \"^2\" # why\n'acme/base' = \"~1.1\"\n"
        );
    }

    #[test]
    fn line_ends_and_a_byte_order_mark_stay() {
        let text = "# mine\r\n[packages]\r\n'a/x' = '1' # why\r\n\r\n[env]\r\nA = '''\r\nx'''\r\n";
        let expected = text.replace("# why\r\n", "# why\r\n\"a/y\" = \"^1.2\"\r\n");
        assert_eq!(added(text, &[("a/y", "^1.2")]), expected);
        assert_eq!(added(&format!("{MARK}{text}"), &[("a/y", "^1.2")]), format!("{MARK}{expected}"));
        assert_eq!(added("\u{feff}", &[("a/y", "^1")]), "\u{feff}[packages]\n\"a/y\" = \"^1\"\n");
    }

    #[test]
    fn a_file_without_packages_gets_a_table() {
        assert_eq!(added("", &[("acme/site", "^1")]), "[packages]\n\"acme/site\" = \"^1\"\n");
        let text = "environment = 'x'\n";
        assert_eq!(
            added(text, &[("acme/site", "^1")]),
            format!("{text}\n[packages]\n\"acme/site\" = \"^1\"\n")
        );
        assert_eq!(
            added("packages = { 'a/b' = '1' }\n", &[("a/c", "^1")]),
            "packages = { 'a/b' = '1' , \"a/c\" = \"^1\" }\n"
        );
        added("packages.'a/b' = '1'\n[env]\n", &[("a/c", "^1")]);
    }
}
