//! An actor that watches a runtime.

use quell_actors::{Runtime, error::ChangesError, event::StatusChange, run::Delivery, sim::Gate};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::mpsc;

struct Watcher {
    heard: mpsc::UnboundedSender<Result<StatusChange, ChangesError>>,
    gate: Gate,
}

struct Changed(Delivery<StatusChange, ChangesError>);

impl From<Delivery<StatusChange, ChangesError>> for Changed {
    fn from(delivery: Delivery<StatusChange, ChangesError>) -> Changed {
        Changed(delivery)
    }
}

impl Actor for Watcher {
    type Msg = Changed;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Changed>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Changed>,
        Changed(delivery): Changed,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        self.heard.send(delivery.event().cloned())?;
        self.gate.wait().await;
        Ok(())
    }
}

/// An actor that receives the changes of every run of `runtime`, and waits at `gate` after each.
pub(crate) async fn watcher(
    runtime: &Runtime,
    gate: &Gate,
) -> mpsc::UnboundedReceiver<Result<StatusChange, ChangesError>> {
    let (heard, ears) = mpsc::unbounded_channel();
    let watcher = Watcher {
        heard,
        gate: gate.clone(),
    };
    let (actor, _) = Actor::spawn(None, watcher, ()).await.unwrap();
    runtime.subscribe(&actor);
    ears
}
