//! A store of lists: what is asked is searched for, and nothing is known twice.

use std::cmp::Reverse;

use super::super::*;

pub(super) struct Naive {
    keep: usize,
    runs: Vec<Run>,
    sessions: Vec<SessionHead>,
    /// Who ended, and which session lost its last run, in that order.
    ended: Vec<RunId>,
    idle: Vec<Arc<str>>,
}

struct Run {
    epoch: u64,
    batch: BatchId,
    events: Vec<RunEvent>,
}

impl Run {
    fn head(&self) -> RunHead {
        let first = &self.events[0];
        let EventKind::Started(started) = &first.kind else {
            panic!("a run begins with its start");
        };
        let mut head = RunHead::new(first.run_id, started, first.at);
        self.events.iter().for_each(|event| head.apply(event));
        head.epoch = self.epoch;
        head
    }
}

impl Naive {
    pub(super) fn keeping(keep: usize) -> Naive {
        Naive {
            keep,
            runs: vec![],
            sessions: vec![],
            ended: vec![],
            idle: vec![],
        }
    }

    fn run(&self, id: RunId) -> Option<&Run> {
        self.runs.iter().find(|run| run.events[0].run_id == id)
    }

    pub(super) fn events(&self, id: RunId) -> Vec<RunEvent> {
        self.run(id).map_or(vec![], |run| run.events.clone())
    }

    pub(super) fn epoch(&self, id: RunId) -> Option<u64> {
        self.run(id).map(|run| run.epoch)
    }

    pub(super) fn head(&self, id: RunId) -> Option<RunHead> {
        self.run(id).map(Run::head)
    }

    pub(super) fn append(
        &mut self,
        id: RunId,
        expected: Expected,
        batch: BatchId,
        events: Vec<RunEvent>,
    ) -> Result<u64, AppendError> {
        let (first, last) = (events[0].seq, events[events.len() - 1].seq);
        let found = self.runs.iter_mut().find(|run| run.events[0].run_id == id);
        if let Some(run) = found {
            let head = run.head();
            let (epoch, stands) = (run.epoch, head.last);
            if run.batch == batch && stands == last && epoch == expected.epoch_after() {
                return Ok(last);
            }
            if head.status.is_ended() {
                return Err(AppendError::Ended { last: stands });
            }
            if (expected.epoch, expected.last, first) != (epoch, stands, stands + 1) {
                let last = stands;
                return Err(AppendError::Fenced { epoch, last });
            }
            run.events.extend(events.iter().cloned());
            run.epoch = expected.epoch_after();
            run.batch = batch;
        } else {
            if expected.acquire || expected.last != 0 || first != 1 {
                return Err(AppendError::Fenced { epoch: 0, last: 0 });
            }
            self.runs.push(Run {
                epoch: expected.epoch,
                batch,
                events: events.clone(),
            });
        }
        self.note(id, &events);
        Ok(last)
    }

    fn note(&mut self, id: RunId, events: &[RunEvent]) {
        let head = self.head(id).unwrap();
        if !events.iter().any(|event| event.kind.status().is_some()) {
            return;
        }
        if let Some(session) = &head.session_id {
            self.make(session, head.created_at);
            self.idle.retain(|idle| idle != session);
            let session = self
                .sessions
                .iter_mut()
                .find(|kept| kept.session_id == *session);
            let session = session.unwrap();
            events.iter().for_each(|event| session.apply(event));
        }
        if head.status.is_ended() {
            self.ended.push(id);
            while self.ended.len() > self.keep {
                self.delete_run(self.ended[0]);
            }
        }
    }

    fn make(&mut self, session: &Arc<str>, at: Timestamp) -> bool {
        let is_there = self.sessions.iter().any(|kept| kept.session_id == *session);
        if !is_there {
            self.sessions.push(SessionHead::new(session.clone(), at));
        }
        !is_there
    }

    fn make_idle(&mut self, session: &Arc<str>) {
        self.idle.push(session.clone());
        while self.idle.len() > self.keep {
            let forgotten = self.idle.remove(0);
            self.sessions.retain(|kept| kept.session_id != forgotten);
        }
    }

    pub(super) fn name(&mut self, session: &str, name: Option<&str>, at: Timestamp) {
        let session: Arc<str> = session.into();
        let made = self.make(&session, at);
        let kept = self
            .sessions
            .iter_mut()
            .find(|kept| kept.session_id == session);
        kept.unwrap().name = name.map(Arc::from);
        if made {
            self.make_idle(&session);
        }
    }

    pub(super) fn delete_run(&mut self, id: RunId) -> bool {
        let Some(head) = self.head(id) else {
            return false;
        };
        self.runs.retain(|run| run.events[0].run_id != id);
        self.ended.retain(|ended| *ended != id);
        let Some(session) = head.session_id else {
            return true;
        };
        let Some(head) = self
            .sessions()
            .into_iter()
            .find(|head| head.session_id == session)
        else {
            return true;
        };
        if head.runs == 0 && head.name.is_some() {
            self.make_idle(&session);
        } else if head.runs == 0 {
            self.sessions.retain(|kept| kept.session_id != session);
        }
        true
    }

    pub(super) fn delete_session(&mut self, session: &str) -> bool {
        let before = self.sessions.len();
        self.sessions.retain(|kept| *kept.session_id != *session);
        self.idle.retain(|idle| **idle != *session);
        for head in self.runs(&RunQuery::session(session)) {
            self.delete_run(head.run_id);
        }
        self.sessions.len() < before
    }

    /// All that `query` asks for.
    pub(super) fn runs(&self, query: &RunQuery) -> Vec<RunHead> {
        let mut heads: Vec<_> = self.runs.iter().map(Run::head).collect();
        heads.retain(|head| query.holds(head));
        heads.sort_by_key(|head| (head.created_at, head.run_id));
        if !query.oldest_first {
            heads.reverse();
        }
        heads
    }

    pub(super) fn sessions(&self) -> Vec<SessionHead> {
        let mut heads = self.sessions.clone();
        for head in &mut heads {
            let query = RunQuery::session(head.session_id.clone());
            head.runs = self.runs(&query).len() as u64;
        }
        heads.sort_by_key(|head| Reverse((head.created_at, head.session_id.clone())));
        heads
    }
}
