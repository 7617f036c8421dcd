//! `quell demo`: streams a run and cancels it while it speaks.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use quell::{
    CancelReason, CancelRequest, EventKind, Outcome, Run, Runtime, event::ModelRequestCompleted,
};

use super::{
    Failure, chunk,
    interrupt::{self, Interrupts},
    model::Choice,
    report::Report,
    tell, time,
};

/// Streams a story, cancels it before its end, and reports what the cancel did.
///
/// Ctrl-C cancels the run in the same way; a second Ctrl-C ends the program at once.
///
/// By default a simulated model tells the story, without a key or a network. If OPENAI_API_KEY or OPENAI_BASE_URL is
/// set (the latter for any server with the same protocol), that provider does; OPENAI_MODEL names the model.
#[derive(Args)]
pub(super) struct Demo {
    /// When to cancel the run: 3, 3s, 500ms, 2m, 1h
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = time::parse)]
    cancel_after: Duration,

    /// The model: sim, openai, or openai:NAME [default: openai if the environment configures it, else sim]
    #[arg(long, value_name = "MODEL")]
    model: Option<Choice>,

    /// What to ask the storyteller
    #[arg(
        default_value = "Write a very long story about a dragon who learns to code, with detailed descriptions and dialogue."
    )]
    prompt: String,
}

impl Demo {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let choice = self.model.unwrap_or_else(Choice::from_env);
        let agent = choice.storyteller()?;
        let interrupts = Interrupts::listen()?;
        let run = Runtime::new().start(&agent, self.prompt).await?;
        tokio::spawn(interrupt::cancel(run.clone(), interrupts));
        tokio::spawn(cancel_after(run.clone(), self.cancel_after));
        tell(format_args!(
            "[run {} on {choice}; will be cancelled after {:?}, or by Ctrl-C]",
            run.id(),
            self.cancel_after
        ));
        match show(&run).await {
            Ok(Outcome::Error(error)) => Err(error.message.clone().into()),
            Ok(Outcome::Completed(_) | Outcome::Cancelled(_)) => Ok(ExitCode::SUCCESS),
            Err(failure) => {
                // The output has no reader any more, and a model may cost money.
                let request = CancelRequest::new(CancelReason::Disconnected);
                run.cancel_with(request).await;
                Err(failure)
            }
        }
    }
}

async fn cancel_after(run: Run, delay: Duration) {
    tokio::time::sleep(delay).await;
    run.cancel_with(CancelRequest::default().by("the clock"))
        .await;
}

/// Prints the text of a run as it comes, and then how the run ended.
async fn show(run: &Run) -> Result<Outcome, Failure> {
    let mut events = run.events();
    let mut thinks = false;
    while let Some(event) = events.next().await {
        let event = event?;
        match &event.kind {
            EventKind::Content { text } => chunk::print(text)?,
            EventKind::ReasoningContent { .. } if !thinks => {
                thinks = true;
                tell(format_args!("[the model is thinking]"));
            }
            EventKind::ModelRequestCompleted(request) => tell_of_retry(request),
            _ => {}
        }
        if let Some(outcome) = event.kind.outcome() {
            let report = Report::new(run.id(), &outcome);
            write!(io::stdout(), "\n\n{report}")?;
            return Ok(outcome);
        }
    }
    Err("the event stream ended before the run did".into())
}

fn tell_of_retry(request: &ModelRequestCompleted) {
    if let (Some(fault), Some(pause)) = (&request.fault, request.retry_in_ms) {
        tell(format_args!(
            "[attempt {} failed: {}; the next one is in {:.1?}]",
            request.attempt,
            chunk::printable(fault),
            Duration::from_millis(pause)
        ));
    }
}
