use super::*;

fn usage(name: &str, days: &[(&str, u64)]) -> Usage {
    let days: Vec<_> = days
        .iter()
        .map(
            |(day, count)| serde_json::json!({ "day": day, "count": count, "by": { "artifact.get": count } }),
        )
        .collect();
    let id = name.starts_with("k3").then_some(name);
    serde_json::from_value(serde_json::json!({
        "secret": if id.is_none() { Some(name) } else { None }, "client_secret": id,
        "description": id.map(|_| "nightly"), "analytics": "limited",
        "last_used_at": "2026-11-21T05:00:00Z", "count": 12, "days": days
    }))
    .unwrap()
}

fn now() -> Timestamp {
    "2026-11-21T06:00:00Z".parse().unwrap()
}

fn printer() -> Printer {
    Printer::new(false, true)
}

#[test]
fn each_has_a_row_with_a_bar_for_each_day() {
    let all = [
        usage("acme/npm", &[("2026-11-17", 4), ("2026-11-21", 8)]),
        usage("k3j9x2m4pq", &[("2026-11-20", 1)]),
    ];
    assert_eq!(
        table(&printer(), &all, 5, now()),
        "NAME                  USED  LAST USED             BY DAY\n\
         acme/npm              12    2026-11-21T05:00:00Z  ▄   █\n\
         k3j9x2m4pq (nightly)  12    2026-11-21T05:00:00Z     ▁\n\
         2026-11-17 to 2026-11-21; the highest bar is 8\n"
    );
}

#[test]
fn a_long_description_leaves_room_for_the_bars() {
    let mut one = usage("k3j9x2m4pq", &[("2026-11-21", 1)]);
    one.description = Some("é".repeat(DESCRIPTION_SHOWN + 1));
    let text = table(&printer(), &[one], 2, now());
    assert!(text.contains(&format!("k3j9x2m4pq ({}…)  12 ", "é".repeat(DESCRIPTION_SHOWN))), "{text}");
}

#[test]
fn many_days_have_a_bar_for_each_week() {
    let one = usage("acme/npm", &[("2026-11-15", 3), ("2026-11-21", 5), ("2026-11-14", 2)]);
    assert_eq!(by_column(&one, 61, 7, day_of(now())), [0, 0, 0, 0, 0, 0, 0, 2, 8]);
    assert!(table(&printer(), &[one], 61, now()).contains("BY WEEK\n"));
}

#[test]
fn days_that_are_not_shown_or_are_no_days_count_nowhere() {
    let one = usage("acme/npm", &[("1970-01-01", 3), ("yesterday", 4), ("2026-11-21", 5)]);
    assert_eq!(by_column(&one, 3, 1, day_of(now())), [0, 0, 5]);
    assert!(by_column(&one, 0, 1, day_of(now())).is_empty());
}

#[test]
fn an_agent_whose_day_is_later_is_believed() {
    let one = usage("acme/npm", &[("2026-11-22", 5)]);
    assert!(table(&printer(), &[one], 2, now()).contains(" █\n2026-11-21 to 2026-11-22;"));
}

#[test]
fn one_has_a_line_for_each_day() {
    let mut npm = usage("acme/npm", &[("2026-11-20", 6), ("2026-11-21", 12)]);
    npm.days[1].by.insert("package.get".to_owned(), 2);
    assert_eq!(
        one(&printer(), &npm, 30, now()),
        "name       acme/npm\nanalytics  limited\nused       12 in 30 days\n\
         last used  2026-11-21T05:00:00Z (1 h ago)\n\
         DAY         USED                            BY\n\
         2026-11-20  6     ████████████              artifact.get 6\n\
         2026-11-21  12    ████████████████████████  artifact.get 12, package.get 2\n"
    );
}

#[test]
fn what_is_not_counted_is_not_shown_as_none() {
    let npm =
        Usage { analytics: Analytics::Disabled, count: 0, last_used_at: None, ..usage("acme/npm", &[]) };
    let text = one(&printer(), &npm, 30, now());
    assert!(text.contains("used       - in 30 days\nlast used  -\n"), "{text}");
    assert!(table(&printer(), &[npm], 30, now()).ends_with("acme/npm  -     -\n"));
}

#[test]
fn a_spreadsheet_has_a_row_for_each_day_and_way() {
    let mut npm = usage("acme/npm", &[("2026-11-20", 6)]);
    npm.days[0].by.insert("=cmd|x".to_owned(), 2);
    assert_eq!(
        csv(&[npm.clone(), usage("k3j9x2m4pq", &[("2026-11-21", 1)])]),
        "day,kind,name,by,count\n2026-11-20,secret,acme/npm,'=cmd|x,2\n\
         2026-11-20,secret,acme/npm,artifact.get,6\n2026-11-21,client_secret,k3j9x2m4pq,artifact.get,1\n"
    );
    npm.days[0].by.clear();
    assert!(csv(&[npm]).ends_with("2026-11-20,secret,acme/npm,,6\n"));
}
