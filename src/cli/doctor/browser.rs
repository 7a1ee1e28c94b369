//! A browser that walks through the gateway's own pages, as far as no human is needed.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use url::Url;

use super::{
    callback::Parameters,
    cookies::Jar,
    endpoint::REPORT,
    html,
    http::{Answer, Http, shown},
    report::Problem,
};

/// One browser with its cookies; it never leaves the gateway's origin.
pub(super) struct Browser<'a> {
    http: &'a Http,
    redirect_uri: Url,
    user: Option<String>,
    jar: Jar,
}

/// Where a walk ended.
pub(super) enum Landing {
    /// At the client, with these parameters.
    Client(Parameters),
    /// At another origin, where a human has to sign in.
    Elsewhere(Url),
}

impl<'a> Browser<'a> {
    /// A fresh browser; `user` is whom to pick where the development login asks.
    pub(super) fn new(http: &'a Http, redirect_uri: Url, user: Option<String>) -> Self {
        Self { http, redirect_uri, user, jar: Jar::default() }
    }

    /// Follows redirects, chooses the development user, and approves.
    pub(super) async fn walk(&mut self, start: &Url) -> Result<Landing, Problem> {
        let mut next = Next::Get(start.clone());
        for _ in 0..MOST_PAGES {
            let (url, answer) = match next {
                Next::Get(url) => {
                    let answer = self.request(Method::GET, &url, None).await?;
                    (url, answer)
                }
                Next::Post(url, form) => {
                    let answer = self.request(Method::POST, &url, Some(form)).await?;
                    (url, answer)
                }
            };
            if !answer.status.is_redirection() {
                next = self.read_page(&url, &answer)?;
                continue;
            }
            let target = answer.header(header::LOCATION.as_str()).and_then(|location| url.join(location).ok());
            let Some(target) = target else {
                return Err(Problem::new("a Location in the redirect", answer.summary(), REPORT));
            };
            if self.is_redirect_uri(&target) {
                return Ok(Landing::Client(target.query_pairs().into_owned().collect()));
            }
            if target.origin() != start.origin() {
                return Ok(Landing::Elsewhere(target));
            }
            next = Next::Get(target);
        }
        Err(Problem::new("a way back to the client", format_args!("{MOST_PAGES} pages without an end"), REPORT))
    }

    async fn request(
        &mut self,
        method: Method,
        url: &Url,
        form: Option<Vec<(String, String)>>,
    ) -> Result<Answer, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/html"));
        if let Some(cookies) = self.jar.header(url.path()) {
            headers.insert(header::COOKIE, cookies);
        }
        let answer = match form {
            None => self.http.send(method, url, headers, bytes::Bytes::new()).await?,
            Some(form) => {
                if let Ok(origin) = HeaderValue::from_str(&url.origin().ascii_serialization()) {
                    headers.insert(header::ORIGIN, origin);
                }
                headers.insert("sec-fetch-site", HeaderValue::from_static("same-origin"));
                let form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                self.http.post_form(url, &form, headers).await?
            }
        };
        self.jar.store(url.path(), &answer.headers);
        Ok(answer)
    }

    /// What to do on a page: approve, or choose a development user.
    fn read_page(&self, url: &Url, answer: &Answer) -> Result<Next, Problem> {
        let page = String::from_utf8_lossy(&answer.body);
        let failed = |advice: &str| {
            let came = format!("{} at {}", answer.summary(), shown(url));
            Err(Problem::new("a sign-in and a consent page", came, advice))
        };
        if answer.status != StatusCode::OK {
            return failed("the page, and the gateway's log under the request id it shows, say why");
        }
        let approval = html::forms(&page).into_iter().find_map(|form| {
            let button = form.buttons.iter().find(|button| button.name == "decision" && button.value == "approve")?;
            Some((button.enabled, form))
        });
        if let Some((enabled, form)) = approval {
            if !enabled {
                return failed("connect the upstream on the consent page first: open the MCP route with any client");
            }
            let Ok(action) = url.join(&form.action) else { return failed(REPORT) };
            let mut fields = form.hidden;
            fields.push(("decision".to_owned(), "approve".to_owned()));
            return Ok(Next::Post(action, fields));
        }
        let mut choices = html::links(&page).into_iter().filter_map(|link| {
            let link = url.join(&link).ok().filter(|link| link.path().ends_with("/oauth/dev-login"))?;
            let name = link.query_pairs().find(|(key, _)| key == "user")?.1.into_owned();
            Some((name, link))
        });
        let chosen = match &self.user {
            Some(user) => choices.find(|(name, _)| name == user),
            None => choices.next(),
        };
        match (chosen, &self.user) {
            (Some((_, link)), _) => Ok(Next::Get(link)),
            (None, Some(_)) => failed("choose a user that `identity.users` names"),
            (None, None) => failed(REPORT),
        }
    }

    fn is_redirect_uri(&self, target: &Url) -> bool {
        target.origin() == self.redirect_uri.origin() && target.path() == self.redirect_uri.path()
    }
}

enum Next {
    Get(Url),
    Post(Url, Vec<(String, String)>),
}

const MOST_PAGES: usize = 15;
