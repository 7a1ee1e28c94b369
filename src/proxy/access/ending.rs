//! How an exchange ended, and whose fault it was.

use pingora::{Error, ErrorSource};

use crate::{
    proxy::{exchange::Exchange, failure::Failure},
    telemetry::{Fault, Outcome},
};

/// How an exchange ended.
pub(super) struct Ending {
    pub(super) outcome: Outcome,
    pub(super) fault: Option<Fault>,
    pub(super) reason: Option<&'static str>,
}

pub(super) fn of(exchange: &Exchange, error: Option<&Error>, status: u16) -> Ending {
    if let Some(reason) = exchange.refused {
        let (outcome, fault) = match status {
            500 | 503 => (Outcome::Failure, Fault::Gateway),
            502 | 504 => (Outcome::Failure, Fault::Upstream),
            _ => (Outcome::Denied, Fault::Client),
        };
        return Ending { outcome, fault: Some(fault), reason: Some(reason) };
    }
    if exchange.connect.is_some() {
        return Ending {
            outcome: Outcome::ConnectRequired,
            fault: None,
            reason: Some(Outcome::ConnectRequired.as_str()),
        };
    }
    let failure = exchange.failure.or_else(|| error.and_then(Failure::of));
    match (failure, error) {
        (Some(failure), _) => Ending {
            outcome: match failure.fault() {
                Fault::Client => Outcome::Denied,
                _ if status != failure.status().as_u16() && (200..300).contains(&status) => Outcome::Partial,
                _ => Outcome::Failure,
            },
            fault: Some(failure.fault()),
            reason: Some(failure.reason()),
        },
        // Also where the upstream's part was brought to its end without the client.
        (None, error)
            if exchange.line.is_unheard() || error.is_some_and(|error| *error.esource() == ErrorSource::Downstream) =>
        {
            Ending { outcome: Outcome::Cancelled, fault: Some(Fault::Client), reason: Some("client_disconnected") }
        }
        (None, Some(_)) => {
            Ending { outcome: Outcome::Failure, fault: Some(Fault::Gateway), reason: Some(Failure::Internal.reason()) }
        }
        (None, None) if status >= 400 || exchange.notes.reports_error() => {
            Ending { outcome: Outcome::ApplicationError, fault: None, reason: None }
        }
        (None, None) => Ending { outcome: Outcome::Success, fault: None, reason: None },
    }
}
