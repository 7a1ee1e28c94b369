//! Tells the caches of this process what changed: at once what this process did, and what others did as it is heard.

use std::sync::{Arc, Mutex, PoisonError};

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
    /// Tools were seen for the first time, changed, or were decided on.
    ToolPinsChanged,
    /// Other processes may have changed anything, and nobody heard it.
    Unheard,
}

/// Hears a change, if one is given, and says whether it is still there.
type Listener = Box<dyn Fn(Option<&Change>) -> bool + Send + Sync>;

/// The place where changes are announced; listeners run before the announcer goes on.
#[derive(Default)]
pub struct Changes {
    listeners: Mutex<Vec<Listener>>,
}

impl Changes {
    /// Lets `listener` hear every change from now on, for as long as somebody else has it.
    pub fn subscribe<L>(&self, listener: &Arc<L>, hear: impl Fn(&L, &Change) + Send + Sync + 'static)
    where
        L: Send + Sync + 'static,
    {
        let weak = Arc::downgrade(listener);
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| listener(None));
        listeners.push(Box::new(move |change| {
            let listener = weak.upgrade();
            if let (Some(listener), Some(change)) = (&listener, change) {
                hear(listener, change);
            }
            listener.is_some()
        }));
    }

    /// Announces a change that the store has committed.
    pub fn publish(&self, change: &Change) {
        for listener in self.listeners.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            listener(Some(change));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn who_is_gone_is_forgotten_when_another_one_comes() {
        let changes = Changes::default();
        let heard: Vec<_> = (0..3).map(|_| Arc::new(AtomicUsize::new(0))).collect();
        for listener in &heard {
            changes.subscribe(listener, |heard, _| {
                heard.fetch_add(1, Ordering::Relaxed);
            });
        }
        changes.publish(&Change::Unheard);
        assert!(heard.iter().all(|heard| heard.load(Ordering::Relaxed) == 1));
        drop(heard);
        changes.publish(&Change::Unheard);
        let last = Arc::new(AtomicUsize::new(0));
        changes.subscribe(&last, |heard, _| {
            heard.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(changes.listeners.lock().unwrap().len(), 1);
        changes.publish(&Change::Unheard);
        assert_eq!(last.load(Ordering::Relaxed), 1);
    }
}
