//! The loopback listener of a person's authorization answers what is no redirect plainly, or not at all. Whatever comes, no
//! answer says which secret there is, what its state is, or whether the vault is open; and what waits for its person waits on.

use bursar_tests::google::{ask, ask_again, port};
use bursar_tests::http::{escape, get, parameters, send, visit};
use bursar_tests::patience::PATIENCE;
use bursar_tests::processes::listening;
use bursar_tests::users::{as_user, can_become_others};
use bursar_tests::{Daemon, Google, Home, configured, until};
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// The secret; no answer to a stranger has its name.
const NAME: &str = "quarterly-ledger";

/// Stands in for a code, wherever one is sent.
const CODE: &str = "4/0Acanary-51d0";

/// What an answer of ours has among its headers, and nothing else.
const HEADERS: [&str; 11] = [
    "allow",
    "cache-control",
    "connection",
    "content-length",
    "content-security-policy",
    "content-type",
    "date",
    "location",
    "referrer-policy",
    "x-content-type-options",
    "x-frame-options",
];

/// A daemon that waits for a person.
struct Waiting {
    home: Home,
    daemon: Daemon,
    google: Google,
    /// Where the person is sent.
    url: String,
    port: u16,
    state: String,
}

impl Waiting {
    fn new(config: &str) -> Self {
        let (home, daemon) = configured(config);
        let google = Google::authlib();
        google.configure(&home);
        let url = ask(&home, NAME);
        Self { port: port(&url), state: parameters(&url)["state"].clone(), home, daemon, google, url }
    }

    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn address(&self, target: &str) -> String {
        format!("http://{}{target}", self.host())
    }

