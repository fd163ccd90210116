//! A selection by a policy of somebody else's, instead of Nomad's choice ([`crate::protocol::orchestrator`]).

use std::cell::RefCell;
use std::iter::from_fn;
use std::sync::Arc;

use crate::model::alloc::{Alloc, AllocId};
use crate::protocol::orchestrator::policy::{Ask, Choice, Offer};
use crate::protocol::scheduler::preempt::is_eligible;
use crate::protocol::scheduler::rank::Ranked;
use crate::protocol::scheduler::stack::{SelectOptions, Stack, View};

impl<'a> Stack<'a> {
    /// Offers nodes to the policy until it has made its choice.
    ///
    /// # Panics
    ///
    /// If the policy breaks its contract: a node it was not offered, or victims that it may not push out or that do not
    /// make room.
    pub(super) fn consult(&mut self, view: &mut View<'a>, group: usize, options: SelectOptions<'_>) -> Option<Ranked> {
        let (policy, mut rng) = self.policy.take()?;
        let (state, job) = (self.state, self.job);
        let (nodes, limit) = self.reach();
        let needs = view.scores.needs();
        let walk = RefCell::new(Walk { stack: &mut *self, view: &mut *view, options, offered: Vec::new() });
        let ask = Ask {
            state,
            job,
            group: &job.groups[group],
            needs,
            nodes: nodes as usize,
            limit: nodes.min(limit) as usize,
            failed_on: options.penalty_nodes,
            preempts: options.preempt,
            allocs: &|| walk.borrow().stack.draft.own_allocs().cloned().collect(),
        };
        let choice = policy.place(&ask, &mut from_fn(|| walk.borrow_mut().next()), &mut rng);
        let offered = walk.into_inner().offered;
        self.policy = Some((policy, rng));
        let Choice { node, victims } = choice?;
        let name = policy.name();
        let ranked = offered.into_iter().find(|ranked| ranked.node == node);
        let ranked = ranked.unwrap_or_else(|| panic!("policy `{name}` chose {node}, which it was not offered"));
        match victims {
            Some(victims) if victims != ranked.preempted => Some(self.instead(view, &ranked, victims, options)),
            Some(_) | None => Some(ranked),
        }
    }

    /// The same node with other victims.
    fn instead(
        &mut self,
        view: &mut View<'a>,
        ranked: &Ranked,
        victims: Vec<AllocId>,
        options: SelectOptions<'_>,
    ) -> Ranked {
        let (state, node, priority) = (self.state, ranked.node, self.job.priority);
        let name = self.policy.as_ref().map_or("", |(policy, _)| policy.name());
        let mut pushed: Vec<&Arc<Alloc>> = Vec::new();
        for id in &victims {
            let may = |alloc: &&Arc<Alloc>| options.preempt && alloc.node == node && is_eligible(priority, alloc);
            pushed.extend(state.alloc(*id).filter(may).filter(|alloc| self.draft.remove(alloc)));
            let stands = pushed.last().is_some_and(|alloc| alloc.id == *id);
            assert!(stands, "policy `{name}` pushes {id} out for {} on {node}, and may not", self.job.name);
        }
        let mut found = self.rank_again(view, node, SelectOptions { preempt: false, ..options });
        if let Some(found) = &mut found {
            self.give_ports(&view.scores, found);
        }
        pushed.iter().for_each(|alloc| self.draft.restore(alloc));
        let mut found = found.unwrap_or_else(|| {
            panic!(
                "policy `{name}` pushes {victims:?} out for {} on {node}, which makes too little room",
                self.job.name
            )
        });
        found.preempted = victims;
        found
    }
}

/// The nodes on their way to a policy.
struct Walk<'s, 'o, 'a> {
    stack: &'s mut Stack<'a>,
    view: &'s mut View<'a>,
    options: SelectOptions<'o>,
    offered: Vec<Ranked>,
}

impl<'a> Walk<'_, '_, 'a> {
    fn next(&mut self) -> Option<Offer<'a>> {
        let ranked = self.stack.next_ranked(self.view, self.options)?;
        let (state, node) = (self.stack.state, ranked.node);
        let entry = state.node(node).expect("only nodes that exist are ranked");
        let draft = &self.stack.draft;
        let offer = Offer {
            node: &entry.node,
            available: entry.available,
            used: draft.used(entry),
            of_group: draft.own_in_group(self.view.scores.own, node),
            of_job: draft.own_of_job(node),
            scores: ranked.scores,
            victims: ranked.preempted.clone(),
        };
        self.offered.push(ranked);
        Some(offer)
    }
}
