//! The processes of one call: a program, and all that it started in its group.
//!
//! An id belongs to a group for as long as one of its processes is there; one that has ended is there until its parent has
//! asked how it ended, which is called reaping. So the leader, which is our child, keeps the id ours until it is reaped.
//! **No signal goes to the group after that**: the id may be somebody else's by then.

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

/// How long processes that were killed may take to be gone: they go at once, unless the system itself is stuck with them.
pub(super) const GONE_LIMIT: Duration = Duration::from_secs(2);

/// Between two looks at what is left of a group, at first and at last.
const LOOK: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// The processes of one call. Dropping it kills them.
pub(super) struct Group {
    leader: Leader,
    // Rings whenever a child of this process has ended. tokio's own wait for a child is of no use here: it reaps.
    children: unix::Signal,
}

impl Group {
    /// The group that this child was made the leader of.
    pub(super) fn led_by(child: Child) -> io::Result<Group> {
        // First of all, so that the group is killed whatever fails below.
        let leader = Leader::new(child)?;
        let children = unix::signal(SignalKind::child())?;
        Ok(Group { leader, children })
    }

    pub(super) fn id(&self) -> u32 {
        self.leader.id.as_raw_nonzero().get().unsigned_abs()
    }

    /// Waits until the leader has ended. It is not reaped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub(super) async fn leader_ended(&mut self) {
        while !self.leader.has_ended() {
            if self.children.recv().await.is_none() {
                // The runtime is being shut down, and with it whoever waits here.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Sends TERM and waits until all have ended, for as long as `grace` at most.
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
        // If time is up they are killed next, as they are if not.
        let _ = timeout(grace, all_ended).await;
    }

    /// Kills what is left and waits until it is gone. Answers how the leader ended; `None` when it did not go, or when
    /// somebody else has reaped it.
    pub(super) async fn end(&mut self) -> Option<ExitStatus> {
        // A process cannot fork while it is being killed, so this reaches all there will ever be in the group.
        self.leader.signal(Signal::KILL);
        let status = timeout(GONE_LIMIT, self.leader.reap()).await.ok().flatten();
        if timeout(GONE_LIMIT, self.gone()).await.is_err() {
            tracing::warn!(
                group = self.id(),
                "processes of a tool were killed, and are not gone"
            );
        }
        status
    }

    async fn gone(&self) {
        let mut looks = Looks::new();
        // With the leader reaped the group is no more if it was alone. If not, what is left may be dead already, and
        // wait for another parent to reap it: that takes a closer look.
        while test_kill_process_group(self.leader.id) != Err(Errno::SRCH)
            && !nobody_left(self.id()).await
        {
            looks.next().await;
        }
    }
}

/// Whether nobody of a group is alive. Looking at all processes takes a while where there are many, so a thread for such
/// things does it.
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

/// The leader of a group, which keeps the group's id ours until it is reaped.
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
            // It fails when all have ended, or are of another user by now; then there is nothing that could be done.
            let _ = kill_process_group(self.id, signal);
        }
    }

    /// Whether it has ended. It is not reaped.
    fn has_ended(&mut self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(self.id), look) {
            Ok(ended) => ended.is_some(),
            Err(error) => {
                // Somebody else in this process has reaped it, so its id is ours no more.
                self.is_reaped |= error == Errno::CHILD;
                self.is_reaped
            }
        }
    }

    async fn reap(&mut self) -> Option<ExitStatus> {
        let status = self.child.wait().await;
        // Also when it failed: somebody else has reaped it then.
        self.is_reaped = true;
        status.ok()
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        // Then the child is dropped, and tokio reaps it when it has ended, which is soon.
        self.signal(Signal::KILL);
    }
}
