//! Tells systemd that the gateway serves, and under which process id (`sd_notify(3)`); nothing where nobody asks.

use std::{
    env, io,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    process,
};

/// Tells it, where `NOTIFY_SOCKET` is set.
pub(super) fn notify_ready() {
    let Some(socket) = env::var_os("NOTIFY_SOCKET") else { return };
    let told = address(socket.to_str().unwrap_or_default()).and_then(|address| {
        let state = format!("MAINPID={}\nREADY=1\n", process::id());
        UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address)
    });
    if let Err(error) = told {
        tracing::warn!(event = "mcp_gateway_notify_failed", %error, "the service manager was not told");
    }
}

fn address(socket: &str) -> io::Result<SocketAddr> {
    match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(socket),
    }
}
