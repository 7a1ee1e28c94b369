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
            assert_eq!(attribute(tag, "type"), Some("hidden"), "{name}: {tag}");
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
        (consent_of_an_attacker(), false),
    ] {
        let html = page.render();
        assert_eq!(page.can_approve(), ready);
        let approve = button(&html, "approve").unwrap();
        assert_eq!(approve.contains(" disabled"), !ready, "{approve}");
        assert_eq!(attribute(&approve, "aria-describedby").is_some(), !ready, "{approve}");
        assert_eq!(html.contains("You can approve once every service above is connected."), !ready);
        assert_eq!(button(&html, "continue").is_some(), !ready);
        assert!(!button(&html, "cancel").unwrap().contains("disabled"));
    }
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

/// Chromium would block the redirect to a native app's scheme after the consent form.
#[test]
fn consent_leaves_form_action_out() {
    assert!(!content_security_policy(Consent::FORM_ACTION).contains("form-action"));
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