    /// Says `bytes` and hears what comes until the daemon hangs up; with the connection still open for more.
    fn say(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect();
        // who is refused early may be hung up on in the middle
        drop(stream.write_all(bytes.as_ref()));
        heard(&mut stream)
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.host()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// One request with this head, `host` and all; answers status and the whole answer.
    fn request(&self, head: &[&str]) -> (u16, String) {
        let answer = self.say(format!("{}\r\n\r\n", head.join("\r\n")));
        (status(&answer), answer)
    }

    /// Asks as a browser does.
    fn ask(&self, target: &str) -> (u16, String) {
        self.request(&[&format!("GET {target} HTTP/1.1"), &format!("host: {}", self.host())])
    }

    /// Neither the head nor the body of an answer does.
    #[track_caller]
    fn tells_nothing(&self, answer: &str) {
        self.says_nothing(answer);
        let head = answer.split("\r\n\r\n").next().unwrap_or_default();
        assert!(!head.to_ascii_lowercase().contains("bursar"), "{head}");
        for line in head.lines().skip(1) {
            let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
            assert!(HEADERS.contains(&name.as_str()), "{line}: {head}");
        }
    }

    #[track_caller]
    fn says_nothing(&self, text: &str) {
        let lower = text.to_ascii_lowercase();
        for word in [NAME, &self.state, CODE, "personal/", "manual_authorization", "client_id", "bursard"] {
            assert!(!lower.contains(&word.to_ascii_lowercase()), "{word}: {text}");
        }
    }

    /// The state was used up by nothing that came so far: the person authorizes.
    #[track_caller]
    fn is_still_open(&self) {
        let shown = self.home.ok("secret.show", json!({ "secret": NAME }));
        assert_eq!(shown["status"], "manual_authorization", "{shown}");
        let (address, page) = self.google.land(&self.url);
        assert!(address.starts_with(&self.address("/oauth2/result/")), "{address}");
        assert!(page.status == 200 && page.body.contains("is authorized"), "{}", page.body);
        assert_eq!(self.home.ok("secret.wait", json!({ "secret": NAME }))["status"], "succeeded");
    }
}

/// Reads until the other end hangs up, which it must.
#[track_caller]
fn heard(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("it does not hang up: {error}"),
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of an answer; 0 of none.
fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// An answer without what differs from one second to the next.
fn timeless(answer: &str) -> String {
    answer.lines().filter(|line| !line.starts_with("date:")).collect::<Vec<_>>().join("\n")
}

#[test]
fn whoever_asks_for_anything_else_learns_nothing() {
    let waiting = Waiting::new("");
    let host = format!("host: {}", waiting.host());
    let redirect = format!("/oauth2/callback?code={}&state={}", escape(CODE), waiting.state);
    for (target, expected) in [
        ("/", 404),
        ("/favicon.ico", 404),
        ("/robots.txt", 404),
        ("/.git/config", 404),
        ("/.env", 404),
        ("/oauth2", 404),
        ("/oauth2/", 404),
        ("/oauth2/callback/", 404),
        ("/oauth2/callback/../callback", 404),
        ("//oauth2/callback", 404),
        ("/OAUTH2/CALLBACK", 404),
        ("/oauth2/%63allback", 404),
        ("/oauth2/result", 404),
        ("/oauth2/result/", 404),
        ("/oauth2/result/0000000000000000000000000000000000000000000000000000000000000000", 404),
        ("/oauth2/result/../callback", 404),
        ("/oauth2/callback", 400),
        ("/oauth2/callback?", 400),
        ("*", 404),
    ] {
        let (status, answer) = waiting.ask(target);
        assert_eq!(status, expected, "{target}: {answer}");
        waiting.tells_nothing(&answer);
        // the same in the place of the redirect, with what it would take
        let (status, answer) = waiting.ask(&format!("{target}?code=x&state=y"));
        assert!(matches!(status, 400 | 404), "{target}: {answer}");
        waiting.tells_nothing(&answer);
    }
    for method in ["POST", "PUT", "HEAD", "OPTIONS", "DELETE", "TRACE", "PATCH", "get", "BREW"] {
        let (status, answer) = waiting.request(&[&format!("{method} {redirect} HTTP/1.1"), &host]);
        assert_eq!(status, 405, "{method}: {answer}");
        waiting.tells_nothing(&answer);
    }
    for line in [
        format!("CONNECT {} HTTP/1.1", waiting.host()),
        format!("GET http://{}{redirect} HTTP/1.1", waiting.host()),
        format!("GET http://evil.example{redirect} HTTP/1.1"),
    ] {
        let (status, answer) = waiting.request(&[&line, &host]);
        assert_eq!(status, 400, "{line}: {answer}");
        waiting.tells_nothing(&answer);
    }
    waiting.is_still_open();
}

#[test]
fn a_request_that_no_browser_on_its_way_makes_is_refused_whatever_it_brings() {
    let waiting = Waiting::new("");
    let port = waiting.port;
    let line = format!("GET /oauth2/callback?code={}&state={} HTTP/1.1", escape(CODE), waiting.state);
    let host = format!("host: {}", waiting.host());
    let refused = |head: &[&str]| {
        let (status, answer) = waiting.request(head);
        assert_eq!(status, 403, "{head:?}: {answer}");
        waiting.tells_nothing(&answer);
    };
    refused(&[&line]);
    for other in [
        String::new(),
        "127.0.0.1".into(),
        format!("127.0.0.1:{}", port ^ 1),
        format!("127.0.0.1:{port}."),
        format!("127.0.0.1:0{port}"),
        format!("127.0.0.1.:{port}"),
        format!("127.1:{port}"),
        format!("2130706433:{port}"),
        format!("localhost:{port}"),
        format!("[::1]:{port}"),
        format!("[::ffff:127.0.0.1]:{port}"),
        format!("rebound.example:{port}"),
        format!("user@127.0.0.1:{port}"),
        format!("127.0.0.1:{port}, evil.example"),
    ] {
        refused(&[&line, &format!("host: {other}")]);
    }
    refused(&[&line, &host, "host: evil.example"]);
    refused(&[&line, &host, &host]);
    refused(&[&line.replace("HTTP/1.1", "HTTP/1.0")]);
    for metadata in [
        "sec-fetch-mode: cors",
        "sec-fetch-mode: no-cors",
        "sec-fetch-mode: same-origin",
        "sec-fetch-mode: websocket",
        "sec-fetch-mode: nested-navigate",
        "sec-fetch-mode: ",
        "sec-fetch-mode: NAVIGATE",
        "sec-fetch-dest: iframe",
        "sec-fetch-dest: frame",
        "sec-fetch-dest: image",
        "sec-fetch-dest: script",
        "sec-fetch-dest: object",
        "sec-fetch-dest: empty",
    ] {
        refused(&[&line, &host, metadata]);
    }
    refused(&[&line, &host, "sec-fetch-mode: navigate", "sec-fetch-dest: iframe"]);
    refused(&[&line, &host, "sec-fetch-mode: navigate", "sec-fetch-mode: cors"]);
    refused(&[&line, &host, "sec-fetch-dest: document", "sec-fetch-dest: image"]);
    waiting.is_still_open();
}

#[test]
fn a_state_that_is_none_and_a_query_that_is_none_are_answered_alike() {
    let waiting = Waiting::new("");
    let state = &waiting.state;
    let other: String = state.chars().rev().collect();
    let unknown = |target: &str| {
        let (status, answer) = waiting.ask(target);
        assert_eq!(status, 400, "{target}: {answer}");
        assert!(!answer.to_ascii_lowercase().contains("location:"), "{answer}");
        waiting.tells_nothing(&answer);
        timeless(&answer)
    };
    let like = unknown("/oauth2/callback?code=x&state=y");
    let code = escape(CODE);
    for query in [
        // another state, or a part of it
        format!("code={code}&state={other}"),
        format!("code={code}&state={}", &state[1..]),
        format!("code={code}&state={}", &state[..state.len() - 1]),
        format!("code={code}&state={state}%00"),
        format!("code={code}&state={state}%20"),
        format!("code={code}&state=+{state}"),
        format!("code={code}&state={}", state.to_ascii_uppercase()),
        format!("error=access_denied&state={other}"),
        // something is missing
        format!("state={state}"),
        format!("code={code}"),
        format!("code=&state={state}"),
        format!("code={code}&state="),
        format!("code={code}&State={state}"),
        format!("code={code};state={state}"),
        format!("error=&state={state}"),
        format!("error_description=no&state={state}"),
        // something is there twice
        format!("code={code}&code={code}&state={state}"),
        format!("code={code}&state={state}&state={state}"),
        format!("code={code}&state={other}&state={state}"),
        format!("code={code}&error=access_denied&state={state}"),
        format!("error=a&error=b&state={state}"),
        // something is odd in it
        format!("code=%0d%0aset-cookie:%20a=b&state={state}"),
        format!("code={code}%0D%0ALocation:%20http://evil.example/&state={state}"),
        format!("code={code}&state={state}%0d%0a"),
        format!("code=%00&state={state}"),
        format!("code=%ff%fe&state={state}"),
        format!("code=%C3%A4&state={state}"),
        format!("code={code}&state=%F0%28%8C%28"),
        format!("%63ode={code}&st%61te={other}"),
        "%%%&%=%&&&==&%zz=%z".to_owned(),
        "=".repeat(8_000),
        "&".repeat(8_000),
        format!("code={}&state={state}", "c".repeat(8 * 1024)),
        format!("code={code}&state={}", "s".repeat(8 * 1024)),
        format!("code={code}&state={other}&x={}", "%41".repeat(2_600)),
    ] {
        assert_eq!(unknown(&format!("/oauth2/callback?{query}")), like, "{query}");
    }
    waiting.is_still_open();
    // what held a state knows that it is used, and only of its own secret
    let (status, answer) = waiting.ask(&format!("/oauth2/callback?code={code}&state={state}"));
    assert!(status == 400 && answer.contains("used already") && answer.contains(NAME), "{answer}");
    assert_eq!(unknown(&format!("/oauth2/callback?code={code}&state={other}")), like);
}

#[test]
fn bytes_that_are_no_request_are_hung_up_on() {
    let waiting = Waiting::new("");
    let host = format!("host: {}\r\n", waiting.host());
    let target = format!("/oauth2/callback?code={}&state={}", escape(CODE), waiting.state);
    let mut tls = vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    tls.extend((0..=255).cycle().take(2_048));
    let noise: Vec<u8> = (0_u32..4_096).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let rubbish: [(&str, Vec<u8>); 18] = [
        ("a tls greeting", tls),
        ("http 0.9", format!("GET {target}\r\n").into()),
        ("http 0.9 without a line", format!("GET {target}\n").into()),
        ("http 2", format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{}", "\0".repeat(64)).into()),
        ("http 3", format!("GET {target} HTTP/3.0\r\n{host}\r\n").into()),
        ("a line that breaks", format!("GET {target}\r\nHTTP/1.1\r\n{host}\r\n").into()),
        ("two blanks", format!("GET  {target} HTTP/1.1\r\n{host}\r\n").into()),
        ("a blank in the target", format!("GET {target} x HTTP/1.1\r\n{host}\r\n").into()),
        ("a null in the target", format!("GET {target}\0 HTTP/1.1\r\n{host}\r\n").into()),
        ("a null in a header", format!("GET {target} HTTP/1.1\r\n{host}x: \0\r\n\r\n").into()),
        ("a folded header", format!("GET {target} HTTP/1.1\r\nx: a\r\n b\r\n{host}\r\n").into()),
        ("a header without a name", format!("GET {target} HTTP/1.1\r\n: x\r\n{host}\r\n").into()),
        ("a blank before the colon", format!("GET {target} HTTP/1.1\r\nhost : x\r\n{host}\r\n").into()),
        (
            "two lengths",
            format!("GET {target} HTTP/1.1\r\n{host}content-length: 1\r\ncontent-length: 2\r\n\r\nx").into(),
        ),
        (
            "a length that is none",
            format!("GET {target} HTTP/1.1\r\n{host}content-length: -1\r\n\r\n").into(),
        ),
        ("redis", b"*1\r\n$4\r\nPING\r\n\r\n".into()),
        ("ssh", b"SSH-2.0-OpenSSH_9.6\r\n\r\n".into()),
        ("noise", noise),
    ];
    for (what, bytes) in rubbish {
        let answer = waiting.say(&bytes);
        let status = status(&answer);
        assert!(answer.is_empty() || (400..=505).contains(&status), "{what}: {answer}");
        waiting.tells_nothing(&answer);
    }
    let (raw, end) = (format!("GET {target} HTTP/1.1\r\n{host}"), "\r\n");
    let mut not_text = format!("GET {target}").into_bytes();
    not_text.extend([0xff, 0xfe]);
    not_text.extend(format!(" HTTP/1.1\r\n{host}\r\n").bytes());
    assert_eq!(status(&waiting.say(&not_text)), 400);
    for (what, head) in [
        ("one header that is huge", format!("{raw}x: {}\r\n{end}", "y".repeat(64 * 1024))),
        ("headers without number", format!("{raw}{}{end}", "x: y\r\n".repeat(5_000))),
        ("one header too many", format!("{raw}{}{end}", "x: y\r\n".repeat(64))),
        ("a target that is huge", format!("GET {target}{} HTTP/1.1\r\n{host}{end}", "z".repeat(32 * 1024))),
    ] {
        let answer = waiting.say(&head);
        // it hangs up while we still talk, so the answer may be lost on the way
        assert!(answer.is_empty() || matches!(status(&answer), 414 | 431), "{what}: {answer}");
        waiting.tells_nothing(&answer);
    }
    // one that fits the connection's buffers is told why
    let answer = waiting.say(format!("{raw}{}{end}", "x: y\r\n".repeat(70)));
    assert_eq!(status(&answer), 431, "{answer}");
    waiting.is_still_open();
}

#[test]
fn one_connection_has_one_answer() {
    let waiting = Waiting::new("");
    let host = format!("host: {}", waiting.host());
    let one = format!("GET /oauth2/callback?code=x&state=y HTTP/1.1\r\n{host}\r\n\r\n");
    let mut stream = waiting.connect();
    stream.write_all(one.repeat(3).as_bytes()).unwrap();
    let answer = heard(&mut stream);
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    waiting.tells_nothing(&answer);
    // a body is not waited for
    for (method, expected) in [("POST", 405), ("GET", 400)] {
        let line = format!("{method} /oauth2/callback HTTP/1.1");
        for body in [
            "content-length: 100000",
            "transfer-encoding: chunked",
            "content-length: 9\r\nexpect: 100-continue",
        ] {
            let (status, answer) = waiting.request(&[&line, &host, body]);
            assert_eq!(status, expected, "{method} {body}: {answer}");
            waiting.tells_nothing(&answer);
        }
    }
    waiting.is_still_open();
}

#[test]
fn it_is_on_one_address_of_this_machine_alone() {
    let waiting = Waiting::new("");
    let at = SocketAddr::from(([127, 0, 0, 1], waiting.port));
    assert_eq!(listening(waiting.daemon.pid()), [at]);
    for other in ["127.0.0.2", "127.1.2.3", "[::1]"] {
        let refused = TcpStream::connect(format!("{other}:{}", waiting.port));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused, "{other}");
    }
    waiting.is_still_open();
    waiting.home.ok("secret.delete", json!({ "secret": NAME }));
    until("nobody needs the listener", || listening(waiting.daemon.pid()).is_empty().then_some(()));
}

#[test]
fn whether_the_vault_is_open_is_told_to_nobody_without_a_state() {
    let waiting = Waiting::new("");
    let ask = |query: &str| timeless(&waiting.ask(&format!("/oauth2/callback?{query}")).1);
    let queries = ["code=x&state=y", "error=access_denied&state=y", "code=x"];
    let open: Vec<_> = queries.iter().map(|query| ask(query)).collect();
    waiting.home.ok("vault.lock", json!({}));
    let locked: Vec<_> = queries.iter().map(|query| ask(query)).collect();
    assert_eq!(open, locked);
    // whoever brings the state is told what to do, and it is good for later
    let redirect = waiting.google.consent(&waiting.url);
    let told = get(&redirect);
    assert!(told.status == 400 && told.body.contains("bursar unlock"), "{}", told.body);
    assert!(!told.body.contains(NAME), "{}", told.body);
    waiting.home.ok("vault.unlock", json!({ "key_file": waiting.home.key_file() }));
    let (_, page) = visit(&redirect);
    assert!(page.body.contains("is authorized"), "{}", page.body);
}

#[test]
fn another_user_who_saw_the_address_learns_nothing_by_it() {
    if !can_become_others() {
        return;
    }
    let waiting = Waiting::new("");
    let target = format!("/oauth2/callback?code={}&state={}", escape(CODE), waiting.state);
    let as_stranger = || as_user(65_534, || waiting.ask(&target));
    let first = as_stranger();
    assert_eq!(first.0, 400, "{}", first.1);
    waiting.tells_nothing(&first.1);
    waiting.is_still_open();
    // and once it is used, or over, they cannot tell
    let used = as_stranger();
    waiting.tells_nothing(&used.1);
    assert_eq!(timeless(&used.1), timeless(&first.1));
    ask_again(&waiting.home, NAME);
    assert_eq!(timeless(&as_stranger().1), timeless(&first.1));
    waiting.home.ok("vault.lock", json!({}));
    assert_eq!(timeless(&as_stranger().1), timeless(&first.1));
}

#[test]
fn the_last_page_is_for_whoever_was_sent_there() {
    let waiting = Waiting::new("");
    let redirect = waiting.google.consent(&waiting.url);
    let sent = get(&redirect);
    assert_eq!(sent.status, 303, "{}", sent.body);
    waiting.says_nothing(&sent.body);
    let page = sent.header("location").unwrap().to_owned();
    let (path, name) = page.rsplit_once('/').unwrap();
    assert!(path == "/oauth2/result" && name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()));
    for guess in [
        &name[..63],
        &name[1..],
        &name.to_ascii_uppercase(),
        &format!("{name}0"),
        &format!("{name}/"),
        &format!("%{:02x}{}", name.as_bytes()[0], &name[1..]),
        &"0".repeat(64),
    ] {
        let (status, answer) = waiting.ask(&format!("{path}/{guess}"));
        assert_eq!(status, 404, "{guess}: {answer}");
        waiting.tells_nothing(&answer);
    }
    for method in ["POST", "HEAD", "OPTIONS"] {
        let answer = send(method, &waiting.address(&page), &[], None).map(|answer| answer.status);
        // the answer to HEAD has the length of a body that does not come
        assert!(matches!(answer, Ok(405) | Err(_)), "{method}: {answer:?}");
    }
    let framed = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
    assert_eq!(send("GET", &waiting.address(&page), &framed, None).unwrap().status, 403);
    assert!(get(&waiting.address(&page)).body.contains(NAME));
}

#[test]
fn the_log_holds_nothing_of_what_comes_even_at_its_most_talkative() {
    let waiting = Waiting::new("[log]\nlevel = \"trace\"\n");
    let redirect = waiting.google.consent(&waiting.url);
    let real = parameters(&redirect)["code"].clone();
    for target in [
        format!("/oauth2/callback?code={CODE}"),
        format!("/oauth2/callback?code={CODE}&state={CODE}"),
        format!("/oauth2/callback?error={CODE}&state={CODE}"),
        format!("/{CODE}?x={CODE}"),
    ] {
        waiting.tells_nothing(&waiting.ask(&target).1);
    }
    waiting.say(format!("{CODE} {CODE}\r\n\r\n"));
    waiting.says_nothing(&get(&redirect).body);
    assert_eq!(waiting.home.ok("secret.wait", json!({ "secret": NAME }))["status"], "succeeded");
    let page = get(&redirect);
    assert_eq!(page.status, 400, "{}", page.body);
    let log = waiting.home.log();
    assert!(log.contains(&format!("port={}", waiting.port)), "the log of this very daemon: {log}");
    for word in
        [CODE, &waiting.state, &real, "oauth2/callback?", "code_verifier", waiting.google.client_secret]
    {
        assert!(!log.contains(word), "{word}");
    }
}
