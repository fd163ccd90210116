//! Choosing a node for one more allocation of a group (Nomad `GenericStack`, `SystemStack`).
//!
//! Nodes come from a shuffled source that remembers its place between selections, pass the feasibility checks
//! ([`super::feasible`]), are fitted and scored ([`super::rank`]), and a limit stops the search after a few good ones.
//! The shuffle is done as far as nodes are pulled, so that a selection costs what it looks at, not the whole cluster.

use std::sync::Arc;

use crate::base::ordered::OrdMap;
use crate::base::rng::Rng;
use crate::model::alloc::{Alloc, AllocId};
use crate::model::constraint::Constraint;
use crate::model::job::{Job, JobKind};
use crate::model::node::NodeId;
use crate::protocol::orchestrator::policy::Policy;
use crate::protocol::orchestrator::search;
use crate::protocol::scheduler::board::{Board, Standing};
use crate::protocol::scheduler::draft::{Draft, same_incarnation};
use crate::protocol::scheduler::feasible::{Eligibility, Filtered, GroupChecks, check, has_distinct_hosts};
use crate::protocol::scheduler::operators::{Operator, Rule};
use crate::protocol::scheduler::plan::{Plan, Preemption, Stop};
use crate::protocol::scheduler::properties::{PropertySet, Tally};
use crate::protocol::scheduler::rank::{Exhausted, GroupScores, Known, NodeScore, Ranked};
use crate::protocol::scheduler::release::SchedulerConfig;
use crate::protocol::scheduler::spread::Values;
use crate::protocol::scheduler::state::{NodeEntry, State};

/// What a selection cost, for the time it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Selections.
    pub selects: u64,
    /// Nodes the source handed out.
    pub nodes_pulled: u64,
    /// Nodes fitted and scored.
    pub nodes_scored: u64,
    /// Allocations the reconciler looked at.
    pub allocs_reconciled: u64,
}

impl Work {
    /// The sum.
    pub fn add(&mut self, other: Self) {
        self.selects += other.selects;
        self.nodes_pulled += other.nodes_pulled;
        self.nodes_scored += other.nodes_scored;
        self.allocs_reconciled += other.allocs_reconciled;
    }
}

/// Wishes of one selection.
#[derive(Debug, Clone, Copy, Default)]
pub struct SelectOptions<'o> {
    /// Nodes on which an ancestor failed.
    pub penalty_nodes: &'o [NodeId],
    /// A node to try alone first (sticky disks).
    pub preferred: Option<NodeId>,
    /// Push less important allocations out if that makes room.
    pub preempt: bool,
}

/// Why a node was not chosen from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rejected {
    Filtered(Filtered),
    Exhausted(Exhausted),
}

/// A property set and whose allocations it counts.
#[derive(Debug)]
pub(super) struct Counted<'a> {
    pub(super) set: PropertySet<'a>,
    pub(super) attribute: &'a str,
    /// Only this group's, by name; `None` for the whole job.
    group: Option<Arc<str>>,
}

/// A group as the stack sees it, prepared when it is first selected for.
#[derive(Debug)]
pub(super) struct View<'a> {
    checks: GroupChecks<'a>,
    pub(super) scores: GroupScores<'a>,
    distinct_hosts: bool,
    /// Property sets by number, each with the uses allowed; `None` for an unreadable number.
    distinct: Vec<(usize, Option<i64>)>,
    /// All nodes by score, for selections that look at all of them.
    board: Option<Board>,
    /// Where the last such selection began.
    looked_wide: Option<(u32, usize)>,
}

/// The nodes, the plan so far, and what was learnt about both during one attempt.
#[derive(Debug)]
pub struct Stack<'a> {
    pub(super) state: &'a State,
    pub(super) config: &'a SchedulerConfig,
    pub(super) job: &'a Arc<Job>,
    pub(super) rng: Rng,
    pub(super) draft: Draft<'a>,
    pub(super) properties: Vec<Counted<'a>>,
    /// Sum of the spread weights of all groups prepared so far (a quirk), once more each time for another version; see
    /// [`super::spread`].
    pub(super) spread_weight: f64,
    pub(super) work: Work,
    /// Whoever chooses in Nomad's place, and its draws.
    pub(super) policy: Option<(&'a dyn Policy, Rng)>,
    classes: Eligibility,
    job_rules: Vec<Rule<'a>>,
    job_distinct_hosts: bool,
    job_distinct: Vec<(usize, Option<i64>)>,
    views: Vec<Option<Box<View<'a>>>>,
    source: Source,
    sources: u32,
    limit: u32,
    pub(super) evaluated: u32,
    pub(super) rejected: Vec<(NodeId, Rejected)>,
    /// Scores of every node of the last selection, if they are wanted.
    trace: Option<Vec<NodeScore>>,
    /// Nothing is remembered between nodes and selections: the walk as it is written down.
    #[cfg(test)]
    pub(super) walks_only: bool,
    /// Selections answered by a board.
    #[cfg(test)]
    pub(super) from_board: u32,
}

