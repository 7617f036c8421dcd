//! Lists of runs and of sessions, as their rows say.

use quell_actors::{
    id::Timestamp,
    store::{RunHead, RunQuery, SessionHead, SessionOrder, SessionQuery, StatusSet},
};
use rusqlite::{Connection, params_from_iter, types::Value};

use super::{
    error::Fault,
    rows::{RUN_COLUMNS, RunRow},
    sessions::{SESSION_COLUMNS, read},
    status,
};

/// The runs that `query` asks for, in its order. `current` says where a run stands: while it is live that may be further
/// than its row.
pub(super) fn runs(
    db: &Connection,
    query: &RunQuery,
    mut current: impl FnMut(RunRow) -> Result<RunHead, Fault>,
) -> Result<Vec<RunHead>, Fault> {
    let Statement { sql, values } = Statement::of_runs(query);
    let mut list = db.prepare_cached(&sql)?;
    let mut rows = list.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while found.len() < query.limit
        && let Some(row) = rows.next()?
    {
        let head = current(RunRow::read(row)?)?;
        if query.holds(&head) {
            found.push(head);
        }
    }
    Ok(found)
}

/// The sessions that `query` asks for, in its order.
pub(super) fn sessions(db: &Connection, query: &SessionQuery) -> Result<Vec<SessionHead>, Fault> {
    let Statement { sql, values } = Statement::of_sessions(query);
    let mut list = db.prepare_cached(&sql)?;
    list.query_and_then(params_from_iter(values), read)?
        .collect()
}

/// How many sessions `query` asks for, whatever page of them.
pub(super) fn count_sessions(db: &Connection, query: &SessionQuery) -> Result<u64, Fault> {
    let Statement { sql, values } = Statement::of_session_count(query);
    let mut count = db.prepare_cached(&sql)?;
    let counted = count.query_row(params_from_iter(values), |row| row.get::<_, i64>(0))?;
    Ok(counted.unsigned_abs())
}

/// A statement that is being put together.
#[derive(Debug)]
struct Statement {
    sql: String,
    values: Vec<Value>,
}

impl Statement {
    /// All runs that `query` may ask for, in its order. SQLite is told which index to go by: the one that leaves least to
    /// look at, in the order that is wanted.
    fn of_runs(query: &RunQuery) -> Statement {
        let mut filter = Filter::default();
        let mut index = "runs_by_age";
        if let Some(agent) = &query.agent {
            filter.add("agent = ?", [text(agent)]);
            index = "runs_by_agent";
        }
        if let Some(user) = &query.user_id {
            filter.add("user = ?", [text(user)]);
            index = "runs_by_user";
        }
        // Where a live run stands is not in its row, but whether it has ended is.
        let unfinished = StatusSet::UNFINISHED;
        if query.statuses.is_within(unfinished) {
            filter.add("status < 4", []);
            index = "runs_unfinished";
        } else if query.statuses != StatusSet::ALL {
            let numbers = query
                .statuses
                .iter()
                .map(|status| status::number(status).to_string());
            let live = match query
                .statuses
                .iter()
                .any(|status| unfinished.contains(status))
            {
                true => "status < 4 OR ",
                false => "",
            };
            let numbers = numbers.collect::<Vec<_>>().join(", ");
            filter.add(&format!("({live}status IN ({numbers}))"), []);
        }
        if let Some(session) = &query.session_id {
            filter.add("session = ?", [text(session)]);
            index = "runs_by_session";
        }
        if query.top_level {
            filter.add("parent IS NULL", []);
        }
        if let Some(from) = query.from {
            filter.add("created_at >= ?", [time(from)]);
        }
        if let Some(until) = query.until {
            filter.add("created_at < ?", [time(until)]);
        }
        let order = Order::new(query.oldest_first);
        if let Some((at, run)) = query.past {
            let past = [time(at), Value::Blob(run.as_bytes().to_vec())];
            filter.add(&format!("(created_at, id) {} (?, ?)", order.past), past);
        }
        let (filter, values, way) = (filter.sql(), filter.values, order.way);
        let sql = format!(
            "SELECT {RUN_COLUMNS} FROM runs INDEXED BY {index} {filter} ORDER BY created_at {way}, id {way}"
        );
        Statement { sql, values }
    }

    fn of_sessions(query: &SessionQuery) -> Statement {
        let (mut filter, index) = Statement::of_whole_sessions(query);
        let order = Order::new(query.oldest_first);
        let by = match query.by {
            SessionOrder::Created => "created_at",
            SessionOrder::Updated => "updated_at",
        };
        if let Some((at, id)) = &query.past {
            filter.add(
                &format!("({by}, id) {} (?, ?)", order.past),
                [time(*at), text(id)],
            );
        }
        let (sql, mut values, way) = (filter.sql(), filter.values, order.way);
        values.extend([number(query.limit as u64), number(query.skip as u64)]);
        let sql = format!(
            "SELECT {SESSION_COLUMNS} FROM sessions INDEXED BY {index} {sql} ORDER BY {by} {way}, id {way} LIMIT ? OFFSET ?"
        );
        Statement { sql, values }
    }

    fn of_session_count(query: &SessionQuery) -> Statement {
        let (filter, index) =
            Statement::of_whole_sessions(&query.clone().by(SessionOrder::Created));
        let sql = filter.sql();
        Statement {
            sql: format!("SELECT count(*) FROM sessions INDEXED BY {index} {sql}"),
            values: filter.values,
        }
    }

    /// All sessions that `query` asks for, on whatever page, and the index to go by.
    fn of_whole_sessions(query: &SessionQuery) -> (Filter, &'static str) {
        let mut filter = Filter::default();
        let mut index = match query.by {
            SessionOrder::Created => "sessions_by_age",
            SessionOrder::Updated => "sessions_by_update",
        };
        if let Some(agent) = &query.agent {
            filter.add("agent = ?", [text(agent)]);
            if query.by == SessionOrder::Created {
                index = "sessions_by_agent";
            }
        }
        if let Some(user) = &query.user_id {
            filter.add("user = ?", [text(user)]);
            // A user has few: to sort them costs less than to leave out those of all others.
            index = "sessions_by_user";
        }
        if let Some(words) = &query.named {
            let words = Value::Text(words.to_ascii_lowercase());
            filter.add("instr(lower(coalesce(name, title)), ?) > 0", [words]);
        }
        (filter, index)
    }
}

#[derive(Debug, Default)]
struct Filter {
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Filter {
    fn add(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.conditions.push(condition.to_owned());
        self.values.extend(values);
    }

    fn sql(&self) -> String {
        match self.conditions.is_empty() {
            true => String::new(),
            false => format!("WHERE {}", self.conditions.join(" AND ")),
        }
    }
}

/// How SQL says in which order.
struct Order {
    way: &'static str,
    past: &'static str,
}

impl Order {
    fn new(oldest_first: bool) -> Order {
        let (way, past) = match oldest_first {
            true => ("ASC", ">"),
            false => ("DESC", "<"),
        };
        Order { way, past }
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn time(at: Timestamp) -> Value {
    number(at.as_millis())
}

fn number(n: u64) -> Value {
    Value::Integer(i64::try_from(n).unwrap_or(i64::MAX))
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
