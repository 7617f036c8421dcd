//! What a caller gives to a run beside its input: a user, and a context that its tools read.

use std::sync::{Arc, Mutex};

use quell_actors::{
    Agent, EventKind, NewRun, Runtime, ToolContext,
    error::StartError,
    event::{Context, Started},
    model::ModelName,
    sim::Storyteller,
    tool::{self, AnyTool},
};
use serde_json::{Map, Value, json};

use super::{
    ended,
    support::{self, all_events, nothing_left, watcher::watcher},
};

fn map(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn context() -> Context {
    Context::new()
        .metadata(map(json!({"tag": "a"})))
        .dependencies(map(json!({"shop": 7})))
        .session_state(map(json!({"step": 2})))
}

async fn started(run: &quell_actors::Run) -> Arc<Started> {
    match &all_events(run).await[0].kind {
        EventKind::Started(started) => started.clone(),
        other => panic!("{other:?}"),
    }
}

/// The users and contexts that tools got.
#[derive(Clone, Default)]
struct Given(Arc<Mutex<Vec<Seen>>>);

/// A user, and a context.
type Seen = (Option<String>, Context);

impl Given {
    fn tool(&self) -> AnyTool {
        let given = self.clone();
        let look = move |_: Value, context: ToolContext| {
            let user = context.user_id().map(str::to_owned);
            let all = (user, context.context().clone());
            given.0.lock().unwrap().push(all);
            async { Ok("seen") }
        };
        tool::from_schema("look", "Looks.", json!({"type": "object"}), look)
    }

    fn all(&self) -> Vec<Seen> {
        self.0.lock().unwrap().clone()
    }
}

fn looker(given: &Given) -> Agent {
    let model = Storyteller::new("done").calling("look", json!({}));
    let agent = Agent::builder("looker", model).tool(given.tool());
    agent.build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_run_stores_its_user_its_context_and_its_models_name_and_its_tools_see_them() {
    let (runtime, given) = (Runtime::new(), Given::default());
    let new = NewRun::new("Look.").user("ann").context(context());
    let run = runtime.start(&looker(&given), new).await.unwrap();
    let [info] = &runtime.list()[..] else {
        panic!("one run is listed");
    };
    assert_eq!((info.user_id.as_deref(), info.parent), (Some("ann"), None));
    ended(&run).await;
    let started = started(&run).await;
    assert_eq!(started.user_id.as_deref(), Some("ann"));
    assert_eq!(started.context.as_deref(), Some(&context()));
    assert_eq!(started.model, Some(ModelName::new("sim", "storyteller")));
    assert_eq!(given.all(), [(Some("ann".to_owned()), context())]);
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_given_nothing_stores_nothing_of_it() {
    let (runtime, given) = (Runtime::new(), Given::default());
    let new = NewRun::new("Look.").context(Context::new());
    let run = runtime.start(&looker(&given), new).await.unwrap();
    ended(&run).await;
    let started = started(&run).await;
    assert_eq!((&started.user_id, &started.context), (&None, &None));
    assert_eq!(given.all(), [(None, Context::new())]);
}

#[tokio::test(start_paused = true)]
async fn users_and_contexts_that_cannot_be_are_refused() {
    let (runtime, agent) = (Runtime::new(), looker(&Given::default()));
    for (user, bytes) in [("", 0), ("a\nb", 3), (&*"x".repeat(257), 257)] {
        let refused = runtime.start(&agent, NewRun::new("Go.").user(user)).await;
        assert_eq!(refused.unwrap_err(), StartError::InvalidUser { bytes });
    }
    // {"metadata":{"x":".."}} has 21 bytes beside the text.
    let with = |bytes: usize| {
        let text = "x".repeat(bytes - 21);
        NewRun::new("Go.").context(Context::new().metadata(map(json!({"x": text}))))
    };
    let refused = runtime.start(&agent, with(Context::MAX_BYTES + 1)).await;
    let bytes = Context::MAX_BYTES + 1;
    assert_eq!(refused.unwrap_err(), StartError::LargeContext { bytes });
    let run = runtime.start(&agent, with(Context::MAX_BYTES)).await;
    ended(&run.unwrap()).await;
    nothing_left(&runtime);
}

#[tokio::test(start_paused = true)]
async fn a_child_is_for_the_user_of_its_parent_unless_it_is_for_another() {
    for (own, expected) in [(None, "ann"), (Some("bob"), "bob")] {
        let (runtime, children) = (Runtime::new(), Arc::new(Mutex::new(Vec::new())));
        let mut heard = watcher(&runtime, &support::tools::open()).await;
        let (starts, kept) = (runtime.clone(), children.clone());
        let ask = move |_: Value, context: ToolContext| {
            let (runtime, kept) = (starts.clone(), kept.clone());
            async move {
                let mut new = NewRun::new("Help.");
                if let Some(own) = own {
                    new = new.user(own);
                }
                let helper = support::poet(Storyteller::new("Here."));
                let child = runtime.start(&helper, new.child_of(&context)).await?;
                kept.lock().unwrap().push(child.clone());
                Ok(child.outcome().await?.text().to_owned())
            }
        };
        let ask = tool::from_schema("ask", "Asks.", json!({"type": "object"}), ask);
        let model = Storyteller::new("done").calling("ask", json!({}));
        let agent = Agent::builder("boss", model).tool(ask).build().unwrap();
        let new = NewRun::new("Go.").user("ann").context(context());
        let run = runtime.start(&agent, new).await.unwrap();
        ended(&run).await;
        let child = children.lock().unwrap()[0].clone();
        let of_child = started(&child).await;
        assert_eq!(of_child.user_id.as_deref(), Some(expected));
        assert_eq!(
            (of_child.parent, &of_child.context),
            (Some(run.id()), &None)
        );

        // A watcher of the runtime sees the user of each run.
        let mut seen = 0;
        while let Ok(change) = heard.try_recv() {
            let change = change.unwrap();
            let is_child = change.run_id == child.id();
            let whose = if is_child { expected } else { "ann" };
            assert_eq!(change.user_id.as_deref(), Some(whose));
            assert_eq!(change.parent, is_child.then(|| run.id()));
            seen += 1;
        }
        assert!(seen >= 4, "{seen} changes");
    }
}

#[test]
fn a_tool_is_tested_with_a_user_and_a_context() {
    let (alone, _) = ToolContext::alone("call-1");
    assert_eq!((alone.user_id(), alone.context()), (None, &Context::new()));
    let given = alone.for_user("ann").with_context(context());
    assert_eq!(
        (given.user_id(), given.context()),
        (Some("ann"), &context())
    );
}
