//! A scheduler of one's own against Nomad's: `cargo run --release --example own_scheduler`.
//!
//! It fills the fullest node, but keeps instances of a group apart as long as there is another node.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::cmp::Reverse;
use std::error::Error;
use std::path::Path;

use cossim::analysis::batch::Wish;
use cossim::analysis::quality::{baseline, judge::judge, play, workloads};
use cossim::base::rng::Rng;
use cossim::protocol::orchestrator::policy::{Ask, Choice, Offer, Plugged, Policy};
use cossim::report::quality::verdicts;

#[derive(Debug)]
struct Snug;

impl Policy for Snug {
    fn name(&self) -> &'static str {
        "snug"
    }

    fn place(&self, ask: &Ask<'_>, offers: &mut dyn Iterator<Item = Offer<'_>>, _: &mut Rng) -> Option<Choice> {
        let key = |offer: &Offer<'_>| {
            let (free, needs) = (offer.free(), ask.needs);
            let left = (free.cpu - needs.cpu) * 1_000 / offer.available.cpu.max(1)
                + (free.memory - needs.memory) * 1_000 / offer.available.memory.max(1);
            (offer.victims.len(), offer.of_group, ask.failed_on.contains(&offer.node.id), left, Reverse(offer.node.id))
        };
        offers.min_by_key(key).map(|offer| Choice::of(&offer))
    }
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("quality");
    let mut suite = workloads(&folder, &[])?;
    let before = baseline::read_all(&folder, suite.iter().map(|workload| &*workload.name))?;
    let mut now = Vec::new();
    for workload in &mut suite {
        workload.world.options.scheduler.policy = Some(Plugged::new(Snug));
        now.push(play(workload, None, |_| Wish::GoOn)?);
    }
    print!("{}", verdicts(&judge(&before, &now)?, false));
    Ok(())
}
