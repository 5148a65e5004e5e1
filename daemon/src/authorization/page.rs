//! The page on which a person lands: whether it worked, and what to do if not. Plain HTML that works without scripts, fits
//! any width, loads nothing and leads nowhere.

use super::Refused;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bursar_proto::name::Qualified;
use ring::digest;
use std::fmt::Write as _;
use std::sync::LazyLock;

/// The one style sheet. Its digest stands in the policy, so that no other counts.
const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--paper:#fff;--edge:#d0d7de;--good:#1a7f37;--bad:#b35900}\
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9da7b3;--paper:#0d1117;--edge:#30363d;--good:#3fb950;--bad:#e0a030}}\
*{box-sizing:border-box}\
body{margin:0;background:var(--paper);color:var(--ink);font:1.0625rem/1.55 system-ui,sans-serif}\
main{max-width:36rem;margin:0 auto;padding:clamp(2rem,12vh,8rem) 1.25rem 2rem}\
p.mark{margin:0;color:var(--soft);font-size:.9375rem}\
h1{margin:.5rem 0 1rem;font-size:1.5rem;line-height:1.3;overflow-wrap:anywhere}\
h1.good{color:var(--good)}h1.bad{color:var(--bad)}\
p{margin:0 0 1rem;overflow-wrap:anywhere}\
pre{margin:0 0 1rem;padding:.75rem 1rem;border:1px solid var(--edge);border-radius:.375rem;white-space:pre-wrap;overflow-wrap:anywhere;font:.9375rem/1.5 ui-monospace,monospace}";

/// A page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    good: bool,
    title: String,
    text: String,
    /// A command to type.
    command: Option<String>,
}

/// How an authorization ended.
pub(crate) enum Outcome {
    /// There is a token.
    Succeeded(Qualified),
    /// There was one, and nowhere to keep it.
    Unbound(Qualified),
    /// There is none: why, and the hint that mends it.
    Failed(Qualified, String, String),
    /// The secret is gone, or the vault is locked.
    Unknown,
}

/// Why a redirect was not taken, with the secret's name where the person may know it.
pub(crate) enum NotTaken {
    /// Its state is none of this agent's, or cannot be used.
    Refused(Refused, Option<Qualified>),
    /// The vault is locked.
    Locked,
    /// The secret is deactivated.
    Inactive(Qualified),
    /// Another user's process brought it.
    Stranger,
}

/// The header `Content-Security-Policy` of every answer.
pub(super) fn policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        let style = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
        format!(
            "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
    });
    &POLICY
}

/// How it went.
pub(super) fn outcome(outcome: &Outcome) -> Page {
    match outcome {
        Outcome::Succeeded(name) => Page {
            good: true,
            title: format!("{name} is authorized"),
            text: "Bursar has its token, and keeps it fresh from now on. You can close this page.".into(),
            command: None,
        },
        Outcome::Unbound(name) => Page {
            good: true,
            title: format!("{name} is authorized"),
            text: "It is bound to no environment, so its token is not kept. Bind it, which takes no browser again, in a terminal:".into(),
            command: Some(format!("bursar secret bind {name} ENVIRONMENT")),
        },
        Outcome::Failed(name, reason, hint) => {
            let (advice, commands) = advice(hint);
            Page {
                good: false,
                title: format!("{name} is not authorized"),
                text: format!("{}. {advice}, in a terminal:", sentence(reason)),
                command: Some(commands.unwrap_or_else(|| format!("bursar secret show {name}"))),
            }
        }
        Outcome::Unknown => Page {
            good: false,
            title: "It is not known how this ended".into(),
            text: "The vault is locked, or the secret was deleted. See in a terminal:".into(),
            command: Some("bursar secret list".into()),
        },
    }
}

/// The redirect was not taken.
pub(super) fn refused(refused: &NotTaken) -> Page {
    let again = |name: &Option<Qualified>| {
        let name = name.as_ref().map_or_else(|| "NAME".to_owned(), ToString::to_string);
        Some(format!("bursar secret reauthorize {name}"))
    };
    let page = |title: &str, text: &str, command| Page {
        good: false,
        title: title.into(),
        text: text.into(),
        command,
    };
    match refused {
        NotTaken::Refused(Refused::Unknown, _) => unknown(),
        NotTaken::Refused(Refused::Used(_), name) => page(
            "This address was used already",
            "It counts once. Whether it worked, a terminal tells you:",
            name.as_ref().map(|name| format!("bursar secret show {name}")),
        ),
        NotTaken::Refused(Refused::Lapsed(_), name) => page(
            "This authorization is over",
            "Its hour has passed, or another one was begun since. Nothing was changed. To start over, type in a terminal:",
            again(name),
        ),
        NotTaken::Locked => page(
            "The vault is locked",
            "Nothing is lost: unlock it in a terminal, then load this page again.",
            Some("bursar unlock".into()),
        ),
        NotTaken::Inactive(name) => page(
            &format!("{name} is deactivated"),
            "Reactivate it in a terminal, then load this page again.",
            Some(format!("bursar secret reactivate {name}")),
        ),
        NotTaken::Stranger => page(
            "This browser is not known to be yours",
            "Only the user who asked for the authorization can finish it. If that is you, finish it by hand, in a terminal:",
            Some("bursar secret reauthorize NAME --no-browser".into()),
        ),
    }
}

