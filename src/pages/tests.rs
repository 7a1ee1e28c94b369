use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::samples::{self, consent, consent_of_a_private_use_scheme, consent_of_an_attacker};
use super::*;

/// Writes the samples where somebody asked for them, to look at or to check with other tools.
#[test]
fn every_page_is_a_well_formed_document() {
    let directory = std::env::var_os("SALLYPORT_PAGE_SAMPLES").map(std::path::PathBuf::from);
    for (name, html) in samples::all() {
        if let Some(directory) = &directory {
            std::fs::write(directory.join(name).with_extension("html"), &html).unwrap();
        }
        let tags = tags(&html);
        assert!(html.starts_with("<!doctype html>"), "{name}");
        assert_eq!(unclosed(&tags), Vec::<String>::new(), "{name}");
        for landmark in ["<h1", "<main", "<header", "<footer", "<title", "<style"] {
            assert_eq!(html.matches(landmark).count(), 1, "{name} {landmark}");
        }
        assert!(html.contains("<html lang=\"en\">"), "{name}");
        let ids: Vec<_> = tags.iter().filter_map(|tag| attribute(tag, "id")).collect();
        for (index, id) in ids.iter().enumerate() {
            assert!(!ids[..index].contains(id), "{name} has two {id}");
        }
        for reference in ["aria-labelledby", "aria-describedby"] {
            for id in tags.iter().filter_map(|tag| attribute(tag, reference)) {
                assert!(ids.contains(&id), "{name} refers to {id}");
            }
        }
    }
}

#[test]
fn no_page_runs_a_script_or_loads_anything() {
    for (name, html) in samples::all() {
        for tag in tags(&html) {
            let element = tag.split_ascii_whitespace().next().unwrap_or_default();
            assert!(!["script", "img", "iframe", "object", "embed", "base"].contains(&element), "{name}: {tag}");
            for forbidden in ["style", "onclick", "onmouseover", "onerror", "src", "srcset"] {
                assert_eq!(attribute(tag, forbidden), None, "{name}: {tag}");
            }
            for target in ["href", "action"].into_iter().filter_map(|target| attribute(tag, target)) {
                let local = target.starts_with('/') && !target.starts_with("//");
                assert!(local || (element == "link" && target.starts_with("data:image/svg+xml,")), "{name}: {tag}");
            }
        }
    }
    assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
}

#[test]
fn every_visible_input_has_a_label_and_every_form_a_csrf_token() {
    for (name, html) in samples::all() {
        for tag in tags(&html).iter().filter(|tag| tag.starts_with("input")) {
            let label = attribute(tag, "id").map(|id| format!("<label class=\"entry\" for=\"{id}\">"));
            let labelled = label.is_some_and(|label| html.contains(&label));
            assert!(labelled || attribute(tag, "type") == Some("hidden"), "{name}: {tag}");
        }
        assert_eq!(html.matches("<form method=\"post\"").count(), html.matches("name=\"csrf\"").count(), "{name}");
    }
}

#[test]
fn approve_is_disabled_until_every_upstream_is_connected() {
    let button = |html: &str, decision: &str| {
        tags(html).iter().find(|tag| attribute(tag, "value") == Some(decision)).map(|tag| (*tag).to_owned())
    };
    for (page, ready) in [
        (consent(), true),
        (consent_of_a_private_use_scheme(), true),
        (samples::consent_with_open_connections(), false),
        (samples::consent_that_waits_for_an_administrator(), false),
        (consent_of_an_attacker(), false),
    ] {
        let html = page.render();
        assert_eq!(page.can_approve(), ready);
        let approve = button(&html, "approve").unwrap();
        assert_eq!(approve.contains(" disabled"), !ready, "{approve}");
        assert_eq!(attribute(&approve, "aria-describedby").is_some(), !ready, "{approve}");
        assert_eq!(button(&html, "continue").is_some(), !ready);
        assert!(!button(&html, "cancel").unwrap().contains("disabled"));
    }
}

