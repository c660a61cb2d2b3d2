//! Processes that are killed, stopped and frozen for real, and that never outlive the tests.
#![allow(unsafe_code, reason = "two system calls that the standard library lacks")]

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::sync::{OnceLock, mpsc};

/// A process's signal, sent with [`signal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: asks it to end.
    Terminate,
    /// SIGSTOP: freezes it; its sockets stay open and say nothing.
    Freeze,
    /// SIGCONT: lets it go on.
    Thaw,
}

/// Starts `command`. The process is killed by the system when this one ends, however it ends.
///
/// # Errors
/// What the system says.
pub fn spawn(mut command: Command) -> io::Result<Child> {
    // SAFETY: the closure runs in the child between fork and exec and makes one async-signal-safe call.
    unsafe {
        command.pre_exec(|| {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0 {
                Ok(())
            } else {
                Err(io::Error::last_os_error())
            }
        });
    }
    let (answer, answered) = mpsc::channel();
    parent()
        .send((command, answer))
        .map_err(|_| io::Error::other("the thread of processes ended"))?;
    answered.recv().map_err(|_| io::Error::other("the thread of processes ended"))?
}

/// Sends `signal` to a process that was not waited for yet.
///
/// # Errors
/// What the system says.
pub fn signal(child: &Child, signal: Signal) -> io::Result<()> {
    let number = match signal {
        Signal::Terminate => libc::SIGTERM,
        Signal::Freeze => libc::SIGSTOP,
        Signal::Thaw => libc::SIGCONT,
    };
    let pid = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    // SAFETY: kill takes no pointers, and the pid is that of a child that nobody has reaped.
    if unsafe { libc::kill(pid, number) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// The thread that is the parent of all processes. "Parent death" is the death of the *thread* that
/// forked (prctl(2)), and the threads of single tests come and go.
fn parent() -> &'static mpsc::Sender<Order> {
    static PARENT: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    PARENT.get_or_init(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in inbox {
                let _ = answer.send(command.spawn());
            }
        });
        orders
    })
}
