//! The log is cut at every event, and then again at every event of the recovered run.

use quell_actors::{
    Agent, Outcome, RunStatus,
    agent::OnCrash,
    model::{ModelError, ModelErrorKind, Retry},
    sim::{Gate, Storyteller},
    tool::OnCancel,
};
use serde_json::json;

use super::crash::{Play, Stage};
use crate::support::{
    nothing_kept, settle,
    tools::{Ledger, Recorder, open},
};

fn agent(ledger: &Ledger, on_crash: OnCrash, model: Recorder) -> Agent {
    let never = Gate::new();
    Agent::builder("clerk", model)
        .instructions("Be kind.")
        .tool(ledger.tool("pay", &open()).confirm())
        .tool(ledger.tool("send", &open()))
        .tool(ledger.tool("look", &open()).repeatable())
        .tool(ledger.tool("ask", &open()).confirm().repeatable())
        .tool(ledger.tool("move", &never).on_cancel(OnCancel::Finish))
        .on_crash(on_crash)
        .build()
        .unwrap()
}

/// Words and a repeated request.
static WORDS: Play = Play {
    agent,
    model: || {
        let busy = ModelError::new(ModelErrorKind::Status(503), "busy");
        Storyteller::new("all is done")
            .thinking("hm hm")
            .refuse(busy.with_retry(Retry::Backoff))
    },
    cancel_at: None,
    steer_at: None,
    repeatable: &[],
};

/// Calls in parallel and in sequence, of every kind except those that need approval.
static CALLS: Play = Play {
    agent,
    model: || {
        Storyteller::new("all is done")
            .saying_first("let me see")
            .calling("send", json!({ "to": 1 }))
            .calling("look", json!({}))
            .calling("send", json!({ "to": 2 }))
            .calling("nobody", json!({}))
            .next_turn()
            .calling("look", json!({}))
    },
    cancel_at: None,
    steer_at: None,
    repeatable: &["look"],
};

/// Calls that need approval, beside others, twice.
static APPROVALS: Play = Play {
    agent,
    model: || {
        Storyteller::new("all is done")
            .calling("pay", json!({ "euros": 5 }))
            .calling("send", json!({}))
            .calling("ask", json!({}))
            .next_turn()
            .calling("ask", json!({}))
    },
    cancel_at: None,
    steer_at: None,
    repeatable: &["ask"],
};

/// A cancel while a call is running that must finish.
static CANCELLED: Play = Play {
    agent,
    model: || {
        Storyteller::new("all is done")
            .calling("move", json!({}))
            .calling("send", json!({}))
    },
    cancel_at: Some(5),
    steer_at: None,
    repeatable: &[],
};

/// A steer while the model speaks.
static STEERED: Play = Play {
    agent,
    model: || Storyteller::new("all is done"),
    cancel_at: None,
    steer_at: Some(3),
    repeatable: &[],
};

static PLAYS: [&Play; 5] = [&WORDS, &CALLS, &APPROVALS, &CANCELLED, &STEERED];

/// The final status of a run that was found with this status.
fn expected(found: Option<RunStatus>, on_crash: OnCrash) -> Option<RunStatus> {
    match (found?, on_crash) {
        (RunStatus::Pending | RunStatus::Paused, _) => Some(RunStatus::Completed),
        (RunStatus::Running, OnCrash::Resume) => Some(RunStatus::Completed),
        (RunStatus::Running, OnCrash::Fail) => Some(RunStatus::Error),
        (RunStatus::Cancelling, _) => Some(RunStatus::Cancelled),
        (ended, _) => Some(ended),
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cut_at_any_event_is_settled_and_keeps_every_promise() {
    for (number, play) in PLAYS.into_iter().enumerate() {
        for on_crash in [OnCrash::Fail, OnCrash::Resume] {
            let mut found = Vec::new();
            for cut in 0.. {
                assert!(cut < 200, "the play has no end");
                let stage = Stage::new(play, on_crash);
                let first = stage.first(cut).await;
                let died = first.store.is_frozen();
                let before = stage.store.stored(stage.id).await;
                let head = stage.store.stored_head(stage.id).await;
                let status = head.as_ref().map(|head| head.status);
                found.extend(status);

                let (second, recovered) = stage.next(u64::MAX).await;
                let recovered = recovered.unwrap();
                assert_eq!(recovered.failed, []);
                let settled = stage.store.stored_head(stage.id).await;
                assert_eq!(settled.is_some(), status.is_some());
                let Some(settled) = settled else {
                    continue;
                };
                let wanted = match status {
                    _ if play.cancel_at.is_some() => settled.status,
                    status => expected(status, on_crash).unwrap(),
                };
                assert_eq!(settled.status, wanted, "play {number} cut {cut} {status:?}");
                assert!(settled.status.is_ended());
                let outcome = stage.check().await;
                if status == Some(RunStatus::Cancelling) {
                    assert_eq!(recovered.cancelled, [stage.id]);
                    assert_eq!(outcome.status(), RunStatus::Cancelled);
                }
                nothing_kept(&second.runtime);

                // Stored events stay, and the old owner is fenced when it runs again.
                let after = stage.store.stored(stage.id).await;
                assert_eq!(after[..before.len()], before);
                if status.is_some_and(|status| !status.is_ended()) {
                    assert!(settled.epoch > head.unwrap().epoch);
                }
                first.store.thaw();
                settle().await;
                assert_eq!(stage.store.stored(stage.id).await, after);
                stage.check_next().await;
                if !died {
                    break;
                }
            }
            assert!(found.contains(&RunStatus::Pending) && found.contains(&RunStatus::Running));
            let paused = found.contains(&RunStatus::Paused);
            assert_eq!(paused, std::ptr::eq(play, &APPROVALS), "play {number}");
            let cancelling = found.contains(&RunStatus::Cancelling);
            assert_eq!(cancelling, std::ptr::eq(play, &CANCELLED), "play {number}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cut_again_while_it_comes_back_is_settled_all_the_same() {
    for (number, play) in PLAYS.into_iter().enumerate() {
        for cut in 1..200 {
            let mut died = false;
            for again in 0..200 {
                let stage = Stage::new(play, OnCrash::Resume);
                let first = stage.first(cut).await;
                died = first.store.is_frozen();
                let (second, _) = stage.next(again).await;
                let (third, recovered) = stage.next(u64::MAX).await;
                let failed = recovered.unwrap().failed;
                let cuts = format!("play {number} cuts {cut} {again}");
                assert_eq!(failed, [], "{cuts}");
                let head = stage.store.stored_head(stage.id).await;
                if head.is_some() {
                    let outcome = stage.check().await;
                    if play.cancel_at.is_none() {
                        assert!(
                            matches!(outcome, Outcome::Completed(_)),
                            "{cuts}: {outcome:?}"
                        );
                    }
                }
                nothing_kept(&third.runtime);
                let after = stage.store.stored(stage.id).await;
                first.store.thaw();
                second.store.thaw();
                settle().await;
                assert_eq!(stage.store.stored(stage.id).await, after);
                if !second.store.is_frozen() {
                    break;
                }
            }
            if !died {
                break;
            }
        }
    }
}
