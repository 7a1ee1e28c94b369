use url::Url;

use crate::{
    oauth::Params,
    upstream::authorization::{AuthorizationServer, CallbackError as Error, check_callback},
};

const ISSUER: &str = "https://as.example/tenant";

fn server(iss_supported: bool) -> AuthorizationServer {
    let url = |text| Url::parse(text).unwrap();
    AuthorizationServer {
        issuer: ISSUER.to_owned(),
        authorization_endpoint: url("https://as.example/authorize"),
        token_endpoint: url("https://as.example/token"),
        registration_endpoint: None,
        revocation_endpoint: None,
        token_endpoint_auth_methods: Vec::new(),
        token_endpoint_auth_signing_algs: Vec::new(),
        scopes_supported: Vec::new(),
        prm_scopes: Vec::new(),
        challenge_scope: None,
        resource: "https://mcp.example/mcp".to_owned(),
        iss_supported,
        cimd_supported: false,
        takes_id_jag: false,
    }
}

fn check(iss_supported: bool, query: &str) -> Result<String, Error> {
    let code = check_callback(&server(iss_supported), &Params::parse(query.as_bytes()).unwrap())?;
    Ok(code.expose().to_owned())
}

/// RFC 9207 section 2.4, CL-24: the whole table.
#[test]
fn the_code_of_the_recorded_issuer_alone_is_taken() {
    let same = "https%3A%2F%2Fas.example%2Ftenant";
    assert_eq!(check(true, &format!("code=a&state=s&iss={same}")), Ok("a".to_owned()));
    assert_eq!(check(false, &format!("code=a&state=s&iss={same}")), Ok("a".to_owned()));
    assert_eq!(check(false, "code=a&state=s"), Ok("a".to_owned()));
    assert_eq!(check(true, "code=a&state=s"), Err(Error::Issuer { present: false }));
    assert_eq!(check(true, "code=a&state=s&iss="), Err(Error::Issuer { present: false }));
    for supported in [true, false] {
        for other in [
            "https://evil.example",
            "https://as.example/tenant/",
            "https://as.example:443/tenant",
            "https://AS.example/tenant",
            "https://as.example/%2574enant",
            "http://as.example/tenant",
            "https://as.example/tenant+",
        ] {
            let outcome = check(supported, &format!("code=a&state=s&iss={other}"));
            assert_eq!(outcome, Err(Error::Issuer { present: true }), "{other}");
        }
    }
}

/// CL-25: an error response is validated, too, and on a mismatch its words are not for anybody.
#[test]
fn an_error_of_another_issuer_is_not_shown() {
    for query in [
        "error=access_denied&error_description=call+0800&iss=https://evil.example",
        "error=a&error_description=call+0800",
    ] {
        let error = check(true, query).unwrap_err();
        assert!(matches!(error, Error::Issuer { .. }), "{error:?}");
        assert_eq!(error.upstream_error(), None);
        let printed = format!("{error} {error:?} {} {}", error.user_sentence(), error.operator_hint());
        assert!(!printed.contains("0800") && !printed.contains("access_denied"), "{printed}");
    }
}

#[test]
fn a_refusal_of_the_issuer_keeps_its_code_for_the_log_and_its_words_for_the_person() {
    let error = check(false, "error=access_denied&error_description=No+<b>way&state=s").unwrap_err();
    assert_eq!(error.upstream_error().and_then(|error| error.description()), Some("No <b>way"));
    assert!(error.to_string().contains("access_denied") && !error.to_string().contains("way"));
    assert!(error.user_sentence().contains("not allowed") && !error.is_transient());
    assert!(check(false, "error=temporarily_unavailable").unwrap_err().is_transient());
    assert!(matches!(check(false, "error=x&code=a"), Err(Error::Refused(_))));
}

/// RFC 6749 section 3.1.
#[test]
fn a_response_without_a_code_or_with_two_is_refused() {
    assert_eq!(check(false, "state=s"), Err(Error::NoCode));
    assert_eq!(check(false, "code="), Err(Error::NoCode));
    for query in ["code=a&code=a", "code=a&iss=https://as.example/tenant&iss=https://evil.example", "error=a&error=b"] {
        assert!(matches!(check(false, query), Err(Error::Repeated(_))), "{query}");
    }
}
