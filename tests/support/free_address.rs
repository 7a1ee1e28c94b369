//! Addresses for servers that must know theirs before they start.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process,
    sync::atomic::{AtomicU16, Ordering},
};

/// A loopback address that nobody listens at, and that nobody gets by chance before its server starts.
///
/// It lies below the range from which the kernel serves outgoing connections and whoever does not care, and a process gives
/// none away twice before it has given them all.
pub fn free_address() -> SocketAddr {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let begin = u16::try_from(process::id() % u32::from(PORTS)).expect("a small number");
    let next = || FIRST + (begin + GIVEN.fetch_add(1, Ordering::Relaxed) % PORTS) % PORTS;
    (0..PORTS)
        .map(|_| SocketAddr::from((Ipv4Addr::LOCALHOST, next())))
        .find(|address| TcpListener::bind(address).is_ok())
        .expect("a free port")
}

const FIRST: u16 = 10_000;
const PORTS: u16 = 10_000;
