//! The documents that a client reads before it may ask for anything (RFC 9728, RFC 8414, OIDC Discovery).

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::Value;
use url::Url;

use super::{
    endpoint::{ORIGIN, REPORT, Sign},
    http::{Answer, Http},
    report::{Passed, Problem},
};

/// What the resource says about itself.
pub(super) struct Resource {
    /// Its authorization server, as written.
    pub(super) issuer: String,
    /// The scope to ask for, as text for the request.
    pub(super) scope: Option<String>,
    location: Url,
}

/// What the authorization server says about itself.
pub(super) struct Server {
    pub(super) issuer: String,
    pub(super) authorize: Url,
    pub(super) token: Url,
    pub(super) register: Url,
    pub(super) revoke: Url,
    location: Url,
    document: Value,
}

/// RFC 9728 section 3.3: a client must discard a document whose `resource` is not the URL that it called.
pub(super) async fn read_resource(
    http: &Http,
    endpoint: &Url,
    sign: Option<Sign>,
) -> Result<Passed<Resource>, Problem> {
    let (location, challenged) = match sign {
        Some(sign) => (sign.resource_metadata, sign.scope),
        None => (well_known(endpoint, "oauth-protected-resource"), None),
    };
    let document = fetch(http, &location).await?;
    let resource = text(&document, "resource");
    if resource != endpoint.as_str() {
        let expected = format!("resource \"{endpoint}\"");
        let advice = if resource.strip_suffix('/').unwrap_or(resource) == endpoint.as_str().trim_end_matches('/') {
            "use the URL exactly as the gateway names it: clients compare it character by character"
        } else {
            ORIGIN
        };
        return Err(Problem::new(expected, format_args!("resource \"{resource}\""), advice));
    }
    let Some(issuer) = strings(&document, "authorization_servers").first().map(|issuer| (*issuer).to_owned()) else {
        return Err(Problem::new("at least one of authorization_servers", "none", REPORT));
    };
    if !strings(&document, "bearer_methods_supported").contains(&"header") {
        return Err(Problem::new("\"header\" in bearer_methods_supported", "it is not there", REPORT));
    }
    let offered = strings(&document, "scopes_supported").join(" ");
    let scope = challenged.or((!offered.is_empty()).then_some(offered));
    let note = format!("authorization server {issuer}");
    Ok(Passed::new(Resource { issuer, scope, location }, note))
}

/// RFC 8414 section 3: the well-known name goes between host and path of the issuer.
pub(super) async fn read_server(http: &Http, resource: &Resource) -> Result<Passed<Server>, Problem> {
    let Ok(issuer) = Url::parse(&resource.issuer) else {
        return Err(Problem::new("a URL as authorization server", &resource.issuer, REPORT));
    };
    let location = well_known(&issuer, "oauth-authorization-server");
    let document = fetch(http, &location).await?;
    check_issuer(&document, &resource.issuer)?;
    for (member, needed) in [
        ("response_types_supported", "code"),
        ("code_challenge_methods_supported", "S256"),
        ("grant_types_supported", "authorization_code"),
        ("grant_types_supported", "refresh_token"),
        ("token_endpoint_auth_methods_supported", "none"),
    ] {
        let offered = strings(&document, member);
        if !offered.contains(&needed) {
            return Err(Problem::new(format_args!("\"{needed}\" in {member}"), offered.join(", "), REPORT));
        }
    }
    if document.get("authorization_response_iss_parameter_supported") != Some(&Value::Bool(true)) {
        let expected = "authorization_response_iss_parameter_supported: true";
        return Err(Problem::new(expected, "it is not there", REPORT));
    }
    let endpoint = |member: &'static str| match Url::parse(text(&document, member)) {
        Ok(url) if url.origin() == issuer.origin() => Ok(url),
        Ok(url) => {
            let expected = format!("{member} at {}", issuer.origin().ascii_serialization());
            Err(Problem::new(expected, url, ORIGIN))
        }
        Err(_) => Err(Problem::new(format_args!("a URL in {member}"), text(&document, member), REPORT)),
    };
    let server = Server {
        authorize: endpoint("authorization_endpoint")?,
        token: endpoint("token_endpoint")?,
        register: endpoint("registration_endpoint")?,
        revoke: endpoint("revocation_endpoint")?,
        issuer: resource.issuer.clone(),
        location,
        document,
    };
    Ok(Passed::new(server, "S256, iss, all endpoints on its own origin"))
}

