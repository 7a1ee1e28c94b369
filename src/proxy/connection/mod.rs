//! Calls through a connection: their credential, and what happens where there is none.
//!
//! **There is one.** The body of the request is kept, at most 4 MiB of it, and the credential is attached. If the
//! upstream answers 401, the credential is renewed and the same request goes out once more, byte for byte; nothing has
//! reached the client by then. A second 401 means that the person must connect again, and so does a 403 that asks for
//! more scope.
//!
//! **There is none.** The message is read and answered here, so that the client goes on working and the person learns
//! what to open; see [`crate::mcp::connect_required`] for the forms. Nothing is kept for the client to come back:
//!
//! - A modern client brings back a sealed `requestState` ([`state`]). The gateway just looks for the connection again;
//!   what the client says of it is a wish, not a proof. Then our part of the request is taken out and the rest goes
//!   upstream, with the upstream's own state put back in if there was one.
//! - A legacy client that was let in without the upstream has a session that the upstream knows nothing of. While there is
//!   no connection it goes on being answered here. Once there is one, its session has ended: 404, upon which a client
//!   must initialize anew (MCP Streamable HTTP, session management), now with the upstream, and gets to know what that
//!   offers.

mod credential;
mod required;
mod resumed;
mod state;

pub use state::ConnectStates;