#[test]
fn a_disabled_approval_says_who_can_help() {
    let yourself = "You can approve once every service above is connected.";
    let administrator = "An administrator must connect <bdi>Linear</bdi> before you can approve.";
    for (page, says_yourself, says_administrator) in [
        (consent(), false, false),
        (samples::consent_with_open_connections(), true, false),
        (samples::consent_that_waits_for_an_administrator(), false, true),
    ] {
        let html = page.render();
        assert_eq!(html.contains(yourself), says_yourself);
        assert_eq!(html.contains(administrator), says_administrator);
    }
    let html = samples::consent_that_waits_for_an_administrator().render();
    assert!(!html.contains(">Connect<"), "somebody who must not connect it is not invited to");
}

#[test]
fn consent_carries_the_interaction_and_names_everyone_involved() {
    let html = samples::consent_with_open_connections().render();
    for expected in [
        r#"<form method="post" action="/oauth/setup">"#,
        r#"<input type="hidden" name="interaction" value="i_7Qm1">"#,
        r#"<input type="hidden" name="csrf" value="c_93kf">"#,
        "Claude Code",
        "Unverified application",
        "an app on this computer",
        "http://localhost:53682/callback",
        "Ada Lovelace",
        "ada@example.com",
        r#"<a href="/oauth/sign-out">"#,
        "Engineering tools",
        "/mcp/engineering",
        "read:org",
        r#"href="/auth/connections/github/connect""#,
        "No sign-in needed",
    ] {
        assert!(html.contains(expected), "{expected}");
    }
}

/// RFC 8252 section 8.6: where impersonation of a client cannot be detected, the person is asked to think.
#[test]
fn consent_warns_of_clients_that_anyone_could_impersonate() {
    for (identity, only_local_redirects, warned) in [
        (ClientIdentity::Host(safe_host("claude.ai")), false, false),
        (ClientIdentity::Host(safe_host("claude.ai")), true, true),
        (ClientIdentity::Unverified, false, true),
        (ClientIdentity::Unverified, true, true),
    ] {
        let page =
            Consent { client: Client { name: safe_text("Claude"), identity, only_local_redirects }, ..consent() };
        assert_eq!(page.render().contains("Did you start this yourself?"), warned);
    }
}

#[test]
fn consent_names_the_redirect_host_that_browsers_would_use() {
    for (uri, shown) in [
        ("https://claude.ai/cb", "<strong><bdi>claude.ai</bdi></strong>"),
        ("https://claude.ai:8443/cb", "<strong><bdi>claude.ai:8443</bdi></strong>"),
        ("https://claude.ai@evil.example/cb", "<strong><bdi>evil.example</bdi></strong>"),
        ("https://cl\u{430}ude.ai/cb", "<strong><bdi>xn--clude-5ve.ai</bdi></strong>"),
        ("https://localhost.evil.example/cb", "<strong><bdi>localhost.evil.example</bdi></strong>"),
        ("http://127.0.0.1:9/cb", "<strong>an app on this computer</strong>"),
        ("http://[::1]:9/cb", "<strong>an app on this computer</strong>"),
        ("http://localhost/cb", "<strong>an app on this computer</strong>"),
        ("cursor://anysphere/cb", "<strong>an app that opens <bdi>cursor:</bdi> links</strong>"),
        ("com.example.app:/cb", "<strong>an app that opens <bdi>com.example.app:</bdi> links</strong>"),
    ] {
        let page = Consent { redirect: Redirect::to(&uri.parse().unwrap()), ..consent() };
        assert!(page.render().contains(shown), "{uri}");
    }
}

#[test]
fn text_of_strangers_is_escaped_bounded_and_never_empty() {
    let html = consent_of_an_attacker().render();
    assert!(!html.contains("<script") && !html.contains("<img") && !html.contains('\u{202e}'));
    assert!(html.contains("&#60;script&#62;alert(1)&#60;/script&#62; &#34;onmouseover=&#39;x&#39; gro.knab WW"));
    assert!(!html.contains(&"W".repeat(80)));

    let nameless = Client {
        name: safe_text("\u{200b}\u{3164}"),
        identity: ClientIdentity::Unverified,
        only_local_redirects: true,
    };
    assert!(Consent { client: nameless, ..consent() }.render().contains("An unnamed application"));

    for html in [
        samples::connect_of_an_attacker().render(),
        samples::connect_failed_with_an_attackers_words().render(),
        samples::account_of_an_attacker().render(),
    ] {
        assert!(!html.contains("<script") && !html.contains("<img") && !html.contains('\u{202e}'));
        assert!(html.contains("&#60;script&#62;alert(1)&#60;/script&#62; &#34;onmouseover=&#39;x&#39; gro.knab WW"));
        assert!(!html.contains(&"W".repeat(400)));
    }

    let error = samples::error().render();
    assert!(!error.contains("<script") && error.contains("&#60;script&#62;"));
}

