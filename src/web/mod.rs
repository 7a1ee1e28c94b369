//! Requests, responses, forms, cookies and security headers of the gateway's own endpoints, free of any server.

mod caller;
mod cookie;
mod form;
mod origin;
mod paths;
mod request;
mod response;

pub use caller::Caller;
pub use cookie::{Cookie, cookie};
pub use form::{CsrfToken, is_form};
pub use origin::{Origin, OriginError, OriginRules, RequestOrigin, Scheme};
pub use paths::BasePath;
pub use request::{Request, RequestId};
pub use response::Response;
