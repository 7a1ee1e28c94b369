//! Waiting for what must come to hold.

use std::time::{Duration, Instant};

/// Waits until `condition` holds; long enough for a slow machine, and a test that meets the end has failed.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within twenty seconds");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
