//! What a provider wants to be given back with one answer, put together from its chunks.

use std::sync::Arc;

use serde_json::Value;

use crate::provider::{ModelName, ProviderParts};

/// A model whose opaque parts have more bytes than this in one answer is at fault.
const MOST_BYTES: usize = 1024 * 1024;

/// What a part counts beside its JSON, so that empty ones are bounded too.
const PART_BYTES: usize = 64;

/// The opaque parts of an answer have more than [`MOST_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the opaque parts of one answer have more than {MOST_BYTES} bytes")]
pub(crate) struct TooManyParts;

/// Collects the opaque parts of one answer.
#[derive(Debug, Default)]
pub(crate) struct PartsBuilder {
    parts: Vec<Value>,
    bytes: usize,
}

impl PartsBuilder {
    /// Takes the next part.
    ///
    /// # Errors
    ///
    /// When there are too many. The part is not taken then.
    pub(crate) fn push(&mut self, part: Value) -> Result<(), TooManyParts> {
        let bytes = part.to_string().len() + PART_BYTES;
        if bytes > MOST_BYTES - self.bytes {
            return Err(TooManyParts);
        }
        self.bytes += bytes;
        self.parts.push(part);
        Ok(())
    }

    /// The parts, given by the provider of this model; `None` when there are none, or the model has no name.
    pub(crate) fn finish(self, model: Option<ModelName>) -> Option<Arc<ProviderParts>> {
        if self.parts.is_empty() {
            return None;
        }
        Some(Arc::new(ProviderParts::new(model?.provider, self.parts)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_kept_in_their_order_for_a_model_with_a_name() {
        let parts = || {
            let mut parts = PartsBuilder::default();
            parts.push("a".into()).unwrap();
            parts.push(Value::Null).unwrap();
            parts
        };
        let kept = parts().finish(Some(ModelName::new("p", "m"))).unwrap();
        assert_eq!(
            *kept,
            ProviderParts::new("p", vec!["a".into(), Value::Null])
        );
        assert_eq!(parts().finish(None), None);
        let name = Some(ModelName::new("p", "m"));
        assert_eq!(PartsBuilder::default().finish(name), None);
    }

    #[test]
    fn an_answer_with_too_many_parts_is_refused_and_what_stood_stands() {
        let mut parts = PartsBuilder::default();
        let whole = "x".repeat(MOST_BYTES - PART_BYTES - 2);
        parts.push(whole.into()).unwrap();
        assert_eq!(parts.push(Value::Null), Err(TooManyParts));
        let kept = parts.finish(Some(ModelName::new("p", "m"))).unwrap();
        assert_eq!(kept.parts.len(), 1);

        let mut parts = PartsBuilder::default();
        let taken = std::iter::repeat_with(|| parts.push(Value::Null));
        let taken = taken.take_while(Result::is_ok).count();
        assert_eq!(taken, MOST_BYTES / (PART_BYTES + 4));
    }
}
