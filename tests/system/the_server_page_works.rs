//! `docs/server.md` works as it stands: its blocks, pasted one after the other on a fresh server with the package, a real nginx and a
//! real issuer, and what each of them shows.

use bursar_tests::binaries::{binaries, profile_dir};
use bursar_tests::issuer::Issuer;
use bursar_tests::pages::{blocks, page};
use bursar_tests::{Machine, Run, has_program, until};
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::{io, thread};

/// What opens a block that is pasted.
const BLOCK: &str = "<!-- server -->\n```sh\n";

/// What opens what is shown of it.
const SHOWN: &str = "```text\n";

/// Stands for what differs, in what is shown.
const ANYTHING: char = '…';

/// The port of the machine that leads to the issuer.
const PORT: u16 = 4711;

/// What comes to a report by way of nginx.
const BY_NGINX: &str = "curl --silent --fail --cacert /root/www.pem --resolve www.example.com:443:127.0.0.1 \
                        https://www.example.com/crm/report";

/// What makes the machine one that knows the page's issuer: names, and a server before it with a certificate of an authority that
/// the machine trusts. The site of the page has the port on all addresses of the other family.
const ISSUER: &str = r"
echo '::1 login.example.com api.example.com' >>/etc/hosts
mkdir --parents /etc/issuer /etc/ssl/certs
cd /etc/issuer
key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2'
openssl req -x509 $key -subj '/CN=an authority' -keyout ca.key -out /etc/ssl/certs/ca-certificates.crt
openssl req -x509 $key -subj /CN=login.example.com -addext basicConstraints=critical,CA:FALSE \
    -addext subjectAltName=DNS:login.example.com,DNS:api.example.com \
    -CA /etc/ssl/certs/ca-certificates.crt -CAkey ca.key -keyout key.pem -out cert.pem
cat >nginx.conf <<'END'
pid /run/issuer.pid;
events {}
http {
    access_log off;
    server {
        listen [::1]:443 ssl;
        ssl_certificate /etc/issuer/cert.pem;
        ssl_certificate_key /etc/issuer/key.pem;
        location = /token {
            include /etc/issuer/lifetime;
            proxy_pass http://127.0.0.1:4711;
        }
        location = /report { proxy_pass http://127.0.0.1:4711; }
    }
}
END
cat >/etc/systemd/system/issuer.service <<'END'
[Service]
Type=forking
PIDFile=/run/issuer.pid
ExecStart=/usr/sbin/nginx -c /etc/issuer/nginx.conf
[Install]
WantedBy=multi-user.target
END
";

/// A block, and the lines of what it prints that the page shows.
struct Step {
    script: String,
    shown: Vec<String>,
}

/// The steps of the page.
fn steps(page: &str) -> Vec<Step> {
    let step = |rest: &str| {
        let (script, rest) = rest.split_once("```\n").expect("the end of a block");
        // of this step: before the next heading and the next block of any other kind
        let own = rest.split("\n#").next().unwrap_or_default();
        let shown = own.split_once("```").filter(|_| own.contains(SHOWN)).and_then(|_| own.split_once(SHOWN));
        let shown = shown.and_then(|(_, shown)| shown.split_once("```")).map_or("", |(shown, _)| shown);
        Step { script: script.to_owned(), shown: shown.lines().map(evenly).collect() }
    };
    page.split(BLOCK).skip(1).map(step).collect()
}

/// Whether a line is what the page shows of it.
fn fits(line: &str, shown: &str) -> bool {
    let mut parts = shown.split(ANYTHING);
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    let mut open = false;
    while let Some(part) = parts.next() {
        open = true;
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    open || rest.is_empty()
}

/// The first line that is shown and was not printed, in this order.
fn missing<'a>(step: &'a Step, printed: &str) -> Option<&'a str> {
    let mut lines = printed.lines().map(evenly);
    step.shown.iter().find(|shown| !lines.any(|line| fits(&line, shown))).map(String::as_str)
}

