//! The loopback listener that a browser comes back to (RFC 8252 section 7.3).

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use url::Url;

/// A port of this machine, held from the registration to the end of the walk.
pub(super) struct Listener {
    socket: TcpListener,
    origin: Url,
}

/// The parameters that the browser brought.
pub(super) type Parameters = Vec<(String, String)>;

impl Listener {
    /// Takes any free port on 127.0.0.1.
    pub(super) async fn bind() -> io::Result<Self> {
        let socket = TcpListener::bind(("127.0.0.1", 0)).await?;
        let origin = Url::parse(&format!("http://{}/", socket.local_addr()?)).map_err(io::Error::other)?;
        Ok(Self { socket, origin })
    }

    /// Where the authorization server sends the browser.
    pub(super) fn redirect_uri(&self) -> Url {
        let mut uri = self.origin.clone();
        uri.set_path(CALLBACK);
        uri
    }

    /// Where the person starts: a short address that leads to the authorization endpoint.
    pub(super) fn start_url(&self) -> &Url {
        &self.origin
    }

    /// Waits for a browser to come back; `None` if it doesn't in time.
    ///
    /// Browsers open connections ahead and fetch icons, so each connection is served by itself.
    pub(super) async fn wait(&self, destination: &Url, patience: Duration) -> io::Result<Option<Parameters>> {
        let (found, mut results) = mpsc::channel(1);
        let pages = Arc::new(Pages { destination: destination.to_string(), found: Mutex::new(Some(found)) });
        let arrival = async {
            loop {
                tokio::select! {
                    accepted = self.socket.accept() => {
                        let (stream, _) = accepted?;
                        let pages = Arc::clone(&pages);
                        tokio::spawn(async move {
                            // A browser that gives up costs nothing but its connection.
                            let _ = tokio::time::timeout(ONE_REQUEST, pages.serve(stream)).await;
                        });
                    }
                    Some(parameters) = results.recv() => return Ok(parameters),
                }
            }
        };
        tokio::time::timeout(patience, arrival).await.ok().transpose()
    }
}

struct Pages {
    destination: String,
    found: Mutex<Option<mpsc::Sender<Parameters>>>,
}

impl Pages {
    async fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            if head.len() > LONGEST_HEAD || stream.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let head = String::from_utf8_lossy(&head);
        let (answer, parameters) = self.answer(head.lines().next().unwrap_or_default());
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        let found = parameters.and_then(|parameters| {
            Some((self.found.lock().unwrap_or_else(PoisonError::into_inner).take()?, parameters))
        });
        if let Some((found, parameters)) = found {
            // Fails only if nobody waits any more.
            let _ = found.send(parameters).await;
        }
        Ok(())
    }

    fn answer(&self, request_line: &str) -> (String, Option<Parameters>) {
        let target = request_line.strip_prefix("GET ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match path {
            CALLBACK => {
                let parameters = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
                (
                    page("200 OK", "", "<p>Done. The doctor goes on in the terminal; you can close this page."),
                    Some(parameters),
                )
            }
            "/" => (page("302 Found", &format!("Location: {}\r\n", self.destination), ""), None),
            _ => (page("404 Not Found", "", ""), None),
        }
    }
}

fn page(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

const CALLBACK: &str = "/callback";
const LONGEST_HEAD: usize = 16 * 1024;
const ONE_REQUEST: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    async fn request(listener: &Listener, target: &str) -> String {
        let mut stream = TcpStream::connect(listener.socket.local_addr().unwrap()).await.unwrap();
        stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_browser_is_sent_away_and_its_return_is_noticed_beside_idle_connections() {
        let listener = Listener::bind().await.unwrap();
        let destination = "http://gateway.example/oauth/authorize?state=s".parse().unwrap();
        let _idle = TcpStream::connect(listener.socket.local_addr().unwrap()).await.unwrap();
        let browser = async {
            let start = request(&listener, "/").await;
            assert!(start.starts_with("HTTP/1.1 302 ") && start.contains(&format!("Location: {destination}\r\n")));
            assert!(request(&listener, "/favicon.ico").await.starts_with("HTTP/1.1 404 "));
            assert!(request(&listener, "/callback?code=a%20b&state=s").await.contains("close this page"));
        };
        let (found, ()) = tokio::join!(listener.wait(&destination, Duration::from_secs(20)), browser);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(found.unwrap(), Some(vec![pair("code", "a b"), pair("state", "s")]));
    }

    #[tokio::test]
    async fn patience_ends() {
        let listener = Listener::bind().await.unwrap();
        let nowhere = "http://gateway.example/".parse().unwrap();
        assert_eq!(listener.wait(&nowhere, Duration::ZERO).await.unwrap(), None);
    }
}
