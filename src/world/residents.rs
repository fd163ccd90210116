//! Who stands behind the endpoints a proxy has heard of.

use std::sync::Arc;

use crate::protocol::proxy::endpoint::Endpoint;
use crate::world::event::RoutedInstance;

/// Every endpoint ever listed, with the instance that was listed there last: requests under way may still go to one
/// that is listed no more.
#[derive(Debug, Clone, Default)]
pub struct Residents {
    /// In ascending order, each endpoint once.
    known: Vec<(Endpoint, RoutedInstance)>,
}

impl Residents {
    /// Takes in a list in ascending order, each endpoint once.
    pub fn learn(&mut self, listed: &[(Endpoint, RoutedInstance)]) {
        let (mut place, count) = (0, self.known.len());
        for &(endpoint, instance) in listed {
            place += self.known[place..count].iter().take_while(|(known, _)| *known < endpoint).count();
            match self.known[place..count].first_mut() {
                Some((known, resident)) if *known == endpoint => *resident = instance,
                _ => self.known.push((endpoint, instance)),
            }
        }
        // Two sorted runs, which a stable sort merges.
        self.known.sort_by_key(|(endpoint, _)| *endpoint);
    }

    /// Who stands behind any of the endpoints, which are in ascending order; sorted.
    pub fn of(&self, endpoints: &[Endpoint]) -> Vec<RoutedInstance> {
        let mut known = self.known.iter().peekable();
        let mut found: Vec<RoutedInstance> = endpoints
            .iter()
            .filter_map(|endpoint| {
                while known.next_if(|(known, _)| known < endpoint).is_some() {}
                known.peek().filter(|(known, _)| known == endpoint).map(|(_, instance)| *instance)
            })
            .collect();
        // Endpoints come by machine, as the result does, so that this finds little to move.
        found.sort();
        found.dedup();
        found
    }
}

/// What is in `these` and not in `those`; both are sorted.
pub fn only(these: &[RoutedInstance], those: &[RoutedInstance]) -> Arc<[RoutedInstance]> {
    let mut those = those.iter().peekable();
    let missing = |this: &&RoutedInstance| {
        while those.next_if(|that| that < this).is_some() {}
        those.peek() != Some(this)
    };
    these.iter().filter(missing).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::ProcessId;
    use crate::model::alloc::AllocId;
    use crate::model::topology::RegionId;
    use crate::world::event::Instance;
    use crate::world::spec::MachineId;

    fn endpoint(number: u32) -> Endpoint {
        Endpoint { process: ProcessId(number / 10), port: number % 10 }
    }

    fn resident(alloc: u32) -> RoutedInstance {
        let instance = Instance { region: RegionId(0), alloc: AllocId(alloc) };
        RoutedInstance { machine: MachineId(alloc / 10), instance }
    }

    fn listed(pairs: &[(u32, u32)]) -> Vec<(Endpoint, RoutedInstance)> {
        pairs.iter().map(|&(at, alloc)| (endpoint(at), resident(alloc))).collect()
    }

    #[test]
    fn the_last_listed_stands_behind_an_endpoint_for_good() {
        let mut residents = Residents::default();
        residents.learn(&listed(&[(20, 1), (30, 2)]));
        residents.learn(&listed(&[(10, 12), (20, 11), (25, 10)]));
        residents.learn(&listed(&[]));
        let some = [5, 10, 20, 25, 26, 30].map(endpoint);
        assert_eq!(residents.of(&some), [2, 10, 11, 12].map(resident));
    }

    #[test]
    fn differences_of_sorted_lists() {
        let check = |these: &[u32], those: &[u32], expected: &[u32]| {
            let all = |allocs: &[u32]| -> Vec<_> { allocs.iter().map(|&alloc| resident(alloc)).collect() };
            assert_eq!(only(&all(these), &all(those)).to_vec(), all(expected));
        };
        check(&[1, 2, 3], &[2], &[1, 3]);
        check(&[2], &[1, 2, 3], &[]);
        check(&[1, 4], &[0, 2, 5], &[1, 4]);
        check(&[], &[1], &[]);
    }
}
