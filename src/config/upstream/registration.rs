//! What the gateway needs to know as an OAuth client of an upstream.

use std::collections::BTreeMap;

use url::Url;

use crate::config::at::{At, State};
use crate::config::check::Check;
use crate::config::file;
use crate::config::file::{RegistrationMode, Scalar, TokenEndpointAuthMethod};
use crate::config::parse;
use crate::config::problem::{Fault, Hint};
use crate::crypto::Secret;

/// What the gateway needs to know as an OAuth client of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamOauth {
    /// How it becomes a client.
    pub registration: ClientRegistration,
    /// The scopes to ask for; empty: what the upstream names.
    pub scopes: Vec<String>,
    /// What separates scopes in the request.
    pub scope_delimiter: String,
    /// The `prompt` of the authorization request.
    pub prompt: Prompt,
    /// Further parameters of the authorization request, by name.
    pub authorization_parameters: BTreeMap<String, String>,
    /// The `resource` parameter.
    pub resource: ResourceParameter,
    /// Where the protected resource metadata is, if not discovered.
    pub protected_resource_metadata_url: Option<Url>,
    /// Whether an authorization server that is silent about PKCE is taken to check it with `S256`.
    pub assume_pkce: bool,
}

/// How the gateway becomes a client of the upstream's authorization server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientRegistration {
    /// By a Client ID Metadata Document or dynamic registration.
    Auto,
    /// By dynamic registration only.
    Dynamic,
    /// The operator registered it.
    Manual {
        /// The client id.
        client_id: String,
        /// How it authenticates at the token endpoint.
        auth: ClientAuth,
        /// The authorization server that it is for; unset: the one that is found first.
        issuer: Option<String>,
    },
}

/// Client authentication at the token endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// `client_secret_basic`.
    SecretBasic(Secret),
    /// `client_secret_post`.
    SecretPost(Secret),
    /// `private_key_jwt`, with the gateway's own key.
    PrivateKeyJwt,
    /// `none`: a public client.
    None,
}

/// The `prompt` of an authorization request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// `consent` where `offline_access` is asked for, else no parameter.
    Auto,
    /// No parameter, ever.
    Never,
    /// Always `none`.
    None,
    /// Always `login`.
    Login,
    /// Always `consent`.
    Consent,
    /// Always `select_account`.
    SelectAccount,
}

/// The `resource` parameter of RFC 8707.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResourceParameter {
    /// The upstream's own identifier.
    Send,
    /// No parameter.
    Omit,
    /// This URI, as it is spelled.
    Uri(String),
}

impl UpstreamOauth {
    /// Checks the OAuth keys of an upstream; they are checked whatever the mode is.
    pub fn check(file: &file::Upstream, check: &mut Check) -> Self {
        let delimiter = check.parse(&file.scope_delimiter, |text| match text.as_str() {
            " " | "," | "+" | ";" => Ok(text.clone()),
            _ => Err("a space, a comma, a plus or a semicolon"),
        });
        Self {
            registration: registration(&file.client_registration, check),
            scopes: check.parse_list(&file.scopes, parse::scope_token),
            scope_delimiter: delimiter.unwrap_or_else(|| " ".to_owned()),
            prompt: prompt(&file.prompt, check),
            authorization_parameters: authorization_parameters(&file.authorization_parameters, check),
            resource: check.parse(&file.resource, |text| resource(text)).unwrap_or(ResourceParameter::Send),
            protected_resource_metadata_url: check
                .parse(&file.protected_resource_metadata_url, |text| parse::http_url(text)),
            assume_pkce: file.assume_pkce.get().copied().unwrap_or(false),
        }
    }
}

