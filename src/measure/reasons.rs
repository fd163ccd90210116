//! Why allocations stand where they do, as far as the run explains itself, and which groups could not be placed.

use std::sync::Arc;

use crate::base::ordered::{OrdMap, OrdSet};
use crate::base::time::Time;
use crate::model::alloc::Alloc;
use crate::model::evaluation::{EvalId, EvalStatus, Evaluation, FailedGroup};
use crate::model::job::JobId;
use crate::model::topology::RegionId;
pub use crate::protocol::scheduler::explain::Selection;
pub use crate::protocol::scheduler::plan::{Misfit, Rejection};
use crate::world::naming::is_of;
use crate::world::spec::MachineId;

/// The selection behind a decision, and what it was made for.
#[derive(Debug, Clone, PartialEq)]
pub struct Why {
    /// The evaluation, as the worker got it.
    pub eval: Arc<Evaluation>,
    /// When the worker computed it.
    pub decided_at: Time,
    /// Every selection of that attempt, in order.
    pub selections: Arc<[Selection]>,
    /// Which of them it is.
    pub number: usize,
}

impl Why {
    /// The last pass over the nodes for the allocation.
    pub fn selection(&self) -> &Selection {
        &self.selections[self.number]
    }

    /// Constraints that ruled nodes of some class out, earlier in the attempt: the reason behind a class that is
    /// ineligible.
    pub fn class_reasons(&self) -> Vec<&str> {
        let group = &self.selection().group;
        let earlier = self.selections[..self.number].iter().filter(|selection| selection.group == *group);
        let texts = earlier.flat_map(|selection| selection.record.constraint_filtered.keys());
        let mut reasons: Vec<&str> = texts.map(String::as_str).filter(|text| *text != CLASS_INELIGIBLE).collect();
        reasons.sort_unstable();
        reasons.dedup();
        reasons
    }

    /// The pass before it, if that one was for the same allocation and pushed nobody out.
    pub fn first_pass(&self) -> Option<&Selection> {
        let last = self.selection();
        let before = self.number.checked_sub(1).map(|number| &self.selections[number]);
        before.filter(|before| last.preempts && is_same(before, last) && before.chosen.is_none())
    }
}

/// Nomad's text for a node of a class that was ruled out before.
pub const CLASS_INELIGIBLE: &str = "computed class ineligible";

fn is_same(one: &Selection, other: &Selection) -> bool {
    one.name_index == other.name_index && one.group == other.group && one.attempt == other.attempt
}

/// A group that could not be placed as often as it was wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Unplaced {
    /// Of which region.
    pub region: RegionId,
    /// The job's name.
    pub job: Arc<str>,
    /// The group.
    pub group: Arc<str>,
    /// When an evaluation first ended so.
    pub first: Time,
    /// When one last did.
    pub last: Time,
    /// How many did.
    pub times: u32,
    /// What the last one recorded.
    pub record: FailedGroup,
    /// What became of the last one's plans, if it gave up because they were rejected.
    pub rejections: Rejections,
    /// Placements still wanted at the end of the run.
    pub queued: u32,
}

/// Plans that were not applied as they were.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rejections {
    /// Plans in which a node rejected its part.
    pub plans: u32,
    /// How often which node did, and why.
    pub nodes: OrdMap<(MachineId, Rejection), u32>,
}

impl Rejections {
    fn add(&mut self, rejected: &[(MachineId, Rejection)]) {
        self.plans += 1;
        for part in rejected {
            *self.nodes.entry(*part).or_insert(0) += 1;
        }
    }
}

/// The last evaluation that chose nodes for a group and gave up, because the plans to use them were rejected.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenUp {
    /// The last selection for the group.
    pub why: Why,
    /// When it ended.
    pub at: Time,
    /// Its plans.
    pub rejections: Rejections,
    /// The blocked evaluation that it left.
    pub blocked: Option<EvalId>,
    /// Evaluations that ended so until then.
    pub evals: u32,
}

/// Why a group has no place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Refusal<'a> {
    /// No node could take it.
    NoNode(&'a Why),
    /// One could, but the plans were rejected.
    GivenUp(&'a GivenUp),
}

impl<'a> Refusal<'a> {
    /// The selection.
    pub fn why(self) -> &'a Why {
        match self {
            Self::NoNode(why) => why,
            Self::GivenUp(given_up) => &given_up.why,
        }
    }
}

/// What one region says of its decisions.
#[derive(Debug, Clone, Default)]
pub(super) struct Reasons {
    /// Selections of evaluations that have not ended.
    open: OrdMap<EvalId, Vec<Why>>,
    /// The last selection that found nothing, by job and group name.
    refused: OrdMap<(Arc<str>, Arc<str>), Why>,
    unplaced: OrdMap<(JobId, Arc<str>), Unplaced>,
    /// Plans of evaluations that have not ended.
    rejected: OrdMap<EvalId, Rejections>,
    /// The last evaluation that gave up, by job and group name; only if the run explains itself.
    given_up: OrdMap<(Arc<str>, Arc<str>), GivenUp>,
}