/// A node that can take the group. Without `ranked`, its details can be found out again.
#[derive(Debug)]
struct Candidate {
    node: NodeId,
    score: f64,
    ranked: Option<Box<Ranked>>,
}

/// What a look at all nodes came to.
enum Wide {
    /// The best of them.
    Best(NodeId),
    /// None can take the group; why, has been noted.
    Nothing,
    /// Only the walk can tell.
    Walk,
}

/// Nodes in random order, and the place reached.
#[derive(Debug, Default)]
struct Source {
    /// Tells the lists of one attempt apart; zero for single nodes.
    number: u32,
    order: Vec<NodeId>,
    /// The order is random up to here.
    mixed: usize,
    offset: usize,
    seen: usize,
}

impl Source {
    fn next(&mut self, rng: &mut Rng) -> Option<NodeId> {
        if self.seen == self.order.len() {
            return None;
        }
        if self.offset == self.order.len() {
            self.offset = 0;
        }
        if self.offset == self.mixed {
            let left = self.order.len() - self.mixed;
            self.order.swap(self.mixed, self.mixed + rng.below(left as u64) as usize);
            self.mixed += 1;
        }
        let node = self.order[self.offset];
        self.offset += 1;
        self.seen += 1;
        Some(node)
    }
}

impl Source {
    /// Puts all that is left into random order.
    fn mix(&mut self, rng: &mut Rng) {
        for at in self.mixed..self.order.len() {
            let left = self.order.len() - at;
            self.order.swap(at, at + rng.below(left as u64) as usize);
        }
        self.mixed = self.order.len();
    }
}

/// Candidates after which the search stops among so many nodes. The stack of system jobs, which is asked about one node
/// at a time, has no limit.
fn limit(kind: JobKind, nodes: u32) -> u32 {
    match kind {
        JobKind::System | JobKind::SysBatch => u32::MAX,
        JobKind::Batch => 2,
        JobKind::Service => 2.max(nodes.next_power_of_two().trailing_zeros()),
    }
}

impl<'a> Stack<'a> {
    /// A stack without nodes for a job.
    pub fn new(state: &'a State, config: &'a SchedulerConfig, job: &'a Arc<Job>, plan: Plan, rng: Rng) -> Self {
        let mut stack = Self {
            state,
            config,
            job,
            policy: config.policy.as_ref().map(|plugged| (plugged.policy(), rng.branch("policy"))),
            rng,
            draft: Draft::new(state, job.id, plan),
            properties: Vec::new(),
            spread_weight: 0.0,
            work: Work::default(),
            classes: Eligibility::default(),
            job_rules: Vec::new(),
            job_distinct_hosts: false,
            job_distinct: Vec::new(),
            views: Vec::new(),
            source: Source::default(),
            sources: 0,
            limit: limit(job.kind, 0),
            evaluated: 0,
            rejected: Vec::new(),
            trace: None,
            #[cfg(test)]
            walks_only: false,
            #[cfg(test)]
            from_board: 0,
        };
        stack.prepare_job();
        stack
    }

    /// Selects for another version of the job from now on. The same version number changes nothing.
    pub fn set_job(&mut self, job: &'a Arc<Job>) {
        if self.job.version != job.version {
            self.job = job;
            self.prepare_job();
        }
    }

    fn prepare_job(&mut self) {
        let job = self.job;
        self.classes.set_job(job);
        self.job_rules = job.constraints.iter().map(Rule::of).collect();
        self.views = job.groups.iter().map(|_| None).collect();
        self.job_distinct_hosts = has_distinct_hosts(&job.constraints, self.config.behaviour.distinct_hosts_value);
        self.job_distinct = self.distinct_sets(&job.constraints, None);
    }

