//! Failing calls: the model gets the error, and the run continues.

use quell_actors::{
    Outcome, Runtime, ToolContext,
    outcome::ErrorReason,
    sim::Storyteller,
    tool,
    tool::{AnyTool, ToolError, ToolSettings},
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use super::{
    BOTH, clerk, ended, results,
    scripted::{Scripted, call, wants_tools},
    start,
    support::{all_events, nothing_left},
};

#[derive(Deserialize, JsonSchema)]
struct Sum {
    a: i64,
    b: i64,
}

/// An input or output type whose serde code panics.
struct Panics;

impl<'de> Deserialize<'de> for Panics {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Panics, D::Error> {
        panic!("it cannot be read")
    }
}

impl Serialize for Panics {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("it cannot be written")
    }
}

impl JsonSchema for Panics {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Panics".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Value::json_schema(generator)
    }
}

/// A panic payload that panics again when it is dropped.
struct Twice;

impl Drop for Twice {
    fn drop(&mut self) {
        panic!("and again")
    }
}

#[allow(clippy::unnecessary_wraps, reason = "tools return results")]
fn tools() -> Vec<AnyTool> {
    vec![
        tool::from_fn(
            "sum",
            "Adds.",
            |sum: Sum, _| async move { Ok(sum.a + sum.b) },
        ),
        tool::from_fn("unit", "Takes and returns nothing.", |(): (), _| async {
            Ok(())
        }),
        tool::from_fn("empty", "Returns an empty text.", |(): (), _| async {
            Ok("")
        }),
        tool::from_fn("list", "Returns a list.", |(): (), _| async {
            Ok(vec![1, 2])
        }),
        tool::from_fn("fails", "Fails.", |(): (), _| async {
            Err::<(), _>(ToolError::new("no such city"))
        }),
        tool::from_fn("io", "Fails.", |(): (), _| async {
            std::fs::read_to_string("/no/such/file")?;
            Ok(())
        }),
        tool::from_fn("panics", "Panics.", |input: Value, _| async move {
            assert_eq!(input["a"], 1, "told to");
            Ok(())
        }),
        tool::from_fn("early", "Panics early.", |_: Value, _: ToolContext| {
            assert!(std::hint::black_box(false), "before the future");
            async { Ok(()) }
        }),
        tool::from_fn("reads", "Cannot read.", |_: Panics, _| async { Ok(()) }),
        tool::from_fn("writes", "Cannot write.", |(): (), _| async { Ok(Panics) }),
        tool::from_fn("twice", "Panics twice.", |(): (), _| async {
            std::panic::panic_any(Twice);
            #[allow(unreachable_code, reason = "it has a type")]
            Ok(())
        }),
        tool::from_fn("map", "Returns what JSON has not.", |(): (), _| async {
            Ok(std::collections::HashMap::from([((1, 2), 3)]))
        }),
        tool::blocking_fn("thread", "Panics on its thread.", |(): (), _| {
            assert!(std::hint::black_box(false), "on a thread");
            Ok(())
        }),
    ]
}

/// Makes one call of `name`, and returns its result as the model gets it.
async fn told(name: &str, arguments: &str) -> String {
    let mut told = Vec::new();
    for how in BOTH {
        let model = Scripted::new().answer([call(0, "a", name, arguments), wants_tools()]);
        let runtime = Runtime::new();
        let agent = tools()
            .into_iter()
            .fold(clerk(model.clone()), |agent, tool| agent.tool(tool));
        let run = start(how, &runtime, &agent.build().unwrap()).await;
        let outcome = ended(&run).await;
        assert_eq!(
            outcome.text(),
            "end",
            "{name}: the run goes on: {outcome:?}"
        );
        let results = results(&run).await;
        let [(_, result)] = &results[..] else {
            panic!("{name}: {results:?}");
        };
        let text = model.last_texts().pop().unwrap();
        assert!(result.ends_with(&text), "the model is told what is stored");
        told.push(result.clone());
        nothing_left(&runtime);
    }
    assert_eq!(told[0], told[1]);
    told.swap_remove(0)
}

