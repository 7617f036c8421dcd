//! The mistakes that a store can make, and the rule that finds each.

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Flaw {
    None,
    /// No flaw: every other append and every other change reports an unknown outcome, whether it was done or not.
    OftenInDoubt,

    /// The run and the position are a unique key, and that is all that is checked.
    UniqueKeyOnly,
    /// Only the last position is compared, as `>=`.
    TakesGaps,
    IgnoresEpoch,
    /// Events before the one that conflicts are kept.
    StoresHalf,
    /// An append that starts before the end is accepted for its new events.
    StoresTheRest,
    ForgetsBatches,
    /// A batch that was refused counts as done.
    BelievesRefused,
    AppendsAfterTheEnd,
    ReadsBeyondTheLimit,
    ReadsBackwards,
    LosesTheSession,
    /// The checks use the state of a moment before.
    AppendsInTwoSteps,
    AlwaysInDoubt,

    AcquiresInTwoSteps,
    AcquireIgnoresEpoch,
    AcquireIgnoresPosition,
    AcquireDoesNotFence,
    /// The epoch is raised but the events are lost: two steps, of which the second failed.
    AcquireStoresNothing,
    AcquireIsNotRetried,
    RetriedAcquireFencesAgain,
    RefusedAcquireFences,
    AcquireTakesEndedRuns,
    AcquireMakesRuns,
    /// An append that names the next epoch acquires the run.
    AppendTakesOver,
    /// The same, for runs that were taken over before.
    AppendTakesOverAgain,

    ListsFromTheSecondAppend,
    StatusStaysPending,
    /// An event that changes no status makes it pending.
    StatusOfTheLastEvent,
    CreatedIsUpdated,
    UpdatedIsCreated,
    ListsTheFirstEpoch,
    ListsEndedAsUnfinished,
    PausedIsFinished,
    OldestFirst,
    /// Ids sort by time only if no caller chose them.
    SortsById,
    /// The next page starts at an earlier time, and leaves out runs of the same time.
    PagesByTimeAlone,
    /// The next page begins with the last run of the one before.
    PagesRepeat,
    ListIgnoresSession,
    ListIgnoresAgent,
    ListIgnoresLimit,
    ListsOnlySessions,

    LosesTheUser,
    LosesTheParent,
    LosesTheUsage,
    LosesTheCut,
    OldestFirstIsIgnored,
    /// The next page has older entries, whatever the order of the list.
    OldestFirstPagesBack,
    ListIgnoresUser,
    ListIgnoresStatuses,
    ListIgnoresParents,
    ListIgnoresFrom,
    ListIgnoresUntil,
    FromIsExcluded,
    UntilIsIncluded,

    CountsOneRun,
    CountsAllRuns,
    SessionIsCreatedAgain,
    SessionIsNeverUpdated,
    SessionIsUpdatedByWords,
    NamesAreForgotten,
    NamesOnlyWhatIsThere,
    FirstRunTakesTheName,
    FirstNameStays,
    NameCannotBeTakenAway,
    EmptyNameIsNone,
    NamingCreatesAgain,
    SessionsOldestFirst,
    SessionsPagedByTimeAlone,
    /// Ids are compared without regard to case.
    SessionsByLanguage,
    SessionsIgnoreLimit,

    TitleOfTheLastRun,
    TitleIsNotCut,
    AgentOfTheLastRun,
    UserOfTheLastRun,
    UsageOfTheLastRun,
    /// The newest run is the one that was appended last.
    NewestIsTheLast,
    DeletedRunTakesTheUsage,
    /// Fields that a patch leaves out are removed.
    PutTakesTheRest,
    StateIsForgotten,
    UserCannotBeTakenAway,
    LastRunTakesTheState,
    SessionsIgnoreAgent,
    SessionsIgnoreUser,
    SessionsIgnoreName,
    NamesAreMatchedByCase,
    TitlesAreNotMatched,
    SessionsIgnoreTheTime,
    SessionsIgnoreOldestFirst,
    SessionsIgnoreSkip,
    CountsOnePage,

    DeleteLeavesHead,
    DeleteLeavesEvents,
    /// A read of a deleted run returns an empty page.
    DeletedReadsEmpty,
    DeleteLeavesList,
    DeleteLeavesCount,
    DeleteSparesLiveRuns,
    DeleteIsAlwaysTrue,
    DeleteIsNeverTrue,
    DeletedComesBack,
    DeletedBatchIsRemembered,
    DeletedIdIsBurnt,
    AnewInTheOldSession,
    AnewWithTheOldEvents,
    LastRunTakesTheName,
    DeletedSessionKeepsItsName,
    DeletedSessionIsStillListed,
    DeletedSessionSparesLiveRuns,
    DeletedSessionSparesRuns,
    DeletedSessionTakesAll,
    DeletedSessionNeedsRuns,
    DeletedSessionIsAlwaysTrue,
    DeletedSessionIsNeverTrue,
}