/// Clients that only know OIDC Discovery try up to two places; both must say the same as RFC 8414's.
pub(super) async fn compare_openid(http: &Http, server: &Server) -> Result<Passed<()>, Problem> {
    let Ok(issuer) = Url::parse(&server.issuer) else {
        return Err(Problem::new("a URL as issuer", &server.issuer, REPORT));
    };
    let mut appended = issuer.clone();
    appended.set_path(&format!("{}/.well-known/openid-configuration", issuer.path().trim_end_matches('/')));
    let mut locations = vec![well_known(&issuer, "openid-configuration"), appended];
    locations.dedup();
    for location in &locations {
        let document = fetch(http, location).await?;
        check_issuer(&document, &server.issuer)?;
        for member in ["authorization_endpoint", "token_endpoint", "registration_endpoint"] {
            let (here, there) = (text(&document, member), text(&server.document, member));
            if here != there {
                return Err(Problem::new(format_args!("{member} \"{there}\" at {location}"), here, REPORT));
            }
        }
    }
    Ok(Passed::new((), format!("{} {}", locations.len(), if locations.len() == 1 { "place" } else { "places" })))
}

/// The Fetch standard's CORS protocol: what a client without a server of its own needs.
pub(super) async fn check_cors(http: &Http, resource: &Resource, server: &Server) -> Result<Passed<()>, Problem> {
    let origin = (header::ORIGIN, HeaderValue::from_static("https://client.example"));
    for location in [&resource.location, &server.location] {
        let answer = http.get(location, HeaderMap::from_iter([origin.clone()])).await?;
        check_allow_origin(&answer, location)?;
    }
    for location in [&server.register, &server.token] {
        let headers = HeaderMap::from_iter([
            origin.clone(),
            (header::ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("POST")),
            (header::ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::from_static("content-type,mcp-protocol-version")),
        ]);
        let answer = http.send(Method::OPTIONS, location, headers, bytes::Bytes::new()).await?;
        if !answer.status.is_success() {
            return Err(Problem::new(format_args!("a preflight of {location} to succeed"), answer.summary(), CORS));
        }
        check_allow_origin(&answer, location)?;
        let allowed = answer.header(header::ACCESS_CONTROL_ALLOW_HEADERS.as_str()).unwrap_or_default();
        for name in [header::CONTENT_TYPE, HeaderName::from_static("mcp-protocol-version")] {
            if allowed != "*" && !allowed.split(',').any(|one| one.trim().eq_ignore_ascii_case(name.as_str())) {
                let expected = format!("{name} in Access-Control-Allow-Headers of {location}");
                return Err(Problem::new(expected, allowed, CORS));
            }
        }
    }
    Ok(Passed::new((), ""))
}

fn check_allow_origin(answer: &Answer, location: &Url) -> Result<(), Problem> {
    match answer.header(header::ACCESS_CONTROL_ALLOW_ORIGIN.as_str()) {
        Some("*") => Ok(()),
        came => {
            let expected = format!("Access-Control-Allow-Origin: * at {location}");
            Err(Problem::new(expected, came.unwrap_or("no such header"), CORS))
        }
    }
}

fn check_issuer(document: &Value, issuer: &str) -> Result<(), Problem> {
    let named = text(document, "issuer");
    if named == issuer {
        return Ok(());
    }
    Err(Problem::new(format_args!("issuer \"{issuer}\""), format_args!("issuer \"{named}\""), ORIGIN))
}

async fn fetch(http: &Http, location: &Url) -> Result<Value, Problem> {
    let answer = http.get(location, HeaderMap::new()).await?;
    match answer.json() {
        Some(document) if answer.status == StatusCode::OK => Ok(document),
        _ => {
            let advice = "check that a proxy in front passes everything below /.well-known/ to the gateway";
            Err(Problem::new(format_args!("a JSON document at {location}"), answer.summary(), advice))
        }
    }
}

/// RFC 8414 section 3.1 and RFC 9728 section 3.1: the well-known name goes before the path; a final slash goes.
fn well_known(of: &Url, name: &str) -> Url {
    let mut location = of.clone();
    location.set_path(&format!("/.well-known/{name}{}", of.path().trim_end_matches('/')));
    location.set_query(None);
    location
}

fn text<'a>(document: &'a Value, member: &str) -> &'a str {
    document.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn strings<'a>(document: &'a Value, member: &str) -> Vec<&'a str> {
    let list = document.get(member).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

const CORS: &str = "check that a proxy in front passes OPTIONS on and leaves the Access-Control headers alone";

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8414 section 3.1.
    #[test]
    fn the_well_known_name_goes_between_host_and_path() {
        let location = |of: &str| well_known(&of.parse().unwrap(), "x").to_string();
        assert_eq!(location("https://h"), "https://h/.well-known/x");
        assert_eq!(location("https://h:8/a/b/?q"), "https://h:8/.well-known/x/a/b");
    }
}