    fn distinct_sets(&mut self, list: &'a [Constraint], group: Option<&Arc<str>>) -> Vec<(usize, Option<i64>)> {
        let mut sets = Vec::new();
        for constraint in list.iter().filter(|c| Operator::parse(&c.operator) == Operator::DistinctProperty) {
            let allowed = if constraint.right.is_empty() { Some(1) } else { constraint.right.parse().ok() };
            sets.push((self.add_property(&constraint.left, group), allowed));
        }
        sets
    }

    /// Starts counting a property, unless it is counted already. Returns the number of the set.
    pub(super) fn add_property(&mut self, attribute: &'a str, group: Option<&Arc<str>>) -> usize {
        let same = |counted: &Counted<'_>| counted.attribute == attribute && counted.group.as_ref() == group;
        if let Some(number) = self.properties.iter().position(same) {
            return number;
        }
        let state = self.state;
        let mut set = PropertySet::new(attribute);
        let counts = |alloc: &Alloc| group.is_none_or(|group| alloc.task_group().name == *group);
        for alloc in state.allocs_of_job(self.job.id) {
            if !alloc.is_terminal() && same_incarnation(alloc, self.job) && counts(alloc) {
                set.count(state, alloc.node, Tally::Existing, 1);
            }
        }
        for stop in &self.draft.plan.stops {
            if state.alloc(stop.alloc).is_some_and(|alloc| counts(alloc)) {
                set.count(state, stop.node, Tally::Cleared, 1);
            }
        }
        for alloc in self.draft.plan.placements.iter().chain(&self.draft.plan.updates) {
            if !alloc.is_terminal() && counts(alloc) {
                set.count(state, alloc.node, Tally::Proposed, 1);
            }
        }
        self.properties.push(Counted { set, attribute, group: group.cloned() });
        self.properties.len() - 1
    }

    /// Sets the nodes to choose from and the limit that goes with their number (Nomad `SetNodes`).
    pub fn set_nodes(&mut self, nodes: Vec<NodeId>) {
        let count = nodes.len() as u32;
        self.limit = limit(self.job.kind, count);
        self.sources += 1;
        self.source = Source { number: self.sources, order: nodes, ..Source::default() };
    }

    /// Scores every node in each selection from now on, and keeps the scores for [`Stack::scores`].
    pub fn keep_scores(&mut self) {
        self.limit = u32::MAX;
        self.trace = Some(Vec::new());
    }

    /// Keeps the scores of the nodes that selections score from now on, without scoring more of them.
    pub(super) fn watch(&mut self) {
        self.trace = Some(Vec::new());
    }

    /// Nodes there are to choose from, and candidates after which the search stops.
    pub(super) fn reach(&self) -> (u32, u32) {
        (self.source.order.len() as u32, self.limit)
    }

    /// Every node scored in the last selection, if [`Stack::keep_scores`] was called.
    pub fn scores(&self) -> &[NodeScore] {
        self.trace.as_deref().unwrap_or_default()
    }

    /// The plan so far.
    pub fn plan(&self) -> &Plan {
        &self.draft.plan
    }

    /// The plan so far, for what concerns no node: deployments and the like.
    pub fn plan_mut(&mut self) -> &mut Plan {
        &mut self.draft.plan
    }

    /// The plan, finished.
    pub fn into_plan(self) -> Plan {
        self.draft.plan
    }

    /// What it cost so far.
    pub fn work(&self) -> Work {
        self.work
    }

    /// What a blocked evaluation must know: eligibility by class, or that a constraint escaped the classes.
    pub fn eligibility(&self) -> (OrdMap<u64, bool>, bool) {
        let escaped = self.classes.has_escaped();
        (if escaped { OrdMap::new() } else { self.classes.by_class() }, escaped)
    }

    // The plan.

    /// Adds a stop to the plan.
    pub fn stage_stop(&mut self, stop: Stop) {
        self.draft.plan.stops.push(stop);
        let Some(alloc) = self.state.alloc(stop.alloc) else { return };
        self.draft.remove(alloc);
        self.count(alloc, Tally::Cleared, 1);
        self.forget(stop.node);
    }

