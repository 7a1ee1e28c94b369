//! The content security policy that belongs to our pages.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::STYLE;

/// Where the forms of a page may be submitted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormAction {
    /// The page has no form.
    None_,
    /// Forms lead to the gateway, and its answer stays there.
    SelfOnly,
    /// The directive is left out, for the pages whose forms redirect away: consent and connect.
    ///
    /// Chromium applies `form-action` to the whole redirect chain that follows a submission. The answer to an approval
    /// redirects to the client, whose redirect URI may be loopback or a private-use scheme such as `cursor:`, and the
    /// answer to a connect form to the upstream's authorization server and wherever that sends people to sign in; the
    /// browser would block both. What the form may do is guarded by its CSRF token, and escaping keeps foreign forms out.
    Unrestricted,
}

/// The `Content-Security-Policy` to send with a page: nothing loads but the embedded style, and nobody frames us.
pub fn content_security_policy(form_action: FormAction) -> String {
    let forms = match form_action {
        FormAction::None_ => "; form-action 'none'",
        FormAction::SelfOnly => "; form-action 'self'",
        FormAction::Unrestricted => "",
    };
    let style = style_csp_hash();
    format!(
        "default-src 'none'; style-src {style}; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'{forms}"
    )
}

/// The source expression of the embedded stylesheet, quotes included: `'sha256-…'`.
pub fn style_csp_hash() -> &'static str {
    static HASH: LazyLock<String> = LazyLock::new(|| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(STYLE))));
    &HASH
}
