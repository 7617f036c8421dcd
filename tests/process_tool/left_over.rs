//! Recovery signals only processes that are certainly ours.

use std::{
    fs,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
};

use quell::{
    event::ToolCallProcess,
    tools::{LeftOver, end_left_over},
};

use crate::support::{Folder, NOBODY, alive, guarded, is_alive, started};

fn boot() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    boot.trim().to_owned()
}

fn note(group: u32, started: u64) -> ToolCallProcess {
    ToolCallProcess::new("call-1", group, started, boot()).mark("ours")
}

/// A process that is not a tool's, in its own group. It is killed with the test.
struct Stranger(Child);

impl Stranger {
    fn new() -> Stranger {
        let mut sleep = Command::new("sleep");
        Stranger(sleep.arg("1000").process_group(0).spawn().unwrap())
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_id_that_was_given_again_is_not_signalled() {
    let stranger = Stranger::new();
    let id = stranger.0.id();
    for other in [started(id) - 1, started(id) + 1, 0, u64::MAX] {
        assert_eq!(end_left_over(&note(id, other)), LeftOver::NotOurs);
    }
    // No process survives a reboot.
    let mut earlier = note(id, started(id));
    earlier.boot = "another".into();
    assert_eq!(end_left_over(&earlier), LeftOver::NothingLeft);
    assert!(is_alive(id));
}

#[test]
fn the_noted_leader_is_ended_with_its_group_mark_or_not() {
    let mut stranger = Stranger::new();
    let id = stranger.0.id();
    let mut noted = note(id, started(id));
    noted.mark = None;
    assert_eq!(end_left_over(&noted), LeftOver::Ended { killed: 1 });
    // Dead, and recognised as dead before it is reaped.
    assert_eq!(end_left_over(&noted), LeftOver::NothingLeft);
    stranger.0.wait().unwrap();
    assert_eq!(end_left_over(&noted), LeftOver::NothingLeft);
}

/// A group whose leader is gone: one process with this mark.
async fn leaderless(mark: &str) -> (u32, u32, u64) {
    let folder = Folder::new();
    let mut leader = Command::new("sh")
        .args(["-c", "sleep 1000 & echo $! > member; read go"])
        .env("QUELL_CALL", mark)
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let id = leader.id();
    let (member, since) = (folder.number("member").await, started(id));
    // Reads the end of its input.
    drop(leader.stdin.take());
    leader.wait().unwrap();
    (id, member, since)
}

#[tokio::test]
async fn without_the_leader_only_those_with_the_mark_are_ended() {
    guarded(async {
        let (group, member, since) = leaderless("ours and more").await;
        assert_eq!(end_left_over(&note(group, since)), LeftOver::NotOurs);
        let mut unmarked = note(group, since);
        unmarked.mark = None;
        assert_eq!(end_left_over(&unmarked), LeftOver::NotOurs);
        assert!(is_alive(member));
        let mut marked = note(group, since);
        marked.mark = Some("ours and more".into());
        assert_eq!(end_left_over(&marked), LeftOver::Ended { killed: 1 });
        assert_eq!(alive(group), NOBODY);
    })
    .await;
}

#[tokio::test]
async fn a_mark_in_another_group_is_left_alone() {
    guarded(async {
        let (group, member, since) = leaderless("ours").await;
        let (other, other_member, _) = leaderless("ours").await;
        assert_eq!(
            end_left_over(&note(group, since)),
            LeftOver::Ended { killed: 1 }
        );
        assert!(!is_alive(member) && is_alive(other_member));
        assert_eq!(
            end_left_over(&note(other, 1)),
            LeftOver::Ended { killed: 1 }
        );
    })
    .await;
}
