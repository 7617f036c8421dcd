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
        // Whoever keeps the context of a call that has its result has nothing to say any more.
        if !inner.open.is_at_work(call)
            || !inner.apply(Input::Told)
            || !self.charge(&mut inner, text.len())
        {
            return;
        }
        let id = call.clone();
        let kind = EventKind::ToolCallProgress(Arc::new(ToolCallProgress { id, text }));
        self.write(&mut inner, Instant::now(), kind);
        // A tool is not held up by a slow store: `fits` bounds what it can say.
        let _ = self.go_on(inner);
    }

    fn process(self: Arc<Self>, process: ToolCallProcess) -> BoxFuture<'static, bool> {
        let seq = {
            let mut inner = self.lock();
            if !inner.open.is_at_work(&process.id)
                || !inner.apply(Input::Told)
                || !self.charge(&mut inner, process.boot.len())
            {
                return futures::future::ready(false).boxed();
            }
            let kind = EventKind::ToolCallProcess(Arc::new(process));
            self.write(&mut inner, Instant::now(), kind);
            let seq = inner.decided;
            let _ = self.go_on(inner);
            seq
        };
        async move { self.wait_stored(seq).await.is_ok() }.boxed()
    }
}
