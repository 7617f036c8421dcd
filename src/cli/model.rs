//! The choice of a model on the command line.

use std::{env, fmt, str::FromStr};

use quell::{Agent, Model, error::AgentError, sim::Storyteller};

use super::Failure;
#[cfg(feature = "http-models")]
use super::openai::openai;

/// A model, as named on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// The simulated model.
    Sim,
    /// A model behind OpenAI's protocol. Without a name, the environment decides.
    OpenAi(Option<String>),
}

impl Choice {
    /// The provider that the environment configures, or else the simulation.
    pub(super) fn from_env() -> Choice {
        let is_set = |name| {
            env::var_os(name).is_some_and(|value| !value.to_string_lossy().trim().is_empty())
        };
        if cfg!(feature = "http-models") && (is_set("OPENAI_API_KEY") || is_set("OPENAI_BASE_URL"))
        {
            Choice::OpenAi(None)
        } else {
            Choice::Sim
        }
    }

    /// An agent that tells stories with this model.
    pub(super) fn storyteller(&self) -> Result<Agent, Failure> {
        match self {
            Choice::Sim => Ok(storyteller(Storyteller::endless().seed(6).jitter(0.5))?),
            Choice::OpenAi(name) => openai(name.as_deref()),
        }
    }
}

pub(super) fn storyteller(model: impl Model) -> Result<Agent, AgentError> {
    Agent::builder("Storyteller", model)
        .description("Writes long and detailed stories")
        .instructions("You are a storyteller. Begin with the story at once, and take your time.")
        .build()
}

#[cfg(not(feature = "http-models"))]
fn openai(_: Option<&str>) -> Result<Agent, Failure> {
    Err("this program was built without the feature `http-models`: use `--model sim`".into())
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Choice, String> {
        match text.split_once(':').unwrap_or((text, "")) {
            ("sim", "") => Ok(Choice::Sim),
            ("openai", "") if text == "openai" => Ok(Choice::OpenAi(None)),
            ("openai", name) if !name.is_empty() => Ok(Choice::OpenAi(Some(name.to_owned()))),
            _ => Err("unknown model: expected sim, openai or openai:NAME".to_owned()),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Choice::Sim => f.write_str("sim"),
            Choice::OpenAi(None) => f.write_str("openai"),
            Choice::OpenAi(Some(name)) => write!(f, "openai:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_named_by_provider_and_name() {
        let named = |name: &str| Choice::OpenAi(Some(name.to_owned()));
        for (text, expected) in [
            ("sim", Some(Choice::Sim)),
            ("openai", Some(Choice::OpenAi(None))),
            ("openai:gpt-5-mini", Some(named("gpt-5-mini"))),
            ("openai:llama3:8b", Some(named("llama3:8b"))),
            ("openai:", None),
            ("sim:x", None),
            ("gpt-5-mini", None),
            ("", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text:?}");
            if let Some(choice) = expected {
                assert_eq!(choice.to_string(), text);
            }
        }
    }
}
