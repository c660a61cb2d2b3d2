//! One call of a handler, with its panics caught.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use super::Failure;

/// How a handler's call ended.
#[derive(Debug)]
pub(crate) enum Attempted<T> {
    Done(T),
    Failed(Failure),
}

/// Calls a handler and waits for it; a panic, in the call or in its future, is a failure that may be
/// retried. `on_wait` runs once, when the handler first has to wait for something.
///
/// # Cancel safety
/// Dropping it drops the handler's future.
pub(crate) async fn attempt<T, Fut>(
    call: impl FnOnce() -> Fut,
    on_wait: impl FnOnce(),
) -> Attempted<T>
where
    Fut: Future<Output = Result<T, Failure>>,
{
    // A handler that panicked is called again with a new message and a new future; what it shares
    // between calls is its own affair, as with any thread of a server that catches panics.
    let future = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(future) => future,
        Err(panic) => return Attempted::Failed(panicked(panic.as_ref())),
    };
    let mut future = pin!(future);
    let mut on_wait = Some(on_wait);
    let ended =
        poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Ready(result)) => Poll::Ready(result),
            Ok(Poll::Pending) => {
                if let Some(on_wait) = on_wait.take() {
                    on_wait();
                }
                Poll::Pending
            }
            Err(panic) => Poll::Ready(Err(panicked(panic.as_ref()))),
        });
    match ended.await {
        Ok(value) => Attempted::Done(value),
        Err(failure) => Attempted::Failed(failure),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let message = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned());
    Failure::retry(format!("handler panicked: {message}"))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn panics_are_failures() {
        let in_call =
            attempt(|| -> std::future::Ready<Result<(), Failure>> { panic!("early {}", 1) }, || ());
        assert!(
            matches!(in_call.await, Attempted::Failed(failure) if failure.to_string().contains("early 1"))
        );
        let in_future = attempt(
            || async {
                tokio::task::yield_now().await;
                if true {
                    panic!("late");
                }
                Ok(())
            },
            || (),
        );
        assert!(
            matches!(in_future.await, Attempted::Failed(failure) if failure.to_string().contains("late"))
        );
    }

    #[tokio::test]
    async fn waiting_is_told_once_and_only_if_it_happens() {
        let told = Cell::new(0);
        let prompt = attempt(|| async { Ok(1) }, || told.set(told.get() + 1));
        assert!(matches!(prompt.await, Attempted::Done(1)));
        assert_eq!(told.get(), 0);
        let slow = attempt(
            || async {
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
                Ok(2)
            },
            || told.set(told.get() + 1),
        );
        assert!(matches!(slow.await, Attempted::Done(2)));
        assert_eq!(told.get(), 1);
    }
}
