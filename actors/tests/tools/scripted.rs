//! A model that answers with a test's chunks, and records its requests.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use futures::{Stream, StreamExt, stream};
use quell_actors::{
    Model,
    message::Message,
    model::{ModelChunk, ModelError, ModelName, ModelRequest, ModelUsage, ToolCallDelta},
    outcome::FinishReason,
    sim::{Gate, check_chat},
};

/// Its answers, in order. After the last one it answers "end".
#[derive(Clone, Default)]
pub(crate) struct Scripted(Arc<Inner>);

#[derive(Default)]
struct Inner {
    answers: Mutex<VecDeque<Vec<ModelChunk>>>,
    requests: Mutex<Vec<Arc<[Message]>>>,
    gate: Mutex<Option<Gate>>,
    name: Mutex<Option<ModelName>>,
}

impl Scripted {
    pub(crate) fn new() -> Scripted {
        Scripted::default()
    }

    /// The next answer.
    pub(crate) fn answer(self, chunks: impl IntoIterator<Item = ModelChunk>) -> Scripted {
        let chunks = chunks.into_iter().collect();
        self.0.answers.lock().unwrap().push_back(chunks);
        self
    }

    /// Each chunk waits at the gate.
    pub(crate) fn gate(self, gate: &Gate) -> Scripted {
        *self.0.gate.lock().unwrap() = Some(gate.clone());
        self
    }

    /// Sets the provider.
    pub(crate) fn of(self, provider: &str) -> Scripted {
        *self.0.name.lock().unwrap() = Some(ModelName::new(provider, "scripted"));
        self
    }

    /// The messages of each request.
    pub(crate) fn requests(&self) -> Vec<Arc<[Message]>> {
        self.0.requests.lock().unwrap().clone()
    }

    /// The texts of the last request.
    pub(crate) fn last_texts(&self) -> Vec<String> {
        let requests = self.requests();
        let last = requests.last().unwrap().iter();
        last.map(|message| message.text().to_owned()).collect()
    }
}

impl Model for Scripted {
    fn stream(
        &self,
        request: ModelRequest,
    ) -> impl Stream<Item = Result<ModelChunk, ModelError>> + Send + 'static {
        assert_eq!(check_chat(&request.messages), Ok(()), "{request:#?}");
        self.0.requests.lock().unwrap().push(request.messages);
        let next = self.0.answers.lock().unwrap().pop_front();
        let chunks = next.unwrap_or_else(|| vec![text("end"), stop()]);
        let gate = self.0.gate.lock().unwrap().clone();
        stream::iter(chunks).then(move |chunk| {
            let gate = gate.clone();
            async move {
                match gate {
                    Some(gate) => gate.wait().await,
                    None => tokio::task::yield_now().await,
                }
                Ok(chunk)
            }
        })
    }

    fn name(&self) -> Option<ModelName> {
        self.0.name.lock().unwrap().clone()
    }
}

pub(crate) fn text(words: &str) -> ModelChunk {
    ModelChunk::Text(words.into())
}

/// A whole call in one piece.
pub(crate) fn call(index: u32, id: &str, name: &str, arguments: &str) -> ModelChunk {
    let mut delta = ToolCallDelta::new(index).name(name).arguments(arguments);
    delta.id = (!id.is_empty()).then(|| id.to_owned());
    ModelChunk::ToolCall(Box::new(delta))
}

pub(crate) fn usage(input: u64, output: u64) -> ModelChunk {
    ModelChunk::Usage(ModelUsage::new(input, output))
}

pub(crate) fn stop() -> ModelChunk {
    ModelChunk::Finished(FinishReason::Stop)
}

pub(crate) fn wants_tools() -> ModelChunk {
    ModelChunk::Finished(FinishReason::ToolCalls)
}
