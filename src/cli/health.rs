//! `sallyport health`: whether the gateway of this configuration can serve, for platforms that ask by a command.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use super::run;

/// Asks `/readyz` on the admin listener; 0 if it says 200.
pub(super) fn health(path: &Path) -> ExitCode {
    let config = match run::load(path) {
        Ok(config) => config,
        Err(refusal) => return refusal,
    };
    let (said, code) = match ask(reachable(config.server.admin_listen)) {
        Ok(answer) if answer.starts_with("HTTP/1.1 200 ") => ("ready".to_owned(), ExitCode::SUCCESS),
        Ok(answer) => (answer.lines().next_back().unwrap_or_default().to_owned(), ExitCode::FAILURE),
        Err(error) => (format!("{} does not answer: {error}", config.server.admin_listen), ExitCode::FAILURE),
    };
    match writeln!(io::stdout(), "{said}") {
        Ok(()) => code,
        Err(_closed) => ExitCode::FAILURE,
    }
}

/// Where a listener is reached from the same machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER_BYTES).read_to_string(&mut answer)?;
    Ok(answer)
}

/// Above the three seconds that the gateway waits for its store.
const PATIENCE: Duration = Duration::from_secs(4);
const MAX_ANSWER_BYTES: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_asked_on_the_loopback_one() {
        for (listen, asked) in [
            ("0.0.0.0:9464", "127.0.0.1:9464"),
            ("[::]:9464", "[::1]:9464"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("10.0.0.1:1", "10.0.0.1:1"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
