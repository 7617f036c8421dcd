//! The one type in which an agent holds its tools.

use std::{fmt, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde::Serialize;
use serde_json::Value;

use super::{OnCancel, Tool, ToolContext, ToolError, ToolSettings};
use crate::{event::ToolFault, panics::last_words};

/// How many bytes of an error's text the model gets at most.
const MOST_FAULT_BYTES: usize = 64 * 1024;

/// The description of a tool that a model gets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolSpec {
    /// The name by which the model calls it.
    pub name: Arc<str>,
    /// What it does.
    pub about: Arc<str>,
    /// Its arguments, as a JSON Schema of an object.
    pub parameters: Value,
    /// The size of this description.
    bytes: u64,
}

impl ToolSpec {
    pub(super) fn new(name: &str, about: &str, parameters: Value) -> ToolSpec {
        let bytes = name.len() + about.len() + parameters.to_string().len();
        ToolSpec {
            name: name.into(),
            about: about.into(),
            parameters,
            bytes: bytes as u64,
        }
    }

    /// How many bytes of input this description is for a model.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// A tool of any kind, as an agent holds it. A [`Tool`] converts into it; the methods here change how its calls are
/// treated.
#[derive(Clone)]
pub struct AnyTool {
    spec: Arc<ToolSpec>,
    settings: ToolSettings,
    work: Arc<dyn DynTool>,
}

/// Why a call has no output: the kind of failure, and the text that the model gets.
pub(crate) type CallFault = (ToolFault, Arc<str>);

/// A running call. It returns its output as text, or why there is none.
pub(crate) type Called = BoxFuture<'static, Result<Arc<str>, CallFault>>;

/// The object-safe twin of [`Tool`].
pub(super) trait DynTool: Send + Sync {
    fn call(self: Arc<Self>, arguments: Arc<str>, context: ToolContext) -> Called;

    /// Whether a call runs on its own thread, so that dropping its future does not end it.
    fn is_blocking(&self) -> bool {
        false
    }
}

impl AnyTool {
    /// Converts a [`Tool`], with its name, description and settings.
    pub fn new<T: Tool>(tool: T) -> AnyTool {
        let settings = tool.settings();
        let spec = ToolSpec::new(T::NAME, T::ABOUT, schema_of::<T::Input>());
        AnyTool::from_parts(spec, settings, Typed(tool))
    }

    pub(super) fn from_parts(
        spec: ToolSpec,
        settings: ToolSettings,
        work: impl DynTool + 'static,
    ) -> AnyTool {
        AnyTool {
            spec: Arc::new(spec),
            settings,
            work: Arc::new(work),
        }
    }

    /// The name by which the model calls it.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// The description that the model gets.
    pub fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    /// How its calls are treated.
    pub fn settings(&self) -> &ToolSettings {
        &self.settings
    }

    /// Sets [`ToolSettings::on_cancel`].
    pub fn on_cancel(mut self, on_cancel: OnCancel) -> AnyTool {
        self.settings.on_cancel = on_cancel;
        self
    }

    /// Sets [`ToolSettings::timeout`].
    pub fn timeout(mut self, timeout: Duration) -> AnyTool {
        self.settings.timeout = Some(timeout);
        self
    }

    /// Makes each call wait for a person's approval ([`ToolSettings::confirm`]).
    pub fn confirm(mut self) -> AnyTool {
        self.settings.confirm = true;
        self
    }

    /// Leaves each call to the caller ([`ToolSettings::external`]).
    pub fn external(mut self) -> AnyTool {
        self.settings.external = true;
        self
    }

    /// Allows a call to be repeated after a crash ([`ToolSettings::repeatable`]).
    pub fn repeatable(mut self) -> AnyTool {
        self.settings.repeatable = true;
        self
    }

    /// Sets all settings.
    pub fn with_settings(mut self, settings: ToolSettings) -> AnyTool {
        self.settings = settings;
        self
    }

    /// Calls the tool outside any run, for tests. Returns the output that the model would get.
    ///
    /// # Errors
    ///
    /// The kind of failure, and the text that the model would get.
    pub async fn call(
        &self,
        arguments: &str,
        context: ToolContext,
    ) -> Result<Arc<str>, (ToolFault, Arc<str>)> {
        self.begin(arguments.into(), context).await
    }

