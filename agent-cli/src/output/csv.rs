//! Rows of cells separated by commas (RFC 4180, with newlines as this system writes them), harmless to spreadsheets.

/// One row.
pub(crate) fn row(cells: &[&str]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| quoted(&harmless(cell))).collect();
    cells.join(",") + "\n"
}

/// A cell that a spreadsheet shows and does not run: one that would begin a formula gets a `'` before it. What would
/// steer a terminal is taken out; line ends and tabs may stand in a cell.
fn harmless(cell: &str) -> String {
    let runs = cell.starts_with(|first: char| "=+-@".contains(first) || first.is_control());
    let mark = if runs { "'" } else { "" };
    let kept = |c: char| if c.is_control() && !"\t\r\n".contains(c) { '\u{fffd}' } else { c };
    mark.chars().chain(cell.chars().map(kept)).collect()
}

/// A cell in quotes where it needs them (RFC 4180, section 2).
fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_where_it_must_be() {
        assert_eq!(row(&["2026-11-21", "acme/npm", "", "12"]), "2026-11-21,acme/npm,,12\n");
        assert_eq!(row(&["a,b", "say \"so\"", "two\nlines"]), "\"a,b\",\"say \"\"so\"\"\",\"two\nlines\"\n");
    }

    #[test]
    fn no_spreadsheet_runs_a_cell() {
        for cell in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"] {
            assert_eq!(row(&[cell]), format!("'{cell}\n"));
        }
        assert_eq!(row(&["=HYPERLINK(\"x\",1)"]), "\"'=HYPERLINK(\"\"x\"\",1)\"\n");
        assert_eq!(row(&["\r=1"]), "\"'\r=1\"\n");
        assert_eq!(row(&["a=1"]), "a=1\n");
    }

    #[test]
    fn no_cell_steers_a_terminal() {
        assert_eq!(row(&["\x1b[2J", "a\x1b[31m"]), "'\u{fffd}[2J,a\u{fffd}[31m\n");
    }
}
