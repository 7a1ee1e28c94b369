//! What MCP says on the wire, in both eras: heads, errors, the version names. No I/O.

mod error;
mod head;
mod request_id;
mod version;

pub use error::{Code, error_response};
pub use head::{Head, HeadError, MAX_SESSION_ID_BYTES};
pub use request_id::RequestId;
pub use version::{Era, MalformedVersion, Version};