    /// Makes a call. Nothing happens before the future is polled: even parsing the arguments is code of the tool's
    /// author. A call that is cancelled before its first poll does not start.
    pub(crate) fn begin(&self, arguments: Arc<str>, context: ToolContext) -> Called {
        let most = self.settings.max_output_bytes;
        let work = self.work.clone();
        async move {
            if context.is_cancelled() {
                return Err(not_begun());
            }
            let called = async move { work.call(arguments, context).await };
            let result = AssertUnwindSafe(called).catch_unwind().await;
            let output = result
                .unwrap_or_else(|panic| Err(panicked(&last_words(panic))))
                .map_err(|(kind, words)| (kind, in_bounds(words)))?;
            too_long(&output, most).map_or(Ok(output), Err)
        }
        .boxed()
    }

    /// Whether a call runs on its own thread, so that dropping its future does not end it.
    pub(crate) fn is_blocking(&self) -> bool {
        self.work.is_blocking()
    }
}

impl<T: Tool> From<T> for AnyTool {
    fn from(tool: T) -> AnyTool {
        AnyTool::new(tool)
    }
}

impl fmt::Debug for AnyTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyTool")
            .field("name", &self.spec.name)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// The twin of a [`Tool`].
struct Typed<T>(T);

impl<T: Tool> DynTool for Typed<T> {
    fn call(self: Arc<Self>, arguments: Arc<str>, context: ToolContext) -> Called {
        async move { told(self.0.call(parse(&arguments)?, context).await) }.boxed()
    }
}

/// The fault of a call that was cancelled before it started.
pub(super) fn not_begun() -> CallFault {
    let told = "The call was not begun: it was to end before that.";
    (ToolFault::NotStarted, told.into())
}

/// The fault of a call that panicked.
pub(crate) fn panicked(words: &str) -> CallFault {
    let told = format!("the tool panicked: {words}");
    (ToolFault::Panicked, in_bounds(told))
}

/// The fault of a call whose output is longer than `most` bytes, if it is.
pub(crate) fn too_long(output: &str, most: usize) -> Option<CallFault> {
    let bytes = output.len();
    let told = || format!("the output has {bytes} bytes, and at most {most} are allowed");
    (bytes > most).then(|| (ToolFault::Failed, told().into()))
}

/// Shortens an error's text to what the model may get: a tool may quote its whole input or output in it.
pub(crate) fn in_bounds(words: impl AsRef<str> + Into<Arc<str>>) -> Arc<str> {
    let text = words.as_ref();
    if text.len() <= MOST_FAULT_BYTES {
        return words.into();
    }
    let end = text.floor_char_boundary(MOST_FAULT_BYTES);
    format!("{} [cut: it has {} bytes]", &text[..end], text.len()).into()
}

/// The JSON Schema of a type in the form that providers accept: with all definitions inlined.
pub(super) fn schema_of<T: schemars::JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = SchemaGenerator::new(settings)
        .into_root_schema_for::<T>()
        .to_value();
    if let Some(object) = schema.as_object_mut() {
        // The name of a Rust type is of no use to a model.
        object.remove("title");
        // Providers require an object, even for a tool without arguments.
        if object.get("type") != Some(&Value::from("object")) && !object.contains_key("anyOf") {
            object.insert("type".into(), "object".into());
        }
        object
            .entry("properties")
            .or_insert_with(|| Value::Object(serde_json::Map::new()));
    }
    schema
}

/// Parses the arguments of a call. An empty text counts as an empty object, because some models send it for one.
pub(super) fn parse<T: serde::de::DeserializeOwned>(arguments: &str) -> Result<T, CallFault> {
    let text = if arguments.trim().is_empty() {
        "{}"
    } else {
        arguments
    };
    serde_json::from_str(text)
        .or_else(|error| {
            // A tool whose input is `()` accepts an empty object.
            if text.trim() == "{}"
                && let Ok(nothing) = serde_json::from_str("null")
            {
                return Ok(nothing);
            }
            Err(error)
        })
        .map_err(|error| {
            let told = format!("the arguments are not valid: {error}");
            (ToolFault::InvalidArguments, told.into())
        })
}

/// Converts the result of a tool into the text that the model gets.
pub(super) fn told<T: Serialize>(result: Result<T, ToolError>) -> Result<Arc<str>, CallFault> {
    let failed = |message: &str| (ToolFault::Failed, Arc::from(message));
    let output = result.map_err(|error| failed(error.message()))?;
    let value = serde_json::to_value(output)
        .map_err(|error| failed(&format!("the output cannot be written as JSON: {error}")))?;
    Ok(match value {
        Value::String(text) => text.into(),
        other => other.to_string().into(),
    })
}
