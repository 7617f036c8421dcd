//! Runs an agent inside your own ractor system: one of your actors supervises the run, another receives the run's events
//! as its own messages and cancels the run after forty characters, by a message.
//!
//!     cargo run --example embed

#![allow(clippy::print_stdout, reason = "printing is its purpose")]

use quell::{
    Agent, CancelRequest, EventKind, Run, Runtime,
    run::{Delivery, RunMessage},
    runtime::{RuntimeMessage, Shutdown},
    sim::Storyteller,
};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent, call};

/// The supervisor. The run and the editor are its children.
struct Newsroom;

impl Actor for Newsroom {
    type Msg = ();
    /// The newsroom waits until the editor ends.
    type State = ActorCell;
    type Arguments = Runtime;

    async fn pre_start(
        &self,
        me: ActorRef<()>,
        runtime: Runtime,
    ) -> Result<ActorCell, ActorProcessingErr> {
        let poet = Agent::new("poet", Storyteller::new(&"and the sea ".repeat(99)));
        let run = runtime
            .start_linked(&poet, "Sing of the sea.", me.get_cell())
            .await?;
        let (editor, _) = Actor::spawn_linked(None, Editor, run, me.get_cell()).await?;
        Ok(editor.get_cell())
    }

    /// ractor's default would stop the newsroom as soon as the run's actor ends. That is too early: the run's last events
    /// may still be in the editor's mailbox.
    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<()>,
        event: SupervisionEvent,
        editor: &mut ActorCell,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(child, ..) if child.get_id() == editor.get_id() => {
                me.stop(None);
                Ok(())
            }
            SupervisionEvent::ActorFailed(child, error) if child.get_id() == editor.get_id() => {
                Err(error)
            }
            _ => Ok(()),
        }
    }
}

/// Reads forty characters of a run, then cancels it.
struct Editor;

enum EditorMsg {
    Heard(Delivery),
}

impl From<Delivery> for EditorMsg {
    fn from(delivery: Delivery) -> EditorMsg {
        EditorMsg::Heard(delivery)
    }
}

struct Desk {
    run: Run,
    heard: String,
}

impl Actor for Editor {
    type Msg = EditorMsg;
    type State = Desk;
    type Arguments = Run;

    async fn pre_start(
        &self,
        me: ActorRef<EditorMsg>,
        run: Run,
    ) -> Result<Desk, ActorProcessingErr> {
        run.subscribe(&me);
        let heard = String::new();
        Ok(Desk { run, heard })
    }

    async fn handle(
        &self,
        me: ActorRef<EditorMsg>,
        EditorMsg::Heard(delivery): EditorMsg,
        desk: &mut Desk,
    ) -> Result<(), ActorProcessingErr> {
        let event = delivery.event()?;
        match &event.kind {
            EventKind::Content { text } => {
                desk.heard.push_str(text);
                // A run that has ended has no actor.
                if desk.heard.len() >= 40
                    && let Some(actor) = desk.run.actor()
                {
                    // Text that was on its way may still arrive; a second cancel changes nothing, and a cast to an actor
                    // that has just left fails.
                    let request = CancelRequest::default().by("the editor");
                    let _ = actor.cast(RunMessage::Cancel(request));
                }
            }
            EventKind::Cancelled { partial } => {
                println!("heard: {:?}", desk.heard);
                println!("kept: {:?}", partial.text);
            }
            _ => {}
        }
        if event.is_last() {
            me.stop(None);
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), ActorProcessingErr> {
    let runtime = Runtime::new();
    let (_newsroom, done) = Actor::spawn(None, Newsroom, runtime.clone()).await?;
    done.await?;

    // A runtime is an actor too, and replies to what it is asked.
    let report = call!(
        runtime.actor(),
        RuntimeMessage::Shutdown,
        Shutdown::default()
    )?;
    println!("runs that had to be abandoned: {}", report.abandoned);
    Ok(())
}
