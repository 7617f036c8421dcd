//! Ending what is left of a program after a crash of the process that ran it.

use std::{
    io,
    os::fd::OwnedFd,
    thread,
    time::{Duration, Instant},
};

use quell_actors::event::ToolCallProcess;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{
        Pid, PidfdFlags, Signal, getpgrp, kill_process_group, pidfd_open, pidfd_send_signal,
    },
};

use super::{MARK, proc};

/// How long it may take until the processes are gone.
const LIMIT: Duration = Duration::from_secs(2);

const STILL_THERE: &str = "processes were killed but are still there";

/// What happened to a program that was left after a crash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeftOver {
    /// It was still running, and was killed.
    Ended {
        /// How many processes were seen and killed.
        killed: usize,
    },
    /// No process of it was left.
    NothingLeft,
    /// The id belongs to other processes by now, or to processes that cannot be told apart from others. Nothing was
    /// done.
    NotOurs,
    /// It could not be ended, or could not be searched for.
    Failed(String),
}

/// Ends what is left of a program of a [`ProcessTool`](super::ProcessTool) after the process that ran it has died: for
/// recovery, before the run is settled. It must not be used for a program whose call is still running.
///
/// It never signals a process of anything else. It ends the group if the leader is the noted process: the same id, the
/// same start time, the same boot of the system. If the leader is gone, it ends those processes of the group that were
/// started with the call's mark in their environment. Out of reach are processes that left the group and, once the
/// leader is gone, processes that were started without that environment (`env -i`, `sudo`).
///
/// It blocks: it reads `/proc` and waits until the processes are gone, milliseconds in general and about four seconds
/// at most. Asynchronous code must call it on a blocking thread.
pub fn end_left_over(process: &ToolCallProcess) -> LeftOver {
    end(process).unwrap_or_else(|error| LeftOver::Failed(error.to_string()))
}

fn end(process: &ToolCallProcess) -> io::Result<LeftOver> {
    // No process survives a reboot.
    if proc::boot()? != *process.boot {
        return Ok(LeftOver::NothingLeft);
    }
    let Some(group) = group_of(process) else {
        return Ok(LeftOver::NotOurs);
    };
    match proc::stat(process.group) {
        // An id is reused only once its group is empty, so the group has no process of ours.
        Some(leader) if leader.started != process.started => Ok(LeftOver::NotOurs),
        Some(leader) if leader.is_alive() => end_with_leader(process, group),
        Some(_) | None => end_without_leader(process),
    }
}

/// The group of a note, if it is a valid one. To `kill`, the ids 0 and 1 mean our own group and all processes; and no
/// call has the group that we are in.
fn group_of(process: &ToolCallProcess) -> Option<Pid> {
    let id = i32::try_from(process.group).ok().and_then(Pid::from_raw);
    id.filter(|id| !id.is_init() && *id != getpgrp())
}

/// Ends a group whose leader is the noted process.
fn end_with_leader(process: &ToolCallProcess, group: Pid) -> io::Result<LeftOver> {
    let Some(leader) = Found::open(process.group)? else {
        return end_without_leader(process);
    };
    // Checked again now that the descriptor is open: it stands for this one process, even if the id is reused.
    if proc::stat(process.group).is_none_or(|stat| stat.started != process.started) {
        return end_without_leader(process);
    }
    // If the leader ended meanwhile, the group's id would be free, and the signal could reach other processes. A
    // stopped leader ends only if it is killed.
    leader.signal(Signal::STOP)?;
    let until = Instant::now() + LIMIT;
    loop {
        match proc::stat(process.group) {
            Some(stat) if stat.started != process.started || !stat.is_alive() => {
                return end_without_leader(process);
            }
            Some(stat) if stat.is_stopped() => break,
            Some(_) if Instant::now() > until => {
                return Ok(LeftOver::Failed(
                    "cannot stop the group's leader".to_owned(),
                ));
            }
            Some(_) => thread::sleep(Duration::from_millis(1)),
            None => return end_without_leader(process),
        }
    }
    let mut seen = vec![leader];
    for member in proc::members(process.group)? {
        if member != process.group {
            seen.extend(Found::open(member)?);
        }
    }
    kill_process_group(group, Signal::KILL)?;
    // In case the leader has moved to another group.
    seen[0].signal(Signal::KILL)?;
    let killed = seen.len();
    Ok(if all_gone(&seen, Instant::now() + LIMIT)? {
        LeftOver::Ended { killed }
    } else {
        LeftOver::Failed(STILL_THERE.to_owned())
    })
}

/// Ends the marked processes of a group whose leader is gone, one by one.
fn end_without_leader(process: &ToolCallProcess) -> io::Result<LeftOver> {
    let until = Instant::now() + LIMIT;
    let mut killed = 0;
    loop {
        let members = proc::members(process.group)?;
        let mut ours = Vec::new();
        for member in &members {
            // The descriptor is opened before the mark is read: if the process ended and its id was reused in between,
            // the signal fails and reaches no other process.
            let Some(found) = Found::open(*member)? else {
                continue;
            };
            if is_marked(*member, process) {
                found.signal(Signal::KILL)?;
                ours.push(found);
            }
        }
        killed += ours.len();
        if !all_gone(&ours, until)? {
            return Ok(LeftOver::Failed(STILL_THERE.to_owned()));
        }
        // A process that was forked meanwhile has the mark too, and the next round finds it.
        if ours.is_empty() {
            return Ok(match (killed, members.is_empty()) {
                (0, true) => LeftOver::NothingLeft,
                (0, false) => LeftOver::NotOurs,
                (killed, _) => LeftOver::Ended { killed },
            });
        }
        if Instant::now() > until {
            return Ok(LeftOver::Failed(
                "the group starts processes faster than they can be killed".to_owned(),
            ));
        }
    }
}

fn is_marked(pid: u32, process: &ToolCallProcess) -> bool {
    let Some(mark) = &process.mark else {
        return false;
    };
    proc::stat(pid).is_some_and(|stat| stat.group == process.group)
        && proc::has_variable(pid, MARK, mark)
}

/// A process by its pidfd, which never stands for another process.
struct Found(OwnedFd);

impl Found {
    /// `None` when the process is gone.
    fn open(pid: u32) -> io::Result<Option<Found>> {
        let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
            return Ok(None);
        };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => Ok(Some(Found(descriptor))),
            Err(Errno::SRCH) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Signals the process. It is no error if the process is gone.
    fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.0, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Waits until all of them have ended.
fn all_gone(processes: &[Found], until: Instant) -> io::Result<bool> {
    for process in processes {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        // A pidfd is readable once its process has ended.
        let mut waited = [PollFd::new(&process.0, PollFlags::IN)];
        match poll(&mut waited, Some(&left)) {
            Ok(0) => return Ok(false),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Tested here and not through the public function, where a mistake would kill every process of this machine.
    #[test]
    fn no_note_means_everybody_or_ourselves() {
        let group = |group| group_of(&ToolCallProcess::new("call-1", group, 0, ""));
        let mine = getpgrp().as_raw_nonzero().get().unsigned_abs();
        for refused in [0, 1, 1 << 31, u32::MAX, u32::MAX - 1, mine] {
            assert_eq!(group(refused), None, "{refused}");
        }
        assert_eq!(
            group(mine + 1),
            Pid::from_raw((mine + 1).try_into().unwrap())
        );
    }
}
