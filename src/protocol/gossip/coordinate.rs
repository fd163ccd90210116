//! Network coordinates (Serf `coordinate` package): Vivaldi with height (Dabek et al. 2004, §5.4), adjustment and
//! gravity (Ledlie et al. 2007). The distance between two coordinates estimates the round-trip time.

use crate::base::id::Id as _;
use crate::base::rng::Rng;
use crate::base::time::Duration;
use crate::protocol::gossip::members::Member;
use crate::protocol::gossip::message::mix;

/// A point in the latency space; all lengths in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coordinate {
    /// Position in the Euclidean part.
    pub vec: [f64; DIMENSIONS],
    /// Confidence: 0 is certain, 1.5 is unknown.
    pub error: f64,
    /// Correction learnt from recent mistakes.
    pub adjustment: f64,
    /// Distance from the Euclidean part: the access link.
    pub height: f64,
}

/// `Dimensionality`.
const DIMENSIONS: usize = 8;
/// `VivaldiErrorMax`.
const ERROR_MAX: f64 = 1.5;
/// `VivaldiCE`: how fast the error follows.
const ERROR_GAIN: f64 = 0.25;
/// `VivaldiCC`: how fast the position follows.
const POSITION_GAIN: f64 = 0.25;
/// `AdjustmentWindowSize`.
const ADJUSTMENT_WINDOW: usize = 20;
/// `HeightMin`, in seconds.
const HEIGHT_MIN: f64 = 10e-6;
/// `LatencyFilterSize`.
const FILTER: usize = 3;
/// `GravityRho`.
const GRAVITY_RHO: f64 = 150.0;
/// `zeroThreshold`: below this two positions coincide.
const ZERO: f64 = 1e-6;
/// Longest round trip that is believed.
const RTT_MAX: Duration = Duration::from_secs(10);

impl Default for Coordinate {
    fn default() -> Self {
        Self { vec: [0.0; DIMENSIONS], error: ERROR_MAX, adjustment: 0.0, height: HEIGHT_MIN }
    }
}

impl Coordinate {
    /// The estimated round trip to `other`: with adjustments, unless these would make it negative.
    pub fn distance(&self, other: &Self) -> Duration {
        let raw = self.raw_distance(other);
        let adjusted = raw + self.adjustment + other.adjustment;
        Duration::from_secs_f64(if adjusted > 0.0 { adjusted } else { raw })
    }

    fn raw_distance(&self, other: &Self) -> f64 {
        magnitude(&difference(&self.vec, &other.vec)) + self.height + other.height
    }

    fn is_valid(&self) -> bool {
        self.vec.iter().chain([&self.error, &self.adjustment, &self.height]).all(|x| x.is_finite())
    }

    pub(super) fn fingerprint(&self) -> u64 {
        let words = self.vec.iter().chain([&self.error, &self.adjustment, &self.height]);
        words.fold(0, |hash, x| mix(hash, x.to_bits()))
    }

    /// Moves by `force` seconds away from `other`.
    fn push(&mut self, force: f64, other: &Self, rng: &mut Rng) {
        let (unit, distance) = direction(&self.vec, &other.vec, rng);
        for (x, u) in self.vec.iter_mut().zip(unit) {
            *x += u * force;
        }
        if distance > ZERO {
            self.height = ((self.height + other.height) * force / distance + self.height).max(HEIGHT_MIN);
        }
    }
}

/// A member's own coordinate and what it is learnt from.
#[derive(Debug, Clone)]
pub struct Locator {
    here: Coordinate,
    adjustments: [f64; ADJUSTMENT_WINDOW],
    next: usize,
    filters: Filters,
    rng: Rng,
}

/// The latest round trips to each peer. A probe goes to another peer every time, so what counts is how many distant
/// places of memory a look-up touches: the peers are a short list of their own, and in a pool that is complete a peer's
/// place in it is hardly more than its number.
#[derive(Debug, Clone, Default)]
struct Filters {
    /// In ascending order.
    peers: Vec<Member>,
    /// In the same order.
    windows: Vec<Window>,
}

/// Up to `FILTER` round trips in seconds, oldest first.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    samples: [f64; FILTER],
    count: usize,
}

impl Filters {
    fn place(&self, peer: Member) -> Result<usize, usize> {
        let guess = peer.index();
        // Everybody but the member itself is on the list, at most.
        for at in [guess, guess.wrapping_sub(1)] {
            if self.peers.get(at) == Some(&peer) {
                return Ok(at);
            }
        }
        self.peers.binary_search(&peer)
    }

    fn window(&mut self, peer: Member) -> &mut Window {
        let at = self.place(peer).unwrap_or_else(|at| {
            self.peers.insert(at, peer);
            self.windows.insert(at, Window::default());
            at
        });
        &mut self.windows[at]
    }

    fn remove(&mut self, peer: Member) {
        if let Ok(at) = self.place(peer) {
            self.peers.remove(at);
            self.windows.remove(at);
        }
    }
}

impl Window {
    fn push(&mut self, rtt: f64) {
        if self.count == FILTER {
            self.samples.rotate_left(1);
        } else {
            self.count += 1;
        }
        self.samples[self.count - 1] = rtt;
    }

