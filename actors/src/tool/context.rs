//! What a call of a tool knows of its run.

use std::{fmt, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use tokio::sync::watch;

use super::ToolError;
use crate::{
    cancel::CancelReason,
    context::Context,
    event::{Started, ToolCallProcess},
    id::RunId,
};

/// Who called, as a tool sees it: the log of the run.
pub(crate) trait Caller: Send + Sync {
    /// The call reports its progress.
    fn progress(self: Arc<Self>, call: &Arc<str>, text: Arc<str>);
    /// The call is about to run a program. Ready when that is stored; `false`: the run takes no more of it.
    fn process(self: Arc<Self>, process: ToolCallProcess) -> BoxFuture<'static, bool>;
}

/// What a call of a tool knows of its run, and can say to it. Cheap to clone.
#[derive(Clone)]
pub struct ToolContext {
    run_id: RunId,
    session_id: Option<Arc<str>>,
    user_id: Option<Arc<str>>,
    context: Arc<Context>,
    call_id: Arc<str>,
    told: watch::Receiver<Option<CancelReason>>,
    caller: Option<Arc<dyn Caller>>,
}

/// A program that a tool is about to run, so that it can be found after a crash. See
/// [`ToolCallProcess`] for the meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The id of its process group.
    pub group: u32,
    /// When the group's leader was started.
    pub started: u64,
    /// Which start of the system that counts from.
    pub boot: Arc<str>,
    /// A word that is in the environment of the program and of all that it starts, if any.
    pub mark: Option<Arc<str>>,
}

impl ToolContext {
    pub(crate) fn new(
        run_id: RunId,
        started: Option<&Started>,
        call_id: Arc<str>,
        told: watch::Receiver<Option<CancelReason>>,
        caller: Arc<dyn Caller>,
    ) -> ToolContext {
        let context = started.and_then(|started| started.context.clone());
        ToolContext {
            run_id,
            session_id: started.and_then(|started| started.session_id.clone()),
            user_id: started.and_then(|started| started.user_id.clone()),
            context: context.unwrap_or_default(),
            call_id,
            told,
            caller: Some(caller),
        }
    }

    /// A context that belongs to no run, to test a tool with. The sender cancels the call.
    pub fn alone(call_id: &str) -> (ToolContext, watch::Sender<Option<CancelReason>>) {
        let (tell, told) = watch::channel(None);
        let context = ToolContext {
            run_id: RunId::new(),
            session_id: None,
            user_id: None,
            context: Arc::default(),
            call_id: call_id.into(),
            told,
            caller: None,
        };
        (context, tell)
    }

    /// The same, where `note` receives the programs that the call is about to run, as a store would. It returns when
    /// the note is stored, with `false` when it is refused.
    pub fn noting<F, Fut>(mut self, note: F) -> ToolContext
    where
        F: Fn(ToolCallProcess) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = bool> + Send + 'static,
    {
        self.caller = Some(Arc::new(Noting(note)));
        self
    }

    /// The same, of a run for this user.
    pub fn for_user(mut self, id: impl Into<Arc<str>>) -> ToolContext {
        self.user_id = Some(id.into());
        self
    }

    /// The same, of a run with this context.
    pub fn with_context(mut self, context: impl Into<Arc<Context>>) -> ToolContext {
        self.context = context.into();
        self
    }

    /// The run that the call is of.
    pub fn run_id(&self) -> RunId {
        self.run_id
    }

    /// The session of the run, if any.
    pub fn session_id(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    /// The user the run is for, if any.
    pub fn user_id(&self) -> Option<&str> {
        self.user_id.as_deref()
    }

    /// What the run's caller handed to it beside its input; empty when that was nothing.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The call's id, unique in its run and the same whenever the call is repeated. Together with
    /// [`run_id`](ToolContext::run_id) it is an idempotency key.
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// Waits until the call is to end, and returns why: the run was cancelled, or, with
    /// [`CancelReason::Deadline`], the call has taken too long. Never ready when the call ends before.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn cancelled(&self) -> CancelReason {
        let mut told = self.told.clone();
        // What is waited for is a lock's guard, and must be gone before anything else is awaited: a tool's future is to
        // be `Send`.
        let reason = match told.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone(),
            Err(_) => None,
        };
        match reason {
            Some(reason) => reason,
            None => std::future::pending().await,
        }
    }

    /// Whether the call is to end: for a tool that blocks its thread, and looks now and then.
    pub fn is_cancelled(&self) -> bool {
        self.told.borrow().is_some()
    }

    /// Reports the call's progress to readers of the run. Ignored once the run has been cancelled.
    pub fn progress(&self, text: impl Into<Arc<str>>) {
        if let Some(caller) = &self.caller {
            caller.clone().progress(&self.call_id, text.into());
        }
    }

    /// Notes that the call is about to run a program, and waits until that is stored. A program that is begun only
    /// after this is found by recovery when the process is killed.
    ///
    /// # Errors
    ///
    /// When the run takes no more notes: it was cancelled, or its store was lost. The program must not be begun.
    pub async fn process(&self, process: Process) -> Result<(), ToolError> {
        let Some(caller) = &self.caller else {
            return Ok(());
        };
        let noted = caller.clone().process(ToolCallProcess {
            id: self.call_id.clone(),
            group: process.group,
            started: process.started,
            boot: process.boot,
            mark: process.mark,
        });
        if noted.await {
            Ok(())
        } else {
            Err(ToolError::new(
                "the run was ended before the program was begun",
            ))
        }
    }
}

/// The caller of a context that belongs to no run.
struct Noting<F>(F);

impl<F, Fut> Caller for Noting<F>
where
    F: Fn(ToolCallProcess) -> Fut + Send + Sync,
    Fut: Future<Output = bool> + Send + 'static,
{
    fn progress(self: Arc<Self>, _: &Arc<str>, _: Arc<str>) {}

    fn process(self: Arc<Self>, process: ToolCallProcess) -> BoxFuture<'static, bool> {
        (self.0)(process).boxed()
    }
}

impl fmt::Debug for ToolContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolContext")
            .field("run_id", &self.run_id)
            .field("session_id", &self.session_id)
            .field("call_id", &self.call_id)
            .finish_non_exhaustive()
    }
}
