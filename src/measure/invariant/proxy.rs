//! Laws of the request path: a proxy sends only to targets of its table; a request ends exactly once.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::id::{Id as _, ProcessId};
use crate::base::time::Time;
use crate::measure::invariant::Tally;
use crate::protocol::proxy::endpoint::Endpoint;
use crate::protocol::proxy::message::RequestNumber;

/// No request is sent to a target that is absent from the table in force at its proxy.
#[derive(Debug, Clone, Default)]
pub struct SentWithinTable {
    /// By the proxy's number.
    tables: Vec<Arc<Targets>>,
    /// The one applied last: the next proxy mostly has the same.
    last: Arc<Targets>,
    tally: Tally,
}

/// The targets of one table. Asked for every request, so a target is found by its process's number.
#[derive(Debug, Clone, Default)]
struct Targets {
    /// All of them, in ascending order.
    all: Vec<Endpoint>,
    /// By process, where its ports begin; one more at the end.
    begins: Vec<u32>,
}

impl Targets {
    /// Of targets in ascending order.
    fn new(all: Vec<Endpoint>) -> Self {
        let processes = all.last().map_or(0, |last| last.process.index() + 1);
        let mut begins = Vec::with_capacity(processes + 1);
        for (place, target) in (0..).zip(&all) {
            begins.resize((target.process.index() + 1).max(begins.len()), place);
        }
        begins.push(all.len() as u32);
        Self { all, begins }
    }

    fn contain(&self, target: Endpoint) -> bool {
        let process = target.process.index();
        match self.begins.get(process..process.saturating_add(2)) {
            Some(&[from, to]) => self.all[from as usize..to as usize].contains(&target),
            _ => false,
        }
    }
}

impl SentWithinTable {
    /// A proxy has a new table; these are all its targets.
    pub fn applied(&mut self, proxy: ProcessId, targets: impl IntoIterator<Item = Endpoint>) {
        let mut targets: Vec<Endpoint> = targets.into_iter().collect();
        targets.sort_unstable();
        if self.last.all != targets {
            self.last = Arc::new(Targets::new(targets));
        }
        if self.tables.len() <= proxy.index() {
            self.tables.resize_with(proxy.index() + 1, Arc::default);
        }
        self.tables[proxy.index()] = Arc::clone(&self.last);
    }

    /// A proxy starts anew, without a table.
    pub fn restarted(&mut self, proxy: ProcessId) {
        self.applied(proxy, []);
    }

    /// A proxy chose a target for a request.
    pub fn sent(&mut self, at: Time, proxy: ProcessId, number: RequestNumber, target: Endpoint) {
        let is_known = self.tables.get(proxy.index()).is_some_and(|table| table.contain(target));
        self.tally.check(at, is_known, || format!("{proxy} sent request {number} to {target}, absent from its table"));
    }

    /// What was seen.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// Every request that was issued ends exactly once.
#[derive(Debug, Clone, Default)]
pub struct EndsOnce {
    /// By source: the sequence of the first request remembered, and for each from there whether it ended.
    sources: Vec<(u64, VecDeque<bool>)>,
    open: u64,
    tally: Tally,
}

impl EndsOnce {
    /// A request begins. Requests of a source come in sequence.
    pub fn issued(&mut self, at: Time, number: RequestNumber) {
        let (first, ended) = of_source(&mut self.sources, number);
        let expected = *first + ended.len() as u64;
        if ended.is_empty() && expected == 0 {
            *first = number.sequence();
        }
        let is_next = number.sequence() == *first + ended.len() as u64;
        self.tally.check(at, is_next, || format!("request {number} was issued when {expected} was due"));
        if is_next {
            ended.push_back(false);
            self.open += 1;
        }
    }

    /// A request is over, in whatever way.
    pub fn ended(&mut self, at: Time, number: RequestNumber) {
        let (first, ended) = of_source(&mut self.sources, number);
        let place = number.sequence().checked_sub(*first).map(|place| place as usize);
        // What was forgotten had ended.
        let state = place.and_then(|place| ended.get_mut(place));
        let is_open = state.as_ref().is_some_and(|is_over| !**is_over);
        self.tally.check(at, is_open, || format!("request {number} ended, but was not open"));
        if let Some(is_over) = state.filter(|is_over| !**is_over) {
            *is_over = true;
            self.open -= 1;
        }
        while ended.front() == Some(&true) {
            ended.pop_front();
            *first += 1;
        }
    }

    /// The run is over; the sources say that `open` requests are still under way.
    pub fn finish(&mut self, at: Time, open: u64) {
        let counted = self.open;
        self.tally.check(at, open == counted, || format!("{counted} requests never ended, {open} are under way"));
    }

    /// What was seen.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }
}

fn of_source(sources: &mut Vec<(u64, VecDeque<bool>)>, number: RequestNumber) -> &mut (u64, VecDeque<bool>) {
    let source = usize::from(number.source());
    if sources.len() <= source {
        sources.resize_with(source + 1, Default::default);
    }
    &mut sources[source]
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: ProcessId = ProcessId(1);

    fn target(port: u32) -> Endpoint {
        Endpoint { process: ProcessId(2), port }
    }

    fn number(sequence: u64) -> RequestNumber {
        RequestNumber::new(3, sequence, 0)
    }

    #[test]
    fn a_target_outside_the_table_is_a_violation() {
        let mut law = SentWithinTable::default();
        law.sent(Time::ZERO, PROXY, number(0), target(1));
        law.applied(PROXY, [target(1)]);
        law.sent(Time::ZERO, PROXY, number(1), target(1));
        law.applied(PROXY, [target(2)]);
        law.sent(Time::ZERO, PROXY, number(2), target(1));
        law.restarted(PROXY);
        law.sent(Time::ZERO, PROXY, number(3), target(2));
        assert_eq!((law.tally().checks, law.tally().violations), (4, 3));
    }

    #[test]
    fn targets_are_those_of_the_table_and_no_others() {
        let endpoint = |process, port| Endpoint { process: ProcessId(process), port };
        let all: Vec<Endpoint> =
            [(7, 80), (2, 9), (2, 8), (4, 80)].map(|(process, port)| endpoint(process, port)).into();
        let mut sorted = all.clone();
        sorted.sort_unstable();
        let targets = Targets::new(sorted);
        for process in 0..10 {
            for port in [0, 8, 9, 80] {
                let target = endpoint(process, port);
                assert_eq!(targets.contain(target), all.contains(&target), "{target}");
            }
        }
        assert!(
            !Targets::default().contain(endpoint(0, 0)) && !Targets::new(Vec::new()).contain(endpoint(u32::MAX, 0))
        );
    }

    #[test]
    fn a_request_that_ends_twice_or_never_is_a_violation() {
        let mut law = EndsOnce::default();
        for sequence in 0..3 {
            law.issued(Time::ZERO, number(sequence));
        }
        law.ended(Time::ZERO, number(1));
        law.ended(Time::ZERO, number(0));
        law.finish(Time::ZERO, 1);
        assert_eq!(law.tally().violations, 0);
        law.ended(Time::ZERO, number(1));
        assert_eq!(law.tally().violations, 1, "twice");
        law.ended(Time::ZERO, number(7));
        assert_eq!(law.tally().violations, 2, "never issued");
        law.finish(Time::ZERO, 0);
        assert_eq!(law.tally().violations, 3, "one never ended");
    }
}
