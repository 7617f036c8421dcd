//! The storyteller on a model behind OpenAI's protocol.

use quell::{
    Agent,
    models::{OpenAiChat, OpenAiError},
};

use super::{Failure, model::storyteller};

/// The agent for the provider that the environment names, with the model `name` or else the environment's.
pub(super) fn openai(name: Option<&str>) -> Result<Agent, Failure> {
    let chat = OpenAiChat::from_env().map_err(|error| match error {
        OpenAiError::MissingKey => format!("{error}: set one, or use `--model sim`").into(),
        error => Failure::from(error),
    })?;
    let chat = match name {
        Some(name) => chat.model(name),
        None => chat,
    };
    Ok(storyteller(chat)?)
}
