//! The house rules, as tests: dependencies only go down, no file is too long, and each fact is known in one place.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below `folder`, with their path from the root and their text.
fn files(folder: &str) -> Vec<(String, String)> {
    fn walk(at: &Path, found: &mut Vec<PathBuf>) {
        let mut entries: Vec<_> = fs::read_dir(at)
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    assert!(!found.is_empty(), "{folder} has files");
    found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(root()).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            (name.to_str().unwrap().to_owned(), text)
        })
        .collect()
}

/// The lines of code, without comments and without the unit tests at the end.
fn code(text: &str) -> String {
    let above_tests = text.split("\n#[cfg(test)]").next().unwrap();
    above_tests
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn no_file_is_longer_than_400_lines_and_most_are_short() {
    let mut lengths = Vec::new();
    for folder in ["actors/src", "src"] {
        for (name, text) in files(folder) {
            let lines = text.lines().count();
            assert!(lines <= 400, "{name} has {lines} lines: it holds two ideas");
            lengths.push(code(&text).lines().count());
        }
    }
    for folder in ["actors/tests", "tests", "examples", "benches"] {
        for (name, text) in files(folder) {
            let lines = text.lines().count();
            assert!(
                lines <= 400,
                "{name} has {lines} lines: it tests two things"
            );
        }
    }
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(median <= 150, "the median file has {median} lines of code");
}

/// The layers of `quell-actors`, lowest first. A file knows its own layer and those below it.
const LAYERS: [(&str, &[&str]); 7] = [
    ("tools", &["lock", "panics"]),
    (
        "words",
        &[
            "id",
            "message",
            "event",
            "status",
            "error",
            "cancel",
            "outcome",
            "usage",
            "context",
            "provider",
            "transcript",
            "view",
            "settings",
        ],
    ),
    ("law", &["machine"]),
    ("seams", &["agent", "model", "tool", "store", "sim"]),
    ("time", &["clock"]),
    ("runs", &["run"]),
    ("the runtime", &["runtime"]),
];

fn layer(module: &str) -> usize {
    LAYERS
        .iter()
        .position(|(_, modules)| modules.contains(&module))
        .unwrap_or_else(|| panic!("the module {module} has no layer"))
}

/// The modules named after `crate::` in `code`, also in nested `use` lists.
fn used_modules(code: &str) -> Vec<String> {
    let mut modules = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            modules.extend(names_in_list(list));
        } else {
            let word: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            modules.push(word);
        }
    }
    modules
}

