//! A browser that walks through the gateway's own pages, as far as no human is needed.

use std::collections::HashMap;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use url::{Host, Url};

use super::{
    callback::Parameters,
    cookies::Jar,
    endpoint::REPORT,
    html,
    http::{Answer, Http, shown},
    report::Problem,
};

/// One browser with its cookies.
///
/// It leaves the gateway's origin only to connect an upstream whose sign-in is on this machine too, as the demo's is.
pub(super) struct Browser<'a> {
    http: &'a Http,
    redirect_uri: Url,
    user: Option<String>,
    jars: HashMap<String, Jar>,
    connected: bool,
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
        Self { http, redirect_uri, user, jars: HashMap::new(), connected: false }
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
            if target.origin() != start.origin() && !(self.connected && is_this_machine(&target)) {
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
        let host = url.host_str().unwrap_or_default().to_owned();
        if let Some(cookies) = self.jars.get(&host).and_then(|jar| jar.header(url.path())) {
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
        self.jars.entry(host).or_default().store(url.path(), &answer.headers);
        Ok(answer)
    }

    /// Whether an upstream had to be connected on the way.
    pub(super) const fn has_connected(&self) -> bool {
        self.connected
    }

    /// What to do on a page: approve, connect what is missing before that, or choose a development user.
    fn read_page(&mut self, url: &Url, answer: &Answer) -> Result<Next, Problem> {
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
                let connect = html::links(&page).into_iter().find(|link| link.contains("/auth/connections/"));
                return match connect.and_then(|link| url.join(&link).ok()) {
                    Some(link) => {
                        self.connected = true;
                        Ok(Next::Get(link))
                    }
                    None => {
                        failed("connect the upstream on the consent page first: open the MCP route with any client")
                    }
                };
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

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

enum Next {
    Get(Url),
    Post(Url, Vec<(String, String)>),
}

const MOST_PAGES: usize = 30;
