//! How a client presents itself at the token and revocation endpoints (RFC 6749 section 2.3).

use std::str::Utf8Error;

use base64::{
    DecodeError, Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use thiserror::Error;

use super::{AuthMethod, ClientId, Duplicate, Params, ParamsError, TokenError, client_assertion::JWT_BEARER, params};
use crate::crypto::{Secret, SignedJwt};

/// What a client presented; nothing is checked yet.
///
/// The caller must compare the way with the one that the client registered: a client with a secret that presents
/// none is not a public client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presented {
    /// Only its identifier.
    Public {
        /// The client.
        client_id: ClientId,
    },
    /// Its identifier and a secret.
    Secret {
        /// The client.
        client_id: ClientId,
        /// The secret.
        secret: Secret,
        /// The way it came.
        via: AuthMethod,
    },
    /// An assertion signed with its private key (RFC 7523 section 2.2).
    Assertion {
        /// The client; where the request names none, the one that the assertion claims.
        client_id: ClientId,
        /// The JWT.
        assertion: Secret,
    },
}

/// Why a request does not say which client it is from.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClientAuthError {
    /// A parameter was repeated.
    #[error(transparent)]
    Duplicate(#[from] Duplicate),
    /// Two ways at once (RFC 6749 section 2.3), or two client ids.
    #[error("the client presents itself in more than one way")]
    SeveralMethods,
    /// Neither a client id nor credentials.
    #[error("the client does not present itself")]
    Missing,
    /// An `Authorization` header of another scheme, or several headers.
    #[error("the Authorization header is not of the Basic scheme")]
    WrongScheme,
    /// An assertion of another kind than a JWT (RFC 7521 section 4.2), or one that names no client.
    #[error("the client assertion is not a JWT of a client")]
    Assertion,
    /// Basic credentials that are not base64.
    #[error("the Basic credentials are not base64")]
    Base64(#[from] DecodeError),
    /// Basic credentials that are not UTF-8.
    #[error("the Basic credentials are not UTF-8")]
    Utf8(#[from] Utf8Error),
    /// Basic credentials without a colon or without a client id.
    #[error("the Basic credentials are not an id and a secret")]
    NoPair,
    /// Basic credentials whose parts are not form-encoded.
    #[error("the Basic credentials are not form-encoded")]
    Encoding(#[from] ParamsError),
}

impl ClientAuthError {
    /// The error of the token endpoint that it becomes (RFC 6749 section 5.2).
    pub const fn token_error(&self) -> TokenError {
        match self {
            Self::Duplicate(_) | Self::SeveralMethods => TokenError::InvalidRequest,
            Self::Missing
            | Self::WrongScheme
            | Self::Assertion
            | Self::Base64(_)
            | Self::Utf8(_)
            | Self::NoPair
            | Self::Encoding(_) => TokenError::InvalidClient,
        }
    }
}

impl Presented {
    /// Reads who a request is from, out of the values of all its `Authorization` headers and its body parameters.
    ///
    /// With Basic credentials the body may repeat the client id, and nothing more.
    pub fn parse<'a>(
        authorization: impl IntoIterator<Item = &'a [u8]>,
        params: &Params,
    ) -> Result<Self, ClientAuthError> {
        let in_body = (params.get("client_id")?, params.get("client_secret")?);
        let mut authorization = authorization.into_iter().peekable();
        let assertion = (params.get("client_assertion_type")?, params.get("client_assertion")?);
        if assertion != (None, None) {
            if authorization.peek().is_some() || in_body.1.is_some() {
                return Err(ClientAuthError::SeveralMethods);
            }
            return Self::by_assertion(in_body.0, assertion);
        }
        match (authorization.next(), in_body) {
            (Some(_), _) if authorization.next().is_some() => Err(ClientAuthError::WrongScheme),
            (Some(basic), in_body) => {
                let presented = Self::basic(basic)?;
                match in_body {
                    (None, None) => Ok(presented),
                    (Some(id), None) if id == presented.client_id().as_str() => Ok(presented),
                    _ => Err(ClientAuthError::SeveralMethods),
                }
            }
            (None, (Some(id), secret)) => Ok(Self::new(id, secret, AuthMethod::ClientSecretPost)),
            (None, (None, _)) => Err(ClientAuthError::Missing),
        }
    }

    /// The client that the request says it is from.
    pub const fn client_id(&self) -> &ClientId {
        match self {
            Self::Public { client_id } | Self::Secret { client_id, .. } | Self::Assertion { client_id, .. } => {
                client_id
            }
        }
    }

    /// RFC 7521 section 4.2: the client id may be left out, since the assertion names the client too.
    fn by_assertion(
        client_id: Option<&str>,
        (kind, assertion): (Option<&str>, Option<&str>),
    ) -> Result<Self, ClientAuthError> {
        let (Some(JWT_BEARER), Some(assertion)) = (kind, assertion) else { return Err(ClientAuthError::Assertion) };
        let client_id = client_id.map(ToOwned::to_owned).or_else(|| SignedJwt::claimed_issuer(assertion));
        let client_id = ClientId::new(client_id.ok_or(ClientAuthError::Assertion)?);
        Ok(Self::Assertion { client_id, assertion: Secret::new(assertion) })
    }

    /// RFC 6749 section 2.3.1: id and secret are form-encoded, then joined by a colon, then base64.
    ///
    /// Many clients leave out the form encoding. Our client ids have a colon and our secrets have none, so the last
    /// colon is the right one for both kinds.
    fn basic(value: &[u8]) -> Result<Self, ClientAuthError> {
        let (scheme, credentials) = value.split_at_checked(6).ok_or(ClientAuthError::WrongScheme)?;
        if !scheme.eq_ignore_ascii_case(b"Basic ") {
            return Err(ClientAuthError::WrongScheme);
        }
        let decoded = zeroize::Zeroizing::new(BASE64.decode(credentials.trim_ascii())?);
        let (id, secret) = std::str::from_utf8(&decoded)?.rsplit_once(':').ok_or(ClientAuthError::NoPair)?;
        let id = params::decode(id.as_bytes())?;
        let secret = zeroize::Zeroizing::new(params::decode(secret.as_bytes())?);
        if id.is_empty() {
            return Err(ClientAuthError::NoPair);
        }
        let secret = Some(secret.as_str()).filter(|secret| !secret.is_empty());
        Ok(Self::new(&id, secret, AuthMethod::ClientSecretBasic))
    }

    fn new(id: &str, secret: Option<&str>, via: AuthMethod) -> Self {
        let client_id = ClientId::new(id);
        match secret {
            Some(secret) => Self::Secret { client_id, secret: Secret::new(secret), via },
            None => Self::Public { client_id },
        }
    }
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(authorization: &[&str], body: &str) -> Result<Presented, ClientAuthError> {
        let params = Params::parse(body.as_bytes()).unwrap();
        Presented::parse(authorization.iter().map(|value| value.as_bytes()), &params)
    }

    fn basic(credentials: &str) -> String {
        format!("Basic {}", BASE64.encode(credentials))
    }

    fn public(id: &str) -> Presented {
        Presented::new(id, None, AuthMethod::None)
    }

    fn by_basic(id: &str, secret: &str) -> Presented {
        Presented::new(id, Some(secret), AuthMethod::ClientSecretBasic)
    }

    fn error(authorization: &[&str], body: &str) -> TokenError {
        parse(authorization, body).unwrap_err().token_error()
    }

    #[test]
    fn a_client_id_alone_is_a_public_client() {
        assert_eq!(parse(&[], "client_id=dcr%3A1"), Ok(public("dcr:1")));
        assert_eq!(parse(&[], "client_id=dcr:1&client_secret="), Ok(public("dcr:1")));
        assert_eq!(parse(&[&basic("dcr%3A1:")], ""), Ok(public("dcr:1")));
    }

    /// RFC 6749 section 2.3.1.
    #[test]
    fn a_secret_comes_in_the_body_or_by_basic() {
        let by_post = Presented::new("dcr:1", Some("s+1"), AuthMethod::ClientSecretPost);
        assert_eq!(parse(&[], "client_id=dcr:1&client_secret=s%2B1"), Ok(by_post));
        assert_eq!(parse(&[&basic("dcr%3A1:s%3A%2B+1")], ""), Ok(by_basic("dcr:1", "s:+ 1")));
        assert_eq!(parse(&[&basic("dcr%3A1:s").replace("Basic", "bAsIc")], ""), Ok(by_basic("dcr:1", "s")));
        assert_eq!(parse(&[basic("dcr%3A1:s").trim_end_matches('=')], ""), Ok(by_basic("dcr:1", "s")));
    }

    #[test]
    fn basic_credentials_without_form_encoding_are_understood() {
        assert_eq!(parse(&[&basic("dcr:1:secret-_1")], ""), Ok(by_basic("dcr:1", "secret-_1")));
        assert_eq!(parse(&[&basic("https://a.example/c:s")], ""), Ok(by_basic("https://a.example/c", "s")));
    }

    /// RFC 6749 section 2.3: a client must not use more than one method in each request.
    #[test]
    fn two_methods_at_once_are_an_invalid_request() {
        let basic = basic("dcr%3A1:s");
        assert_eq!(parse(&[&basic], "client_id=dcr:1"), Ok(by_basic("dcr:1", "s")));
        for body in ["client_id=dcr:1&client_secret=s", "client_secret=s", "client_id=dcr:2"] {
            assert_eq!(error(&[&basic], body), TokenError::InvalidRequest, "{body}");
        }
        assert_eq!(error(&[], "client_id=a&client_id=a"), TokenError::InvalidRequest);
        assert_eq!(error(&[&basic], "client_secret=a&client_secret=b"), TokenError::InvalidRequest);
    }

    /// RFC 6749 section 5.2.
    #[test]
    fn malformed_or_missing_credentials_are_an_invalid_client() {
        for authorization in
            ["", "Basic", "Basic ", "Basic !", "Basic YQ", "Bearer abcdefg", "Basicx YTpi", "BasicYTpi"]
        {
            assert_eq!(error(&[authorization], "client_id=dcr:1"), TokenError::InvalidClient, "{authorization}");
        }
        for credentials in ["nocolon", ":secret", "a%:s", "a:%zz", "%ff:s"] {
            assert_eq!(error(&[&basic(credentials)], ""), TokenError::InvalidClient, "{credentials}");
        }
        let not_text = format!("Basic {}", BASE64.encode(b"\xff:s"));
        assert_eq!(error(&[&not_text], ""), TokenError::InvalidClient);
        assert_eq!(error(&[&basic("a:s"), &basic("a:s")], ""), TokenError::InvalidClient);
        assert_eq!(error(&[], ""), TokenError::InvalidClient);
        assert_eq!(error(&[], "client_secret=s"), TokenError::InvalidClient);
        assert_eq!(error(&[], "client_id=a&client_assertion=x"), TokenError::InvalidClient);
        assert_eq!(error(&[], "client_id=a&client_assertion_type=x"), TokenError::InvalidClient);
        assert_eq!(error(&[], "client_id=a&client_assertion=x&client_assertion_type=saml2"), TokenError::InvalidClient);
    }

    /// RFC 7521 section 4.2.
    #[test]
    fn an_assertion_may_name_its_client_alone() {
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let claims = URL_SAFE_NO_PAD.encode(r#"{"iss":"https://a.example/c"}"#);
        let assertion = format!("e30.{claims}.c2ln");
        let by_assertion = |id: &str| Presented::Assertion {
            client_id: ClientId::new(id),
            assertion: Secret::new(assertion.as_str()),
        };
        let body = format!("client_assertion_type={JWT_BEARER}&client_assertion={assertion}");
        assert_eq!(parse(&[], &body), Ok(by_assertion("https://a.example/c")));
        assert_eq!(parse(&[], &format!("{body}&client_id=dcr:1")), Ok(by_assertion("dcr:1")));
        assert_eq!(error(&[], &body.replace("c2ln", "c2ln&client_secret=s")), TokenError::InvalidRequest);
        assert_eq!(error(&[&basic("a:s")], &body), TokenError::InvalidRequest);
        assert_eq!(error(&[], &body.replace(&claims, "e30")), TokenError::InvalidClient);
        assert_eq!(error(&[], &body.replace(&assertion, "x")), TokenError::InvalidClient);
    }

    #[test]
    fn debug_output_holds_no_secret() {
        assert!(!format!("{:?}", parse(&[&basic("a:hunter2")], "")).contains("hunter2"));
    }

    proptest! {
        /// RFC 6749 section 2.3.1: any id and any secret, form-encoded, come through Basic unchanged.
        #[test]
        fn encoded_credentials_are_read_back(id in "\\PC{1,20}", secret in "\\PC{1,20}") {
            let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let header = basic(&format!("{}:{}", encode(&id), encode(&secret)));
            prop_assert_eq!(parse(&[&header], ""), Ok(by_basic(&id, &secret)));
        }

        #[test]
        fn no_header_panics(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            let params = Params::parse(b"").unwrap();
            let _ = Presented::parse([value.as_slice()], &params);
            let _ = Presented::parse([[b"Basic ", value.as_slice()].concat().as_slice()], &params);
        }
    }
}