/// A line with one space where there are several.
fn evenly(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A server as the page expects it, with what lies in `/root`.
struct Server {
    machine: Machine,
    issuer: Issuer,
}

impl Server {
    fn new() -> Option<Self> {
        if !has_program("cargo", &["deb", "--version"]) {
            return None;
        }
        let server = Self { machine: Machine::boot()?, issuer: Issuer::authlib() };
        server.machine.sh(ISSUER);
        server.give_tokens_of(3600);
        server.lead_to_issuer();
        server.machine.sh("systemctl daemon-reload; systemctl enable --quiet --now issuer.service");
        server.machine.write("/root/crm.secret", server.issuer.client_secret, "600");
        server.bring_package();
        Some(server)
    }

    /// Puts the package with the binaries under test where the page expects it.
    fn bring_package(&self) {
        let output = tempfile::tempdir().expect("a directory in /tmp");
        let mut package = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../systemd/package"));
        package.arg("--binaries").arg(binaries().bursar.parent().expect("a directory"));
        package.arg("--output").arg(output.path()).args(["--", "--fast"]);
        package.env("CARGO_TARGET_DIR", profile_dir().parent().expect("a target directory"));
        let run = package.stdin(Stdio::null()).output().expect("the script starts");
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let file = String::from_utf8(run.stdout).expect("a path");
        let mut install = self.machine.command("install");
        install.args(["-D", "--mode", "644", "/dev/stdin", "/root/bursar.deb"]);
        install.stdin(File::open(file.trim()).expect("the package"));
        Run::of(&mut install).ok();
    }

    /// Lets a port of the machine lead to the issuer, which stays where it is when the machine is down.
    fn lead_to_issuer(&self) {
        let url = self.issuer.audience();
        let (_, rest) = url.split_once("://").expect("an address");
        let to = rest.split('/').next().expect("an address with a port").to_owned();
        let listener = self.machine.networked(|| TcpListener::bind(("127.0.0.1", PORT)));
        let listener = listener.expect("a port in a network of its own");
        let pass = move |stream: TcpStream| -> io::Result<()> {
            let beyond = TcpStream::connect(&to)?;
            let (mut from, mut back) = (stream.try_clone()?, beyond.try_clone()?);
            let (mut stream, mut beyond) = (stream, beyond);
            thread::spawn(move || io::copy(&mut from, &mut beyond));
            thread::spawn(move || io::copy(&mut back, &mut stream));
            Ok(())
        };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // whoever asks sees that the connection ended
                let _ = pass(stream);
            }
        });
    }

    /// Has tokens live so many seconds from now on.
    fn give_tokens_of(&self, lifetime: u64) {
        self.machine.write("/etc/issuer/lifetime", &format!("set $args lifetime={lifetime};\n"), "644");
        // after a reload, a connection that is kept open would have what was before
        self.machine.sh("systemctl try-restart issuer.service");
    }

    /// Runs a block as root in `/root`, as it is pasted.
    fn paste(&self, step: &Step) {
        let paste = || {
            let run = self.machine.try_sh(&format!("cd /root\n{}", step.script));
            let missing = missing(step, &run.out).map(str::to_owned);
            (run, missing)
        };
        let (mut run, mut absent) = paste();
        if step.script.starts_with("journalctl ") && absent.is_some() {
            // who looks too early looks again
            until(&step.script, || {
                (run, absent) = paste();
                absent.is_none().then_some(())
            });
        }
        assert_eq!((run.code, absent), (0, None), "{}\n{}{}", step.script, run.out, run.err);
    }

    /// The number of the token by which `ask` came to a report.
    fn token(&self, ask: &str) -> u32 {
        let report = self.machine.sh(ask);
        let number = report.trim().rsplit(' ').next().and_then(|number| number.parse().ok());
        number.unwrap_or_else(|| panic!("no report: {report}"))
    }

    /// A token that is refreshed by itself comes to the running nginx.
    fn sees_a_refresh(&self) {
        let before = self.machine.property("nginx.service", "InvocationID");
        // it ends soon, and so is refreshed soon
        self.give_tokens_of(45);
        self.machine.sh("bursar secret retry acme/crm --wait");
        let short = self.token(
            "bursar get acme/crm --header | curl --silent --fail --header @- https://api.example.com/report",
        );
        self.give_tokens_of(3600);
        until("the token was refreshed, and nginx has it", || (self.token(BY_NGINX) > short).then_some(()));
        assert_eq!(self.machine.property("nginx.service", "InvocationID"), before, "nginx was started anew");
        // and whoever asks by itself has it too: curl fails where the issuer does not know the token
        self.machine.sh("systemctl start crm-report.service");
    }

    /// The configs of the pages are such that the agent takes them, with the users that they name.
    fn takes_configs(&self) {
        self.machine.sh("useradd app; useradd ann; useradd crm; groupadd web");
        let configs = ["docs/server.md", "README.md"].map(|name| blocks(&page(name), "```toml\n")).concat();
        for config in configs {
            self.machine.write("/etc/bursar/conf.d/of-a-page.toml", &config, "644");
            self.machine.sh("bursard --system --check");
        }
    }
}

#[test]
fn every_block_works_in_its_turn_and_prints_what_the_page_shows() {
    let steps = steps(&page("docs/server.md"));
    assert!(steps.iter().any(|step| !step.shown.is_empty()), "nothing is shown");
    let Some(mut server) = Server::new() else { return };
    let mut reboots = 0;
    for step in &steps {
        if step.script.trim() == "systemctl reboot" {
            server.machine.reboot();
            server.lead_to_issuer();
            reboots += 1;
            continue;
        }
        server.paste(step);
        if step.script.contains("[[render]]") {
            server.sees_a_refresh();
        }
    }
    assert_eq!(reboots, 1);
    server.machine.sh("bursar audit verify");
    server.takes_configs();
}

#[test]
fn what_is_shown_fits_what_is_printed() {
    for (line, shown, expected) in [
        ("active", "active", true),
        ("inactive", "active", false),
        ("the report, by token 12", "the report, by token …", true),
        ("a report", "the report, by token …", false),
        ("at 12:00, by unit a.service, denied", "… by unit a.service, …ied", true),
        ("at 12:00, by unit b.service, denied", "… by unit a.service, …", false),
        ("", "…", true),
    ] {
        assert_eq!(fits(line, shown), expected, "{line} {shown}");
    }
}
