//! What the OAuth standards say, as types and pure functions: parse, match, verify, describe.

pub mod bearer;
pub mod challenge;
mod client;
pub mod client_assertion;
pub mod client_auth;
mod client_document;
mod client_id_url;
mod client_keys;
pub mod display;
mod error;
pub mod metadata;
mod params;
mod pkce;
mod redirect_target;
mod redirect_uri;
pub mod registration;
mod resource;
pub mod scope;

pub use challenge::{BearerError, Challenge};
pub use client::{AuthMethod, ClientId};
pub use client_document::{ClientDocument, InvalidClientDocument};
pub use client_id_url::{ClientIdUrl, InvalidClientIdUrl};
pub use client_keys::{ClientKeys, InvalidClientKeys};
pub use error::{AuthorizationError, ErrorBody, RegistrationError, TokenError};
pub use params::{Duplicate, MAX_PARAMS, MAX_VALUE_BYTES, Params, ParamsError};
pub use pkce::{CodeChallenge, PkceError};
pub use redirect_target::{NoMatch, RedirectTarget};
pub use redirect_uri::{InvalidRedirectUri, MAX_REDIRECT_URI_BYTES, RedirectKind, RegisteredRedirect};
pub use resource::{InvalidResource, MAX_RESOURCE_BYTES, ResourceUri};
