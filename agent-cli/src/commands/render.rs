//! `bursar render`: a template with live values, to stdout or a private file.

use crate::args::live::Render;
use crate::file::write_private;
use crate::live::{self, Scope};
use crate::origin::place;
use crate::output::{json_line, write_out};
use crate::session::Session;
use crate::stop::Stop;
use bursar_proto::template::TEMPLATE_MAX;
use serde::Serialize;
use std::path::Path;

/// What was rendered, as `--json` shows it.
#[derive(Serialize)]
struct Rendered<'a> {
    /// The file that it was written to.
    output: Option<String>,
    /// The text; null where it went to a file.
    content: Option<&'a str>,
}

pub(crate) fn run(session: &Session, render: Render) -> Result<(), Stop> {
    let text = session.input.text(&render.template, TEMPLATE_MAX)?;
    let templates = live::parse([(place(&render.template), text.as_str())])?;
    let values = Scope::find(session, render.environment)?.values(session, &templates)?;
    let rendered = live::render(&templates, &values)?.pop().unwrap_or_default();
    let file = render.output.as_deref().filter(|path| *path != Path::new("-"));
    if let Some(path) = file {
        write_private(path, rendered.as_bytes())?;
    }
    let shown = Rendered {
        output: file.map(|path| path.display().to_string()),
        content: file.is_none().then_some(rendered.as_str()),
    };
    match shown.content {
        _ if session.printer.json() => write_out(&json_line(&shown)?),
        Some(text) => write_out(text.as_bytes()),
        None => Ok(()),
    }
}
