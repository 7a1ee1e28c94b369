//! What metadata documents say together that somebody has at hand, read and checked as discovery does.

use url::Url;

use super::{
    AuthorizationServer,
    discovery::issuer_url,
    documents::{ResourceMetadata, ServerMetadata},
    server::Upstream,
    well_known,
};

/// The authorization server that the first issuer of an upstream's metadata describes; none where discovery would not
/// accept it.
pub fn authorization_server(server_url: &Url, resource: &[u8], server: &[u8]) -> Option<AuthorizationServer> {
    let resource: ResourceMetadata = serde_json::from_slice(resource).ok()?;
    let server: ServerMetadata = serde_json::from_slice(server).ok()?;
    let issuer = resource.authorization_servers.first()?.clone();
    let upstream = Upstream {
        resource: resource.resource.filter(|announced| well_known::covers(announced, server_url))?,
        scopes: resource.scopes_supported,
        challenge_scope: None,
    };
    AuthorizationServer::check(server, &issuer, &issuer_url(&issuer)?, &upstream, false).ok()
}