    /// Takes the last stop of an allocation back.
    pub fn unstage_stop(&mut self, alloc: AllocId) {
        let Some(at) = self.draft.plan.stops.iter().rposition(|stop| stop.alloc == alloc) else { return };
        let stop = self.draft.plan.stops.remove(at);
        let Some(alloc) = self.state.alloc(stop.alloc) else { return };
        let still_stopped = self.draft.plan.stops.iter().any(|other| other.alloc == stop.alloc);
        if !alloc.is_terminal() && !still_stopped {
            self.draft.restore(alloc);
        }
        self.count(alloc, Tally::Cleared, -1);
        self.forget(stop.node);
    }

    /// Adds a placement to the plan, with what it pushes out.
    pub fn stage_placement(&mut self, alloc: Arc<Alloc>) {
        let by = self.draft.plan.placements.len() as u32;
        for victim in &alloc.preempted {
            if let Some(victim) = self.state.alloc(*victim) {
                self.draft.remove(victim);
                self.draft.plan.preemptions.push(Preemption { alloc: victim.id, node: victim.node, by });
            }
        }
        self.draft.add(&alloc);
        self.count(&alloc, Tally::Proposed, 1);
        self.forget(alloc.node);
        self.draft.plan.placements.push(alloc);
    }

    /// Adds a change of an existing allocation to the plan.
    pub fn stage_update(&mut self, alloc: Arc<Alloc>) {
        if let Some(before) = self.state.alloc(alloc.id) {
            self.draft.remove(before);
        }
        self.draft.add(&alloc);
        if !alloc.is_terminal() {
            self.count(&alloc, Tally::Proposed, 1);
        }
        self.forget(alloc.node);
        self.draft.plan.updates.push(alloc);
    }

    fn count(&mut self, alloc: &Alloc, tally: Tally, change: i64) {
        let state = self.state;
        for counted in &mut self.properties {
            if counted.group.as_ref().is_none_or(|group| *group == alloc.task_group().name) {
                counted.set.count(state, alloc.node, tally, change);
            }
        }
    }

    /// What the node holds changed.
    fn forget(&mut self, node: NodeId) {
        for view in self.views.iter_mut().flatten() {
            view.scores.forget(node);
            if let Some(board) = &mut view.board {
                board.touch(node);
            }
        }
    }

    // Selection.

    /// The best node for one more allocation of the group, or `None`; see [`Stack::failure`] then. `group` indexes
    /// the groups of the job that was set last.
    pub fn select(&mut self, group: usize, options: SelectOptions<'_>) -> Option<Ranked> {
        if let Some(preferred) = options.preferred {
            let full = std::mem::replace(&mut self.source, Source { order: vec![preferred], ..Source::default() });
            let chosen = self.select_from_source(group, options);
            self.source = Source { offset: 0, ..full };
            if chosen.is_some() {
                return chosen;
            }
        }
        self.select_from_source(group, options)
    }

    /// Whether one node can take one more allocation of the group (system jobs, updates in place).
    pub fn select_node(&mut self, group: usize, node: NodeId, preempt: bool) -> Option<Ranked> {
        let limit = self.limit;
        let full = std::mem::replace(&mut self.source, Source { order: vec![node], ..Source::default() });
        let chosen = self.select_from_source(group, SelectOptions { preempt, ..SelectOptions::default() });
        self.source = full;
        self.limit = limit;
        chosen
    }

    fn select_from_source(&mut self, group: usize, options: SelectOptions<'_>) -> Option<Ranked> {
        let mut view = self.views[group].take().unwrap_or_else(|| Box::new(self.view(group)));
        self.source.seen = 0;
        self.evaluated = 0;
        self.rejected.clear();
        if let Some(trace) = &mut self.trace {
            trace.clear();
        }
        self.work.selects += 1;
        if view.scores.looks_wider() {
            self.limit = self.config.behaviour.spread_limit.of(self.job.groups[group].count, self.limit);
        }
        view.scores.begin(self);
        let mut best = if self.policy.is_some() && self.source.number > 0 {
            self.consult(&mut view, group, options)
        } else {
            match self.best_of_all(&mut view, options) {
                Wide::Best(node) => self.rank_again(&mut view, node, options),
                Wide::Nothing => None,
                Wide::Walk => self.best(&mut view, options),
            }
        };
        if let Some(ranked) = &mut best {
            self.give_ports(&view.scores, ranked);
        }
        self.views[group] = Some(view);
        best
    }

