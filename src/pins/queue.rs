//! What was noticed and is not written yet, in its order: what came first must be written first.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::store::SeenTool;

/// What waits to be written; what finds no room is noticed again with a later list.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Mutex<Vec<SeenTool>>,
    news: Notify,
}

impl Queue {
    pub fn push(&self, seen: SeenTool) {
        {
            let mut waiting = self.lock();
            if waiting.len() < MOST {
                waiting.push(seen);
            }
        }
        self.wake();
    }

    pub fn put_back(&self, mut seen: Vec<SeenTool>) {
        let mut waiting = self.lock();
        seen.append(&mut waiting);
        seen.truncate(MOST);
        *waiting = seen;
    }

    pub fn take(&self) -> Vec<SeenTool> {
        std::mem::take(&mut *self.lock())
    }

    pub fn each(&self, operation_id: &str, look: impl FnMut(&SeenTool)) {
        self.lock().iter().filter(|seen| seen.operation_id == operation_id).for_each(look);
    }

    pub fn wake(&self) {
        self.news.notify_one();
    }

    pub async fn news(&self) {
        self.news.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Vec<SeenTool>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const MOST: usize = 5_000;
