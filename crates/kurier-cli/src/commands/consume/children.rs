//! The commands at work. Each is a process group of its own, so that whatever it has started ends with
//! it; none outlives this process, unless that is killed.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitOptions, kill_process_group, test_kill_process_group, waitpgid,
};
use tokio::process::{Child, Command};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What a command gets from SIGTERM to SIGKILL.
pub const GRACE: Duration = Duration::from_secs(2);

/// How long the end of what was killed is waited for.
const KILLED_WAIT: Duration = Duration::from_millis(500);

/// All commands of this process.
#[derive(Debug, Default)]
pub struct Children {
    running: Mutex<Running>,
    attending: TaskTracker,
    ending: CancellationToken,
}

#[derive(Debug, Default)]
struct Running {
    groups: HashSet<Pid>,
    /// Nothing is started any more.
    closed: bool,
}

/// A command, and all that it has started and that has not left its process group. Dropped before its
/// end, it is killed.
#[derive(Debug)]
pub struct Group {
    children: Arc<Children>,
    /// The command itself, whose number is that of the group, too.
    leader: Pid,
    ended: bool,
}

impl Children {
    /// Starts `command` in a process group of its own.
    ///
    /// # Errors
    /// What the system says; that this process is ending.
    pub fn start(self: &Arc<Self>, command: &mut Command) -> io::Result<(Child, Group)> {
        command.process_group(0).kill_on_drop(true);
        // Under the lock: whoever kills all of them misses none that is being started.
        let mut running = self.lock();
        if running.closed {
            return Err(io::Error::other("this process is ending"));
        }
        let child = command.spawn()?;
        let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let leader = leader.ok_or_else(|| io::Error::other("the command has no process id"))?;
        running.groups.insert(leader);
        drop(running);
        Ok((child, Group { children: Arc::clone(self), leader, ended: false }))
    }

    /// Runs `task`, which attends to a command until it has ended, whoever still waits for that.
    pub fn attend(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.attending.spawn(task);
    }

    /// Cancelled when every command is to end.
    pub fn ending(&self) -> &CancellationToken {
        &self.ending
    }

    /// Asks what still runs to end, and waits for it; kills what does not.
    pub async fn end(&self) {
        self.lock().closed = true;
        self.ending.cancel();
        self.attending.close();
        // Whoever attends to a command is not longer about it, unless nobody takes what it says.
        if tokio::time::timeout(2 * GRACE, self.attending.wait()).await.is_err() {
            self.kill();
        }
    }

    /// Kills everything now; nothing is started any more.
    pub fn kill(&self) {
        let mut running = self.lock();
        running.closed = true;
        for group in &running.groups {
            signal(*group, Signal::KILL);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Group {
    /// Asks the command, and what it has started, to end.
    pub fn ask_to_end(&self) {
        signal(self.leader, Signal::TERM);
    }

    /// Kills them.
    pub fn kill(&self) {
        signal(self.leader, Signal::KILL);
    }

    /// Ends what the command has left behind: kills it when it is still there at `deadline`. The command
    /// itself has ended and was waited for.
    pub async fn end(mut self, deadline: Instant) {
        if !self.is_gone_by(deadline).await {
            self.kill();
            // Nothing is killed before it has left the kernel; and then it stays in the list until its
            // parent, who is not us, has waited for it.
            self.is_gone_by(Instant::now() + KILLED_WAIT).await;
        }
        self.ended = true;
    }

    /// The system tells a process only of the ends of its own children, so that of others is asked for.
    async fn is_gone_by(&self, deadline: Instant) -> bool {
        const ASK_EVERY: Duration = Duration::from_millis(20);
        while self.is_there() {
            if deadline <= Instant::now() {
                return false;
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        true
    }

    fn is_there(&self) -> bool {
        // As the first process of a container we are the parent of all orphans.
        while let Ok(Some(_)) = waitpgid(self.leader, WaitOptions::NOHANG) {}
        test_kill_process_group(self.leader) != Err(rustix::io::Errno::SRCH)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.ended {
            self.kill();
        }
        self.children.lock().groups.remove(&self.leader);
    }
}

fn signal(group: Pid, signal: Signal) {
    match kill_process_group(group, signal) {
        // It has ended already.
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => {
            let (group, signal) = (group.as_raw_nonzero(), signal.as_raw());
            tracing::warn!(group, signal, "a command can't be sent a signal: {error}");
        }
    }
}
