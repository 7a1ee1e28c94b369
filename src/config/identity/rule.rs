//! The rules of a provider's own fields.

use url::Url;

use crate::config::file::Provider;
use crate::config::parse::{self, Expected};

/// A host name with a dot, and nothing around it.
pub fn domain(text: &str) -> Result<String, Expected> {
    const EXPECTED: Expected = "a domain such as login.example.com, without scheme, port, path or trailing slash";
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let is_name = || matches!(Url::parse(&format!("https://{text}/")), Ok(url) if url.domain().is_some());
    if text.contains('.') && text.len() <= 253 && text.split('.').all(label) && is_name() {
        return Ok(text.to_ascii_lowercase());
    }
    Err(EXPECTED)
}

/// Okta's organization, not the host of its admin console, which has no OpenID provider.
pub fn okta_domain(text: &str) -> Result<String, Expected> {
    let domain = domain(text)?;
    match domain.split_once('.') {
        Some((organization, "okta.com" | "oktapreview.com" | "okta-emea.com")) if organization.ends_with("-admin") => {
            Err("the organization's own domain, without -admin: acme.okta.com, not acme-admin.okta.com")
        }
        _ => Ok(domain),
    }
}

/// A UUID in its usual form.
pub fn uuid(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split('-').collect();
    let fits = parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()));
    fits.then(|| text.to_ascii_lowercase())
}

/// Entra's tenant: its UUID, since `common` and the like accept users of any tenant.
pub fn tenant_id(text: &str) -> Result<String, Expected> {
    uuid(text).ok_or("the tenant's UUID; `common`, `organizations`, `consumers`, domains and URLs are not accepted")
}

/// Ping's environment.
pub fn environment_id(text: &str) -> Result<String, Expected> {
    uuid(text).ok_or("the environment's UUID")
}

/// An AWS region.
pub fn aws_region(text: &str) -> Result<String, Expected> {
    let parts: Vec<&str> = text.split('-').collect();
    let fits = parts.len() >= 3
        && parts[0].len() == 2
        && parts.last().is_some_and(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
        && parts[..parts.len() - 1]
            .iter()
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase()));
    if fits { Ok(text.to_owned()) } else { Err("an AWS region such as eu-central-1") }
}

/// A user pool of the given region.
pub fn user_pool_id(text: &str, region: Option<&str>) -> Result<String, Expected> {
    const EXPECTED: Expected = "a user pool id of the region in awsRegion, such as eu-central-1_AbCdEfGhI";
    let (of, pool) = text.split_once('_').ok_or(EXPECTED)?;
    let fits = region.is_none_or(|region| region == of)
        && aws_region(of).is_ok()
        && !pool.is_empty()
        && pool.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if fits { Ok(text.to_owned()) } else { Err(EXPECTED) }
}

/// An https URL of nothing but a host, without a trailing slash.
pub fn https_root(text: &str) -> Result<String, Expected> {
    const EXPECTED: Expected = "an https URL such as https://login.example.com, without path, query, fragment or user";
    let url = parse::http_url(text).or(Err(EXPECTED))?;
    if url.scheme() != "https" || url.path() != "/" || url.query().is_some() || text.contains('@') {
        return Err(EXPECTED);
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Keycloak's base URL, with a path prefix if it has one, without a trailing slash.
pub fn keycloak_base_url(text: &str) -> Result<String, Expected> {
    const EXPECTED: Expected =
        "the URL before /realms/, such as https://keycloak.example.com or https://example.com/auth, without a query";
    let url = parse::http_url(text).or(Err(EXPECTED))?;
    if url.query().is_some() || format!("{}/", url.path()).contains("/realms/") {
        return Err(EXPECTED);
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Keycloak's realm, which becomes a path segment.
pub fn realm(text: &str) -> Result<String, Expected> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"/\\?#%\"<>^`{|}".contains(&byte);
    if text.is_empty() || matches!(text, "." | "..") || !text.bytes().all(plain) {
        return Err("the realm's name, without slashes or spaces");
    }
    Ok(text.to_owned())
}

/// The subdomain of onelogin.com.
pub fn subdomain(text: &str) -> Result<String, Expected> {
    let fits = !text.contains('.') && domain(&format!("{text}.onelogin.com")).is_ok();
    if fits { Ok(text.to_ascii_lowercase()) } else { Err("the subdomain alone: acme for https://acme.onelogin.com") }
}

/// An issuer of OpenID Connect Discovery section 3: a URL without query and fragment, kept as it is spelled.
pub fn issuer(text: &str) -> Result<String, Expected> {
    const EXPECTED: Expected = "the issuer's URL, such as https://login.example.com, without query or fragment";
    let url: Url = parse::http_url(text).or(Err(EXPECTED))?;
    if url.query().is_some() || text.contains(char::is_whitespace) {
        return Err(EXPECTED);
    }
    Ok(text.to_owned())
}

/// The gateway's client id, in the form that the provider gives out.
pub fn client_id(provider: Provider, text: &str) -> Result<String, Expected> {
    match provider {
        Provider::Google if !text.ends_with(".apps.googleusercontent.com") => {
            Err("a client id that ends in .apps.googleusercontent.com")
        }
        Provider::WorkOs if text.strip_prefix("client_").is_none_or(|id| parse::slug(id).is_err()) => {
            Err("a client id that starts with client_")
        }
        _ => parse::line(text),
    }
}

/// The scope to ask for; without `openid` there is no ID token. `WorkOS` does without.
pub fn scope(provider: Provider, text: &str) -> Result<String, Expected> {
    let scope = parse::scope(text)?;
    if provider != Provider::WorkOs && !scope.split(' ').any(|token| token == "openid") {
        return Err("scopes that include openid");
    }
    Ok(scope)
}

/// A development user.
pub fn dev_user(text: &str) -> Result<String, Expected> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._@+-".contains(&byte);
    if text.is_empty() || text.len() > 64 || !text.bytes().all(plain) {
        return Err("a user name of letters, digits and ._@+-, at most 64 long");
    }
    Ok(text.to_owned())
}
