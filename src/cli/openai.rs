//! The storyteller behind the protocol of OpenAI.

use quell::{
    Agent,
    models::{OpenAiChat, OpenAiError},
};

use super::{Failure, model::storyteller};

/// Asks the provider that the environment names, for the model `name` or else for the one that the environment says.
pub(super) fn openai(name: Option<&str>) -> Result<Agent, Failure> {
    let chat = OpenAiChat::from_env().map_err(|error| match error {
        OpenAiError::MissingKey => format!("{error}; `--model sim` needs neither").into(),
        error => Failure::from(error),
    })?;
    let chat = match name {
        Some(name) => chat.model(name),
        None => chat,
    };
    Ok(storyteller(chat)?)
}
