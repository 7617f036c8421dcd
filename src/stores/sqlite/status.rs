//! Statuses as numbers: those from [`FIRST_ENDED`] on are ended, so that an index can tell.

use quell_actors::RunStatus;

use super::codec::Damaged;

/// The statuses in the order of their numbers. Statements that ask for unfinished runs have the number of the first
/// ended one in their text.
const STATUSES: [RunStatus; 7] = [
    RunStatus::Pending,
    RunStatus::Running,
    RunStatus::Cancelling,
    RunStatus::Paused,
    RunStatus::Completed,
    RunStatus::Cancelled,
    RunStatus::Error,
];

pub(super) const fn number(status: RunStatus) -> u8 {
    match status {
        RunStatus::Pending => 0,
        RunStatus::Running => 1,
        RunStatus::Cancelling => 2,
        RunStatus::Paused => 3,
        RunStatus::Completed => 4,
        RunStatus::Cancelled => 5,
        RunStatus::Error => 6,
    }
}

pub(super) fn status(number: u64) -> Result<RunStatus, Damaged> {
    let index = usize::try_from(number).ok();
    let status = index.and_then(|index| STATUSES.get(index));
    status.copied().ok_or(Damaged("a status is unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_again_and_part_the_ended_from_the_others() {
        for (place, status) in STATUSES.into_iter().enumerate() {
            assert_eq!(usize::from(number(status)), place);
            assert_eq!(super::status(place as u64), Ok(status));
            assert_eq!(status.is_ended(), place >= 4);
        }
        assert!(super::status(7).is_err());
    }
}
