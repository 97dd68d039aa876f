//! The local port a browser comes back to (RFC 8252, section 7.3): loopback literals, one path, one use.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::oidc::error::Error;

/// The one path.
const PATH: &str = "/callback";

/// Browsers open connections ahead of need; more than these are nobody's browser.
const MAX_CONNECTIONS: usize = 32;

/// A request line and headers longer than this are no browser's.
const MAX_HEAD: usize = 16 * 1024;

/// How long a connection may take to say what it wants.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// A port of our own on loopback, open until the answer has come.
#[derive(Debug)]
pub struct Loopback {
    first: TcpListener,
    second: Option<TcpListener>,
    redirect: String,
    hosts: Vec<String>,
}

/// The answer that came through the browser: it carries our `state`.
#[derive(Debug)]
pub struct Callback {
    /// The parameters, each there once.
    pub parameters: BTreeMap<String, String>,
    /// The browser that waits for a page.
    pub visitor: Visitor,
}

/// A browser that waits for a page.
#[derive(Debug)]
pub struct Visitor(TcpStream);

/// A page for the person in front of the browser.
#[derive(Debug, Clone)]
pub enum Page<'a> {
    /// All is well.
    Done,
    /// Something went wrong; the text says what.
    Failed(&'a str),
}

/// A request for the one path.
struct Arrival {
    parameters: BTreeMap<String, String>,
    visitor: Visitor,
}

impl Loopback {
    /// Binds 127.0.0.1, and the same port of `[::1]` where that is to be had; without IPv4, `[::1]` alone.
    ///
    /// # Errors
    /// When the port is in use.
    pub async fn bind(port: Option<u16>) -> Result<Self, Error> {
        let wanted = port.unwrap_or(0);
        let v4 = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, wanted))).await;
        let (first, second) = match v4 {
            Ok(first) => {
                let same = first.local_addr().map_or(wanted, |address| address.port());
                let second = TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, same))).await;
                (first, second.ok())
            }
            Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable => {
                let v6 = TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, wanted)));
                (v6.await.map_err(|error| port_error(wanted, &error))?, None)
            }
            Err(error) => return Err(port_error(wanted, &error)),
        };
        let address = first
            .local_addr()
            .map_err(|error| port_error(wanted, &error))?;
        let port = address.port();
        Ok(Self {
            first,
            second,
            redirect: format!("http://{address}{PATH}"),
            hosts: vec![format!("127.0.0.1:{port}"), format!("[::1]:{port}")],
        })
    }

    /// The URL to be sent back to.
    #[must_use]
    pub fn redirect(&self) -> &str {
        &self.redirect
    }

    /// Waits for the answer that carries `state`. Others get an error page and change nothing, so that another page
    /// or another user of the machine can't end the sign-in. The port closes with the answer.
    pub async fn wait(self, state: &str) -> Callback {
        let (sender, mut arrivals) = mpsc::channel(MAX_CONNECTIONS);
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                stream = self.accept() => {
                    if tasks.len() < MAX_CONNECTIONS {
                        tasks.spawn(serve(stream, self.hosts.clone(), sender.clone()));
                    }
                }
                Some(_) = tasks.join_next() => {}
                Some(arrival) = arrivals.recv() => {
                    let Arrival { parameters, visitor } = arrival;
                    if is_ours(&parameters, state) {
                        return Callback { parameters, visitor };
                    }
                    tasks.spawn(async move {
                        visitor.tell(&Page::Failed("This answer does not belong to the sign-in that is running.")).await;
                    });
                }
            }
        }
    }

    async fn accept(&self) -> TcpStream {
        loop {
            let accepted = match &self.second {
                None => self.first.accept().await,
                Some(second) => tokio::select! {
                    accepted = self.first.accept() => accepted,
                    accepted = second.accept() => accepted,
                },
            };
            match accepted {
                Ok((stream, _)) => return stream,
                // Out of descriptors, or the peer is gone already: both pass.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

fn port_error(port: u16, error: &std::io::Error) -> Error {
    Error::Port {
        why: if port == 0 {
            error.to_string()
        } else {
            format!("port {port}: {error}")
        },
    }
}

fn is_ours(parameters: &BTreeMap<String, String>, state: &str) -> bool {
    parameters
        .get("state")
        .is_some_and(|found| verify_slices_are_equal(found.as_bytes(), state.as_bytes()).is_ok())
}

impl Visitor {
    /// Shows the page and hangs up. A browser that is gone misses it.
    pub async fn tell(self, page: &Page<'_>) {
        let (status, title, text) = match page {
            Page::Done => (
                "200 OK",
                "You are signed in",
                "You can close this window and go back to the terminal.",
            ),
            Page::Failed(text) => ("400 Bad Request", "The sign-in failed", *text),
        };
        self.send(status, &render(title, text)).await;
    }

    async fn send(mut self, status: &str, body: &str) {
        let length = body.len();
        let response = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {length}\r\n\
             Connection: close\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n\
             X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n\
             Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'\r\n\r\n{body}"
        );
        let sending = async {
            self.0.write_all(response.as_bytes()).await?;
            self.0.shutdown().await?;
            // Closing with unread bytes would reset the connection and take the page along.
            let mut rest = [0; 1024];
            while self.0.read(&mut rest).await? > 0 {}
            std::io::Result::Ok(())
        };
        // It matters to nobody but the browser, which shows its own error.
        let _told = tokio::time::timeout(Duration::from_secs(2), sending).await;
    }
}

fn render(title: &str, text: &str) -> String {
    let text: String = text.chars().map(html).collect();
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title} · dbgate</title>\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:34em;margin:15vh auto;padding:0 1em;\
         color:#222;background:#fff}}@media(prefers-color-scheme:dark){{body{{color:#eee;background:#161616}}}}\
         </style><h1>{title}</h1><p>{text}</p></html>\n"
    )
}