#[test]
fn the_policy_allows_the_very_style_that_is_embedded_and_nothing_else() {
    for (name, html) in samples::all() {
        let embedded = html.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        let hash = STANDARD.encode(Sha256::digest(embedded));
        assert_eq!(style_csp_hash(), format!("'sha256-{hash}'"), "{name}");
        assert!(!embedded.contains(['\r', '\0', '<']), "browsers would hash something else");
    }
    let policy = content_security_policy(FormAction::SelfOnly);
    assert_eq!(
        policy,
        format!(
            "default-src 'none'; style-src {}; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
            style_csp_hash()
        )
    );
    assert!(content_security_policy(SignedOut::FORM_ACTION).ends_with("; form-action 'none'"));
}

/// Chromium would block the redirect to a native app's scheme after the consent form, and to the upstream's
/// authorization server after the connect form.
#[test]
fn only_forms_that_redirect_away_leave_form_action_out() {
    for (form_action, restricted) in [
        (Consent::FORM_ACTION, false),
        (Connect::FORM_ACTION, false),
        (Account::FORM_ACTION, true),
        (SignOut::FORM_ACTION, true),
    ] {
        assert_eq!(content_security_policy(form_action).contains("form-action"), restricted);
    }
}

#[test]
fn connect_carries_the_ticket_and_names_everyone_involved() {
    let html = samples::connect().render();
    for expected in [
        r#"<form method="post" action="/auth/connections/linear/connect">"#,
        r#"<input type="hidden" name="ticket" value="t_5Hd2">"#,
        r#"<input type="hidden" name="csrf" value="c_93kf">"#,
        "<span>Connect <bdi>Linear</bdi></span></button>",
        "<strong><bdi>auth.linear.app</bdi></strong> asks you to allow the access.",
        "Claude Code",
        "Unverified",
        "Engineering tools",
        "/mcp/engineering",
        "<code><bdi>issues:create</bdi></code>",
        "Ada Lovelace",
        "ada@example.com",
        r#"<a href="/oauth/sign-out">"#,
        "The gateway keeps this access sealed.",
        "<bdi>Claude Code</bdi> never sees it.",
    ] {
        assert!(html.contains(expected), "{expected}");
    }
    assert!(!html.contains("decides"));
}

#[test]
fn connect_without_a_client_or_scopes_leaves_no_gap() {
    let html = samples::connect_of_ones_own_accord().render();
    assert!(html.contains("What <bdi>Linear</bdi> decides") && html.contains("No application ever sees it."));
    assert!(!html.contains("Asked by") && !html.contains("Unverified"));
}

/// Whoever connects for everybody lends them an account, and must know it.
#[test]
fn connect_warns_of_a_shared_connection() {
    for shared in [false, true] {
        let html = Connect { shared, ..samples::connect() }.render();
        assert_eq!(html.contains("You connect it for everyone"), shared);
    }
}

