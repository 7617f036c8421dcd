//! What a caller hands to a run beside its input.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a caller hands to a run beside its input: JSON objects that the runtime stores and shows to the run's tools
/// ([`ToolContext::context`](crate::ToolContext::context)), and does not look into. Together they have at most
/// [`Context::MAX_BYTES`] as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Context {
    /// What the caller wants to find again with the run.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// What the run's tools need to know.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub dependencies: Map<String, Value>,
    /// The state of the session when the run was started.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub session_state: Map<String, Value>,
}

impl Context {
    /// How many bytes of JSON a context may have: 64 KiB.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// An empty one.
    pub fn new() -> Context {
        Context::default()
    }

    /// Sets the metadata.
    pub fn metadata(mut self, metadata: Map<String, Value>) -> Context {
        self.metadata = metadata;
        self
    }

    /// Sets the dependencies.
    pub fn dependencies(mut self, dependencies: Map<String, Value>) -> Context {
        self.dependencies = dependencies;
        self
    }

    /// Sets the state of the session.
    pub fn session_state(mut self, state: Map<String, Value>) -> Context {
        self.session_state = state;
        self
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.metadata.is_empty() && self.dependencies.is_empty() && self.session_state.is_empty()
    }

    /// How many bytes it has as JSON; `usize::MAX` when it cannot be written as JSON.
    pub(crate) fn bytes(&self) -> usize {
        serde_json::to_vec(self).map_or(usize::MAX, |json| json.len())
    }
}
