//! Tools made from closures.

use std::{future::Future, marker::PhantomData, sync::Arc};

use futures::FutureExt;
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    AnyTool, ToolContext, ToolError, ToolSettings, ToolSpec,
    any::{Called, DynTool, not_begun, panicked, parse, schema_of, told},
};
use crate::{event::ToolFault, panics::last_words};

/// A tool made from an asynchronous closure.
pub fn from_fn<I, O, F, Fut>(name: &str, about: &str, call: F) -> AnyTool
where
    I: DeserializeOwned + JsonSchema + Send + 'static,
    O: Serialize + Send + 'static,
    F: Fn(I, ToolContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O, ToolError>> + Send + 'static,
{
    let spec = ToolSpec::new(name, about, schema_of::<I>());
    let work = Async {
        call,
        input: PhantomData::<fn(I)>,
    };
    AnyTool::from_parts(spec, ToolSettings::default(), work)
}

/// A tool whose arguments are described by this JSON Schema: for tools that are known only at run time. Arguments are
/// not checked against the schema.
pub fn from_schema<O, F, Fut>(name: &str, about: &str, parameters: Value, call: F) -> AnyTool
where
    O: Serialize + Send + 'static,
    F: Fn(Value, ToolContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O, ToolError>> + Send + 'static,
{
    let spec = ToolSpec::new(name, about, parameters);
    let work = Async {
        call,
        input: PhantomData::<fn(Value)>,
    };
    AnyTool::from_parts(spec, ToolSettings::default(), work)
}

/// A tool whose calls are made by the caller and not by this process ([`ToolSettings::external`]), for example on a
/// user's own machine. Its arguments are described by this JSON Schema.
pub fn external(name: &str, about: &str, parameters: Value) -> AnyTool {
    let nobody = |_: Value, _: ToolContext| async {
        Err::<(), _>(ToolError::new(
            "the caller does this, and it is not called here",
        ))
    };
    from_schema(name, about, parameters, nobody).external()
}

/// A tool made from a closure that blocks its thread. Each call runs on its own thread, which cannot be ended from
/// outside: a cancelled call sees [`ToolContext::is_cancelled`] and is abandoned; its later result is dropped.
pub fn blocking_fn<I, O, F>(name: &str, about: &str, call: F) -> AnyTool
where
    I: DeserializeOwned + JsonSchema + Send + 'static,
    O: Serialize + Send + 'static,
    F: Fn(I, ToolContext) -> Result<O, ToolError> + Send + Sync + 'static,
{
    let spec = ToolSpec::new(name, about, schema_of::<I>());
    let work = Blocking {
        call: Arc::new(call),
        input: PhantomData::<fn(I)>,
    };
    AnyTool::from_parts(spec, ToolSettings::default(), work)
}

struct Async<F, I> {
    call: F,
    input: PhantomData<fn(I)>,
}

impl<I, O, F, Fut> DynTool for Async<F, I>
where
    I: DeserializeOwned + Send + 'static,
    O: Serialize + Send + 'static,
    F: Fn(I, ToolContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O, ToolError>> + Send + 'static,
{
    fn call(self: Arc<Self>, arguments: Arc<str>, context: ToolContext) -> Called {
        async move { told((self.call)(parse(&arguments)?, context).await) }.boxed()
    }
}

struct Blocking<F, I> {
    call: Arc<F>,
    input: PhantomData<fn(I)>,
}

impl<I, O, F> DynTool for Blocking<F, I>
where
    I: DeserializeOwned + Send + 'static,
    O: Serialize + Send + 'static,
    F: Fn(I, ToolContext) -> Result<O, ToolError> + Send + Sync + 'static,
{
    fn call(self: Arc<Self>, arguments: Arc<str>, context: ToolContext) -> Called {
        let call = self.call.clone();
        async move {
            let input = parse(&arguments)?;
            let thread = tokio::task::spawn_blocking(move || {
                // The call may have waited long for a thread, and cannot be removed from that queue.
                if context.is_cancelled() {
                    return Err(not_begun());
                }
                told(call(input, context))
            });
            thread.await.unwrap_or_else(|error| {
                Err(match error.try_into_panic() {
                    Ok(panic) => panicked(&last_words(panic)),
                    Err(_) => (ToolFault::NotFinished, "the tool was not begun".into()),
                })
            })
        }
        .boxed()
    }

    fn is_blocking(&self) -> bool {
        true
    }
}
