//! Discovery documents: authorization server metadata (RFC 8414), the same for clients that only try OpenID Connect
//! discovery, and protected resource metadata (RFC 9728).
//!
//! They lie at the origin root, where the standards locate them, whatever the base path is.

use http::Method;

use super::{AUTHORIZE, REGISTER, REVOKE, Settings, TOKEN, authorize::canonical};
use crate::{
    oauth::{
        AuthMethod,
        metadata::{AsMetadata, ResourceMetadata, authorization_server_document, protected_resource_document},
    },
    routes::{Route, Routes},
    web::{Request, Response},
};

/// Answers a request to a discovery document, or says that the path is none.
pub(super) fn answer(
    settings: &Settings,
    routes: &Routes,
    id_jag_enabled: bool,
    request: &Request,
) -> Option<Response> {
    let authorization_server = |route| authorization_server(settings, id_jag_enabled, request, route);
    let document = Document::at(&request.path)?;
    if request.method == Method::OPTIONS {
        return Some(Response::preflight("GET"));
    }
    if request.method != Method::GET {
        return Some(Response::method_not_allowed(&request.id, "GET, HEAD, OPTIONS").for_every_origin());
    }
    let found = match document {
        Document::AuthorizationServer("") => Some(authorization_server(None)),
        Document::AuthorizationServer(path) => routes.at(path).map(|route| authorization_server(Some(route))),
        Document::ProtectedResource("") => routes.sole().map(|route| protected_resource(request, route, "")),
        Document::ProtectedResource(path) => {
            routes.at(path).map(|route| protected_resource(request, route, if path.ends_with('/') { "/" } else { "" }))
        }
    };
    Some(found.unwrap_or_else(|| Response::not_found(&request.id).for_every_origin()))
}

/// A discovery document with the route path that it is about; empty for the whole gateway.
pub(super) enum Document<'p> {
    AuthorizationServer(&'p str),
    ProtectedResource(&'p str),
}

impl<'p> Document<'p> {
    pub(super) fn at(path: &'p str) -> Option<Self> {
        let inserted = |well_known| {
            path.strip_prefix(well_known)
                .filter(|rest| rest.is_empty() || rest.starts_with('/'))
                .map(|rest| if rest == "/" { "" } else { rest })
        };
        if let Some(route) = inserted("/.well-known/oauth-protected-resource") {
            return Some(Self::ProtectedResource(route));
        }
        inserted("/.well-known/oauth-authorization-server")
            .or_else(|| inserted("/.well-known/openid-configuration"))
            .or_else(|| path.strip_suffix("/.well-known/openid-configuration"))
            .map(Self::AuthorizationServer)
    }
}

fn authorization_server(
    settings: &Settings,
    id_jag_enabled: bool,
    request: &Request,
    route: Option<&Route>,
) -> Response {
    let (base_path, origin) = (&settings.base_path, &request.origin);
    let issuer = route.map_or_else(|| origin.to_string(), |route| canonical(origin, route));
    let authorize = base_path.url(origin, AUTHORIZE) + route.map_or("", |route| &route.path);
    Response::document(&authorization_server_document(&AsMetadata {
        issuer: &issuer,
        authorization_endpoint: &authorize,
        token_endpoint: &base_path.url(origin, TOKEN),
        registration_endpoint: &base_path.url(origin, REGISTER),
        revocation_endpoint: &base_path.url(origin, REVOKE),
        token_endpoint_auth_methods: &METHODS,
        cimd_enabled: settings.cimd_enabled,
        id_jag_enabled,
    }))
}

fn protected_resource(request: &Request, route: &Route, slash: &str) -> Response {
    let issuer = canonical(&request.origin, route);
    Response::document(&protected_resource_document(&ResourceMetadata {
        resource: &format!("{issuer}{slash}"),
        resource_name: Some(&route.title),
        authorization_server: &issuer,
        mcp_protocol_version: NEWEST_MCP_VERSION,
    }))
}

const METHODS: [AuthMethod; 4] =
    [AuthMethod::None, AuthMethod::ClientSecretBasic, AuthMethod::ClientSecretPost, AuthMethod::PrivateKeyJwt];

/// The newest revision that every route is served in.
const NEWEST_MCP_VERSION: &str = "2025-11-25";
