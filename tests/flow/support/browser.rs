//! A browser without a screen: a cookie jar, and forms that it fills in.

use std::collections::BTreeMap;

use reqwest::{Method, RequestBuilder, StatusCode, header, redirect::Policy};

/// One browser profile.
pub struct Browser {
    http: reqwest::Client,
    pub origin: String,
    pub cookies: BTreeMap<String, String>,
    /// The paths that were visited, without queries.
    pub visited: Vec<String>,
    /// The cookie values and the query values of redirects that it was given.
    pub received: Vec<String>,
    /// The host at which a proxy with TLS in front of the gateway is reached, if there is one.
    public_host: Option<String>,
}

/// What the browser shows, or where it was sent outside the gateway.
#[derive(Debug)]
pub struct Page {
    pub status: StatusCode,
    pub headers: header::HeaderMap,
    pub html: String,
    /// Where a redirect leads that the browser did not follow, because it leaves the gateway.
    pub leaves_to: Option<String>,
}

impl Browser {
    pub fn new(origin: &str) -> Self {
        let http = reqwest::Client::builder().redirect(Policy::none()).pool_max_idle_per_host(0).build().unwrap();
        Self {
            http,
            origin: origin.to_owned(),
            cookies: BTreeMap::new(),
            visited: Vec::new(),
            received: Vec::new(),
            public_host: None,
        }
    }

    /// From now on it reaches the gateway through a proxy at `https://{host}`, and is signed in there as well.
    pub fn move_behind_proxy(&mut self, host: &str) {
        self.public_host = Some(host.to_owned());
        self.cookies = self.cookies.iter().map(|(name, value)| (format!("__Host-{name}"), value.clone())).collect();
    }

    /// Opens a URL and follows redirects within the gateway.
    pub async fn open(&mut self, url: &str) -> Page {
        let request = self.request(Method::GET, url).header("sec-fetch-site", "none");
        self.follow(url, request, ANYTHING).await
    }

    /// Opens a link as a person does, asking for a page.
    pub async fn open_page(&mut self, url: &str) -> Page {
        let request = self.request(Method::GET, url).header("sec-fetch-site", "none").header(header::ACCEPT, HTML);
        self.follow(url, request, HTML).await
    }

    /// Submits a form of `page` with one more field, as its submit button would.
    pub async fn submit(&mut self, page: &Page, button: (&str, &str)) -> Page {
        let mut fields = page.hidden_fields();
        fields.push((button.0.to_owned(), button.1.to_owned()));
        let action = page.form_action();
        self.post(&action, &fields, "same-origin").await
    }

    /// Posts a form as the browser would for a page of the given relation to us.
    pub async fn post(&mut self, path: &str, fields: &[(String, String)], site: &str) -> Page {
        let url = format!("{}{path}", self.origin);
        let request = self.request(Method::POST, &url).header("sec-fetch-site", site).form(fields);
        self.follow(&url, request, ANYTHING).await
    }

    fn request(&self, method: Method, url: &str) -> RequestBuilder {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self.http.request(method, url);
        let request = match &self.public_host {
            Some(host) => request.header(header::HOST, host).header("x-forwarded-proto", "https"),
            None => request,
        };
        if cookies.is_empty() { request } else { request.header(header::COOKIE, cookies.join("; ")) }
    }

    async fn follow(&mut self, url: &str, request: RequestBuilder, accept: &str) -> Page {
        let mut url = url::Url::parse(url).unwrap();
        let mut request = request;
        for _ in 0..10 {
            self.visited.push(url.path().to_owned());
            let response = request.send().await.unwrap();
            for cookie in response.headers().get_all(header::SET_COOKIE) {
                let cookie = cookie.to_str().unwrap();
                let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
                self.received.push(value.to_owned());
                if value.is_empty() {
                    self.cookies.remove(name)
                } else {
                    self.cookies.insert(name.to_owned(), value.to_owned())
                };
            }
            let (status, headers) = (response.status(), response.headers().clone());
            let html = response.text().await.unwrap();
            let Some(location) = headers.get(header::LOCATION).map(|value| value.to_str().unwrap().to_owned()) else {
                return Page { status, headers, html, leaves_to: None };
            };
            let query = location.split_once('?').map_or("", |(_, query)| query);
            self.received.extend(url::form_urlencoded::parse(query.as_bytes()).map(|(_, value)| value.into_owned()));
            let public = self.public_host.as_ref().map(|host| format!("https://{host}/"));
            let inside = public.and_then(|public| Some(format!("{}/{}", self.origin, location.strip_prefix(&public)?)));
            let target = url.join(inside.as_deref().unwrap_or(&location));
            let target = target.unwrap_or_else(|_| panic!("bad location {location}"));
            if !target.as_str().starts_with(&format!("{}/", self.origin)) {
                return Page { status, headers, html, leaves_to: Some(location) };
            }
            request = self.request(Method::GET, target.as_str()).header("sec-fetch-site", "none");
            request = request.header(header::ACCEPT, accept);
            url = target;
        }
        panic!("too many redirects at {url}");
    }
}

impl Page {
    pub fn hidden_fields(&self) -> Vec<(String, String)> {
        hidden(&self.html)
    }

    /// The hidden fields of every form.
    pub fn forms(&self) -> Vec<Vec<(String, String)>> {
        let forms = self.html.split("<form").skip(1).filter_map(|rest| rest.split("</form>").next());
        forms.map(hidden).collect()
    }

    /// Where the first link leads whose text contains `label`.
    pub fn link(&self, label: &str) -> String {
        let anchors = self.html.split("<a ").skip(1).filter_map(|rest| rest.split("</a>").next());
        let anchor = anchors.into_iter().find(|anchor| anchor.contains(label)).unwrap_or_else(|| panic!("no {label}"));
        attribute(anchor, "href")
    }

    pub fn form_action(&self) -> String {
        attribute(self.html.split("<form").nth(1).expect("a form"), "action")
    }

    /// The parameters of the URL that leaves the gateway.
    pub fn answer(&self) -> BTreeMap<String, String> {
        let url =
            url::Url::parse(self.leaves_to.as_deref().unwrap_or_else(|| panic!("stayed: {}", self.html))).unwrap();
        url.query_pairs().into_owned().collect()
    }
}

fn hidden(html: &str) -> Vec<(String, String)> {
    let inputs = html.split("<input").skip(1).filter_map(|rest| rest.split('>').next());
    inputs
        .filter(|input| input.contains("type=\"hidden\""))
        .map(|input| (attribute(input, "name"), attribute(input, "value")))
        .collect()
}

fn attribute(tag: &str, name: &str) -> String {
    let value = tag.split(&format!("{name}=\"")).nth(1).unwrap_or_else(|| panic!("no {name} in {tag}"));
    value.split('"').next().unwrap().replace("&#38;", "&")
}

const ANYTHING: &str = "*/*";
const HTML: &str = "text/html";
