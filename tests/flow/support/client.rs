//! An OAuth client that can do everything right, and be told to do one thing wrong.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Response, StatusCode, header, redirect::Policy};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Browser, Page, TestGateway, assertion::JWT_BEARER};

/// A registered client.
pub struct Client {
    pub http: reqwest::Client,
    pub origin: String,
    pub id: String,
    pub secret: Option<String>,
    pub redirect_uri: String,
    pub verifier: String,
}

/// A pair of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
}

impl Client {
    /// A client that comes with the URL of its document in place of a registration.
    pub fn of_document(gateway: &TestGateway, id: &str, redirect_uri: &str) -> Self {
        Self {
            http: reqwest::Client::builder().redirect(Policy::none()).pool_max_idle_per_host(0).build().unwrap(),
            origin: gateway.origin.clone(),
            id: id.to_owned(),
            secret: None,
            redirect_uri: redirect_uri.to_owned(),
            verifier: "verifier-verifier-verifier-verifier-verifier".to_owned(),
        }
    }

    pub async fn register(gateway: &TestGateway) -> Self {
        Self::register_as(
            gateway,
            json!({
                "client_name": "Test Client",
                "redirect_uris": ["http://127.0.0.1:9999/callback"],
                "token_endpoint_auth_method": "none",
            }),
        )
        .await
    }

    /// The status of a registration.
    pub async fn try_register(gateway: &TestGateway) -> StatusCode {
        let metadata =
            json!({"redirect_uris": ["http://127.0.0.1:9999/callback"], "token_endpoint_auth_method": "none"});
        reqwest::Client::new().post(gateway.url("/oauth/register")).json(&metadata).send().await.unwrap().status()
    }

    pub async fn register_as(gateway: &TestGateway, metadata: Value) -> Self {
        let http = reqwest::Client::builder().redirect(Policy::none()).pool_max_idle_per_host(0).build().unwrap();
        let response = http.post(gateway.url("/oauth/register")).json(&metadata).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        let document: Value = response.json().await.unwrap();
        Self {
            http,
            origin: gateway.origin.clone(),
            id: document["client_id"].as_str().unwrap().to_owned(),
            secret: document["client_secret"].as_str().map(ToOwned::to_owned),
            redirect_uri: document["redirect_uris"][0].as_str().unwrap().to_owned(),
            verifier: "verifier-verifier-verifier-verifier-verifier".to_owned(),
        }
    }

    /// The parameters of a correct authorization request for `route`.
    pub fn request(&self, route: &str) -> Vec<(&'static str, String)> {
        vec![
            ("response_type", "code".to_owned()),
            ("client_id", self.id.clone()),
            ("redirect_uri", self.redirect_uri.clone()),
            ("state", "the-state".to_owned()),
            ("code_challenge", URL_SAFE_NO_PAD.encode(Sha256::digest(&self.verifier))),
            ("code_challenge_method", "S256".to_owned()),
            ("resource", format!("{}{route}", self.origin)),
        ]
    }

    pub fn authorize_url(&self, parameters: &[(&'static str, String)]) -> String {
        url::Url::parse_with_params(&format!("{}/oauth/authorize", self.origin), parameters).unwrap().to_string()
    }

    /// Brings the browser to the consent page, signing in as `user` if nobody is.
    pub async fn consent_page(&self, browser: &mut Browser, route: &str, user: &str) -> Page {
        let page = browser.open(&self.authorize_url(&self.request(route))).await;
        choose_user(browser, page, user).await
    }

    /// Goes all the way to the code.
    pub async fn authorize(&self, browser: &mut Browser, route: &str, user: &str) -> String {
        let page = self.consent_page(browser, route, user).await;
        // Where the consent is remembered the browser has left already.
        let left = if page.leaves_to.is_some() { page } else { browser.submit(&page, ("decision", "approve")).await };
        left.answer()["code"].clone()
    }

    pub async fn token(&self, parameters: &[(&str, &str)]) -> Response {
        let mut form: Vec<(&str, &str)> = parameters.to_vec();
        if !form.iter().any(|(name, _)| *name == "client_id") {
            form.push(("client_id", &self.id));
        }
        if let Some(secret) = &self.secret {
            form.push(("client_secret", secret));
        }
        self.http.post(format!("{}/oauth/token", self.origin)).form(&form).send().await.unwrap()
    }

    pub async fn redeem(&self, code: &str) -> Response {
        self.token(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", &self.verifier),
        ])
        .await
    }

    /// Redeems a code with an assertion.
    pub async fn redeem_with(&self, code: &str, assertion: &str) -> Response {
        self.token(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", &self.verifier),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", assertion),
        ])
        .await
    }

    /// Refreshes with an assertion.
    pub async fn refresh_with(&self, refresh: &str, assertion: &str) -> Response {
        self.token(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", assertion),
        ])
        .await
    }

    pub async fn refresh(&self, refresh: &str) -> Response {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await
    }

    /// Authorizes and redeems for `route` as `user`.
    pub async fn log_in(&self, route: &str, user: &str) -> Tokens {
        let mut browser = Browser::new(&self.origin);
        let code = self.authorize(&mut browser, route, user).await;
        Tokens::from(self.redeem(&code).await).await
    }

    /// The status of a call with this token.
    pub async fn call(&self, route: &str, access: &str) -> Response {
        self.http
            .post(format!("{}{route}", self.origin))
            .header(header::AUTHORIZATION, format!("Bearer {access}"))
            .header(header::ACCEPT, "application/json, text/event-stream")
            .json(&json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}))
            .send()
            .await
            .unwrap()
    }
}

impl Tokens {
    pub async fn from(response: Response) -> Self {
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        let body: Value = response.json().await.unwrap();
        Self {
            access: body["access_token"].as_str().unwrap().to_owned(),
            refresh: body["refresh_token"].as_str().unwrap().to_owned(),
        }
    }
}

/// Picks a user on the chooser, if the browser is there.
pub async fn choose_user(browser: &mut Browser, page: Page, user: &str) -> Page {
    if !browser.visited.last().unwrap().ends_with("/oauth/dev-login") {
        return page;
    }
    let link = page
        .html
        .split("href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().replace("&#38;", "&"))
        .find(|href| href.ends_with(&format!("user={user}")))
        .expect("a link for the user");
    let url = format!("{}{link}", browser.origin);
    browser.open(&url).await
}
