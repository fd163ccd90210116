//! Shares of a route's targets and the ring that realises them (fabio `weighTargets`).
//!
//! A ring has about 10 000 slots; truncation leaves it a few short, the one slot that every positive weight is owed may
//! make it longer. Its order is the round-robin order.

/// Slots a weight of one is worth.
const SLOTS_MAX: f64 = 10_000.0;

/// Shares and ring of one route.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shares {
    /// Effective share per target, in target order.
    pub weights: Vec<f64>,
    /// Ring slots per target, in target order.
    pub slots: Vec<u32>,
    /// Target at each position; `None` when no target has a fixed weight and the ring is the targets in order.
    ring: Option<Vec<u32>>,
}

impl Shares {
    /// Computes shares from fixed weights; zero or less means dynamic.
    pub fn new(fixed: &[f64]) -> Self {
        let count = fixed.len();
        let positive = || fixed.iter().copied().filter(|&weight| weight > 0.0);
        let fixed_count = positive().count();
        if fixed_count == 0 {
            return Self { weights: vec![1.0 / count as f64; count], slots: vec![1; count], ring: None };
        }
        let sum = positive().fold(0.0, |sum, weight| sum + weight);
        let scale = if sum > 1.0 || (fixed_count == count && sum < 1.0) { 1.0 / sum } else { 1.0 };
        // With every target fixed this is a division by zero whose result nobody uses.
        let dynamic = ((1.0 - sum) / (count - fixed_count) as f64).max(0.0);
        let weights: Vec<f64> =
            fixed.iter().map(|&weight| if weight > 0.0 { weight * scale } else { dynamic }).collect();
        let slots: Vec<u32> = weights.iter().map(|&weight| slots_of(weight)).collect();
        let ring = Some(build_ring(&slots));
        Self { weights, slots, ring }
    }

    /// Positions on the ring.
    #[inline]
    pub fn ring_len(&self) -> usize {
        self.ring.as_ref().map_or(self.slots.len(), Vec::len)
    }

    /// The target at a position of the ring.
    #[inline]
    pub fn target_at(&self, position: usize) -> usize {
        self.ring.as_ref().map_or(position, |ring| ring[position] as usize)
    }
}

fn slots_of(weight: f64) -> u32 {
    let slots = (SLOTS_MAX * weight) as u32;
    if slots == 0 && weight > 0.0 { 1 } else { slots }
}

/// Places targets with few slots first, each spread evenly over what is free.
fn build_ring(slots: &[u32]) -> Vec<u32> {
    const FREE: u32 = u32::MAX;
    let used: usize = slots.iter().map(|&slots| slots as usize).sum();
    let mut order: Vec<usize> = (0..slots.len()).collect();
    // Go's sort is stable up to twelve items; beyond that its order among equals is not defined.
    order.sort_by_key(|&target| slots[target]);
    let mut ring = vec![FREE; used];
    for target in order {
        let wanted = slots[target] as usize;
        if wanted == 0 {
            continue;
        }
        let (mut next, step) = (0, used / wanted);
        for _ in 0..wanted {
            while ring[next] != FREE {
                next = (next + 1) % used;
            }
            ring[next] = u32::try_from(target).expect("fewer than 2^32 targets on a route");
            next = (next + step) % used;
        }
    }
    ring
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples() {
        let ring = |fixed: &[f64], n: usize| -> Vec<usize> {
            let shares = Shares::new(fixed);
            (0..n).map(|position| shares.target_at(position)).collect()
        };
        assert_eq!(ring(&[0.5, 0.5], 4), [0, 1, 0, 1]);
        assert_eq!(ring(&[0.0, 0.0], 2), [0, 1]);
        assert_eq!(ring(&[1.0, 2.0, 3.0], 10), [0, 1, 2, 2, 1, 2, 0, 1, 2, 2]);
        assert_eq!(Shares::new(&[0.1, 0.0]).slots, [1_000, 9_000]);
        assert_eq!(Shares::new(&[1.0, 2.0, 3.0]).ring_len(), 9_999);
    }

    #[test]
    fn a_share_is_close_to_its_weight() {
        let fixed: Vec<f64> = (1..30).map(|i| f64::from(i) * 0.013).collect();
        let shares = Shares::new(&fixed);
        let (used, n) = (shares.ring_len() as f64, fixed.len() as f64);
        for (weight, slots) in shares.weights.iter().zip(&shares.slots) {
            assert!((f64::from(*slots) / used - weight).abs() <= (1.0 + n * weight) / used);
        }
    }
}
