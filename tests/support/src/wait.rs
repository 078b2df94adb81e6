//! Waiting for other processes and threads.

use std::time::{Duration, Instant};

/// Waits until `condition` is true; panics with `what` after 60 s.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 60 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
