//! What a running call notes in the log of its run.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use tokio::time::Instant;

use crate::{
    event::{EventKind, ToolCallProcess, ToolCallProgress},
    machine::Input,
    run::log::RunLog,
    tool::Caller,
};

impl Caller for RunLog {
    fn progress(self: Arc<Self>, call: &Arc<str>, text: Arc<str>) {
        let mut inner = self.lock();
        // A call that has its result has nothing to say any more, whatever is kept of its context.
        if !inner.facts.calls().is_running(call) || !inner.apply(Input::Told) {
            return;
        }
        let Some(text) = self.progress_that_fits(&inner, text) else {
            return;
        };
        let id = call.clone();
        let kind = EventKind::ToolCallProgress(Arc::new(ToolCallProgress { id, text }));
        self.write(&mut inner, Instant::now(), kind);
        // A tool is not held up by a slow store: what it can say is bounded.
        let _ = self.go_on(inner);
    }

    fn process(self: Arc<Self>, process: ToolCallProcess) -> BoxFuture<'static, bool> {
        let seq = {
            let mut inner = self.lock();
            if !inner.facts.calls().is_running(&process.id)
                || !inner.apply(Input::Told)
                || !self.fits(&inner, process.boot.len())
            {
                return futures::future::ready(false).boxed();
            }
            let kind = EventKind::ToolCallProcess(Arc::new(process));
            self.write(&mut inner, Instant::now(), kind);
            let seq = inner.outbox.decided();
            let _ = self.go_on(inner);
            seq
        };
        async move { self.wait_stored(seq).await.is_ok() }.boxed()
    }
}