/// The rules, and the flaws that each is the first to find.
pub(crate) const FLAWS: [(&str, &[Flaw]); 40] = [
    (
        "a run begins at position 1 with its start",
        &[
            Flaw::UniqueKeyOnly,
            Flaw::ReadsBackwards,
            Flaw::LosesTheSession,
            Flaw::AlwaysInDoubt,
        ],
    ),
    (
        "an append goes on where the run stands",
        &[Flaw::TakesGaps, Flaw::StoresHalf, Flaw::BelievesRefused],
    ),
    ("an append is all or nothing", &[Flaw::StoresTheRest]),
    (
        "only the owner appends",
        &[Flaw::IgnoresEpoch, Flaw::AppendTakesOver],
    ),
    (
        "a retried batch gets the first answer",
        &[Flaw::ForgetsBatches],
    ),
    (
        "nothing follows an ending",
        &[Flaw::AppendsAfterTheEnd, Flaw::StatusStaysPending],
    ),
    (
        "what was appended is read in order and in pages",
        &[Flaw::ReadsBeyondTheLimit],
    ),
    ("of appends that race one wins", &[Flaw::AppendsInTwoSteps]),
    (
        "of acquirers and the owner, when they race, one wins",
        &[Flaw::AcquiresInTwoSteps],
    ),
    (
        "who takes a run over owns it, and fences who had it before",
        &[
            Flaw::AcquireIgnoresEpoch,
            Flaw::AcquireDoesNotFence,
            Flaw::AcquireStoresNothing,
            Flaw::RefusedAcquireFences,
        ],
    ),
    (
        "an acquire that is refused changes nothing",
        &[Flaw::AcquireIgnoresPosition],
    ),
    (
        "a retried acquire gets the first answer",
        &[Flaw::AcquireIsNotRetried, Flaw::RetriedAcquireFencesAgain],
    ),
    (
        "only an acquire takes a run over",
        &[Flaw::AppendTakesOverAgain],
    ),
    (
        "an ended run is nobody's to take",
        &[Flaw::AcquireTakesEndedRuns],
    ),
    ("an acquire makes no run", &[Flaw::AcquireMakesRuns]),
    (
        "a run is listed from its first append on, as its events say",
        &[
            Flaw::ListsFromTheSecondAppend,
            Flaw::StatusOfTheLastEvent,
            Flaw::CreatedIsUpdated,
            Flaw::UpdatedIsCreated,
            Flaw::LosesTheCut,
            Flaw::ListIgnoresSession,
        ],
    ),
    (
        "a run that was taken over is listed with its new epoch",
        &[Flaw::ListsTheFirstEpoch, Flaw::ListIgnoresAgent],
    ),
    (
        "what has not ended is unfinished",
        &[
            Flaw::ListsEndedAsUnfinished,
            Flaw::PausedIsFinished,
            Flaw::OldestFirst,
            Flaw::PagesRepeat,
            Flaw::ListIgnoresLimit,
        ],
    ),
    ("runs are listed newest first", &[Flaw::SortsById]),
    (
        "pages leave nothing out and repeat nothing, also of one moment",
        &[Flaw::PagesByTimeAlone],
    ),
    ("a list has what was asked for", &[Flaw::ListsOnlySessions]),
    (
        "a run is listed with its user and its parent",
        &[Flaw::LosesTheUser, Flaw::LosesTheParent],
    ),
    (
        "a run that ended says what it used, and what a cancel cut",
        &[Flaw::LosesTheUsage],
    ),
    (
        "runs are listed oldest first where that is asked for",
        &[Flaw::OldestFirstIsIgnored, Flaw::OldestFirstPagesBack],
    ),
    (
        "a list has the users, statuses and times that were asked for",
        &[
            Flaw::ListIgnoresUser,
            Flaw::ListIgnoresStatuses,
            Flaw::ListIgnoresParents,
            Flaw::ListIgnoresFrom,
            Flaw::ListIgnoresUntil,
            Flaw::FromIsExcluded,
            Flaw::UntilIsIncluded,
        ],
    ),
    (
        "a session is made by its first run, and counts them",
        &[
            Flaw::CountsOneRun,
            Flaw::CountsAllRuns,
            Flaw::SessionIsCreatedAgain,
            Flaw::SessionIsNeverUpdated,
        ],
    ),
    (
        "a session is updated when the status of a run changes",
        &[Flaw::SessionIsUpdatedByWords],
    ),
    (
        "a session may be named before it has runs",
        &[
            Flaw::NamesAreForgotten,
            Flaw::NamesOnlyWhatIsThere,
            Flaw::FirstRunTakesTheName,
        ],
    ),
    (
        "a name may be given, changed and taken away, and nothing else with it",
        &[
            Flaw::FirstNameStays,
            Flaw::NameCannotBeTakenAway,
            Flaw::EmptyNameIsNone,
            Flaw::NamingCreatesAgain,
            Flaw::PutTakesTheRest,
        ],
    ),
    (
        "sessions are listed newest first, and in pages without a gap",
        &[
            Flaw::SessionsOldestFirst,
            Flaw::SessionsPagedByTimeAlone,
            Flaw::SessionsByLanguage,
            Flaw::SessionsIgnoreLimit,
        ],
    ),
    (
        "a session says what its runs said, used, and which is the newest",
        &[
            Flaw::TitleOfTheLastRun,
            Flaw::TitleIsNotCut,
            Flaw::AgentOfTheLastRun,
            Flaw::UserOfTheLastRun,
            Flaw::UsageOfTheLastRun,
            Flaw::NewestIsTheLast,
            Flaw::DeletedRunTakesTheUsage,
        ],
    ),
    (
        "what is put to a session stays until it is taken away",
        &[Flaw::StateIsForgotten, Flaw::UserCannotBeTakenAway],
    ),
    (
        "a session outlives its runs if it has state or metadata",
        &[Flaw::LastRunTakesTheState],
    ),
    (
        "sessions are listed and counted as they are asked for",
        &[
            Flaw::SessionsIgnoreAgent,
            Flaw::SessionsIgnoreUser,
            Flaw::SessionsIgnoreName,
            Flaw::NamesAreMatchedByCase,
            Flaw::TitlesAreNotMatched,
            Flaw::SessionsIgnoreTheTime,
            Flaw::SessionsIgnoreOldestFirst,
            Flaw::SessionsIgnoreSkip,
            Flaw::CountsOnePage,
        ],
    ),
    (
        "a deleted run is gone, ended or not",
        &[
            Flaw::DeleteLeavesHead,
            Flaw::DeleteLeavesEvents,
            Flaw::DeletedReadsEmpty,
            Flaw::DeleteLeavesList,
            Flaw::DeleteLeavesCount,
            Flaw::DeleteSparesLiveRuns,
            Flaw::DeleteIsAlwaysTrue,
            Flaw::DeleteIsNeverTrue,
        ],
    ),
    (
        "a deleted run is not brought back by who had it",
        &[Flaw::DeletedComesBack, Flaw::DeletedBatchIsRemembered],
    ),
    (
        "a run of a deleted run's id may be started anew",
        &[
            Flaw::DeletedIdIsBurnt,
            Flaw::AnewInTheOldSession,
            Flaw::AnewWithTheOldEvents,
        ],
    ),
    (
        "a session outlives its runs if it has a name",
        &[Flaw::LastRunTakesTheName],
    ),
    (
        "a deleted session is gone with all its runs",
        &[
            Flaw::DeletedSessionKeepsItsName,
            Flaw::DeletedSessionIsStillListed,
            Flaw::DeletedSessionSparesLiveRuns,
            Flaw::DeletedSessionSparesRuns,
            Flaw::DeletedSessionTakesAll,
            Flaw::DeletedSessionIsAlwaysTrue,
            Flaw::DeletedSessionIsNeverTrue,
        ],
    ),
    (
        "a deleted session may be begun anew",
        &[Flaw::DeletedSessionNeedsRuns],
    ),
];
