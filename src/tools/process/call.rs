//! One call: a program is started, its output read, and its group ended.

use std::{
    ffi::OsString,
    future::{Future, poll_fn},
    path::PathBuf,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures::future::{Either, FusedFuture, FutureExt, join3, select};
use quell_actors::{CancelReason, ToolContext, tool::ToolError};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::ChildStdin,
    time::timeout,
};

use super::{
    gate,
    input::Given,
    output::{Kept, Output},
};

/// How long pipes are still read after the program has ended while another process holds them open: once before the
/// group is killed, so that a child which only passes on the last output can finish, and once after, when only a
/// process outside the group can hold them.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// The settings that all calls of a tool share.
pub(super) struct Plan {
    pub(super) program: PathBuf,
    pub(super) args: Vec<OsString>,
    pub(super) directory: Option<PathBuf>,
    pub(super) environment: Vec<(OsString, OsString)>,
    pub(super) max_output_bytes: usize,
    pub(super) term_grace: Duration,
}

/// Runs the program once. Dropping the future kills it with its whole group.
pub(super) async fn run(
    plan: Arc<Plan>,
    given: Given,
    context: ToolContext,
) -> Result<Output, ToolError> {
    let mut begun = gate::begin(&plan, &given, &context).await?;
    let mut stdout = Kept::at_most(plan.max_output_bytes);
    let mut stderr = Kept::at_most(plan.max_output_bytes);
    let group = &mut begun.group;

    let (status, reason) = {
        // The pipes are served during every wait below: a program may read and write until it ends.
        let mut talk = Box::pin(
            join3(
                feed(begun.stdin, given.stdin),
                hear(begun.stdout, &mut stdout),
                hear(begun.stderr, &mut stderr),
            )
            .fuse(),
        );
        let end = async {
            match select(pin!(group.leader_ended()), pin!(context.cancelled())).await {
                // Also if the call is cancelled at the same time: the program has done its work.
                Either::Left(_) => None,
                Either::Right((reason, _)) => Some(reason),
            }
        };
        let reason = match beside(&mut talk, end).await {
            None => {
                if !talk.is_terminated() {
                    let _ = timeout(LAST_WORDS, &mut talk).await;
                }
                None
            }
            Some(reason) => {
                beside(&mut talk, group.terminate(plan.term_grace)).await;
                Some(reason)
            }
        };
        let status = beside(&mut talk, group.end()).await;
        if !talk.is_terminated() {
            let _ = timeout(LAST_WORDS, &mut talk).await;
        }
        (status, reason)
    };

    let output = Output::new(status, stdout, stderr);
    match (reason, status) {
        (None, Some(_)) => Ok(output),
        (None, None) => Err(ended("the program's exit status is unknown", &output)),
        (Some(CancelReason::Deadline), _) => {
            Err(ended("the program took too long and was ended", &output))
        }
        (Some(_), _) => Err(ended(
            "the call was cancelled and the program ended",
            &output,
        )),
    }
}

fn ended(how: &str, output: &Output) -> ToolError {
    let said = serde_json::to_string(output).unwrap_or_default();
    ToolError::new(format!("{how}; output until then: {said}"))
}

/// Waits for `work`, and serves the pipes meanwhile.
async fn beside<T>(talk: &mut (impl FusedFuture + Unpin), work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if !talk.is_terminated() {
            let _ = talk.poll_unpin(cx);
        }
        work.as_mut().poll(cx)
    })
    .await
}

/// Writes the program's standard input, and closes it.
async fn feed(mut stdin: ChildStdin, text: String) {
    // It may fail: a program need not read its input.
    let _ = stdin.write_all(text.as_bytes()).await;
}

/// Reads all output of the program, and keeps what fits.
async fn hear(mut pipe: impl AsyncRead + Unpin, kept: &mut Kept) {
    let mut piece = vec![0; 16 * 1024];
    // A read error counts as the end of the pipe.
    while let Ok(bytes @ 1..) = pipe.read(&mut piece).await {
        kept.take(&piece[..bytes]);
    }
}