#[test]
fn a_success_leads_back_to_where_the_person_was() {
    let html = samples::connected().render();
    assert!(html.contains("<bdi>Linear</bdi> is connected") && html.contains("You can go back to your application."));
    assert!(!html.contains("<a "));
    let html = Connected { back: Some(LocalHref::new("/oauth/setup")), ..samples::connected() }.render();
    assert!(html.contains(r#"href="/oauth/setup">Continue</a>"#) && !html.contains("You can go back"));
}

#[test]
fn a_failure_says_who_can_do_what_and_folds_the_upstreams_words_away() {
    let html = samples::connect_failed().render();
    let (shown, folded) = html.split_once("<details>").unwrap();
    for expected in ["What you can do", "What your administrator can do", ">Try again</a>"] {
        assert!(shown.contains(expected), "{expected}");
    }
    for expected in ["access_denied", "The resource owner denied the request."] {
        assert!(folded.contains(expected) && !shown.contains(expected), "{expected}");
    }
    assert!(html.contains("Request id <code>01JD8Z6K4M3XQ9V7T5R2</code>"));

    let html = samples::connect_failed_for_good().render();
    for absent in ["What you can do", "Try again", "<details"] {
        assert!(!html.contains(absent), "{absent}");
    }
}

#[test]
fn somebody_elses_link_offers_to_sign_out_and_nothing_else() {
    let html = samples::wrong_person().render();
    assert!(html.contains("Ada Lovelace") && html.contains(r#"href="/oauth/sign-out">Sign out</a>"#));
    assert_eq!(html.matches("<a ").count() + html.matches("<form").count(), 1);
}

#[test]
fn account_offers_what_each_state_allows() {
    let html = samples::account().render();
    let entry = |name: &str| html.split("<li>").find(|entry| entry.contains(name)).unwrap();
    for (upstream, state, connect, reconnect, disconnect) in [
        ("<bdi>Linear</bdi>", "Connected</span>", false, false, true),
        ("<bdi>GitHub</bdi>", "Needs renewal</span>", false, true, true),
        ("<bdi>Notion</bdi>", "Not connected</span>", true, false, false),
    ] {
        let entry = entry(upstream);
        assert!(entry.contains(state), "{entry}");
        assert_eq!(entry.contains(">Connect<"), connect, "{entry}");
        assert_eq!(entry.contains(">Reconnect<"), reconnect, "{entry}");
        assert_eq!(entry.contains(">Disconnect<"), disconnect, "{entry}");
        assert_eq!(entry.contains("last change 2026-05-09"), disconnect, "{entry}");
        assert!(!entry.contains("Shared by everyone"), "{entry}");
    }
    assert!(entry("Handbook search").contains("Shared by everyone"));
    for expected in [
        r#"<form method="post" action="/account/disconnect">"#,
        r#"<input type="hidden" name="connection" value="github">"#,
        r#"<input type="hidden" name="csrf" value="c_connection_github">"#,
        r#"<a class="button small" href="/auth/connections/github/connect">"#,
        r#"<form method="post" action="/account/revoke">"#,
        r#"<input type="hidden" name="grant" value="g_1">"#,
        r#"<a href="/oauth/sign-out">Sign out</a>"#,
        "An unnamed application",
    ] {
        assert!(html.contains(expected), "{expected}");
    }
}

#[test]
fn an_empty_account_says_so() {
    let html = samples::account_without_anything().render();
    assert!(html.contains("No service here needs a connection of yours."));
    assert!(html.contains("You have not approved any application."));
    assert!(!html.contains("<form") && !html.contains("<li>"));
}

/// What stands between `<` and `>`, outside of the style element; quoted `>` does not occur, since it is escaped.
fn tags(html: &str) -> Vec<&str> {
    let (head, rest) = html.split_once("<style>").unwrap();
    let (_, tail) = rest.split_once("</style>").unwrap();
    [head, tail]
        .into_iter()
        .flat_map(|part| part.split('<').skip(1).filter_map(|part| Some(part.split_once('>')?.0)))
        .collect()
}

fn attribute<'tag>(tag: &'tag str, name: &str) -> Option<&'tag str> {
    tag.split_once(&format!(" {name}=\""))?.1.split('"').next()
}

/// The elements that were opened and not closed, or closed and not opened.
fn unclosed(tags: &[&str]) -> Vec<String> {
    let mut open: Vec<String> = Vec::new();
    for tag in tags {
        let name = tag.trim_end_matches('/').split_ascii_whitespace().next().unwrap_or_default().to_owned();
        let is_void = tag.ends_with('/') || ["!doctype", "meta", "link", "input", "br"].contains(&name.as_str());
        match name.strip_prefix('/') {
            Some(closed) if open.last().is_some_and(|last| last == closed) => drop(open.pop()),
            None if is_void => {}
            _ => open.push(name),
        }
    }
    open
}
