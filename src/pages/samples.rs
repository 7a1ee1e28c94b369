//! One of every page in every state that looks different, for the tests and for people who want to see them.

use super::*;

/// The samples by name; with `SALLYPORT_PAGE_SAMPLES` a test writes them to that directory.
pub(super) fn all() -> Vec<(&'static str, String)> {
    vec![
        ("consent-ready", consent().render()),
        ("consent-connect", consent_with_open_connections().render()),
        ("consent-app-scheme", consent_of_a_private_use_scheme().render()),
        ("consent-hostile", consent_of_an_attacker().render()),
        ("error", error().render()),
        ("error-short", Error { details: vec![], link: None, ..error() }.render()),
        ("sign-out", sign_out().render()),
        ("signed-out", SignedOut.render()),
        ("dev-chooser", dev_chooser().render()),
        ("message-notice", message().render()),
        ("message-done", connected().render()),
        ("landing", landing().render()),
        ("landing-empty", Landing { routes: vec![] }.render()),
    ]
}

pub(super) fn consent() -> Consent {
    Consent {
        action: LocalHref::new("/oauth/setup"),
        interaction: "i_7Qm1".into(),
        csrf: "c_93kf".into(),
        client: Client {
            name: safe_text("Claude"),
            identity: ClientIdentity::Host(safe_host("claude.ai")),
            only_local_redirects: false,
        },
        redirect: redirect("https://claude.ai/api/mcp/auth_callback"),
        user: User { name: safe_text("Ada Lovelace"), email: Some(safe_text("ada@example.com")) },
        sign_out: LocalHref::new("/oauth/sign-out"),
        route: Route { title: safe_text("Linear"), path: safe_text("/mcp/linear-v1") },
        upstreams: vec![upstream("Linear", &["read", "write"], UpstreamState::Connected)],
    }
}

pub(super) fn consent_with_open_connections() -> Consent {
    Consent {
        client: Client {
            name: safe_text("Claude Code"),
            identity: ClientIdentity::Unverified,
            only_local_redirects: true,
        },
        redirect: redirect("http://localhost:53682/callback"),
        route: Route { title: safe_text("Engineering tools"), path: safe_text("/mcp/engineering") },
        upstreams: vec![
            upstream("Linear", &["read", "write"], UpstreamState::Connected),
            upstream(
                "GitHub",
                &["repo", "read:org", "read:user"],
                needs_connection("/auth/connections/github/connect"),
            ),
            upstream("Handbook search", &[], UpstreamState::NothingNeeded),
        ],
        ..consent()
    }
}

pub(super) fn consent_of_a_private_use_scheme() -> Consent {
    Consent {
        client: Client {
            name: safe_text("Cursor"),
            identity: ClientIdentity::Host(safe_host("cursor.com")),
            only_local_redirects: true,
        },
        redirect: redirect("cursor://anysphere.cursor-mcp/oauth/callback"),
        user: User { name: safe_text("ada@example.com"), email: None },
        upstreams: vec![],
        ..consent()
    }
}

pub(super) fn consent_of_an_attacker() -> Consent {
    let hostile = "<script>alert(1)</script> \"onmouseover='x' \u{202e}gro.knab\n".to_owned() + &"W".repeat(5_000);
    Consent {
        interaction: "\"><script>".into(),
        csrf: "'\"><img src=x onerror=alert(1)>".into(),
        client: Client {
            name: safe_text(&hostile),
            identity: ClientIdentity::Host(safe_host(&format!("{}.example", "a".repeat(200)))),
            only_local_redirects: false,
        },
        redirect: redirect(&format!("https://claude.ai@{}.example/cb?\"><script>&x=%22", "b-".repeat(30))),
        user: User {
            name: safe_text(&format!("Z{}", "\u{334}\u{30d}\u{317}".repeat(30))),
            email: Some(safe_text(&hostile)),
        },
        sign_out: LocalHref::new("javascript:alert(1)"),
        route: Route { title: safe_text(&hostile), path: safe_text(&hostile) },
        upstreams: vec![
            upstream(&hostile, &[&hostile, "repo"], needs_connection("//evil.example/\"onclick=\"x")),
            upstream(&hostile, &[], UpstreamState::NothingNeeded),
        ],
        ..consent()
    }
}

pub(super) fn error() -> Error {
    Error {
        title: safe_text("This request cannot be answered"),
        happened: safe_paragraph(
            "The application sent a redirect address that it has not registered, so we did not send you there.",
        ),
        next: safe_paragraph(
            "Close this page and connect again from your application. If it keeps failing, tell your administrator the request id.",
        ),
        request_id: safe_text("01JD8Z6K4M3XQ9V7T5R2"),
        details: vec![
            Detail { name: safe_text("error"), value: safe_text("invalid_request") },
            Detail { name: safe_text("client"), value: safe_paragraph("dcr:3f6c2b7e9d<script>alert(1)</script>") },
            Detail { name: safe_text("redirect host"), value: safe_text("evil.example") },
        ],
        link: Some(Link { label: safe_text("Back to the start"), href: LocalHref::new("/") }),
    }
}

fn sign_out() -> SignOut {
    SignOut {
        action: LocalHref::new("/oauth/sign-out"),
        csrf: "c_93kf".into(),
        user: safe_text("Ada Lovelace"),
        stay: Some(LocalHref::new("/oauth/setup")),
    }
}

fn dev_chooser() -> DevChooser {
    let user =
        |name| DevUser { name: safe_text(name), sign_in: LocalHref::new(&format!("/oauth/dev-login?user={name}")) };
    DevChooser { users: ["ada", "bob", "dev-browser-user"].map(user).into() }
}

fn message() -> Message {
    Message {
        tone: Tone::Notice,
        title: safe_text("Start again from your application"),
        text: safe_paragraph(
            "This sign-in is no longer valid. It was finished already, or it took longer than 15 minutes. You can close this page.",
        ),
        link: None,
    }
}

fn connected() -> Message {
    Message {
        tone: Tone::Done,
        title: safe_text("Linear is connected"),
        text: safe_paragraph("Return to your application and try again."),
        link: Some(Link { label: safe_text("Continue"), href: LocalHref::new("/oauth/setup") }),
    }
}

fn landing() -> Landing {
    let route = |title, name: &str| LandingRoute {
        title: safe_text(title),
        name: name.into(),
        url: format!("https://gateway.example.com/mcp/{name}"),
    };
    Landing { routes: vec![route("Linear", "linear-v1"), route("Engineering tools", "engineering")] }
}

fn upstream(name: &str, scopes: &[&str], state: UpstreamState) -> Upstream {
    Upstream { name: safe_text(name), scopes: scopes.iter().map(|scope| safe_text(scope)).collect(), state }
}

fn needs_connection(path: &str) -> UpstreamState {
    UpstreamState::NeedsConnection { connect: LocalHref::new(path) }
}

fn redirect(uri: &str) -> Redirect {
    Redirect::to(&uri.parse().unwrap())
}
