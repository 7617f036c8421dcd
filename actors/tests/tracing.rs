//! One span for each run, with its id and its agent, always closed; a cancelled run is not an error.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use quell_actors::{
    Agent, NewRun, RunId, Runtime, error::StartError, runtime::RuntimeConfig, sim::Storyteller,
};
use support::{ended, once, until};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt as _, registry::LookupSpan};

/// The recorded spans of runs.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    open: HashMap<u64, HashMap<&'static str, String>>,
    closed: Vec<HashMap<&'static str, String>>,
    loud: Vec<String>,
}

struct Fields<'a>(&'a mut HashMap<&'static str, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Seen {
    fn on_new_span(&self, attrs: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        if attrs.metadata().name() == "run" {
            let mut fields = HashMap::new();
            attrs.record(&mut Fields(&mut fields));
            self.0.lock().unwrap().open.insert(id.into_u64(), fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        if let Some(fields) = self.0.lock().unwrap().open.get_mut(&id.into_u64()) {
            values.record(&mut Fields(fields));
        }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() <= Level::WARN {
            let mut fields = HashMap::new();
            event.record(&mut Fields(&mut fields));
            let message = fields.remove("message").unwrap_or_default();
            self.0.lock().unwrap().loud.push(message);
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let mut book = self.0.lock().unwrap();
        if let Some(fields) = book.open.remove(&id.into_u64()) {
            book.closed.push(fields);
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Complete,
    Fail,
    Panic,
    Cancel,
    CancelWaiting,
}

async fn live(way: Way) -> RunId {
    let runtime = Runtime::builder()
        .config(RuntimeConfig {
            max_live_runs: usize::from(!matches!(way, Way::CancelWaiting)),
            ..RuntimeConfig::default()
        })
        .in_memory();
    let model = match way {
        Way::Complete => Storyteller::new("one"),
        Way::Fail => Storyteller::new("one two").cut_off_at(1),
        Way::Panic => Storyteller::new("one two").panic_at(1),
        Way::Cancel | Way::CancelWaiting => Storyteller::new("one two").stall_at(1),
    };
    let agent: Agent = once(model).build().unwrap();
    let run = runtime.start(&agent, "Go.").await.unwrap();
    if let Way::Cancel = way {
        until(&run, |kind| {
            matches!(kind, quell_actors::EventKind::Content { .. })
        })
        .await;
    }
    if let Way::Cancel | Way::CancelWaiting = way {
        run.cancel().await;
    }
    ended(&run).await;
    // Lets the actor end.
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
    run.id()
}

#[test]
fn every_run_has_one_span_that_is_closed_and_says_how_it_ended() {
    for (way, status, loud) in [
        (Way::Complete, "completed", &[][..]),
        (Way::Fail, "error", &["the run failed"][..]),
        (Way::Panic, "error", &["the run failed"][..]),
        (Way::Cancel, "cancelled", &[][..]),
        (Way::CancelWaiting, "cancelled", &[][..]),
    ] {
        let seen = Seen::default();
        let subscriber = tracing_subscriber::registry().with(seen.clone());
        let id = tracing::subscriber::with_default(subscriber, || {
            let tokio = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .unwrap();
            tokio.block_on(live(way))
        });
        let book = seen.0.lock().unwrap();
        assert!(book.open.is_empty(), "{way:?}: a span is left open");
        assert_eq!(book.closed.len(), 1, "{way:?}");
        let span = &book.closed[0];
        assert_eq!(span["run_id"], id.to_string());
        assert_eq!(span["agent"], "poet");
        assert_eq!(span["status"], status);
        assert_eq!(book.loud, loud, "{way:?}");
    }
}

#[test]
fn a_start_with_the_id_of_another_run_is_no_fault_of_the_process() {
    let seen = Seen::default();
    let subscriber = tracing_subscriber::registry().with(seen.clone());
    tracing::subscriber::with_default(subscriber, || {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        tokio.block_on(async {
            let (runtime, agent) = (Runtime::new(), once(Storyteller::new("one")));
            let agent = agent.build().unwrap();
            let run = runtime.start(&agent, "Go.").await.unwrap();
            ended(&run).await;
            let again = NewRun::new("Go.").id(run.id());
            let refused = runtime.start(&agent, again).await.unwrap_err();
            assert_eq!(refused, StartError::DuplicateRun(run.id()));
        });
    });
    assert_eq!(seen.0.lock().unwrap().loud, [""; 0]);
}
