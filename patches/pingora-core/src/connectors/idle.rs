// Copyright 2026 Cloudflare, Inc.
//
// Licensed under the Apache License, Version 2.0 (the "License");
// you may not use this file except in compliance with the License.
// You may obtain a copy of the License at
//
// http://www.apache.org/licenses/LICENSE-2.0
//
// Unless required by applicable law or agreed to in writing, software
// distributed under the License is distributed on an "AS IS" BASIS,
// WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
// See the License for the specific language governing permissions and
// limitations under the License.

//! Idle connections that nobody watches one by one.
//!
//! A connection is looked at when it is put here, when it is taken, and once a second in between: one that the
//! server closed or that has waited for too long is dropped then.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use ahash::AHashMap;
use parking_lot::Mutex;

use super::test_reusable_stream;
use crate::protocols::Stream;

/// Idle connections by what they may be used for.
pub(crate) struct IdleConnections {
    shards: [Mutex<AHashMap<u64, VecDeque<Idle>>>; SHARDS],
    count: AtomicUsize,
    most: usize,
    began: Instant,
    /// When the sweeper was last seen, in milliseconds since the beginning; none yet is zero.
    swept: AtomicU64,
    unexpected_data: Arc<AtomicU64>,
}

struct Idle {
    stream: Stream,
    until: Option<Instant>,
}

impl IdleConnections {
    /// Room for `most` connections; those with data that nobody asked for are counted.
    pub(crate) fn new(most: usize, unexpected_data: Arc<AtomicU64>) -> Arc<Self> {
        Arc::new(Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            count: AtomicUsize::new(0),
            most,
            began: Instant::now(),
            swept: AtomicU64::new(0),
            unexpected_data,
        })
    }

    /// Keeps a connection for at most `timeout`. Without room the one of its kind that has waited longest goes, or,
    /// if there is none, this one.
    pub(crate) fn put(self: &Arc<Self>, key: u64, stream: Stream, timeout: Option<Duration>) {
        let since = Instant::now();
        let idle = Idle { stream, until: timeout.map(|timeout| since + timeout) };
        let full = self.count.fetch_add(1, Ordering::Relaxed) >= self.most;
        let outlived = {
            let mut shard = self.shard(key).lock();
            let group = shard.entry(key).or_default();
            group.push_back(idle);
            full.then(|| group.pop_front()).flatten()
        };
        self.count.fetch_sub(usize::from(outlived.is_some()), Ordering::Relaxed);
        drop(outlived);
        self.sweep_from_now_on(since);
    }

    /// The connection that was put here last, of those for this key that are still good.
    pub(crate) fn take(&self, key: u64) -> Option<Stream> {
        loop {
            let mut idle = self.shard(key).lock().get_mut(&key)?.pop_back()?;
            self.count.fetch_sub(1, Ordering::Relaxed);
            if idle.until.is_none_or(|until| Instant::now() < until)
                && test_reusable_stream(&mut idle.stream, &self.unexpected_data)
            {
                return Some(idle.stream);
            }
        }
    }

    /// Starts the sweeper if there is none, or if the runtime that it was on has ended.
    fn sweep_from_now_on(self: &Arc<Self>, now: Instant) {
        let now = self.millis(now);
        let swept = self.swept.load(Ordering::Relaxed);
        if swept != 0 && now < swept + SWEEPER_IS_GONE_AFTER {
            return;
        }
        let mine = self.swept.compare_exchange(swept, now, Ordering::Relaxed, Ordering::Relaxed);
        if mine.is_ok() {
            pingora_runtime::current_handle().spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Drops what is no longer good.
    fn sweep(&self) {
        let now = Instant::now();
        self.swept.store(self.millis(now), Ordering::Relaxed);
        let mut gone = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.retain(|_, group| {
                for _ in 0..group.len() {
                    let Some(mut idle) = group.pop_front() else { break };
                    let good = idle.until.is_none_or(|until| now < until)
                        && test_reusable_stream(&mut idle.stream, &self.unexpected_data);
                    if good {
                        group.push_back(idle);
                    } else {
                        gone.push(idle);
                    }
                }
                !group.is_empty()
            });
        }
        self.count.fetch_sub(gone.len(), Ordering::Relaxed);
    }

    fn shard(&self, key: u64) -> &Mutex<AHashMap<u64, VecDeque<Idle>>> {
        &self.shards[key as usize % SHARDS]
    }

    fn millis(&self, time: Instant) -> u64 {
        // Never zero, which says that there was no sweeper yet.
        time.saturating_duration_since(self.began).as_millis() as u64 + 1
    }
}

async fn sweep(connections: Weak<IdleConnections>) {
    loop {
        tokio::time::sleep(BETWEEN_SWEEPS).await;
        let Some(connections) = connections.upgrade() else { return };
        connections.sweep();
    }
}

const SHARDS: usize = 16;
const BETWEEN_SWEEPS: Duration = Duration::from_secs(1);
/// In milliseconds.
const SWEEPER_IS_GONE_AFTER: u64 = 5_000;