fn html(character: char) -> String {
    match character {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        other => other.to_string(),
    }
}

/// One connection: one request, one answer.
async fn serve(mut stream: TcpStream, hosts: Vec<String>, arrivals: mpsc::Sender<Arrival>) {
    let Ok(Some(head)) = tokio::time::timeout(HEAD_TIMEOUT, read_head(&mut stream)).await else {
        return;
    };
    let visitor = Visitor(stream);
    match judge(&head, &hosts) {
        Ok(parameters) => {
            let arrival = Arrival {
                parameters,
                visitor,
            };
            // Nobody listens any more: the sign-in is over.
            let _over = arrivals.send(arrival).await;
        }
        Err(status) => visitor.send(status, &render("Nothing here", status)).await,
    }
}

/// Everything up to the empty line, if it comes within bounds.
async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut chunk = [0; 2048];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let count = stream.read(&mut chunk).await.ok()?;
        if count == 0 || head.len() + count > MAX_HEAD {
            return None;
        }
        head.extend_from_slice(chunk.get(..count)?);
    }
    String::from_utf8(head).ok()
}

/// The parameters of a request for the one path, or the status that refuses it.
fn judge(head: &str, hosts: &[String]) -> Result<BTreeMap<String, String>, &'static str> {
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some("HTTP/1.1"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err("400 Bad Request");
    };
    // A name that resolves to loopback (DNS rebinding) is not our address.
    let mut named = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then(|| value.trim())
    });
    match (named.next(), named.next()) {
        (Some(host), None) if hosts.iter().any(|ours| ours == host) => {}
        _ => return Err("421 Misdirected Request"),
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if path != PATH {
        return Err("404 Not Found");
    }
    if method != "GET" {
        return Err("405 Method Not Allowed");
    }
    let mut parameters = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if parameters
            .insert(name.into_owned(), value.into_owned())
            .is_some()
        {
            return Err("400 Bad Request");
        }
    }
    Ok(parameters)
}
