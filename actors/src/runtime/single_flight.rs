//! One reading of a run at a time: those that ask meanwhile share the next one.

use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{error::EventsError, id::RunId, lock::locked};

/// Readings that are shared by those that ask for the same run at the same time. No caller is given what was read
/// before it asked.
pub(super) struct SingleFlight<T>(Mutex<HashMap<RunId, Arc<Flight<T>>>>);

struct Flight<T> {
    /// How many readings have begun.
    begun: AtomicU64,
    /// The last one that is over: its number, and what it gave. Locked while one is under way.
    last: tokio::sync::Mutex<Option<(u64, Result<T, EventsError>)>>,
}

impl<T> Default for SingleFlight<T> {
    fn default() -> SingleFlight<T> {
        SingleFlight(Mutex::default())
    }
}

impl<T: Clone> SingleFlight<T> {
    /// What `read` gives, or what it gave another caller if that reading began after this call.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped while it reads, the next caller reads anew.
    pub(super) async fn share<F>(
        &self,
        run: RunId,
        read: impl FnOnce() -> F,
    ) -> Result<T, EventsError>
    where
        F: Future<Output = Result<T, EventsError>>,
    {
        let seat = self.board(run);
        let flight = &seat.flight;
        let before = flight.begun.load(Ordering::Acquire);
        let mut last = flight.last.lock().await;
        if let Some((number, answer)) = &*last
            && *number > before
        {
            return answer.clone();
        }
        let number = flight.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let answer = read().await;
        *last = Some((number, answer.clone()));
        answer
    }

    fn board(&self, run: RunId) -> FlightSeat<'_, T> {
        let mut flights = locked(&self.0);
        let flight = flights.entry(run).or_insert_with(|| {
            Arc::new(Flight {
                begun: AtomicU64::new(0),
                last: tokio::sync::Mutex::default(),
            })
        });
        FlightSeat {
            flights: &self.0,
            run,
            flight: flight.clone(),
        }
    }
}

/// One that asks. The last one to leave takes the flight with it.
struct FlightSeat<'a, T> {
    flights: &'a Mutex<HashMap<RunId, Arc<Flight<T>>>>,
    run: RunId,
    flight: Arc<Flight<T>>,
}

impl<T> Drop for FlightSeat<'_, T> {
    fn drop(&mut self) {
        let mut flights = locked(self.flights);
        // The map and this seat.
        if Arc::strong_count(&self.flight) == 2 {
            let gone = flights.remove(&self.run);
            drop(flights);
            drop(gone);
        }
    }
}
