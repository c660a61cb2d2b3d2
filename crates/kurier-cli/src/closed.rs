//! Whether standard output was closed, or open for reading only, when this process began.
//!
//! Rust's runtime opens /dev/null in place of a standard stream that is closed, before `main`, and all that is written
//! seems to arrive. One that was given, as a shell's `>/dev/null`, looks the same by then. So it is asked before the
//! runtime begins. That a stream can't be written to at all (`EBADF`) is no error to std, either.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::Errno;

use crate::exit::UsageError;

static UNWRITABLE: AtomicBool = AtomicBool::new(false);

/// For what stands on standard output alone: refuses one that nothing can be written to.
///
/// # Errors
/// When it is such a one; `what` would come of it.
pub fn refuse_closed_output(what: &str) -> Result<(), UsageError> {
    if !UNWRITABLE.load(Ordering::Relaxed) {
        return Ok(());
    }
    Err(UsageError(format!(
        "standard output is closed, or open for reading only: {what}; send it to a file or a pipe, or to /dev/null if that is meant"
    )))
}

/// Called by the loader, as a constructor of C is.
#[used]
#[allow(unsafe_code, reason = "only what stands in this section is called before the runtime")]
#[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__mod_init_func"))]
#[cfg_attr(not(target_os = "macos"), unsafe(link_section = ".init_array"))]
static BEFORE_THE_RUNTIME: extern "C" fn() = ask;

/// One system call, and nothing of std that must have begun.
extern "C" fn ask() {
    let unwritable = match fcntl_getfl(rustix::stdio::stdout()) {
        Ok(flags) => flags & OFlags::RWMODE == OFlags::RDONLY,
        Err(error) => error == Errno::BADF,
    };
    UNWRITABLE.store(unwritable, Ordering::Relaxed);
}
