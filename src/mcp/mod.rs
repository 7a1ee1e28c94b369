//! What MCP says on the wire, in both eras: heads, messages, errors, the version names, connect-required. No I/O.

pub mod connect_required;
mod error;
pub mod filter;
mod head;
mod message;
pub mod modern;
mod object;
mod request_id;
mod version;

pub use error::{Code, error_response};
pub use head::{Head, HeadError, MAX_SESSION_ID_BYTES};
pub use message::{Message, MessageError, Request};
pub use object::{MAX_MEMBERS, Object, write_object};
pub use request_id::RequestId;
pub use version::{Era, MalformedVersion, Version};