    /// The best of the first candidates.
    fn best(&mut self, view: &mut View<'a>, options: SelectOptions<'_>) -> Option<Ranked> {
        let limit = self.limit as usize;
        let best = search::best(limit, || self.next_candidate(view, options), |candidate| candidate.score)?;
        match best.ranked {
            Some(ranked) => Some(*ranked),
            None => self.rank_again(view, best.node, options),
        }
    }

    pub(super) fn rank_again(
        &mut self,
        view: &mut View<'a>,
        node: NodeId,
        options: SelectOptions<'_>,
    ) -> Option<Ranked> {
        let state = self.state;
        let entry = state.node(node)?;
        let class = self.classes.class(entry);
        self.rank(&mut view.scores, class, entry, options).ok()
    }

    /// The choice of a selection that looks at all nodes, from the board.
    fn best_of_all(&mut self, view: &mut View<'a>, options: SelectOptions<'_>) -> Wide {
        let count = self.source.order.len();
        let looks_at_all = 0 < count && count <= self.limit as usize && self.source.number > 0;
        if !looks_at_all || !self.keeps(view, options) {
            return Wide::Walk;
        }
        let turn = (self.source.number, self.source.offset % count);
        let is_first = view.looked_wide.replace(turn) != Some(turn);
        if is_first {
            view.scores.expect(count);
            view.board = None;
            // The walk would do it as it goes, and draws nothing else on its way.
            self.source.mix(&mut self.rng);
        }
        let mut board = match view.board.take().filter(|board| board.is_of(turn)) {
            Some(mut board) => {
                for node in board.take_touched() {
                    let (standing, values) = self.standing(view, node);
                    board.correct(node, standing, values);
                }
                board
            }
            None => self.fill_board(view, turn),
        };
        let best = board.best(|values| view.scores.mean_of(self, values));
        let nothing = is_first && board.is_without_candidates();
        if !nothing {
            self.rejected.clear();
        }
        if best.is_some() || nothing {
            #[cfg(test)]
            {
                self.from_board += 1;
            }
            self.evaluated += count as u32;
            self.work.nodes_pulled += count as u64;
            self.work.nodes_scored += u64::from(board.fitted());
            self.source.seen = count;
            self.source.offset = if turn.1 == 0 { count } else { turn.1 };
        }
        view.board = Some(board);
        match best {
            Some(rank) => Wide::Best(self.source.order[(turn.1 + rank as usize) % count]),
            None if nothing => Wide::Nothing,
            None => Wide::Walk,
        }
    }

    fn fill_board(&mut self, view: &mut View<'a>, turn: (u32, usize)) -> Board {
        let count = self.source.order.len();
        debug_assert!(self.source.mixed == count, "a look at all nodes has put them into order");
        let mut board = Board::new(turn, count);
        for at in (turn.1..count).chain(0..turn.1) {
            let node = self.source.order[at];
            let (standing, values) = self.standing(view, node);
            board.push(node, standing, values);
        }
        board
    }

    /// What a node adds to the board. Rejections are noted as the walk notes them: of a class, the first node names the
    /// reason, and it is looked at once.
    fn standing(&mut self, view: &mut View<'a>, node: NodeId) -> (Standing, Values) {
        match self.look_briefly(view, node) {
            Known::Nothing => (Standing::Filtered, Values::new()),
            Known::Rejected(why) => {
                self.rejected.push((node, why));
                let full = matches!(why, Rejected::Exhausted(_));
                (if full { Standing::Full } else { Standing::Filtered }, Values::new())
            }
            Known::Scored(sum, count) => (Standing::Scored(sum, count), view.scores.spread_values(self, node)),
        }
    }

    /// Whether the selection finds out nothing but what is kept.
    fn keeps(&self, view: &View<'a>, options: SelectOptions<'_>) -> bool {
        #[cfg(test)]
        if self.walks_only {
            return false;
        }
        view.scores.keeps() && !options.preempt && options.penalty_nodes.is_empty() && self.trace.is_none()
    }

    /// What is kept of a node, found out if it is not known yet. Nothing of a node that is gone.
    fn look_briefly(&mut self, view: &mut View<'a>, node: NodeId) -> Known {
        let known = view.scores.known(node);
        if known != Known::Nothing {
            return known;
        }
        let state = self.state;
        let Some(entry) = state.node(node) else { return Known::Nothing };
        let known = match self.feasible(view, entry) {
            Err(why) => Known::Rejected(Rejected::Filtered(why)),
            Ok(class) => match self.rank_briefly(&mut view.scores, class, entry) {
                Ok((sum, count)) => Known::Scored(sum, count),
                Err(why) => Known::Rejected(Rejected::Exhausted(why)),
            },
        };
        // The first node of a class names the constraint, so only the answers of later ones can be kept.
        if !matches!(known, Known::Rejected(Rejected::Filtered(why)) if why != Filtered::Class) {
            view.scores.keep(node, known);
        }
        known
    }

