//! The processes of one call: a program, and all processes that it started in its group.
//!
//! A group keeps its id while one of its processes exists. A process that has ended exists until its parent reaps it,
//! that is, reads its exit status. The leader is our child, so the id stays ours until we reap it. **No signal is sent
//! to the group after that**: the id may belong to another group by then.

use std::{io, process::ExitStatus, time::Duration};

use rustix::{
    io::Errno,
    process::{
        Pid, Signal, WaitId, WaitIdOptions, kill_process_group, test_kill_process_group, waitid,
    },
};
use tokio::{
    process::Child,
    signal::unix::{self, SignalKind},
    time::{sleep, timeout},
};

use super::proc;

/// How long killed processes may take to be gone. They go at once, unless the kernel itself cannot end them.
pub(super) const GONE_LIMIT: Duration = Duration::from_secs(2);

/// The time between two looks at what is left of a group: the first and the longest one.
const LOOK: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// The processes of one call. Dropping it kills them.
pub(super) struct Group {
    leader: Leader,
    // Wakes whenever a child of this process has ended. tokio's own wait for a child cannot be used: it reaps.
    children: unix::Signal,
}

impl Group {
    /// The group that this child leads.
    pub(super) fn led_by(child: Child) -> io::Result<Group> {
        // First, so that the group is killed if anything below fails.
        let leader = Leader::new(child)?;
        let children = unix::signal(SignalKind::child())?;
        Ok(Group { leader, children })
    }

    pub(super) fn id(&self) -> u32 {
        self.leader.id.as_raw_nonzero().get().unsigned_abs()
    }

    /// Waits until the leader has ended, without reaping it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub(super) async fn leader_ended(&mut self) {
        while !self.leader.has_ended() {
            if self.children.recv().await.is_none() {
                // The tokio runtime is shutting down, which drops this future too.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Sends TERM and waits until all processes have ended, for `grace` at most.
    pub(super) async fn terminate(&mut self, grace: Duration) {
        if grace.is_zero() {
            return;
        }
        self.leader.signal(Signal::TERM);
        let all_ended = async {
            self.leader_ended().await;
            let mut looks = Looks::new();
            while !nobody_left(self.id()).await {
                looks.next().await;
            }
        };
        // A timeout needs no handling: the caller kills the group next in any case.
        let _ = timeout(grace, all_ended).await;
    }

    /// Kills what is left and waits until it is gone. Returns the leader's exit status; `None` when it did not end in
    /// time, or when other code has reaped it.
    pub(super) async fn end(&mut self) -> Option<ExitStatus> {
        // A process cannot fork while it is being killed, so this reaches every process that the group will ever have.
        self.leader.signal(Signal::KILL);
        let status = timeout(GONE_LIMIT, self.leader.reap()).await.ok().flatten();
        if timeout(GONE_LIMIT, self.gone()).await.is_err() {
            tracing::warn!(
                group = self.id(),
                "processes of a tool were killed but are still there"
            );
        }
        status
    }

    async fn gone(&self) {
        let mut looks = Looks::new();
        // Once the leader is reaped, the group is gone if the leader was alone. Otherwise its members may be dead
        // already and wait for their own parent to reap them, which only `/proc` shows.
        while test_kill_process_group(self.leader.id) != Err(Errno::SRCH)
            && !nobody_left(self.id()).await
        {
            looks.next().await;
        }
    }
}

/// Whether no process of a group is alive. It runs on a blocking thread, because reading all of `/proc` may take long.
async fn nobody_left(group: u32) -> bool {
    let members = tokio::task::spawn_blocking(move || proc::members(group)).await;
    matches!(members, Ok(Ok(members)) if members.is_empty())
}

/// The waits between looks, each longer than the one before.
struct Looks(Duration);

impl Looks {
    fn new() -> Looks {
        Looks(LOOK.0)
    }

    async fn next(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(LOOK.1);
    }
}

/// The leader of a group. The group's id stays ours until the leader is reaped.
struct Leader {
    child: Child,
    id: Pid,
    is_reaped: bool,
}

impl Leader {
    fn new(child: Child) -> io::Result<Leader> {
        let id = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::other("it has no id"))?;
        Ok(Leader {
            child,
            id,
            is_reaped: false,
        })
    }

    fn signal(&self, signal: Signal) {
        if !self.is_reaped {
            // It fails when all have ended, or belong to another user by now. Nothing can be done then.
            let _ = kill_process_group(self.id, signal);
        }
    }

    /// Whether it has ended, without reaping it.
    fn has_ended(&mut self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(self.id), look) {
            Ok(ended) => ended.is_some(),
            Err(error) => {
                // Other code in this process has reaped it, so the id is no longer ours.
                self.is_reaped |= error == Errno::CHILD;
                self.is_reaped
            }
        }
    }

    async fn reap(&mut self) -> Option<ExitStatus> {
        let status = self.child.wait().await;
        // Also after a failure: then other code has reaped it.
        self.is_reaped = true;
        status.ok()
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        // The child is dropped after this, and tokio reaps it once it has ended, which is soon.
        self.signal(Signal::KILL);
    }
}
