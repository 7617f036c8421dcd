//! What is left of a program after a crash of the process that ran it.

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

/// What became of a program that a crash had left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeftOver {
    /// It was at work, and is gone.
    Ended {
        /// How many processes were seen and killed.
        killed: usize,
    },
    /// Nothing of it was there any more.
    NothingLeft,
    /// The id belongs to somebody else by now, or to nobody who can be told from somebody else. Nothing was done.
    NotOurs,
    /// It could not be ended, or not be looked for.
    Failed(String),
}

/// Ends what is left of a program of a [`ProcessTool`](super::ProcessTool) after the process that ran it has died: for
/// recovery, before the run is settled. For a program whose call is at work it must not be used.
///
/// Nobody else's process is ever signalled. A group is ended when its leader is the process that was noted: the same id
/// since the same moment of the same start of the system. If the leader is gone, those of the group are ended that have
/// the mark of the call in the environment they were begun with. Out of reach is what left the group, and, once the leader
/// is gone, what was begun without that environment (`env -i`, `sudo`).
///
/// It reads `/proc` and waits until the processes are gone, milliseconds in general and about four seconds at most:
/// asynchronous code calls it on a thread that may block.
pub fn end_left_over(process: &ToolCallProcess) -> LeftOver {
    end(process).unwrap_or_else(|error| LeftOver::Failed(error.to_string()))
}

fn end(process: &ToolCallProcess) -> io::Result<LeftOver> {
    // A system that was started anew has nothing of it.
    if proc::boot()? != *process.boot {
        return Ok(LeftOver::NothingLeft);
    }
    let Some(group) = group_of(process) else {
        return Ok(LeftOver::NotOurs);
    };
    match proc::stat(process.group) {
        // Ids are given again only when a group has nobody left, so nobody of ours is in there.
        Some(leader) if leader.started != process.started => Ok(LeftOver::NotOurs),
        Some(leader) if leader.is_alive() => end_with_leader(process, group),
        Some(_) | None => end_without_leader(process),
    }
}

/// The group of a note, if it can be one: where signals are sent, ids 0 and 1 mean our own group and everybody, and no
/// call has the group that we are in.
fn group_of(process: &ToolCallProcess) -> Option<Pid> {
    let id = i32::try_from(process.group).ok().and_then(Pid::from_raw);
    id.filter(|id| !id.is_init() && *id != getpgrp())
}

/// Ends a group whose leader is the noted one.
fn end_with_leader(process: &ToolCallProcess, group: Pid) -> io::Result<LeftOver> {
    let Some(leader) = Found::open(process.group)? else {
        return end_without_leader(process);
    };
    // Looked at again now that the descriptor is open, which stands for this process only, whatever its id comes to mean.
    if proc::stat(process.group).is_none_or(|stat| stat.started != process.started) {
        return end_without_leader(process);
    }
    // A leader that might end meanwhile would free the group's id, and the signal could reach somebody else. One that is
    // stopped ends only if it is killed.
    leader.signal(Signal::STOP)?;
    let until = Instant::now() + LIMIT;
    loop {
        match proc::stat(process.group) {
            Some(stat) if stat.started != process.started || !stat.is_alive() => {
                return end_without_leader(process);
            }
            Some(stat) if stat.is_stopped() => break,
            Some(_) if Instant::now() > until => {
                return Ok(LeftOver::Failed("the leader cannot be stopped".to_owned()));
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
    // For a leader that has left its own group, which it may.
    seen[0].signal(Signal::KILL)?;
    let killed = seen.len();
    Ok(if all_gone(&seen, Instant::now() + LIMIT)? {
        LeftOver::Ended { killed }
    } else {
        LeftOver::Failed("it was killed and is not gone".to_owned())
    })
}

/// Ends those of a group without its leader that have the mark, one by one.
fn end_without_leader(process: &ToolCallProcess) -> io::Result<LeftOver> {
    let until = Instant::now() + LIMIT;
    let mut killed = 0;
    loop {
        let members = proc::members(process.group)?;
        let mut ours = Vec::new();
        for member in &members {
            // The descriptor first: what is read after that is read of the process that it stands for, or of one that is
            // signalled by nobody, since the signal then fails.
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
            return Ok(LeftOver::Failed("it was killed and is not gone".to_owned()));
        }
        // Whoever was forked while we looked has the mark too, and is found by the next look.
        if ours.is_empty() {
            return Ok(match (killed, members.is_empty()) {
                (0, true) => LeftOver::NothingLeft,
                (0, false) => LeftOver::NotOurs,
                (killed, _) => LeftOver::Ended { killed },
            });
        }
        if Instant::now() > until {
            return Ok(LeftOver::Failed(
                "it grows faster than it can be killed".to_owned(),
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

/// A process, for sure: its descriptor never stands for another one.
struct Found(OwnedFd);

impl Found {
    /// `None` when it is gone.
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

    /// One that is gone needs no signal.
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
        // Readable when it has ended.
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

    // Here and not from the outside, where a mistake would end everybody on this machine.
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
