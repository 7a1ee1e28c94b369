//! The consent page: who asks, for what, where the answer goes, and what is still missing before it can be given.

use super::{FormAction, LocalHref, Page, SafeHost, SafeText, safe_host, safe_paragraph, safe_text};

/// The consent page, a form that is posted with `decision` (`approve`, `cancel` or `continue`), `interaction` and `csrf`.
#[derive(askama::Template)]
#[template(path = "consent.html")]
pub struct Consent {
    /// Where the form is posted to.
    pub action: LocalHref,
    /// The interaction that the decision is about.
    pub interaction: String,
    /// Proof that the form was ours, for this browser session.
    pub csrf: String,
    /// The client that asks.
    pub client: Client,
    /// Where the browser goes after the decision.
    pub redirect: Redirect,
    /// Who is signed in.
    pub user: User,
    /// Where somebody else's sign-in can be ended.
    pub sign_out: LocalHref,
    /// What the client asks for.
    pub route: Route,
    /// What the route depends on.
    pub upstreams: Vec<Upstream>,
}

/// The client as the person sees it.
pub struct Client {
    /// Its name, which is the client's own claim.
    pub name: SafeText,
    /// How far the gateway knows who is behind it.
    pub identity: ClientIdentity,
    /// Whether every redirect URI of it stays on the device (loopback, private-use scheme), where any program can listen.
    pub only_local_redirects: bool,
}

/// How far the gateway knows who is behind a client.
pub enum ClientIdentity {
    /// The host that serves its metadata document, or that the operator configured.
    Host(SafeHost),
    /// It registered itself; nothing it says was checked.
    Unverified,
}

/// Where the browser goes with the answer.
pub struct Redirect {
    destination: Destination,
    uri: SafeText,
}

enum Destination {
    Host(SafeHost),
    ThisComputer,
    App { scheme: SafeText },
}

/// The person who is signed in.
pub struct User {
    /// Their name, or whatever the identity provider calls them.
    pub name: SafeText,
    /// Their e-mail address, if it says more than the name.
    pub email: Option<SafeText>,
}

/// The route that the client wants to use.
pub struct Route {
    /// Its title for people.
    pub title: SafeText,
    /// The path of its URL.
    pub path: SafeText,
}

/// An upstream that the route depends on.
pub struct Upstream {
    /// Its name for people.
    pub name: SafeText,
    /// The scopes that the gateway asks of it for this person; may be empty.
    pub scopes: Vec<SafeText>,
    /// Whether it is ready.
    pub state: UpstreamState,
}

/// Whether an upstream is ready for this person.
pub enum UpstreamState {
    /// There is a connection.
    Connected,
    /// The person must connect it first.
    NeedsConnection {
        /// Starts the upstream's own authorization.
        connect: LocalHref,
    },
    /// Everybody acts through one connection, which is missing and which this person must not make.
    NeedsAdministrator,
    /// It needs no connection of this person.
    NothingNeeded,
}

impl Page for Consent {
    const FORM_ACTION: FormAction = FormAction::Unrestricted;
}

impl Consent {
    /// Whether nothing is left to connect, so that the person may approve.
    pub fn can_approve(&self) -> bool {
        self.upstreams.iter().all(|upstream| match upstream.state {
            UpstreamState::Connected | UpstreamState::NothingNeeded => true,
            UpstreamState::NeedsConnection { .. } | UpstreamState::NeedsAdministrator => false,
        })
    }

    fn is_for_the_person_to_connect(&self) -> bool {
        self.upstreams.iter().any(|upstream| matches!(upstream.state, UpstreamState::NeedsConnection { .. }))
    }

    fn waits_for_administrator(&self) -> impl Iterator<Item = &Upstream> {
        self.upstreams.iter().filter(|upstream| matches!(upstream.state, UpstreamState::NeedsAdministrator))
    }

    fn client_name(&self) -> &str {
        self.client.name.or("An unnamed application")
    }

    fn is_unverified(&self) -> bool {
        matches!(self.client.identity, ClientIdentity::Unverified)
    }
}

impl Redirect {
    /// Describes a redirect URI; the host of an internationalized name is shown in its ASCII form.
    pub fn to(uri: &url::Url) -> Self {
        let destination = match (uri.scheme(), uri.host()) {
            ("http" | "https", Some(host)) if is_loopback(&host) => Destination::ThisComputer,
            ("http" | "https", Some(host)) => {
                let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
                Destination::Host(safe_host(&format!("{host}{port}")))
            }
            (scheme, _) => Destination::App { scheme: safe_text(scheme) },
        };
        Self { destination, uri: safe_paragraph(uri.as_str()) }
    }
}

fn is_loopback(host: &url::Host<&str>) -> bool {
    match host {
        url::Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        url::Host::Ipv4(address) => address.is_loopback(),
        url::Host::Ipv6(address) => address.is_loopback(),
    }
}