    /// Of an even number, the upper one.
    fn median(&self) -> f64 {
        let mut sorted = self.samples;
        let sorted = &mut sorted[..self.count];
        sorted.sort_unstable_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }
}

impl Locator {
    /// Knows nothing yet. `rng` breaks ties between coinciding positions.
    pub fn new(rng: Rng) -> Self {
        Self {
            here: Coordinate::default(),
            adjustments: [0.0; ADJUSTMENT_WINDOW],
            next: 0,
            filters: Filters::default(),
            rng,
        }
    }

    /// The own coordinate.
    pub fn here(&self) -> &Coordinate {
        &self.here
    }

    /// Forgets the round trips to a member.
    pub fn forget(&mut self, peer: Member) {
        self.filters.remove(peer);
    }

    /// Learns from a round trip to a peer that says it is at `there`. Impossible values are ignored.
    pub fn update(&mut self, peer: Member, there: &Coordinate, rtt: Duration) {
        if !there.is_valid() || rtt > RTT_MAX {
            return;
        }
        let rtt = self.median(peer, rtt.as_secs_f64());
        self.vivaldi(there, rtt);
        self.adjust(there, rtt);
        self.gravity();
        if !self.here.is_valid() {
            self.here = Coordinate::default();
        }
    }

    fn median(&mut self, peer: Member, rtt: f64) -> f64 {
        let window = self.filters.window(peer);
        window.push(rtt);
        window.median()
    }

    fn vivaldi(&mut self, there: &Coordinate, rtt: f64) {
        let distance = self.here.distance(there).as_secs_f64();
        let rtt = rtt.max(ZERO);
        let wrongness = (distance - rtt).abs() / rtt;
        let total = (self.here.error + there.error).max(ZERO);
        let weight = self.here.error / total;
        let error = ERROR_GAIN * weight * wrongness + self.here.error * (1.0 - ERROR_GAIN * weight);
        self.here.error = error.min(ERROR_MAX);
        self.here.push(POSITION_GAIN * weight * (rtt - distance), there, &mut self.rng);
    }

    fn adjust(&mut self, there: &Coordinate, rtt: f64) {
        self.adjustments[self.next] = rtt - self.here.raw_distance(there);
        self.next = (self.next + 1) % ADJUSTMENT_WINDOW;
        let sum: f64 = self.adjustments.iter().sum();
        self.here.adjustment = sum / (2.0 * ADJUSTMENT_WINDOW as f64);
    }

    fn gravity(&mut self) {
        let origin = Coordinate::default();
        let distance = self.here.distance(&origin).as_secs_f64() / GRAVITY_RHO;
        self.here.push(-(distance * distance), &origin, &mut self.rng);
    }
}

fn difference(a: &[f64; DIMENSIONS], b: &[f64; DIMENSIONS]) -> [f64; DIMENSIONS] {
    std::array::from_fn(|i| a[i] - b[i])
}

fn magnitude(vec: &[f64; DIMENSIONS]) -> f64 {
    libm::sqrt(vec.iter().map(|x| x * x).sum())
}

/// The unit vector from `b` to `a` and their distance; a random one and 0 where they coincide.
fn direction(a: &[f64; DIMENSIONS], b: &[f64; DIMENSIONS], rng: &mut Rng) -> ([f64; DIMENSIONS], f64) {
    let between = difference(a, b);
    let length = magnitude(&between);
    if length > ZERO {
        return (between.map(|x| x / length), length);
    }
    let random: [f64; DIMENSIONS] = std::array::from_fn(|_| rng.uniform() - 0.5);
    let length = magnitude(&random);
    if length > ZERO {
        return (random.map(|x| x / length), 0.0);
    }
    let mut axis = [0.0; DIMENSIONS];
    axis[0] = 1.0;
    (axis, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_of_a_line_of_sites_estimate_its_round_trips() {
        let mut sites: Vec<Locator> = (0..5).map(|i| Locator::new(Rng::stream(7, &format!("site {i}")))).collect();
        let rtt = |a: usize, b: usize| Duration::from_millis(10 * a.abs_diff(b) as u64 + 2);
        let mut rng = Rng::stream(7, "pairs");
        for _ in 0..5_000 {
            let a = rng.below(5) as usize;
            let b = (a + 1 + rng.below(4) as usize) % 5;
            let there = *sites[b].here();
            sites[a].update(Member(b as u32), &there, rtt(a, b));
        }
        for a in 0..5 {
            for b in (0..5).filter(|&b| b != a) {
                let estimate = sites[a].here().distance(sites[b].here()).as_secs_f64();
                let truth = rtt(a, b).as_secs_f64();
                assert!((estimate - truth).abs() < 0.1 * truth + 0.001, "{a}-{b}: {estimate} for {truth}");
            }
        }
    }

    #[test]
    fn impossible_round_trips_teach_nothing() {
        let mut site = Locator::new(Rng::stream(7, "site"));
        let odd = Coordinate { error: f64::NAN, ..Coordinate::default() };
        site.update(Member(1), &odd, Duration::from_millis(5));
        site.update(Member(1), &Coordinate::default(), Duration::from_secs(11));
        assert_eq!(*site.here(), Coordinate::default());
    }
}