#[tokio::test(start_paused = true)]
async fn whatever_a_call_returns_the_model_is_told() {
    for (name, arguments, expected) in [
        ("sum", r#"{"a": 1, "b": 2}"#, "3"),
        ("unit", "", "null"),
        ("unit", " {} ", "null"),
        ("empty", "", ""),
        ("list", "", "[1,2]"),
        ("fails", "", "failed: no such city"),
        ("panics", r#"{"a": 1}"#, "null"),
        (
            "early",
            "{}",
            "panicked: the tool panicked: before the future",
        ),
        (
            "reads",
            "{}",
            "panicked: the tool panicked: it cannot be read",
        ),
        (
            "writes",
            "{}",
            "panicked: the tool panicked: it cannot be written",
        ),
        ("twice", "{}", "panicked: the tool panicked: without a text"),
        ("thread", "{}", "panicked: the tool panicked: on a thread"),
        (
            "nothing",
            "{}",
            "unknown_tool: there is no tool of the name \"nothing\"",
        ),
        (
            "no name",
            "{}",
            "unknown_tool: there is no tool of the name \"no name\"",
        ),
        ("", "{}", "unknown_tool: there is no tool of the name \"\""),
    ] {
        assert_eq!(told(name, arguments).await, expected, "{name} {arguments}");
    }
}

#[tokio::test(start_paused = true)]
async fn faults_have_their_kind_and_their_cause() {
    for (name, arguments, kind, cause) in [
        ("sum", "{", "invalid_arguments: ", "EOF"),
        ("sum", "", "invalid_arguments: ", "missing field `a`"),
        (
            "sum",
            "[1]",
            "invalid_arguments: ",
            "the arguments are not valid",
        ),
        ("sum", "null", "invalid_arguments: ", "invalid type"),
        (
            "sum",
            r#"{"a": 1, "b": "two"}"#,
            "invalid_arguments: ",
            "two",
        ),
        ("panics", "{}{}", "invalid_arguments: ", "trailing"),
        ("unit", r#"{"a": 1}"#, "invalid_arguments: ", "invalid type"),
        ("io", "", "failed: ", "No such file"),
        ("panics", "{}", "panicked: the tool panicked: ", "told to"),
        (
            "map",
            "{}",
            "failed: the output cannot be written as JSON: ",
            "key must be a string",
        ),
    ] {
        let told = told(name, arguments).await;
        assert!(
            told.starts_with(kind) && told.contains(cause),
            "{name} {arguments}: {told}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_panic_says_stands_in_the_result_and_nowhere_else() {
    let tool = tool::from_fn("panics", "Panics.", |_: Value, _| async {
        panic!("a secret");
        #[allow(unreachable_code, reason = "it has a type")]
        Ok(())
    });
    let agent = clerk(super::calls(&["panics"])).tool(tool).build().unwrap();
    let run = start(super::How::Own, &Runtime::new(), &agent).await;
    ended(&run).await;
    let says = |event: &&quell_actors::RunEvent| {
        serde_json::to_string(event).unwrap().contains("a secret")
    };
    assert_eq!(all_events(&run).await.iter().filter(says).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_agent_without_tools_fails_when_its_model_calls_one() {
    let model = Storyteller::new("never").calling("echo", json!({}));
    let run = start(
        super::How::Own,
        &Runtime::new(),
        &clerk(model).build().unwrap(),
    )
    .await;
    let Outcome::Error(error) = ended(&run).await else {
        panic!("it fails");
    };
    assert_eq!(error.reason, ErrorReason::UnexpectedToolCall);
}

#[tokio::test(start_paused = true)]
async fn an_output_has_a_limit_of_its_own() {
    for (bytes, fits) in [(0, true), (9, true), (10, true), (11, false)] {
        let tool = tool::from_fn("long", "Says much.", move |(): (), _| async move {
            Ok("é".repeat(bytes / 2) + &"x".repeat(bytes % 2))
        });
        let tool = tool.with_settings(ToolSettings {
            max_output_bytes: 10,
            ..ToolSettings::default()
        });
        let agent = clerk(super::calls(&["long"])).tool(tool).build().unwrap();
        let run = start(super::How::Own, &Runtime::new(), &agent).await;
        assert_eq!(ended(&run).await.text(), "all done");
        let result = &results(&run).await[0].1;
        let expected = "failed: the output has 11 bytes, and at most 10 are allowed";
        assert!(
            if fits {
                result.len() == bytes
            } else {
                result == expected
            },
            "{result}"
        );
    }
}
