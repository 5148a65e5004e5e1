//! `bursar audit`: the record of accesses, as it was, as it goes on, and whether it is whole.

mod text;

use crate::args::audit::{Audit, Since, Verb};
use crate::output::text::now;
use crate::output::{json_line, write_out};
use crate::session::Session;
use crate::stop::Stop;
use bursar_proto::call::{AUDIT_PAGE_MAX, AuditList, AuditVerify, AuditWatch};
use bursar_proto::client::{Client, Notification};
use bursar_proto::client_secret::PublicId;
use bursar_proto::name::Reference;
use bursar_proto::reply::AuditEntry;
use bursar_proto::time::Timestamp;

/// How many entries are shown if nobody says.
const LAST: u64 = 50;

/// Whose entries are shown.
pub(super) struct Wanted {
    pub(super) secret: Option<Reference>,
    pub(super) client_secret: Option<PublicId>,
}

pub(crate) fn run(session: &Session, args: Audit) -> Result<(), Stop> {
    if let Some(Verb::Verify) = args.verb {
        let alone = args.secret.is_none() && args.client_secret.is_none() && args.since.is_none();
        if !alone || args.last.is_some() || args.all || args.follow {
            return Err(Stop::usage("verify proves the whole record, and takes no flags of audit")
                .hint("bursar audit verify"));
        }
        return verify(session);
    }
    let wanted = Wanted {
        secret: args.secret.map(|name| session.complete(name)).transpose()?,
        client_secret: args.client_secret,
    };
    // it watches before it lists, on a connection of its own: what is written meanwhile waits there
    let watching = if args.follow { Some(watch(session, &wanted)?) } else { None };
    let mut client = session.connect()?;
    let since = args.since.map(|since: Since| since.at(now()));
    let last = match args.last {
        None if since.is_none() && !args.all => Some(LAST),
        said => said,
    };
    let Some(watching) = watching else {
        return match last {
            Some(count) => print(session, &last_of(&mut client, &wanted, since, count)?),
            None => print_since(session, &mut client, &wanted, since),
        };
    };
    let mut shown = Shown { session, wanted, number: None };
    match last {
        Some(count) => shown.show(&last_of(&mut client, &shown.wanted, since, count)?)?,
        None => shown.catch_up(&mut client, since)?,
    }
    drop(client);
    shown.follow(watching)
}

fn verify(session: &Session) -> Result<(), Stop> {
    session.printer.progress("proving the record …");
    let proof = session.ask(&AuditVerify {})?;
    session.printer.reply(&proof, |_| text::proof(&proof))?;
    if proof.sound { Ok(()) } else { Err(Stop::NotCurrent) }
}

/// Prints all entries from a time on: as lines page by page, as JSON in one array.
pub(super) fn print_since(
    session: &Session,
    client: &mut Client,
    wanted: &Wanted,
    since: Option<Timestamp>,
) -> Result<(), Stop> {
    let mut all = Vec::new();
    let mut is_empty = true;
    forwards(client, wanted, since, 0, |entries| {
        is_empty &= entries.is_empty();
        if session.printer.json() {
            all.extend(entries);
            return Ok(());
        }
        write_out(text::lines(&entries).as_bytes())
    })?;
    if session.printer.json() || is_empty { print(session, &all) } else { Ok(()) }
}

fn print(session: &Session, entries: &Vec<AuditEntry>) -> Result<(), Stop> {
    if entries.is_empty() {
        session.printer.note("there is no such entry in the record");
    }
    session.printer.reply(entries, |_| text::lines(entries))
}

/// Goes through the entries after a number, page by page.
fn forwards(
    client: &mut Client,
    wanted: &Wanted,
    since: Option<Timestamp>,
    after: u64,
    mut each: impl FnMut(Vec<AuditEntry>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut after = Some(after);
    while let Some(from) = after {
        let page = client.call(&AuditList {
            after: Some(from),
            before: None,
            secret: wanted.secret.clone(),
            client_secret: wanted.client_secret.clone(),
            since,
            limit: Some(AUDIT_PAGE_MAX),
        })?;
        each(page.entries)?;
        // one that does not go on would go on for ever
        after = page.next.filter(|&next| next > from);
    }
    Ok(())
}

/// The last entries, the oldest of them first.
fn last_of(
    client: &mut Client,
    wanted: &Wanted,
    since: Option<Timestamp>,
    count: u64,
) -> Result<Vec<AuditEntry>, Stop> {
    let mut pages: Vec<Vec<AuditEntry>> = Vec::new();
    let mut before = None;
    let mut left = count;
    while left > 0 {
        let page = client.call(&AuditList {
            after: None,
            before,
            secret: wanted.secret.clone(),
            client_secret: wanted.client_secret.clone(),
            since,
            limit: Some(left.min(AUDIT_PAGE_MAX)),
        })?;
        left = left.saturating_sub(page.entries.len() as u64);
        pages.push(page.entries);
        let next = page.next.filter(|&next| before.is_none_or(|before| next < before));
        if next.is_none() {
            break;
        }
        before = next;
    }
    Ok(pages.into_iter().rev().flatten().collect())
}

/// A connection that is told of each entry from now on.
fn watch(session: &Session, wanted: &Wanted) -> Result<Client, Stop> {
    let mut client = session.connect()?;
    let (secret, client_secret) = (wanted.secret.clone(), wanted.client_secret.clone());
    client.call(&AuditWatch { secret, client_secret })?;
    Ok(client)
}

/// What was printed so far, where entries are followed.
struct Shown<'a> {
    session: &'a Session,
    wanted: Wanted,
    /// The number of the last one.
    number: Option<u64>,
}

impl Shown<'_> {
    /// Prints entries that were not printed yet.
    fn show(&mut self, entries: &[AuditEntry]) -> Result<(), Stop> {
        for entry in entries.iter().filter(|entry| Some(entry.number) > self.number) {
            if self.session.printer.json() {
                write_out(&json_line(entry)?)?;
            } else {
                write_out(text::line(entry).as_bytes())?;
            }
        }
        self.number = self.number.max(entries.last().map(|entry| entry.number));
        Ok(())
    }

    /// Prints what is in the record and was not printed yet.
    fn catch_up(&mut self, client: &mut Client, since: Option<Timestamp>) -> Result<(), Stop> {
        let Wanted { secret, client_secret } = &self.wanted;
        let wanted = Wanted { secret: secret.clone(), client_secret: client_secret.clone() };
        forwards(client, &wanted, since, self.number.unwrap_or(0), |entries| self.show(&entries))
    }

    /// Prints entries as they are written, until somebody ends it.
    fn follow(mut self, mut watching: Client) -> Result<(), Stop> {
        loop {
            match watching.next_notification()? {
                Notification::Audited(entry) => self.show(&[*entry])?,
                // the record still has them
                Notification::Missed(_) if self.number.is_some() => {
                    self.catch_up(&mut self.session.connect()?, None)?;
                }
                Notification::Missed(missed) => {
                    let text = format!("{} entries were missed\n", missed.count);
                    self.session.printer.reply(&missed, |_| text)?;
                }
                Notification::Changed(_) => {}
            }
        }
    }
}
