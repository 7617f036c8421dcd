//! One call: a program is begun, heard, and ended.

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

/// How long pipes are read on when the program has ended and somebody still holds them: before its group is killed, so
/// that a child which only passes the last words on can do so, and after, when only somebody out of reach can hold them.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What is the same for all calls of a tool.
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

    let (status, told) = {
        // The three go on, side by side, whatever else is waited for: a program must be able to talk while it ends.
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
                // Also when it is told as well: it has done what it was asked to.
                Either::Left(_) => None,
                Either::Right((reason, _)) => Some(reason),
            }
        };
        let told = match beside(&mut talk, end).await {
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
        (status, told)
    };

    let output = Output::new(status, stdout, stderr);
    match (told, status) {
        (None, Some(_)) => Ok(output),
        (None, None) => Err(ended("it is not known how the program ended", &output)),
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
    ToolError::new(format!("{how}; until then: {said}"))
}

/// Waits for `work` while the talk goes on.
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

/// Gives the program what it reads, and then the end of it.
async fn feed(mut stdin: ChildStdin, text: String) {
    // A program need not read what it is given.
    let _ = stdin.write_all(text.as_bytes()).await;
}

/// Hears all that the program says, and keeps what fits.
async fn hear(mut pipe: impl AsyncRead + Unpin, kept: &mut Kept) {
    let mut piece = vec![0; 16 * 1024];
    // A pipe that fails has no more to say.
    while let Ok(bytes @ 1..) = pipe.read(&mut piece).await {
        kept.take(&piece[..bytes]);
    }
}
