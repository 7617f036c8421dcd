//! The serialised forms of all data types, pinned: every later release must read what is stored and sent today.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod tools;

use std::{sync::Arc, time::Duration};

use quell_actors::{
    CancelOutcome, CancelReason, CancelRequest, EventKind, RunEvent, RunId, RunStatus,
    cancel::{Activity, Receipt, ToolEnd, ToolReceipt},
    event::{
        CancelRequested, Context, Continued, Decision, ModelRequestCompleted, Paused, Started,
        StatusChange, ToolCallCompleted, ToolCallError, ToolCallProcess, ToolCallProgress,
        ToolFault, WaitingCall, WaitsFor,
    },
    id::Timestamp,
    message::{Message, ProviderParts, ToolCall},
    model::ModelName,
    outcome::{ErrorReason, FinishReason, Partial, Reply, RunError},
    usage::{Money, Usage, UsageSource},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T, json: &str) {
    assert_eq!(serde_json::to_string(value).unwrap(), json);
    assert_eq!(&serde_json::from_str::<T>(json).unwrap(), value);
}

fn usage() -> Usage {
    Usage::new(11, 7, UsageSource::Provider)
}

fn call() -> ToolCall {
    ToolCall::new("call-1", "forecast", "{}")
}

const USAGE: &str = r#"{"input_tokens":11,"output_tokens":7,"source":"provider"}"#;

