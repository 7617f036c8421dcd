//! Lists of runs and of sessions, as their rows say.

use quell_actors::store::{RunQuery, SessionHead, SessionQuery};
use rusqlite::{Connection, params, params_from_iter, types::Value};

use super::{
    error::Fault,
    rows::{RUN_COLUMNS, RunRow, SESSION_COLUMNS, session_head},
};

/// The rows of the runs that `query` asks for, the newest first. What a query asks for does not change while a run is
/// live, but for its end, and that is in the row at once.
pub(super) fn runs(db: &Connection, query: &RunQuery) -> Result<Vec<RunRow>, Fault> {
    let (mut conditions, mut values) = (Vec::new(), Vec::new());
    // SQLite is told which index to go by: the one that leaves least to look at, in the order that is wanted.
    let mut index = "runs_by_age";
    if query.unfinished {
        conditions.push("status < 4");
        index = "runs_unfinished";
    }
    if let Some(agent) = &query.agent {
        conditions.push("agent = ?");
        values.push(Value::Text(agent.to_string()));
        index = "runs_by_agent";
    }
    if let Some(session) = &query.session_id {
        conditions.push("session = ?");
        values.push(Value::Text(session.to_string()));
        index = "runs_by_session";
    }
    if let Some((at, run)) = query.before {
        conditions.push("(created_at, id) < (?, ?)");
        values.push(Value::Integer(clamped(at.as_millis())));
        values.push(Value::Blob(run.as_bytes().to_vec()));
    }
    let filter = match conditions.is_empty() {
        true => String::new(),
        false => format!("WHERE {}", conditions.join(" AND ")),
    };
    values.push(Value::Integer(clamped(query.limit as u64)));
    let mut list = db.prepare_cached(&format!(
        "SELECT {RUN_COLUMNS} FROM runs INDEXED BY {index} {filter} ORDER BY created_at DESC, id DESC LIMIT ?"
    ))?;
    let rows = list.query_and_then(params_from_iter(values), RunRow::read)?;
    rows.collect()
}

/// The sessions that `query` asks for, the newest first.
pub(super) fn sessions(db: &Connection, query: &SessionQuery) -> Result<Vec<SessionHead>, Fault> {
    let limit = clamped(query.limit as u64);
    let order = "ORDER BY created_at DESC, id DESC LIMIT";
    match &query.before {
        None => {
            let sql = format!("SELECT {SESSION_COLUMNS} FROM sessions {order} ?");
            let mut list = db.prepare_cached(&sql)?;
            list.query_and_then([limit], session_head)?.collect()
        }
        Some((at, id)) => {
            let sql = format!(
                "SELECT {SESSION_COLUMNS} FROM sessions WHERE (created_at, id) < (?, ?) {order} ?"
            );
            let mut list = db.prepare_cached(&sql)?;
            let at = clamped(at.as_millis());
            list.query_and_then(params![at, id, limit], session_head)?
                .collect()
        }
    }
}

fn clamped(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
