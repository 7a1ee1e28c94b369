//! What a failed call to an upstream's authorization server means.

use http::StatusCode;

use crate::outbound::{self, DnsError};

/// What to make of a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The host answers, and has no such document.
    Absent,
    /// It may work later.
    Transient,
    /// It will not work until somebody changes something.
    Lasting,
}

impl Fault {
    pub(super) fn of(error: &outbound::Error) -> Self {
        use outbound::Error;
        match error {
            Error::Status { status, .. } => Self::of_status(*status),
            // A page where a document should be, or the way to a login, is how many hosts answer for unknown paths.
            Error::Redirected { .. } | Error::NotJson { .. } => Self::Absent,
            Error::Timeout { .. }
            | Error::Connect { .. }
            | Error::Broken { .. }
            | Error::Dns { source: DnsError::Timeout | DnsError::NoNameServer | DnsError::Failed(_), .. } => {
                Self::Transient
            }
            Error::Dns { source: DnsError::NoSuchName | DnsError::NoAddress, .. }
            | Error::Blocked { .. }
            | Error::NotHttps { .. }
            | Error::BadUrl { .. }
            | Error::Tls { .. }
            | Error::TooLarge { .. } => Self::Lasting,
        }
    }

    fn of_status(status: StatusCode) -> Self {
        if is_busy(status) { Self::Transient } else { Self::Absent }
    }
}

/// Whether a status says that the host cannot answer now.
pub(super) fn is_busy(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
}

/// A stranger's text as far as a log line may hold it.
pub(super) fn loggable(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(MAX_LOGGED).collect()
}

const MAX_LOGGED: usize = 200;
