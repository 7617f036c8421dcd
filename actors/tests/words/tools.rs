//! How calls of tools fail and end, and where numbers of tokens come from.

use quell_actors::{cancel::ToolEnd, event::ToolFault, usage::UsageSource};

use super::check;

#[test]
fn the_faults_and_ends_of_calls_have_these_forms() {
    for (fault, json) in [
        (ToolFault::Failed, r#""failed""#),
        (ToolFault::Panicked, r#""panicked""#),
        (ToolFault::TimedOut, r#""timed_out""#),
        (ToolFault::UnknownTool, r#""unknown_tool""#),
        (ToolFault::InvalidArguments, r#""invalid_arguments""#),
        (ToolFault::Rejected, r#""rejected""#),
        (ToolFault::Cancelled, r#""cancelled""#),
        (ToolFault::NotStarted, r#""not_started""#),
        (ToolFault::NotFinished, r#""not_finished""#),
        (ToolFault::UnknownOutcome, r#""unknown_outcome""#),
    ] {
        check(&fault, json);
    }
    for (end, json) in [
        (ToolEnd::Finished, r#""finished""#),
        (ToolEnd::Stopped, r#""stopped""#),
        (ToolEnd::Abandoned, r#""abandoned""#),
        (ToolEnd::NotStarted, r#""not_started""#),
        (ToolEnd::Unknown, r#""unknown""#),
    ] {
        check(&end, json);
    }
}

#[test]
fn the_sources_of_a_number_of_tokens_have_these_forms() {
    for (source, json) in [
        (UsageSource::None, r#""none""#),
        (UsageSource::Provider, r#""provider""#),
        (UsageSource::Estimate, r#""estimate""#),
    ] {
        check(&source, json);
    }
}
