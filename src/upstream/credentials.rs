//! The credential of every permitted call, kept warm, refreshed ahead of time and on demand.

use async_trait::async_trait;

use super::{Credential, NoCredential, Server};
use crate::{policy::Permit, web::Origin};

/// A link that a person opens to connect an upstream, and what a client is told about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectLink {
    /// The URL, with a single-use ticket that is bound to the user.
    pub url: String,
    /// Names this request to connect; not a secret.
    pub elicitation_id: String,
    /// `{upstream}:user-oauth` or `{upstream}:shared-oauth`.
    pub auth_profile_id: String,
}

/// Where the edge gets credentials from.
#[async_trait]
pub trait Credentials: Send + Sync + 'static {
    /// The credential for a permitted call, if it is in memory and good for a while.
    fn at_hand(&self, permit: &Permit, server: &Server) -> Option<Credential>;

    /// The credential for a permitted call; refreshed first if it is about to end.
    async fn credential(&self, permit: &Permit, server: &Server) -> Result<Credential, NoCredential>;

    /// Another credential, because the upstream answered 401 to `refused`.
    ///
    /// If the connection has a newer one already, that is it; otherwise it is refreshed, once for all who ask.
    async fn renewed(&self, permit: &Permit, server: &Server, refused: &Credential)
    -> Result<Credential, NoCredential>;

    /// Notes that the upstream answered 401 to `refused` although that was had by [`Credentials::renewed`].
    ///
    /// The connection stays: only its authorization server can say that it is over, and an upstream that refuses
    /// everybody for a minute must not cost everybody their connection. But nothing is renewed again for some seconds.
    fn refused_again(&self, permit: &Permit, server: &Server, refused: &Credential);

    /// Notes that the upstream wants more scope than the connection has (`WWW-Authenticate` with `insufficient_scope`);
    /// the next authorization asks for the union.
    async fn needs_scope(&self, permit: &Permit, server: &Server, scope: &str);

    /// A link for the person behind `permit`.
    fn connect_link(&self, origin: &Origin, permit: &Permit, server: &Server) -> ConnectLink;
}
