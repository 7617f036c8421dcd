//! Which model answers, and what its provider wants to be given back.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The name of a model.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ModelName {
    /// Who serves it: two models of one provider can read each other's [`ProviderParts`].
    pub provider: Arc<str>,
    /// The model's own name, as its provider spells it.
    pub id: Arc<str>,
}

impl ModelName {
    /// The model `id` of this provider.
    pub fn new(provider: impl Into<Arc<str>>, id: impl Into<Arc<str>>) -> ModelName {
        ModelName {
            provider: provider.into(),
            id: id.into(),
        }
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.id)
    }
}

/// What a provider wants to be given back with an answer of its model, beside the answer's words and calls: reasoning,
/// signatures, and whatever else only that provider can read.
///
/// It is stored with the answer, sent to the same provider again in the run's later turns and in later runs of the
/// session, never to another one, and never shown as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProviderParts {
    /// The provider that gave it ([`ModelName::provider`]).
    pub provider: Arc<str>,
    /// The reasoning before the answer. Empty in an event, since the log has these words in events of their own.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub reasoning: Arc<str>,
    /// Parts in a form that the model's implementation alone defines, in the order in which they came
    /// ([`ModelChunk::Opaque`](crate::model::ModelChunk::Opaque)).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Value>,
}

impl ProviderParts {
    /// These parts, of this provider.
    pub fn new(provider: impl Into<Arc<str>>, parts: Vec<Value>) -> ProviderParts {
        ProviderParts {
            provider: provider.into(),
            reasoning: Arc::default(),
            parts,
        }
    }

    /// How many bytes of JSON the parts have.
    pub(crate) fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.to_string().len()).sum()
    }

    /// The same, with the reasoning before the answer.
    pub fn reasoning(mut self, reasoning: impl Into<Arc<str>>) -> ProviderParts {
        self.reasoning = reasoning.into();
        self
    }
}
