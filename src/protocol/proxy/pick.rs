//! Choosing a target of a route: `proxy.strategy` `rnd` (default) and `rr`.

use crate::protocol::proxy::weight::Shares;

/// `proxy.strategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// A uniformly drawn position of the ring.
    #[default]
    Random,
    /// The ring in order, one counter per route and table: a new table starts again at its first target.
    RoundRobin,
}

/// Chooses a target. `draw` gives a uniform integer below its argument and is asked only by [`Strategy::Random`];
/// `counter` is the route's and moves only under [`Strategy::RoundRobin`]. A single target is taken without either.
pub fn pick(strategy: Strategy, shares: &Shares, counter: &mut u64, draw: impl FnOnce(u64) -> u64) -> usize {
    let positions = shares.ring_len() as u64;
    if shares.slots.len() == 1 {
        return 0;
    }
    let position = match strategy {
        Strategy::Random => draw(positions),
        Strategy::RoundRobin => {
            let position = *counter % positions;
            *counter += 1;
            position
        }
    };
    shares.target_at(position as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Draws;

    #[test]
    fn random_shares_are_within_four_standard_errors() {
        let shares = Shares::new(&[0.1, 0.0]);
        let draws = Draws::new(1, "pick");
        let n = 20_000_u32;
        let first = (0..u64::from(n))
            .filter(|&i| pick(Strategy::Random, &shares, &mut 0, |below| draws.below(i, 0, below)) == 0)
            .count();
        let share = first as f64 / f64::from(n);
        assert!((share - 0.1).abs() < 4.0 * libm::sqrt(0.1 * 0.9 / f64::from(n)), "{share}");
    }

    #[test]
    fn round_robin_follows_the_ring() {
        let shares = Shares::new(&[1.0, 2.0, 3.0]);
        let mut counter = 0;
        let picks: Vec<usize> =
            (0..6).map(|_| pick(Strategy::RoundRobin, &shares, &mut counter, |_| unreachable!())).collect();
        assert_eq!(picks, [0, 1, 2, 2, 1, 2]);
    }
}
