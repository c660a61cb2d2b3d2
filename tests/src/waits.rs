//! Waiting for what must come, with a limit.

use std::time::Duration;

/// Longer than any scenario takes; a hang is a failure with a name.
pub const LIMIT: Duration = Duration::from_secs(180);

/// Waits for `future`.
///
/// # Panics
/// When it takes longer than any scenario may.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.unwrap_or_else(|_| panic!("{what} hangs"))
}

/// Waits until `reached` is true.
///
/// # Panics
/// As [`within`].
pub async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    within(what, async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}