/// The first name of each entry of a `use` list that has been opened, up to where it closes.
fn names_in_list(list: &str) -> Vec<String> {
    let (mut depth, mut entry, mut names) = (0, String::new(), Vec::new());
    for c in list.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth < 0 || (depth == 0 && c == ',') {
            names.push(entry.trim().split("::").next().unwrap().to_owned());
            entry.clear();
        } else {
            entry.push(c);
        }
        if depth < 0 {
            break;
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The module of a file of `quell-actors`: the first part of its path.
fn module_of(name: &str) -> &str {
    let path = name.strip_prefix("actors/src/").unwrap();
    path.split(['/', '.']).next().unwrap()
}

#[test]
fn arrows_only_go_down() {
    assert_eq!(
        used_modules(
            "use crate::{\n    a::{x, y::z},\n    e::g::H,\n    b::Z,\n};\nfn f(_: crate::c::D) {}"
        ),
        ["a", "e", "b", "c"]
    );
    for (name, text) in files("actors/src") {
        let module = module_of(&name);
        if module == "lib" {
            continue;
        }
        for used in used_modules(&code(&text)) {
            assert!(
                layer(&used) <= layer(module),
                "{name} is of the layer {} and uses {used}, which is of {}",
                LAYERS[layer(module)].0,
                LAYERS[layer(&used)].0
            );
        }
    }
}

/// Words that may be used in one place only: the word, the place, and the reason.
const KNOWN_IN_ONE_PLACE: &[(&str, &[&str], &str)] = &[
    ("unsafe ", &[], "there is no unsafe code"),
    ("todo!", &[], "nothing is left undone"),
    (
        "machine::{Effect",
        &[
            "actors/src/run/judge.rs",
            "actors/src/run/judge/",
            "actors/src/run/log.rs",
        ],
        "only the judge and its log ask the law",
    ),
    (
        "inner.state = ",
        &[],
        "a run's state moves by the law alone",
    ),
    (
        "self.state = state;",
        &["actors/src/run/log.rs"],
        "a run's state moves by the law alone",
    ),
    (
        ".tape.push(",
        &["actors/src/run/log.rs", "actors/src/store/memory/"],
        "a log is written in one place",
    ),
    (
        "EventKind::Cancelled {\n",
        &["actors/src/run/ending.rs", "actors/src/event.rs"],
        "endings are made in one place",
    ),
    (
        "ractor::",
        &[
            "actors/src/run.rs",
            "actors/src/run/actor.rs",
            "actors/src/run/messages.rs",
            "actors/src/run/poke.rs",
            "actors/src/run/subscribe.rs",
            "actors/src/runtime.rs",
            "actors/src/runtime/",
        ],
        "few rooms know actors",
    ),
    (
        "tokio::spawn",
        &["src/cli/"],
        "tasks are few, and each has an owner",
    ),
    (
        "tokio.spawn(",
        &[
            "actors/src/run/flush.rs",
            "actors/src/run/messages.rs",
            "actors/src/run/subscribe.rs",
            "actors/src/run/call_tasks.rs",
            "actors/src/run/together.rs",
            "actors/src/runtime/cancel.rs",
            "actors/src/runtime/timer.rs",
        ],
        "appends, calls of tools, timers, cancels of stored runs and replies are tasks, and each has an owner",
    ),
    (
        "SystemTime::now",
        &[
            "actors/src/clock.rs",
            "src/models/openai/answer.rs",
            "src/stores/sqlite/retention.rs",
        ],
        "the wall clock is read once, and beside it for dates in headers and for the age of runs of other processes",
    ),
    (
        "catch_unwind",
        &[
            "actors/src/panics.rs",
            "actors/src/run/actor.rs",
            "actors/src/run/alarm.rs",
            "actors/src/run/cancel.rs",
            "actors/src/run/flush.rs",
            "actors/src/run/messages.rs",
            "actors/src/run/steers.rs",
            "actors/src/run/waiters.rs",
            "actors/src/runtime/cancel.rs",
            "actors/src/runtime/effects.rs",
            "actors/src/tool/any.rs",
        ],
        "panics stop where other people's code is called",
    ),
    ("reqwest", &["src/models/"], "only models know the network"),
    ("rusqlite", &["src/stores/"], "only stores know the disk"),
    ("sse_stream", &["src/models/"], "only models know the wire"),
    (
        "std::env",
        &[
            "src/models/openai/settings.rs",
            "src/tools/process/environment.rs",
            "src/cli/",
            "src/main.rs",
        ],
        "settings are read low",
    ),
    (
        "rustix",
        &[
            "src/tools/process/group.rs",
            "src/tools/process/left_over.rs",
        ],
        "signals are sent in two places, each of which knows to whom",
    ),
    (
        "println!",
        &["src/cli/", "src/main.rs"],
        "a library does not print",
    ),
];

#[test]
fn each_thing_is_known_in_one_place() {
    for folder in ["actors/src", "src"] {
        for (name, text) in files(folder) {
            let code = code(&text);
            for (word, places, why) in KNOWN_IN_ONE_PLACE.iter().copied() {
                let allowed = places.iter().any(|place| name.starts_with(place));
                assert!(
                    allowed || !code.contains(word),
                    "{name} says {word:?}, but {why}"
                );
            }
        }
    }
}

#[test]
fn words_and_law_know_no_time_and_no_tasks() {
    for (name, text) in files("actors/src") {
        let module = module_of(&name);
        if module == "lib" || layer(module) > layer("machine") {
            continue;
        }
        for word in ["tokio", "async ", "futures", "Instant", "ractor", "tracing"] {
            assert!(!code(&text).contains(word), "{name} says {word:?}");
        }
    }
}

#[test]
fn the_law_of_the_runtime_knows_no_world() {
    let of_desk = |name: &str| name.starts_with("actors/src/runtime/desk");
    let desk = files("actors/src")
        .into_iter()
        .filter(|(name, _)| of_desk(name));
    for (name, text) in desk.filter(|(name, _)| !name.contains("/tests")) {
        for word in [
            "async ", "futures", "spawn", "now()", "Mutex", "locked(", "RunLog", "Registry",
            "tracing",
        ] {
            assert!(!code(&text).contains(word), "{name} says {word:?}");
        }
    }
}

/// Values that only their own functions may change: no field of theirs is open to another room.
const CLOSED: [(&str, &str); 2] = [
    ("actors/src/run/facts.rs", "struct Facts {"),
    ("actors/src/run/outbox.rs", "struct Outbox {"),
];

#[test]
fn no_field_of_a_law_is_written_from_another_room() {
    for (name, head) in CLOSED {
        let text = fs::read_to_string(root().join(name)).unwrap();
        let (_, rest) = text.split_once(head).unwrap();
        let (fields, _) = rest.split_once("\n}").unwrap();
        let open = fields.lines().find(|line| line.trim().starts_with("pub"));
        assert_eq!(open, None, "{name} opens a field");
    }
}

/// Rooms with words of their own: a product beside the runtime, and a suite beside the stores.
const OWN_WORDS: [&str; 2] = ["actors/src/sim", "actors/src/store/conformance"];

#[test]
fn one_word_is_one_type() {
    let mut places = std::collections::BTreeMap::<String, Vec<String>>::new();
    for (name, text) in files("actors/src") {
        if name.contains("tests") || OWN_WORDS.iter().any(|room| name.starts_with(room)) {
            continue;
        }
        for line in code(&text).lines() {
            let line = line
                .trim_start_matches("pub ")
                .trim_start_matches("pub(crate) ");
            let line = line.trim_start_matches("pub(super) ");
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            if let (Some("struct" | "enum" | "trait" | "type"), Some(word)) =
                (words.next(), words.next())
            {
                places
                    .entry(word.to_owned())
                    .or_default()
                    .push(name.clone());
            }
        }
    }
    // Each law has its own inputs and effects.
    places.retain(|word, rooms| rooms.len() > 1 && word != "Input" && word != "Effect");
    assert!(places.is_empty(), "one word, several types: {places:#?}");
}
