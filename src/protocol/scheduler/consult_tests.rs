//! What a policy is asked, and what becomes of its answers.

use crate::base::rng::Rng;
use crate::model::alloc::{AllocId, Desired};
use crate::model::evaluation::EvalStatus;
use crate::model::job::{Job, JobId, JobKind};
use crate::model::node::NodeId;
use crate::protocol::orchestrator::policy::{Ask, Choice, Offer, Plugged, Policy};
use crate::protocol::scheduler::story_tests::{Region, job};

/// A policy made of a function.
#[derive(Debug)]
struct Asked(fn(&Ask<'_>, &mut dyn Iterator<Item = Offer<'_>>) -> Option<Choice>);

impl Policy for Asked {
    fn name(&self) -> &'static str {
        "asked"
    }

    fn place(&self, ask: &Ask<'_>, offers: &mut dyn Iterator<Item = Offer<'_>>, _: &mut Rng) -> Option<Choice> {
        (self.0)(ask, offers)
    }
}

fn region(nodes: u32, place: fn(&Ask<'_>, &mut dyn Iterator<Item = Offer<'_>>) -> Option<Choice>) -> Region {
    let mut region = Region::new(nodes);
    region.config.policy = Some(Plugged::new(Asked(place)));
    region
}

fn places(region: &Region, job: JobId) -> Vec<NodeId> {
    region.live(job).iter().map(|alloc| alloc.node).collect()
}

/// A node of 4000 MHz on which allocation 0, of priority 75, and two of priority 20 take 1000 MHz each; and a job of
/// priority 80 that asks for 2000 MHz.
fn full(place: fn(&Ask<'_>, &mut dyn Iterator<Item = Offer<'_>>) -> Option<Choice>) -> (Region, Job) {
    let mut region = region(1, |_, offers| offers.next().map(|offer| Choice::of(&offer)));
    for id in 0..3 {
        region.run(&Job { priority: if id == 0 { 75 } else { 20 }, ..job(id, JobKind::Service, 1, 1_000) });
    }
    region.config.policy = Some(Plugged::new(Asked(place)));
    region.config.preempt_service = true;
    (region, Job { priority: 80, ..job(9, JobKind::Service, 1, 2_000) })
}

#[test]
fn it_hears_of_room_and_of_the_jobs_own_allocations_in_the_plan_so_far() {
    let mut region = region(2, |ask, offers| {
        let mut offers: Vec<Offer<'_>> = offers.collect();
        offers.sort_by_key(|offer| offer.node.id);
        let own = ask.allocs();
        for offer in &offers {
            let there = own.iter().filter(|alloc| alloc.node == offer.node.id).count();
            assert_eq!((offer.of_group as usize, offer.of_job as usize), (there, there));
            assert_eq!(offer.used.cpu, 1_500 * there as i64);
            assert_eq!(offer.free().cpu, 4_000 - offer.used.cpu);
        }
        assert_eq!((ask.needs.cpu, ask.nodes, ask.limit, ask.preempts), (1_500, 2, 2, false));
        // Two fit on a node: the full one is no longer offered.
        assert_eq!(offers.len(), if own.len() < 2 { 2 } else { 1 });
        offers.first().map(Choice::of)
    });
    region.run(&job(1, JobKind::Service, 3, 1_500));
    assert_eq!(places(&region, JobId(1)), [NodeId(0), NodeId(0), NodeId(1)]);
}

#[test]
fn what_it_declines_waits() {
    let mut region = region(2, |_, _| None);
    let (eval, created) = region.run(&job(1, JobKind::Service, 3, 500));
    assert_eq!((eval.status, created[0].status), (EvalStatus::Complete, EvalStatus::Blocked));
    assert_eq!(eval.queued.values().sum::<u32>(), 3);
    assert!(places(&region, JobId(1)).is_empty());
}

#[test]
fn system_jobs_do_not_ask() {
    let mut region = region(2, |_, _| None);
    region.run(&job(1, JobKind::System, 1, 500));
    assert_eq!(places(&region, JobId(1)), [NodeId(0), NodeId(1)]);
}

#[test]
fn victims_are_those_of_the_offer_or_of_its_own_choice() {
    let evicted = |region: &Region| {
        let allocs = region.state.allocs().iter().map(|(_, alloc)| alloc);
        allocs.filter(|alloc| alloc.desired == Desired::Evict).map(|alloc| alloc.id).collect::<Vec<_>>()
    };
    let (mut region, urgent) = full(|ask, offers| {
        let offer = offers.next()?;
        assert!(ask.preempts && offer.victims.len() == 1, "one of 1000 MHz goes: {ask:?} {offer:?}");
        Some(Choice::of(&offer))
    });
    region.run(&urgent);
    assert_eq!((evicted(&region).len(), places(&region, JobId(9)).len()), (1, 1));

    let (mut region, urgent) = full(|_, offers| {
        let offer = offers.next()?;
        Some(Choice { victims: Some(vec![AllocId(1), AllocId(2)]), ..Choice::of(&offer) })
    });
    region.run(&urgent);
    assert_eq!((evicted(&region), places(&region, JobId(9)).len()), (vec![AllocId(1), AllocId(2)], 1));
}

#[test]
#[should_panic(expected = "policy `asked` pushes [] out for job-9 on n0, which makes too little room")]
fn victims_that_make_too_little_room_are_a_mistake() {
    let (mut region, urgent) =
        full(|_, offers| Some(Choice { victims: Some(Vec::new()), ..Choice::of(&offers.next()?) }));
    region.run(&urgent);
}

#[test]
#[should_panic(expected = "policy `asked` pushes a0 out for job-9 on n0, and may not")]
fn victims_have_to_be_less_important() {
    let (mut region, urgent) =
        full(|_, offers| Some(Choice { victims: Some(vec![AllocId(0)]), ..Choice::of(&offers.next()?) }));
    region.run(&urgent);
}