impl Reasons {
    /// A worker explained what it selected.
    pub(super) fn explained(&mut self, at: Time, eval: &Arc<Evaluation>, selections: &Arc<[Selection]>) {
        let why = |number| Why { eval: Arc::clone(eval), decided_at: at, selections: Arc::clone(selections), number };
        for (number, selection) in selections.iter().enumerate() {
            let tried_again =
                || selections.get(number + 1).is_some_and(|next| next.preempts && is_same(selection, next));
            if selection.chosen.is_none() && !tried_again() {
                let key = (Arc::clone(&selection.job), Arc::clone(&selection.group));
                self.refused.insert(key, why(number));
            }
        }
        if !selections.is_empty() {
            self.open.entry(eval.id).or_default().push(why(0));
        }
    }

    /// An evaluation is over.
    pub(super) fn finished(&mut self, eval: EvalId) {
        self.open.remove(&eval);
        self.rejected.remove(&eval);
    }

    /// Nodes answered a plan.
    pub(super) fn planned(&mut self, eval: EvalId, rejected: &[(MachineId, Rejection)]) {
        if !rejected.is_empty() {
            self.rejected.entry(eval).or_default().add(rejected);
        }
    }

    /// Why an allocation that was just written stands where it does: the last selection for its name that chose its
    /// node.
    pub(super) fn placed(&self, alloc: &Alloc) -> Option<Box<Why>> {
        let name = &alloc.task_group().name;
        let chose = |selection: &Selection| {
            selection.name_index == alloc.name_index
                && selection.group == *name
                && selection.chosen.as_ref().is_some_and(|chosen| chosen.node == alloc.node)
        };
        self.open.get(&alloc.eval)?.iter().rev().find_map(|why| {
            let number = why.selections.iter().rposition(chose)?;
            Some(Box::new(Why { number, ..why.clone() }))
        })
    }

    /// An evaluation ended and left groups of a job short: no node could take them, or it gave up because its plans
    /// were rejected.
    pub(super) fn unplaced(&mut self, at: Time, region: RegionId, job: &Arc<str>, eval: &Evaluation) {
        let rejections = self.rejected.get(&eval.id).filter(|_| eval.status == EvalStatus::Failed).cloned();
        let wanting = eval.queued.iter().filter(|(_, count)| rejections.is_some() && **count > 0);
        let groups: OrdSet<&Arc<str>> = eval.failed_groups.keys().chain(wanting.map(|(group, _)| group)).collect();
        for group in groups {
            let unplaced = self.unplaced.entry((eval.job, Arc::clone(group))).or_insert_with(|| Unplaced {
                region,
                job: Arc::clone(job),
                group: Arc::clone(group),
                first: at,
                last: at,
                times: 0,
                record: FailedGroup::default(),
                rejections: Rejections::default(),
                queued: 0,
            });
            unplaced.last = at;
            unplaced.times += 1;
            unplaced.record = eval.failed_groups.get(group).map_or_else(FailedGroup::default, |it| (**it).clone());
            unplaced.rejections = rejections.clone().unwrap_or_default();
            if let Some(rejections) = &rejections {
                self.give_up(at, job, group, eval, rejections);
            }
        }
    }

    /// Keeps the last selection that chose a node for the group, if the run explains itself.
    fn give_up(&mut self, at: Time, job: &Arc<str>, group: &Arc<str>, eval: &Evaluation, rejections: &Rejections) {
        let chose = |selection: &Selection| selection.group == *group && selection.chosen.is_some();
        let why = self.open.get(&eval.id).and_then(|open| {
            open.iter().rev().find_map(|why| {
                let number = why.selections.iter().rposition(chose)?;
                Some(Why { number, ..why.clone() })
            })
        });
        let Some(why) = why else { return };
        let key = (Arc::clone(job), Arc::clone(group));
        let evals = self.given_up.get(&key).map_or(0, |before| before.evals) + 1;
        self.given_up.insert(key, GivenUp { why, at, rejections: rejections.clone(), blocked: eval.blocked, evals });
    }

