//! One call of a handler, with its panics caught.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use super::Failure;

/// What a handler failed with that panicked; with its message.
#[derive(Debug, thiserror::Error)]
#[error("handler panicked: {0}")]
pub(super) struct Panicked(String);

/// How a handler's call ended.
#[derive(Debug)]
pub(crate) enum Attempted<T> {
    Done(T),
    Failed(Failure),
}

/// Calls a handler and waits for it; a panic, in the call, in its future or when that is dropped, is a
/// failure that may be retried. `on_wait` runs once, when the handler first has to wait for something.
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
    // An option, so that it can be dropped where its panics are caught.
    let mut future = pin!(Some(future));
    let mut on_wait = Some(on_wait);
    let ended = poll_fn(|context| {
        let Some(polled) = future.as_mut().as_pin_mut() else {
            unreachable!("it is dropped when it has ended")
        };
        match catch_unwind(AssertUnwindSafe(|| polled.poll(context))) {
            Ok(Poll::Ready(result)) => Poll::Ready(result),
            Ok(Poll::Pending) => {
                if let Some(on_wait) = on_wait.take() {
                    on_wait();
                }
                Poll::Pending
            }
            Err(panic) => Poll::Ready(Err(panicked(panic.as_ref()))),
        }
    });
    let ended = ended.await;
    // What a guard of the handler's does in the end may be part of the work, so that its panic counts.
    let dropped = catch_unwind(AssertUnwindSafe(|| future.set(None)));
    match (ended, dropped) {
        (Ok(value), Ok(())) => Attempted::Done(value),
        (Ok(_), Err(panic)) => Attempted::Failed(panicked(panic.as_ref())),
        (Err(failure), _) => Attempted::Failed(failure),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let message = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned());
    Failure::retry(Panicked(message))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::Pin;
    use std::task::Context;

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

    /// A future that ends as it is told to, and whose guard panics when it is dropped.
    struct Guarded(Option<Result<(), Failure>>);

    impl Future for Guarded {
        type Output = Result<(), Failure>;

        fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            Poll::Ready(self.0.take().unwrap_or_else(|| panic!("in the future")))
        }
    }

    impl Drop for Guarded {
        fn drop(&mut self) {
            panic!("in the guard");
        }
    }

    #[tokio::test]
    async fn a_panic_when_the_future_is_dropped_is_a_failure_unless_there_was_one_before() {
        for (result, expected) in [
            (Some(Ok(())), "in the guard"),
            (Some(Err(Failure::retry("for its own reason"))), "for its own reason"),
            (None, "in the future"),
        ] {
            match attempt(|| Guarded(result), || ()).await {
                Attempted::Failed(failure) => {
                    assert!(failure.to_string().contains(expected), "{failure}")
                }
                Attempted::Done(()) => panic!("done: {expected}"),
            }
        }
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