/// No authorization is known by this address.
pub(super) fn unknown() -> Page {
    Page {
        good: false,
        title: "This address authorizes nothing".into(),
        text: "It is incomplete, or not of an authorization that waits here. Nothing was changed. To start over, type in a terminal:".into(),
        command: Some("bursar secret reauthorize NAME".into()),
    }
}

/// Shown where a browser does not follow, and where the issuer takes its time.
pub(super) fn on_the_way() -> Page {
    Page {
        good: true,
        title: "One moment".into(),
        text: "The token is being fetched. Load this page again in a while; a terminal tells you, too, whether it worked:".into(),
        command: Some("bursar secret list".into()),
    }
}

impl Page {
    /// The whole document.
    pub(super) fn html(&self) -> String {
        let tone = if self.good { "good" } else { "bad" };
        let mut html = String::with_capacity(STYLE.len() + 1_024);
        html.push_str("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        html.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
        // writing to a text cannot fail
        let _ = writeln!(
            html,
            "<title>{} · Bursar</title>\n<style>{STYLE}</style>\n</head>",
            Escaped(&self.title)
        );
        let _ = writeln!(html, "<body>\n<main>\n<p class=\"mark\">Bursar</p>");
        let _ = writeln!(
            html,
            "<h1 class=\"{tone}\">{}</h1>\n<p>{}</p>",
            Escaped(&self.title),
            Escaped(&self.text)
        );
        if let Some(command) = &self.command {
            let _ = writeln!(html, "<pre>{}</pre>", Escaped(command));
        }
        html.push_str("</main>\n</body>\n</html>\n");
        html
    }
}

/// Takes a hint apart: what to do in words, and the commands in it, one a line.
fn advice(hint: &str) -> (String, Option<String>) {
    let (words, commands) = hint.split_at(hint.find("bursar ").unwrap_or(hint.len()));
    let words = words.trim_end_matches([':', ' ']);
    let before = if commands.is_empty() { Some(words) } else { words.strip_suffix("then") };
    let advice = match before.map(|before| before.trim_end_matches([' ', ',', ';'])) {
        None if words.is_empty() => "To mend it".to_owned(),
        None => sentence(words),
        Some("") => "Then".to_owned(),
        Some(before) => format!("{}. Then", sentence(before)),
    };
    // the first way is enough here
    let commands = commands
        .split("; ")
        .take_while(|part| !part.starts_with("or "))
        .filter_map(|part| Some(&part[part.find("bursar ")?..]));
    let commands = commands.collect::<Vec<_>>().join("\n");
    (advice, (!commands.is_empty()).then_some(commands))
}

/// A reason as a sentence of its own.
fn sentence(reason: &str) -> String {
    let mut letters = reason.trim_end_matches('.').chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Text between tags.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            other => f.write_char(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_page_says_is_text() {
        let page = Page {
            good: false,
            title: "<script>alert(1)</script>".into(),
            text: "a & b \"c\" 'd'".into(),
            command: Some("<pre>".into()),
        };
        let html = page.html();
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !html.contains("<script"));
        assert!(
            html.contains("a &amp; b &quot;c&quot; &#39;d&#39;") && html.contains("<pre>&lt;pre&gt;</pre>")
        );
    }

    #[test]
    fn a_hint_becomes_advice_and_commands() {
        for (hint, advised, commands) in [
            ("", "Then", None),
            ("wait", "Wait. Then", None),
            ("bursar secret show a", "To mend it", Some("bursar secret show a")),
            ("tick every box: bursar secret show a", "Tick every box", Some("bursar secret show a")),
            ("do this, then: bursar secret show a", "Do this. Then", Some("bursar secret show a")),
            ("see bursar.toml; then: bursar b", "See bursar.toml. Then", Some("bursar b")),
            ("set it: bursar a b; then: bursar c", "Set it", Some("bursar a b\nbursar c")),
        ] {
            assert_eq!(advice(hint), (advised.to_owned(), commands.map(str::to_owned)), "{hint}");
        }
    }

    #[test]
    fn a_page_loads_nothing_and_leads_nowhere() {
        let name: Qualified = "acme/ads".parse().unwrap();
        let pages = [
            unknown(),
            on_the_way(),
            outcome(&Outcome::Succeeded(name.clone())),
            outcome(&Outcome::Unbound(name.clone())),
            outcome(&Outcome::Failed(name.clone(), "the issuer said no".into(), "wait".into())),
            outcome(&Outcome::Unknown),
            refused(&NotTaken::Locked),
            refused(&NotTaken::Stranger),
            refused(&NotTaken::Inactive(name.clone())),
            refused(&NotTaken::Refused(Refused::Used([1; 16]), Some(name.clone()))),
            refused(&NotTaken::Refused(Refused::Lapsed([1; 16]), Some(name))),
        ];
        for page in pages {
            let html = page.html();
            for word in ["src=", "href=", "http", "url(", "<script", "<form", "@import", "onload"] {
                assert!(!html.contains(word), "{word}: {html}");
            }
        }
    }
}
