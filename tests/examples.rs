//! Every example does what its first line says.

mod programs;

use programs::{Ended, example, run, tale};
use quell::sim::Storyteller;

const REFRAIN: &str = "and the sea ";

async fn outcome_of(name: &str) -> Ended {
    run(&mut example(name)).await.expect_success()
}

/// Whether this is a beginning of the song, and not all of it.
fn is_part_of_the_song(text: &str) -> bool {
    let song = REFRAIN.repeat(99);
    !text.is_empty() && text.len() < song.len() && song.starts_with(text)
}

/// A text that was printed with `{:?}`, and has nothing to escape.
fn unquoted(text: &str) -> &str {
    text.trim_matches('"')
}

#[tokio::test]
async fn hello_cancel_keeps_what_was_said() {
    let ended = outcome_of("hello_cancel").await;
    let kept = ended.stdout.trim_start().strip_prefix("[kept] ").unwrap();
    let kept = kept.strip_suffix('\n').unwrap();
    assert!(is_part_of_the_song(kept), "{ended:#?}");
    assert_eq!(ended.stderr, kept, "what was streamed is what was kept");
}

#[tokio::test]
async fn cancel_run_reports_a_cancelled_run() {
    let ended = outcome_of("cancel_run").await;
    let (told, _) = ended.stdout.split_once("\n\n").unwrap();
    let story = tale(Storyteller::endless().seed(6), told.len()).await;
    assert!(!told.is_empty() && story.starts_with(told), "{ended:#?}");
    assert_eq!(ended.value("cancel was accepted"), "true");
    assert_eq!(ended.value("status"), "cancelled");
    assert_eq!(ended.value("was cancelled"), "true");
    let id = ended.value("run id");
    assert_eq!(ended.value(&format!("{id} was cancelled")), "requested");
    let preview = ended.value("content preview").strip_suffix("...").unwrap();
    assert!(story.starts_with(preview), "{ended:#?}");
}

#[tokio::test]
async fn embed_hears_forty_characters_and_cancels() {
    let ended = outcome_of("embed").await;
    let heard = unquoted(ended.value("heard"));
    let kept = unquoted(ended.value("kept"));
    assert!(heard.len() >= 40 && is_part_of_the_song(kept), "{ended:#?}");
    // More text may arrive after the cancel.
    assert!(kept.starts_with(heard), "{ended:#?}");
    assert_eq!(ended.stderr, "");
}

#[tokio::test]
async fn many_runs_all_end() {
    let ended = outcome_of("many_runs").await;
    for (name, count) in [
        ("cancels answered", "100"),
        ("completed", "200"),
        ("cancelled", "100"),
        ("failed", "0"),
    ] {
        assert_eq!(ended.value(name), count, "{name} in {ended:#?}");
    }
    let kept: usize = ended.value("bytes of text kept").parse().unwrap();
    assert!(kept > 200 * 20 * REFRAIN.len(), "{ended:#?}");
}

#[tokio::test]
async fn supervision_ends_each_run_and_lets_the_others_go_on() {
    let ended = outcome_of("supervision").await;
    for (name, how, refrains) in [
        (
            "panics",
            "error (the model panicked: the storyteller was told to panic at word 3)",
            1,
        ),
        ("fails", "error (the line to the model is dead)", 2),
        ("falls silent", "cancelled (silent for too long)", 3),
        ("sings", "completed (it has said all of it)", 10),
    ] {
        let expected = format!("{name}: {how}\n    kept: {:?}\n", REFRAIN.repeat(refrains));
        assert!(ended.stdout.contains(&expected), "{name} in {ended:#?}");
    }
}

#[tokio::test]
async fn session_remembers_and_is_busy() {
    let ended = outcome_of("session").await;
    for (name, said) in [
        (
            "rejected",
            "session \"harbour\" is busy: a run of it has not ended",
        ),
        (
            "beside it",
            "You say \"Over here!\", and I remember 4 messages.",
        ),
        ("waits", "pending"),
        ("singer", "cancelled (superseded)"),
        ("runs of the session", "6"),
    ] {
        assert_eq!(ended.value(name), said, "{name} in {ended:#?}");
    }
    let remembered = "echo: You say \"What is my name?\", and I remember 2 messages.\n";
    assert!(ended.stdout.contains(remembered), "{ended:#?}");
    let [first, then] = ["came first", "waited"].map(|name| ended.value(name));
    assert!(first.starts_with("You say \"Stop that.\""), "{ended:#?}");
    assert!(then.starts_with("You say \"And now?\""), "{ended:#?}");
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn approve_goes_on_in_another_life_with_what_was_decided() {
    let ended = outcome_of("approve").await;
    for (name, said) in [
        ("paused", "2 calls wait for a person"),
        ("waiting", "1"),
        ("not done", "He is not to have any."),
        ("done", "the baker has 4 euros more"),
        ("clerk", "That is settled."),
    ] {
        assert_eq!(ended.value(name), said, "{name} in {ended:#?}");
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn recover_settles_what_a_killed_process_has_left() {
    let ended = outcome_of("recover").await;
    assert!(
        ended.stdout.contains("the first process was killed\n"),
        "{ended:#?}"
    );
    assert_eq!(ended.value("poet"), "error");
    assert_eq!(ended.value("steady"), "completed");
    let said = "and the sea and the sea\"\n";
    assert!(ended.stdout.contains(said), "{ended:#?}");
}
