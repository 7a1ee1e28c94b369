//! How a person's API key is sent, in `authMode: user-key`.

use http::{HeaderName, header};

use super::headers::is_ours;
use crate::config::check::Check;
use crate::config::file::{self, AuthMode};
use crate::config::problem::Fault;

/// How a person's API key is sent, and where people find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserKey {
    /// The header that carries the key.
    pub header: HeaderName,
    /// The word before the key.
    pub scheme: Option<String>,
    /// Where people find their key.
    pub help: Option<String>,
}

impl UserKey {
    /// Checks the section, whose keys belong to the mode `user-key`.
    pub fn check(file: &file::UserKey, mode: AuthMode, check: &mut Check) -> Self {
        let named = check.parse(&file.header, |text| {
            let name = HeaderName::from_bytes(text.as_bytes()).ok().filter(|name| !is_ours(name));
            name.ok_or("the name of a header that neither HTTP nor MCP sets itself")
        });
        let scheme = check.parse(&file.scheme, |text| {
            let token = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if token { Ok(text.clone()) } else { Err("a word such as Bearer or Token") }
        });
        let help = check.text(&file.help);
        if mode != AuthMode::UserKey {
            for at in [&file.header, &file.scheme, &file.help].into_iter().filter(|at| !at.is_unset()) {
                let (belongs_to, given) = ("authMode `user-key`".to_owned(), format!("authMode `{}`", mode.name()));
                check.report(&at.place, Fault::Misplaced { belongs_to, given });
            }
        }
        let header = named.unwrap_or(header::AUTHORIZATION);
        let bearer = (file.scheme.is_unset() && header == header::AUTHORIZATION).then(|| "Bearer".to_owned());
        Self { scheme: scheme.or(bearer), header, help }
    }
}
