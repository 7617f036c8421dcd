//! Tools that a test watches and holds up, and a model that records its requests.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use futures::Stream;
use quell_actors::{
    Model, ToolContext,
    message::Message,
    model::{ModelChunk, ModelError, ModelRequest},
    sim::{Gate, Storyteller},
    tool,
    tool::AnyTool,
};

/// The calls that really happened, over all processes: the id of each, once for each time it was made.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Vec<Arc<str>>>>);

impl Ledger {
    pub(crate) fn made(&self) -> Vec<Arc<str>> {
        self.0.lock().unwrap().clone()
    }

    /// How many times a call was made.
    pub(crate) fn times(&self, call: &str) -> usize {
        self.made().iter().filter(|made| ***made == *call).count()
    }

    /// A tool that records its calls, waits at `gate`, and returns its name.
    pub(crate) fn tool(&self, name: &str, gate: &Gate) -> AnyTool {
        let (ledger, gate, told) = (self.clone(), gate.clone(), name.to_owned());
        let work = move |_: serde_json::Value, context: ToolContext| {
            let (ledger, gate, told) = (ledger.clone(), gate.clone(), told.clone());
            async move {
                ledger.0.lock().unwrap().push(context.call_id().into());
                gate.wait().await;
                Ok(told)
            }
        };
        let schema = serde_json::json!({ "type": "object", "properties": {} });
        tool::from_schema(name, "Does something.", schema, work)
    }
}

/// An open gate.
pub(crate) fn open() -> Gate {
    let gate = Gate::new();
    gate.open();
    gate
}

/// A storyteller that records its requests.
#[derive(Clone)]
pub(crate) struct Recorder {
    model: Storyteller,
    asked: Arc<Mutex<Vec<Arc<[Message]>>>>,
}

impl Recorder {
    pub(crate) fn new(model: Storyteller) -> Recorder {
        Recorder {
            model,
            asked: Arc::default(),
        }
    }

    /// The messages of each request.
    pub(crate) fn asked(&self) -> Vec<Arc<[Message]>> {
        self.asked.lock().unwrap().clone()
    }

    /// The messages of the last request, each as `role: text`, and calls as `name(id)`.
    pub(crate) fn last(&self) -> Vec<String> {
        let asked = self.asked();
        asked.last().unwrap().iter().map(shown).collect()
    }
}

fn shown(message: &Message) -> String {
    match message {
        Message::System { text, .. } => format!("system: {text}"),
        Message::User { text, .. } => format!("user: {text}"),
        Message::Assistant { text, calls, .. } => {
            let calls: String = calls
                .iter()
                .map(|call| format!(" {}({})", call.name, call.id))
                .collect();
            format!("assistant: {text}{calls}")
        }
        Message::Tool { call_id, text, .. } => format!("tool {call_id}: {text}"),
    }
}

impl Model for Recorder {
    fn stream(
        &self,
        request: ModelRequest,
    ) -> impl Stream<Item = Result<ModelChunk, ModelError>> + Send + 'static {
        self.asked.lock().unwrap().push(request.messages.clone());
        self.model.stream(request)
    }
}

/// Counts how many of its values are alive.
#[derive(Debug, Default)]
pub(crate) struct Alive(Arc<AtomicU64>);

impl Alive {
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn one(&self) -> One {
        self.0.fetch_add(1, Ordering::SeqCst);
        One(self.0.clone())
    }
}

/// A counted value.
pub(crate) struct One(Arc<AtomicU64>);

impl Drop for One {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
