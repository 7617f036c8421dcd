//! What was said before in a session.

use std::sync::Arc;

use crate::{
    agent::{Agent, InterruptedAnswers},
    id::{RunId, Timestamp},
    message::Message,
    run::LoadHistory,
    status::RunStatus,
    store::{DynStore, ReadError, RunHead, RunQuery},
    transcript::Transcript,
};
use futures::FutureExt;
use tokio::task::yield_now;

/// How many events or runs are read at a time.
const PAGE: usize = 256;

/// Which earlier runs are remembered.
#[derive(Clone)]
pub(crate) struct HistoryQuery {
    pub(crate) session: Arc<str>,
    /// Not this one.
    pub(crate) but: RunId,
    /// Only runs older than this.
    pub(crate) before: Option<(Timestamp, RunId)>,
}

/// Reads what the model of `agent` is shown of earlier runs, as soon as it is polled; `None` when that is nothing.
pub(super) fn load_history(
    store: &Arc<dyn DynStore>,
    agent: &Agent,
    memory: Option<HistoryQuery>,
) -> Option<LoadHistory> {
    let (memory, store) = (memory?, store.clone());
    let (runs, marked) = (
        agent.history_runs(),
        agent.interrupted() == InterruptedAnswers::Marked,
    );
    if runs == 0 {
        return None;
    }
    Some(async move { read_history(&store, memory, runs, marked).await }.boxed())
}

/// What the last `runs` runs of a session have said and heard, the oldest first. Live runs are left out.
pub(super) async fn read_history(
    store: &Arc<dyn DynStore>,
    memory: HistoryQuery,
    runs: usize,
    marked: bool,
) -> Result<Vec<Message>, ReadError> {
    let mut told: Vec<Vec<Message>> = Vec::new();
    // About as many as are wanted: a session may have many more. Some of them may have nothing to say.
    let page_size = runs.saturating_mul(2).clamp(8, PAGE);
    let mut query = RunQuery::session(memory.session).limit(page_size);
    query.past = memory.before;
    loop {
        let page = store.clone().runs(query.clone()).await?;
        let others = page.iter().filter(|head| head.run_id != memory.but);
        for head in others.filter(|head| is_quiet(head.status)) {
            if told.len() == runs {
                break;
            }
            let transcript = transcript(store, head).await?;
            told.extend(transcript.map(|said| said.into_history(marked)));
        }
        match page.last() {
            Some(last) if page.len() == page_size && told.len() < runs => query = query.after(last),
            Some(_) | None => break,
        }
    }
    Ok(told.into_iter().rev().flatten().collect())
}

/// Whether a run of this status has no actor.
fn is_quiet(status: RunStatus) -> bool {
    match status {
        RunStatus::Completed | RunStatus::Cancelled | RunStatus::Error | RunStatus::Paused => true,
        RunStatus::Pending | RunStatus::Running | RunStatus::Cancelling => false,
    }
}

/// What a run has said and heard. `None`: it was deleted while it was read, or withdrawn before its model was asked.
async fn transcript(
    store: &Arc<dyn DynStore>,
    head: &RunHead,
) -> Result<Option<Transcript>, ReadError> {
    let mut transcript = Transcript::new();
    let mut after = 0;
    while after < head.last {
        let page = match store.clone().read(head.run_id, after, PAGE).await {
            Err(ReadError::Expired { .. }) => return Ok(None),
            page => page?,
        };
        let Some(last) = page.last() else {
            return Ok(None);
        };
        after = last.seq;
        // A paused run may have gone on meanwhile.
        for event in page.iter().take_while(|event| event.seq <= head.last) {
            transcript.event(&event.kind);
        }
        // A long history is read in slices, so that other runs of the thread, and a cancel of this one, have their
        // turn.
        yield_now().await;
    }
    Ok(Some(transcript).filter(|said| !said.is_withdrawn()))
}
