//! The relay: what goes upstream, what comes back, and what happens in between.

mod redirect;
mod request;
mod resolve;
mod response;
mod retry;
mod session;
mod target;
mod unheard;

pub use redirect::{Redirects, follow};
pub use request::{HTTP2_WINDOW, X_REQUEST_ID, keep_body, write_head};
pub use resolve::Resolve;
pub use response::{Verdict, is_event_stream, judge, relay_head};
pub use retry::{Attempt, decide};
pub use session::{MCP_SESSION_ID, McpSessions};
pub use target::{Target, Targets};
pub use unheard::{see_through, see_unheard};
