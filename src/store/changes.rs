//! Tells the caches of this process what changed: at once what this process did, and what others did as it is heard.

use std::sync::{Mutex, PoisonError};

use super::{ConnectionKey, GrantId};
use crate::crypto::Digest;

/// Something that a cache may still believe in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A grant was revoked, with all its tokens.
    GrantRevoked(GrantId),
    /// One access token was revoked.
    AccessTokenRevoked(Digest),
    /// A connection has this version now.
    ConnectionRefreshed(ConnectionKey, i64),
    /// A connection was removed, or ended.
    ConnectionGone(ConnectionKey),
    /// Other processes may have changed anything, and nobody heard it.
    Unheard,
}

type Listener = Box<dyn Fn(&Change) + Send + Sync>;

/// The place where changes are announced; listeners run before the announcer goes on.
#[derive(Default)]
pub struct Changes {
    listeners: Mutex<Vec<Listener>>,
}

impl Changes {
    /// Calls `listener` with every change from now on.
    pub fn subscribe(&self, listener: impl Fn(&Change) + Send + Sync + 'static) {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(listener));
    }

    /// Announces a change that the store has committed.
    pub fn publish(&self, change: &Change) {
        for listener in self.listeners.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            listener(change);
        }
    }
}