    /// Why a group was last refused, of a job or of any child of it.
    pub(super) fn refusal(&self, job: &str, group: &str) -> Option<Refusal<'_>> {
        let of = |(name, of): &(Arc<str>, Arc<str>)| is_of(name, job) && **of == *group;
        let refused = self.refused.iter().filter(|(key, _)| of(key)).map(|(_, why)| Refusal::NoNode(why));
        let given_up = self.given_up.iter().filter(|(key, _)| of(key)).map(|(_, it)| Refusal::GivenUp(it));
        refused.chain(given_up).max_by_key(|refusal| refusal.why().decided_at)
    }

    /// Groups that were left short, with what they still want.
    pub(super) fn short(&self, wanted: &OrdMap<(JobId, Arc<str>), u32>) -> impl Iterator<Item = Unplaced> {
        let queued = |key| wanted.get(key).copied().unwrap_or(0);
        self.unplaced.iter().map(move |(key, unplaced)| Unplaced { queued: queued(key), ..unplaced.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::job::JobKind;
    use crate::model::node::NodeId;
    use crate::protocol::scheduler::explain::Chosen;

    fn selection(name_index: u32, preempts: bool, node: Option<u32>) -> Selection {
        Selection {
            job: "shop".into(),
            group: "web".into(),
            name_index,
            attempt: 1,
            previous: None,
            preempts,
            penalty_nodes: Vec::new(),
            preferred: None,
            nodes: 3,
            limit: Some(2),
            record: FailedGroup { nodes_evaluated: 2, ..FailedGroup::default() },
            candidates: 0,
            best: Vec::new(),
            chosen: node.map(|node| Chosen { node: NodeId(node), score: 0.5, preempted: Vec::new() }),
        }
    }

    fn evaluation() -> Evaluation {
        Evaluation {
            id: EvalId(7),
            kind: JobKind::Service,
            ..Evaluation::core(EvalId(7), crate::model::evaluation::CoreJob::EvalGc, 0, Time::ZERO)
        }
    }

    #[test]
    fn only_a_last_pass_without_a_choice_is_a_refusal() {
        let mut reasons = Reasons::default();
        let (shop, web) = (Arc::from("shop"), Arc::from("web"));
        let eval = Arc::new(evaluation());
        let rescued: Arc<[Selection]> = [selection(0, false, None), selection(0, true, Some(1))].into();
        reasons.explained(Time::ZERO, &eval, &rescued);
        assert!(reasons.refusal(&shop, &web).is_none());
        let refused: Arc<[Selection]> = [selection(0, false, None), selection(0, true, None)].into();
        reasons.explained(Time::ZERO, &eval, &refused);
        let why = reasons.refusal(&shop, &web).unwrap().why();
        assert_eq!((why.number, why.first_pass().is_some(), why.selection().unseen()), (1, true, 1));
    }

    #[test]
    fn a_class_is_ineligible_for_what_ruled_it_out_before() {
        let filtered = |texts: &[&str]| {
            let mut selection = selection(0, false, Some(1));
            selection.record.constraint_filtered = texts.iter().map(|text| ((*text).to_owned(), 1)).collect();
            selection
        };
        let selections = [filtered(&["missing drivers", CLASS_INELIGIBLE]), filtered(&[CLASS_INELIGIBLE])].into();
        let why = Why { eval: Arc::new(evaluation()), decided_at: Time::ZERO, selections, number: 1 };
        assert_eq!(why.class_reasons(), ["missing drivers"]);
    }

    #[test]
    fn failures_are_counted_and_the_last_record_is_kept() {
        let mut reasons = Reasons::default();
        let mut eval = evaluation();
        for exhausted in [2, 3] {
            let record = FailedGroup { nodes_exhausted: exhausted, ..FailedGroup::default() };
            eval.failed_groups.insert("web".into(), record.into());
            reasons.unplaced(Time::ZERO, RegionId(0), &"shop".into(), &eval);
        }
        let wanted = OrdMap::from([((eval.job, Arc::from("web")), 4)]);
        let short: Vec<Unplaced> = reasons.short(&wanted).collect();
        assert_eq!((short.len(), short[0].times, short[0].queued, short[0].record.nodes_exhausted), (1, 2, 4, 3));
    }

    #[test]
    fn an_evaluation_that_gave_up_left_its_groups_without_a_place() {
        let mut reasons = Reasons::default();
        let mut eval = Evaluation { status: EvalStatus::Failed, blocked: Some(EvalId(8)), ..evaluation() };
        eval.queued = OrdMap::from([("web".into(), 3), ("db".into(), 0)]);
        let chosen: Arc<[Selection]> = [selection(0, true, Some(1)), selection(1, true, None)].into();
        reasons.explained(Time::ZERO, &Arc::new(eval.clone()), &chosen);
        for rejected in [&[(MachineId(4), Rejection::NotReady)][..], &[(MachineId(4), Rejection::NotReady)], &[]] {
            reasons.planned(eval.id, rejected);
        }
        reasons.unplaced(Time::ZERO, RegionId(0), &"shop".into(), &eval);
        reasons.finished(eval.id);
        let expected = Rejections { plans: 2, nodes: OrdMap::from([((MachineId(4), Rejection::NotReady), 2)]) };
        let short: Vec<Unplaced> = reasons.short(&OrdMap::new()).collect();
        assert_eq!((short.len(), &*short[0].group, &short[0].rejections), (1, "web", &expected));
        let Some(Refusal::GivenUp(given_up)) = reasons.refusal("shop", "web") else { panic!("it gave up") };
        assert_eq!((given_up.why.number, given_up.blocked, given_up.evals), (0, Some(EvalId(8)), 1));
        assert_eq!(given_up.rejections, expected);

        // Without rejections it failed for another reason.
        let mut reasons = Reasons::default();
        reasons.unplaced(Time::ZERO, RegionId(0), &"shop".into(), &eval);
        assert_eq!(reasons.short(&OrdMap::new()).count(), 0);
    }
}
