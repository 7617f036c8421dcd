//! Something that is to happen later, unless it is dropped before.

use std::{future::Future, time::Duration};

use tokio::{runtime::Handle, task::JoinHandle};

/// Does one thing after a while. Dropping it prevents that.
#[derive(Debug)]
pub(super) struct Timer(JoinHandle<()>);

impl Timer {
    pub(super) fn new(
        tokio: &Handle,
        after: Duration,
        act: impl Future<Output = ()> + Send + 'static,
    ) -> Timer {
        Timer(tokio.spawn(async move {
            // Longer than the clock can represent is never.
            tokio::time::sleep(after).await;
            act.await;
        }))
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.abort();
    }
}
