//! A user's tracing may ask the runtime whatever it likes.

use std::sync::{
    OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use quell_actors::{NewRun, Runtime, sim::Storyteller};
use tracing::{
    Subscriber,
    span::{Attributes, Id},
};
use tracing_subscriber::{Layer, layer::Context, prelude::*};

use crate::support::{ended, guarded, poet};

static RUNTIME: OnceLock<Runtime> = OnceLock::new();
static ASKED: AtomicUsize = AtomicUsize::new(0);

/// Asks the runtime about its runs whenever a span is made or cloned.
struct Nosy;

impl Nosy {
    fn ask() {
        if let Some(runtime) = RUNTIME.get() {
            let _ = runtime.list();
            ASKED.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl<S: Subscriber> Layer<S> for Nosy {
    fn on_new_span(&self, _: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        Nosy::ask();
    }

    fn on_close(&self, _: Id, _: Context<'_, S>) {
        Nosy::ask();
    }
}

#[test]
fn a_tracing_layer_that_asks_the_runtime_hinders_no_start() {
    let _here = tracing::subscriber::set_default(tracing_subscriber::registry().with(Nosy));
    let (done, is_done) = std::sync::mpsc::channel();
    let subscriber = tracing::dispatcher::get_default(Clone::clone);
    std::thread::spawn(move || {
        let _here = tracing::dispatcher::set_default(&subscriber);
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        tokio.unwrap().block_on(async {
            let runtime = RUNTIME.get_or_init(Runtime::new);
            let agent = poet(Storyteller::new("la").pace(Default::default()));
            let run = runtime.start(&agent, NewRun::new("Sing.").session("s"));
            guarded(ended(&run.await.unwrap())).await;
        });
        done.send(()).unwrap();
    });
    // A deadlock is one for ever.
    is_done.recv_timeout(crate::support::GUARD).unwrap();
    assert!(ASKED.load(Ordering::SeqCst) > 0, "it was asked");
}