fn registration(file: &file::ClientRegistration, check: &mut Check) -> ClientRegistration {
    let method = file.token_endpoint_auth_method.get().copied();
    let secret = check.secret(&file.client_secret);
    let client_id = check.text(&file.client_id);
    let issuer = check.parse(&file.issuer, |text| parse::http_url(text).map(|_| text.clone()));
    if file.mode.get() != Some(&RegistrationMode::Manual) {
        let set = [
            (!file.client_id.is_unset(), &file.client_id.place),
            (!file.client_secret.0.is_unset(), &file.client_secret.0.place),
            (!file.token_endpoint_auth_method.is_unset(), &file.token_endpoint_auth_method.place),
            (!file.issuer.is_unset(), &file.issuer.place),
        ];
        let dynamic = file.mode.get() == Some(&RegistrationMode::Dynamic);
        let mode = if dynamic { "dynamic" } else { "auto" };
        for (_, place) in set.into_iter().filter(|(set, _)| *set && !matches!(file.mode.state, State::Broken)) {
            let (belongs_to, given) = ("mode `manual`".to_owned(), format!("mode `{mode}`"));
            check.report(place, Fault::Misplaced { belongs_to, given });
        }
        return if dynamic { ClientRegistration::Dynamic } else { ClientRegistration::Auto };
    }
    check.require(&file.client_id, "the client id that the upstream's authorization server gave");
    let needs_secret =
        matches!(method, Some(TokenEndpointAuthMethod::ClientSecretBasic | TokenEndpointAuthMethod::ClientSecretPost));
    if needs_secret {
        check.require(&file.client_secret.0, "the client secret, as $env(NAME) or $file(path)");
    } else if method.is_some() && !file.client_secret.0.is_unset() {
        let given = format!("tokenEndpointAuthMethod {}", file.token_endpoint_auth_method.shown);
        check.report(&file.client_secret.0.place, Fault::Misplaced { belongs_to: "client_secret_*".to_owned(), given });
    }
    let auth = match (method, secret) {
        (Some(TokenEndpointAuthMethod::ClientSecretPost), Some(secret)) => ClientAuth::SecretPost(secret),
        (Some(TokenEndpointAuthMethod::PrivateKeyJwt), _) => ClientAuth::PrivateKeyJwt,
        (Some(TokenEndpointAuthMethod::ClientSecretBasic) | None, Some(secret)) => ClientAuth::SecretBasic(secret),
        (_, _) => ClientAuth::None,
    };
    ClientRegistration::Manual { client_id: client_id.unwrap_or_default(), auth, issuer }
}

fn prompt(at: &At<Scalar>, check: &mut Check) -> Prompt {
    let prompt = match at.get() {
        None => return Prompt::Auto,
        Some(Scalar::Bool(false)) => Some(Prompt::Never),
        Some(Scalar::Word(word)) => match word.as_str() {
            "none" => Some(Prompt::None),
            "login" => Some(Prompt::Login),
            "consent" => Some(Prompt::Consent),
            "select_account" => Some(Prompt::SelectAccount),
            _ => None,
        },
        Some(Scalar::Bool(true) | Scalar::Integer(_)) => None,
    };
    prompt.unwrap_or_else(|| {
        let hint = Hint::new(at.shown.trim_matches('"'), ["false", "none", "login", "consent", "select_account"]);
        check.report(&at.place, Fault::NotOneOf { given: at.shown.clone(), hint });
        Prompt::Auto
    })
}

fn authorization_parameters(at: &At<BTreeMap<String, At<String>>>, check: &mut Check) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    for (name, value) in at.get().into_iter().flatten() {
        let given = || format!("the parameter name {name:?}");
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)) {
            let expected = "a name of letters, digits and _-.";
            check.report(&value.place, Fault::Invalid { given: given(), expected });
        } else if OURS.contains(&name.as_str()) {
            let expected = "a parameter that the gateway does not set itself";
            check.report(&value.place, Fault::Invalid { given: given(), expected });
        }
        check.require(value, "the parameter's value");
        parameters.extend(check.text(value).map(|value| (name.clone(), value)));
    }
    parameters
}

/// What an authorization request is made of, which nobody else may say (RFC 6749, 7636, 8707 and 9101, OpenID Connect).
const OURS: [&str; 12] = [
    "response_type",
    "response_mode",
    "client_id",
    "redirect_uri",
    "state",
    "scope",
    "code_challenge",
    "code_challenge_method",
    "resource",
    "prompt",
    "request",
    "request_uri",
];

/// RFC 8707 section 2: an absolute URI without a fragment.
fn resource(text: &str) -> Result<ResourceParameter, parse::Expected> {
    match text {
        "send" => Ok(ResourceParameter::Send),
        "omit" => Ok(ResourceParameter::Omit),
        uri if Url::parse(uri).is_ok_and(|url| url.fragment().is_none()) => Ok(ResourceParameter::Uri(uri.to_owned())),
        _ => Err("send, omit, or an absolute URI without a fragment"),
    }
}