    fn next_candidate(&mut self, view: &mut View<'a>, options: SelectOptions<'_>) -> Option<Candidate> {
        let keeps = self.keeps(view, options);
        loop {
            let node = self.source.next(&mut self.rng)?;
            self.evaluated += 1;
            self.work.nodes_pulled += 1;
            if keeps {
                match self.look_briefly(view, node) {
                    Known::Nothing => {}
                    Known::Rejected(why) => {
                        self.work.nodes_scored += u64::from(matches!(why, Rejected::Exhausted(_)));
                        self.rejected.push((node, why));
                    }
                    Known::Scored(sum, count) => {
                        self.work.nodes_scored += 1;
                        let score = view.scores.mean(self, node, sum, count);
                        return Some(Candidate { node, score, ranked: None });
                    }
                }
                continue;
            }
            if let Some(ranked) = self.look(view, node, options) {
                return Some(Candidate { node, score: ranked.score, ranked: Some(Box::new(ranked)) });
            }
        }
    }

    /// The next node that can take the group, with all details.
    pub(super) fn next_ranked(&mut self, view: &mut View<'a>, options: SelectOptions<'_>) -> Option<Ranked> {
        loop {
            let node = self.source.next(&mut self.rng)?;
            self.evaluated += 1;
            self.work.nodes_pulled += 1;
            if let Some(ranked) = self.look(view, node, options) {
                return Some(ranked);
            }
        }
    }

    /// Checks, fits and scores a node; why it cannot be is noted.
    fn look(&mut self, view: &mut View<'a>, node: NodeId, options: SelectOptions<'_>) -> Option<Ranked> {
        let state = self.state;
        let entry = state.node(node)?;
        let class = match self.feasible(view, entry) {
            Ok(class) => class,
            Err(why) => {
                self.rejected.push((node, Rejected::Filtered(why)));
                return None;
            }
        };
        self.work.nodes_scored += 1;
        match self.rank(&mut view.scores, class, entry, options) {
            Ok(ranked) => {
                if let Some(trace) = &mut self.trace {
                    trace.push(ranked.scores);
                }
                Some(ranked)
            }
            Err(why) => {
                self.rejected.extend(why.map(|why| (node, Rejected::Exhausted(why))));
                None
            }
        }
    }

    /// The number of the node's class, if it may be chosen.
    fn feasible(&mut self, view: &mut View<'a>, entry: &NodeEntry) -> Result<usize, Filtered> {
        let node = entry.id;
        let class = check(&mut self.classes, &self.job_rules, &view.checks, entry)?;
        let system = matches!(self.job.kind, JobKind::System | JobKind::SysBatch);
        if !system
            && (self.job_distinct_hosts && self.draft.own_of_job(node) > 0
                || view.distinct_hosts && self.draft.own_in_group(view.scores.own, node) > 0)
        {
            return Err(Filtered::DistinctHosts);
        }
        for (number, allowed) in self.job_distinct.iter().chain(&view.distinct) {
            let set = &mut self.properties[*number].set;
            let missing = Filtered::MissingProperty(*number as u32);
            let value = set.value(self.state, node).ok_or(missing)?;
            let used = set.used(value);
            if used >= allowed.ok_or(missing)? {
                return Err(Filtered::DistinctProperty(*number as u32, value.0, used));
            }
        }
        Ok(class)
    }

    fn view(&mut self, at: usize) -> View<'a> {
        let job = self.job;
        let group = &job.groups[at];
        let distinct = self.distinct_sets(&group.constraints, Some(&group.name));
        let keeps = distinct.is_empty() && self.job_distinct.is_empty();
        View {
            checks: GroupChecks::new(group, &mut self.classes),
            scores: GroupScores::new(self, group, keeps),
            distinct_hosts: has_distinct_hosts(&group.constraints, self.config.behaviour.distinct_hosts_value),
            distinct,
            board: None,
            looked_wide: None,
        }
    }
}
