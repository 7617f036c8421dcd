use super::*;
use crate::cancel::CancelRequest;

fn entry(
    number: usize,
    session: Option<&str>,
    user: Option<&str>,
    now: (Instant, Timestamp),
) -> Entry {
    Entry {
        run: id(number),
        session: session.map(Arc::from),
        user: user.map(Arc::from),
        parent: None,
        how: How::Start {
            when_busy: WhenBusy::Queue,
            scope: "".into(),
            now,
        },
    }
}

fn at(millis: u64) -> (Instant, Timestamp) {
    (Instant::now(), Timestamp::from_millis(millis))
}

#[test]
fn the_runs_of_a_session_are_accepted_one_after_the_other_whatever_the_clock_says() {
    let (mut desk, session) = (desk(bounds(1)), Arc::from("a"));
    assert!(desk.visit(&session), "nobody has looked");
    let newest = Timestamp::from_millis(1_000);
    desk.session_read(
        &session,
        Stored {
            owner: None,
            newest,
        },
    );
    assert!(!desk.visit(&session));
    // The clock was set back, and then stands still.
    for (number, expected) in [1_001, 1_002, 1_003].into_iter().enumerate() {
        let admission = desk
            .admission(entry(number, Some("a"), None, at(7)))
            .unwrap();
        assert_eq!(admission.at.as_millis(), expected);
        desk.admit(&admission);
        desk.settled(id(number));
    }
    let admission = desk
        .admission(entry(9, Some("a"), None, at(5_000)))
        .unwrap();
    assert_eq!(admission.at.as_millis(), 5_000);
    desk.leave_visit(&session);
    desk.leave_visit(&session);
    assert!(desk.sessions.is_empty());
}

#[test]
fn a_session_is_its_first_users() {
    let (mut desk, a) = (desk(bounds(9)), Arc::from("a"));
    let start = |desk: &mut Desk, number, session: &str, user: Option<&str>| {
        let admission = desk.admission(entry(number, Some(session), user, at(1)))?;
        desk.admit(&admission);
        Ok::<_, StartError>(())
    };
    // Both have looked, and nothing was there: one of them is first.
    assert!(desk.visit(&a) && desk.visit(&a));
    start(&mut desk, 0, "a", Some("ann")).unwrap();
    let foreign = StartError::ForeignSession("a".into());
    for user in [Some("bob"), None] {
        assert_eq!(start(&mut desk, 1, "a", user), Err(foreign.clone()));
    }
    start(&mut desk, 2, "a", Some("ann")).unwrap();
    // Nobody's session takes anybody, and is the first user's then.
    start(&mut desk, 3, "b", None).unwrap();
    start(&mut desk, 4, "b", Some("bob")).unwrap();
    assert!(start(&mut desk, 5, "b", None).is_err());
    // What is stored is older than all that.
    let c = Arc::from("c");
    desk.visit(&c);
    let owner = Some(Arc::from("ann"));
    desk.session_read(
        &c,
        Stored {
            owner,
            newest: Timestamp::default(),
        },
    );
    assert!(start(&mut desk, 6, "c", Some("bob")).is_err());
}

#[test]
fn a_cancel_is_remembered_for_its_own_scope() {
    let mut desk = desk(bounds(1));
    let now = at(1);
    let (mine, theirs) = (Arc::from("mine"), Arc::from("theirs"));
    let request = CancelRequest::default;
    assert!(
        desk.intents
            .add(Arc::clone(&theirs), id(0), request(), now.0)
    );
    let start = |scope: &Arc<str>| {
        let mut entry = entry(0, None, None, now);
        if let How::Start { scope: of, .. } = &mut entry.how {
            *of = Arc::clone(scope);
        }
        entry
    };
    assert!(desk.admission(start(&mine)).unwrap().intent.is_none());
    let admission = desk.admission(start(&theirs)).unwrap();
    let effects = desk.admit(&admission);
    assert_eq!(
        (effects, desk.phase(id(0))),
        (vec![], Some(Phase::Ended { holds: false }))
    );
    // The store does not take it: it is remembered on.
    desk.settled(id(0));
    desk.intents.put_back(admission.intent.unwrap(), now.0);
    assert!(desk.admission(start(&theirs)).unwrap().intent.is_some());
    // Two of a scope, and ten in all.
    for number in 1..=2 {
        desk.intents
            .add(Arc::clone(&theirs), id(number), request(), now.0);
    }
    assert!(desk.admission(start(&theirs)).unwrap().intent.is_none());
    // Nor for ever.
    let scope = Arc::from("");
    desk.intents
        .add(Arc::clone(&scope), id(0), request(), now.0);
    assert!(desk.admission(start(&scope)).unwrap().intent.is_some());
    let later = (now.0 + Duration::from_secs(60), now.1);
    assert!(
        desk.admission(entry(0, None, None, later))
            .unwrap()
            .intent
            .is_none()
    );
}

#[test]
fn a_run_that_another_process_has_left_has_its_session_until_its_ending_is_stored() {
    let mut desk = desk(bounds(1));
    let mut left = entry(0, Some("a"), None, at(1));
    left.how = How::Recover;
    desk.admit_ending(&left);
    let mut waits = entry(1, Some("a"), None, at(1));
    waits.how = How::Recover;
    let admission = desk.admission(waits).unwrap();
    assert_eq!(desk.admit(&admission), [Effect::Wait(id(1))]);
    assert_eq!(desk.counts().live, 0);
    let effects = desk.settled(id(0));
    let begins = [
        Effect::Forget(id(0)),
        Effect::Turn(id(1)),
        Effect::Launch(id(1)),
    ];
    assert_eq!(effects, begins);
}

#[test]
fn paused_runs_expire_only_while_the_runtime_is_there() {
    for close in [Desk::close, Desk::abandon] {
        let mut world = World::new(bounds(1));
        world.take(Step::Enter(None, WhenBusy::Queue));
        world.take(Step::Pauses(0));
        assert!(close(&mut world.desk).contains(&Effect::StopExpiries));
        let effects = world.desk.pause_stored(id(0));
        let pause = Effect::Pause {
            run: id(0),
            expires: false,
        };
        assert_eq!(effects[0], pause);
    }
}

#[test]
fn an_interrupt_cancels_nobody_before_its_start_is_stored_and_nobody_who_came_later() {
    let mut world = World::new(bounds(9));
    world.take(Step::Enter(Some("a"), WhenBusy::Queue));
    world.take(Step::Enter(Some("a"), WhenBusy::Interrupt));
    world.take(Step::Enter(Some("a"), WhenBusy::Interrupt));
    assert_eq!(world.desk.start_stored(id(2)), [Effect::Supersede(id(0))]);
    world.take(Step::Settles(0));
    assert_eq!(world.desk.phase(id(2)), Some(Phase::Live));
    assert_eq!(world.desk.start_stored(id(1)), [], "that one is newer");
}

#[test]
fn what_waits_is_bounded() {
    let few = Bounds {
        queued: 2,
        waiting_in_session: 1,
        ..bounds(1)
    };
    let mut desk = desk(few);
    let mut start = |number, session| {
        let admission = desk.admission(entry(number, session, None, at(1)))?;
        desk.admit(&admission);
        Ok(())
    };
    start(0, Some("a")).unwrap();
    start(1, Some("a")).unwrap();
    assert_eq!(
        start(2, Some("a")),
        Err(StartError::SessionQueueFull("a".into()))
    );
    start(3, None).unwrap();
    let full = StartError::QueueFull { live: 1, queued: 2 };
    for session in [Some("a"), None] {
        assert_eq!(start(4, session), Err(full.clone()));
    }
}