fn kind(kind: EventKind, json: &str) {
    let event = RunEvent {
        run_id: ID.parse().unwrap(),
        seq: 3,
        at: Timestamp::from_millis(1_700_000_000_123),
        kind,
    };
    let head = format!(r#"{{"run_id":"{ID}","seq":3,"at":1700000000123,"#);
    check(
        &event,
        &(head
            + &json
                .replace("USAGE", USAGE)
                .replace("\"ID\"", &format!("\"{ID}\""))
            + "}"),
    );
}

#[test]
fn events_have_these_forms() {
    kind(
        EventKind::Started(Arc::new(
            Started::new("poet", vec![Message::user("Sing.")]).session("s-1"),
        )),
        r#""event":"started","agent":"poet","session_id":"s-1","input":[{"role":"user","text":"Sing."}]"#,
    );
    kind(
        EventKind::ModelRequestStarted {
            turn: 1,
            attempt: 2,
            input_bytes: None,
        },
        r#""event":"model_request_started","turn":1,"attempt":2"#,
    );
    kind(
        EventKind::Content { text: "sea".into() },
        r#""event":"content","text":"sea""#,
    );
    kind(
        EventKind::ReasoningContent { text: "hm".into() },
        r#""event":"reasoning_content","text":"hm""#,
    );
    kind(
        EventKind::ModelRequestCompleted(Arc::new(ModelRequestCompleted::new(
            1,
            1,
            FinishReason::Stop,
            usage(),
        ))),
        r#""event":"model_request_completed","turn":1,"attempt":1,"finish":"stop","usage":USAGE"#,
    );
    kind(
        EventKind::ModelRequestCompleted(Arc::new(
            ModelRequestCompleted::new(1, 1, FinishReason::Failed, usage())
                .calls(vec![Arc::new(call())])
                .retried("busy", 500),
        )),
        r#""event":"model_request_completed","turn":1,"attempt":1,"finish":"failed","usage":USAGE,"calls":[{"id":"call-1","name":"forecast","arguments":"{}"}],"fault":"busy","retry_in_ms":500"#,
    );
    kind(
        EventKind::ToolCallStarted(Arc::new(call())),
        r#""event":"tool_call_started","id":"call-1","name":"forecast","arguments":"{}""#,
    );
    kind(
        EventKind::ToolCallCompleted(Arc::new(ToolCallCompleted::new("call-1", "rain"))),
        r#""event":"tool_call_completed","id":"call-1","output":"rain""#,
    );
    kind(
        EventKind::ToolCallError(Arc::new(ToolCallError::new(
            "call-1",
            ToolFault::Failed,
            "no such city",
        ))),
        r#""event":"tool_call_error","id":"call-1","kind":"failed","error":"no such city""#,
    );
    kind(
        EventKind::CancelRequested {
            cancel: Arc::new(CancelRequested::new(CancelReason::Requested).by("ann")),
        },
        r#""event":"cancel_requested","cancel":{"reason":"requested","by":"ann"}"#,
    );
    kind(
        EventKind::Paused(Arc::new(
            Paused::new(vec![WaitingCall::new(call(), WaitsFor::Approval)])
                .until(Timestamp::from_millis(7)),
        )),
        r#""event":"paused","calls":[{"id":"call-1","name":"forecast","arguments":"{}"}],"expires_at":7"#,
    );
    kind(
        EventKind::Continued(Arc::new(
            Continued::new(vec![
                ("call-1".into(), Decision::Approve),
                ("call-2".into(), Decision::Reject("no".into())),
            ])
            .by("ann"),
        )),
        r#""event":"continued","by":"ann","decisions":[["call-1","approve"],["call-2",{"reject":"no"}]]"#,
    );
    kind(
        EventKind::ToolCallProgress(Arc::new(ToolCallProgress::new("call-1", "half"))),
        r#""event":"tool_call_progress","id":"call-1","text":"half""#,
    );
    kind(
        EventKind::ToolCallProcess(Arc::new(ToolCallProcess::new("call-1", 4, 5, "b"))),
        r#""event":"tool_call_process","id":"call-1","group":4,"started":5,"boot":"b""#,
    );
    kind(
        EventKind::ToolCallProcess(Arc::new(
            ToolCallProcess::new("call-1", 4, 5, "b").mark("m"),
        )),
        r#""event":"tool_call_process","id":"call-1","group":4,"started":5,"boot":"b","mark":"m""#,
    );
    kind(
        EventKind::Steered {
            message: Arc::new(Message::user("rather in verse")),
        },
        r#""event":"steered","message":{"role":"user","text":"rather in verse"}"#,
    );
}

#[test]
fn what_a_caller_gives_has_these_forms() {
    let map = |json: serde_json::Value| json.as_object().unwrap().clone();
    let context = Context::new()
        .metadata(map(json!({"tag": "a"})))
        .dependencies(map(json!({"db": 1})))
        .session_state(map(json!({"step": 2})));
    let mut started = Started::new("poet", vec![]).user("ann");
    started.model = Some(ModelName::new("example.org", "m-1"));
    started.context = Some(Arc::new(context));
    kind(
        EventKind::Started(Arc::new(started)),
        r#""event":"started","agent":"poet","user_id":"ann","model":{"provider":"example.org","id":"m-1"},"context":{"metadata":{"tag":"a"},"dependencies":{"db":1},"session_state":{"step":2}},"input":[]"#,
    );
    let waiting = |waits_for| vec![WaitingCall::new(call(), waits_for)];
    kind(
        EventKind::Paused(Arc::new(Paused::new(waiting(WaitsFor::Answer)))),
        r#""event":"paused","calls":[{"id":"call-1","name":"forecast","arguments":"{}","waits_for":"answer"}]"#,
    );
    kind(
        EventKind::Continued(Arc::new(Continued::new(vec![
            ("call-1".into(), Decision::ApproveWith("{}".into())),
            ("call-2".into(), Decision::Answer("rain".into())),
        ]))),
        r#""event":"continued","decisions":[["call-1",{"approve_with":"{}"}],["call-2",{"answer":"rain"}]]"#,
    );
}

#[test]
fn what_a_provider_says_of_itself_has_these_forms() {
    let mut counted = usage();
    counted.cached_input_tokens = Some(3);
    counted.cache_write_tokens = Some(0);
    counted.reasoning_tokens = Some(5);
    check(
        &counted,
        r#"{"input_tokens":11,"output_tokens":7,"cached_input_tokens":3,"cache_write_tokens":0,"reasoning_tokens":5,"source":"provider"}"#,
    );
    let parts = || ProviderParts::new("p", vec![json!({"signature": "s"})]);
    let mut completed = ModelRequestCompleted::new(1, 1, FinishReason::Stop, usage());
    completed.provider = Some(Arc::new(parts()));
    kind(
        EventKind::ModelRequestCompleted(Arc::new(completed)),
        r#""event":"model_request_completed","turn":1,"attempt":1,"finish":"stop","usage":USAGE,"provider":{"provider":"p","parts":[{"signature":"s"}]}"#,
    );
    check(
        &Message::assistant("b").with_provider(parts().reasoning("hm")),
        r#"{"role":"assistant","text":"b","provider":{"provider":"p","reasoning":"hm","parts":[{"signature":"s"}]}}"#,
    );
}

#[test]
fn endings_have_these_forms() {
    kind(
        EventKind::Completed {
            reply: Arc::new(Reply::new("the sea", FinishReason::Length, usage())),
        },
        r#""event":"completed","reply":{"text":"the sea","finish":"length","usage":USAGE}"#,
    );
    let (requested_at, took) = (Timestamp::from_millis(5), Duration::from_micros(1500));
    let (reason, cut) = (CancelReason::Deadline, Activity::FirstToken);
    let mut receipt = Receipt::new(requested_at, 2, reason, cut, took, usage());
    receipt.cost = Some(Money::from_cents(2));
    receipt.tools = vec![ToolReceipt::new("call-1", "forecast", ToolEnd::Stopped)];
    receipt.children = vec![ID.parse().unwrap()];
    let partial = Arc::new(Partial::new("the", receipt).reasoning("hm"));
    kind(
        EventKind::Cancelled { partial },
        r#""event":"cancelled","partial":{"text":"the","reasoning":"hm","receipt":{"requested_at":5,"seq":2,"reason":"deadline","by":null,"cut":"first_token","took_us":1500,"usage":USAGE,"cost":20000,"tools":[{"id":"call-1","name":"forecast","end":"stopped"}],"children":["ID"],"fault":null}}"#,
    );
    kind(
        EventKind::Error {
            error: Arc::new(RunError::new(
                ErrorReason::Truncated,
                "cut off",
                "the",
                usage(),
            )),
        },
        r#""event":"error","error":{"reason":"truncated","message":"cut off","text":"the","usage":USAGE}"#,
    );
}

#[test]
fn a_cancel_has_these_forms() {
    let parent: RunId = ID.parse().unwrap();
    for (reason, json) in [
        (CancelReason::Requested, r#""requested""#.to_owned()),
        (CancelReason::Deadline, r#""deadline""#.to_owned()),
        (CancelReason::FirstToken, r#""first_token""#.to_owned()),
        (CancelReason::Silence, r#""silence""#.to_owned()),
        (CancelReason::Budget, r#""budget""#.to_owned()),
        (CancelReason::SessionBusy, r#""session_busy""#.to_owned()),
        (CancelReason::PauseExpired, r#""pause_expired""#.to_owned()),
        (CancelReason::Disconnected, r#""disconnected""#.to_owned()),
        (CancelReason::Superseded, r#""superseded""#.to_owned()),
        (
            CancelReason::SessionDeleted,
            r#""session_deleted""#.to_owned(),
        ),
        (CancelReason::Shutdown, r#""shutdown""#.to_owned()),
        (
            CancelReason::Parent(parent),
            format!(r#"{{"parent":"{ID}"}}"#),
        ),
        (
            CancelReason::Because("x".into()),
            r#"{"because":"x"}"#.to_owned(),
        ),
    ] {
        check(&reason, &json);
    }
    check(
        &CancelRequest::default().by("ann").remember(),
        r#"{"reason":"requested","by":"ann","remember":true}"#,
    );
    let status = RunStatus::Completed;
    for (outcome, json) in [
        (
            CancelOutcome::Accepted {
                seq: 4,
                durable: true,
            },
            r#"{"answer":"accepted","seq":4,"durable":true}"#,
        ),
        (
            CancelOutcome::AlreadyCancelling,
            r#"{"answer":"already_cancelling"}"#,
        ),
        (
            CancelOutcome::AlreadyEnded { status },
            r#"{"answer":"already_ended","status":"completed"}"#,
        ),
        (CancelOutcome::Remembered, r#"{"answer":"remembered"}"#),
        (CancelOutcome::NotFound, r#"{"answer":"not_found"}"#),
        (
            CancelOutcome::NotHere {
                status: RunStatus::Running,
            },
            r#"{"answer":"not_here","status":"running"}"#,
        ),
        (CancelOutcome::Unreadable, r#"{"answer":"unreadable"}"#),
    ] {
        check(&outcome, json);
    }
    for (cut, json) in [
        (Activity::Pending, r#""pending""#),
        (Activity::Starting, r#""starting""#),
        (Activity::Connecting, r#""connecting""#),
        (Activity::FirstToken, r#""first_token""#),
        (Activity::Streaming, r#""streaming""#),
        (Activity::Silent, r#""silent""#),
        (Activity::Retrying, r#""retrying""#),
        (Activity::Tool, r#""tool""#),
        (Activity::Paused, r#""paused""#),
    ] {
        check(&cut, json);
    }
}

#[test]
fn the_other_words_have_these_forms() {
    for (status, json) in [
        (RunStatus::Pending, r#""pending""#),
        (RunStatus::Running, r#""running""#),
        (RunStatus::Cancelling, r#""cancelling""#),
        (RunStatus::Paused, r#""paused""#),
        (RunStatus::Completed, r#""completed""#),
        (RunStatus::Cancelled, r#""cancelled""#),
        (RunStatus::Error, r#""error""#),
    ] {
        check(&status, json);
        assert_eq!(format!("{:?}", status.as_str()), json);
    }
    for (finish, json) in [
        (FinishReason::Stop, r#""stop""#),
        (FinishReason::Length, r#""length""#),
        (FinishReason::ToolCalls, r#""tool_calls""#),
        (FinishReason::ContentFilter, r#""content_filter""#),
        (FinishReason::Refusal, r#""refusal""#),
        (FinishReason::Failed, r#""failed""#),
        (FinishReason::Other("x".into()), r#"{"other":"x"}"#),
    ] {
        check(&finish, json);
    }
    for (reason, json) in [
        (ErrorReason::Model, r#""model""#),
        (ErrorReason::Truncated, r#""truncated""#),
        (ErrorReason::UnexpectedToolCall, r#""unexpected_tool_call""#),
        (ErrorReason::History, r#""history""#),
        (ErrorReason::Panicked, r#""panicked""#),
        (ErrorReason::Killed, r#""killed""#),
        (ErrorReason::Interrupted, r#""interrupted""#),
    ] {
        check(&reason, json);
    }
    check(&Message::system("a"), r#"{"role":"system","text":"a"}"#);
    check(
        &Message::assistant("b"),
        r#"{"role":"assistant","text":"b"}"#,
    );
    check(
        &Message::calling("", vec![Arc::new(call())]),
        r#"{"role":"assistant","text":"","calls":[{"id":"call-1","name":"forecast","arguments":"{}"}]}"#,
    );
    check(
        &Message::tool("call-1", "rain"),
        r#"{"role":"tool","call_id":"call-1","text":"rain"}"#,
    );
    check(
        &StatusChange::new(
            ID.parse().unwrap(),
            &Started::new("poet", vec![]),
            1,
            Timestamp::from_millis(9),
            RunStatus::Pending,
        ),
        &format!(
            r#"{{"run_id":"{ID}","agent":"poet","session_id":null,"seq":1,"at":9,"status":"pending"}}"#
        ),
    );
}

#[test]
fn an_unknown_event_is_refused_and_not_guessed() {
    let json = format!(r#"{{"run_id":"{ID}","seq":1,"at":1,"event":"teleported"}}"#);
    assert!(serde_json::from_str::<RunEvent>(&json).is_err());
    assert!("not-a-run".parse::<RunId>().is_err());
}
