//! How far apart two hosts are, and what that does to a message.
//!
//! Four distances: same host, same zone, same region, and the pair of regions. Each gives a delay that is never
//! undercut and a lognormal on top. Nothing here depends on other traffic except bandwidth, which is kept per sending
//! host. Routes do not change by themselves, and links inside a region do not fill up: a packet storm is only seen at
//! the sender's interface.

use std::sync::Arc;

use crate::base::lognormal::Lognormal;
use crate::base::rng::{Draws, unit};
use crate::base::time::{Duration, Time};
use crate::sim::fault::Degrade;

/// What a message meets over one distance.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// One way, never undercut.
    pub base: Duration,
    /// What comes on top; if nothing does, no draw is made.
    pub jitter: Option<Jitter>,
    /// Share of packets lost, in 0..=1.
    pub loss: f64,
}

/// A lognormal delay.
#[derive(Debug, Clone, PartialEq)]
pub struct Jitter {
    /// The median.
    pub median: Duration,
    /// By how much it varies.
    pub spread: Arc<Lognormal>,
}

impl Jitter {
    /// With this median and standard deviation of the logarithm.
    pub fn new(median: Duration, sigma: f64) -> Self {
        Self { median, spread: Arc::new(Lognormal::new(sigma)) }
    }

    #[inline]
    fn delay(&self, bits: u64) -> Duration {
        let delay = (u128::from(self.median.as_nanos()) * u128::from(self.spread.factor(bits))) >> Lognormal::POINT;
        Duration::from_nanos(u64::try_from(delay).unwrap_or(u64::MAX))
    }
}

impl Link {
    /// Always this long, nothing lost.
    pub const fn fixed(delay: Duration) -> Self {
        Self { base: delay, jitter: None, loss: 0.0 }
    }

    /// Never less than `base`, and so much on top: the median, and the standard deviation of its logarithm.
    pub fn new(base: Duration, jitter: Duration, sigma: f64) -> Self {
        Self { base, jitter: Some(Jitter::new(jitter, sigma)), loss: 0.0 }
    }

    /// Between regions, from a measured round trip (median): half of it, of which the last 2 % vary.
    pub fn wide_area(round_trip: Duration) -> Self {
        Self::wide_areas(&Arc::new(Lognormal::new(WIDE_AREA_SIGMA)), round_trip)
    }

    fn wide_areas(spread: &Arc<Lognormal>, round_trip: Duration) -> Self {
        let one_way = round_trip / 2;
        let jitter = Jitter { median: one_way / 50, spread: Arc::clone(spread) };
        Self { base: one_way - jitter.median, jitter: Some(jitter), loss: 0.0 }
    }

    #[inline]
    fn delay(&self, draws: Draws, number: u64, lane: u64) -> Duration {
        match &self.jitter {
            Some(jitter) => self.base + jitter.delay(draws.bits(number, lane)),
            None => self.base,
        }
    }
}

/// The distances of a world.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Between processes of one host.
    pub same_host: Link,
    /// Between hosts of one zone.
    pub same_zone: Link,
    /// Between zones of one region.
    pub same_region: Link,
    /// From region (first index) to region; one-way, need not be symmetric. A pair that is missing is `elsewhere`.
    pub regions: Vec<Vec<Link>>,
    /// Between regions of which the table knows nothing.
    pub elsewhere: Link,
}

impl Network {
    /// Every message takes this long, wherever it goes.
    pub fn fixed(delay: Duration) -> Self {
        let link = Link::fixed(delay);
        Self {
            same_host: link.clone(),
            same_zone: link.clone(),
            same_region: link.clone(),
            regions: Vec::new(),
            elsewhere: link,
        }
    }

    /// A public cloud: same host 20 to 50 us; same zone round trips around 0.2 ms (AWS 0.08 to 0.30 ms); between zones
    /// median 0.75 ms, upper quartile about 1 ms (IBM over all pairs; AWS eu-west-1 mean 0.82 ms); between regions 80
    /// ms until a table is supplied. One-way delays are half of these.
    pub fn cloud() -> Self {
        let micros = Duration::from_micros;
        Self {
            same_host: Link::new(micros(20), micros(10), 0.4),
            same_zone: Link::new(micros(50), micros(50), 0.5),
            same_region: Link::new(micros(200), micros(175), 0.6),
            regions: Vec::new(),
            elsewhere: Link::wide_area(Duration::from_millis(80)),
        }
    }

    /// The same with round trips between regions, `round_trips[from][to]`.
    pub fn with_regions(mut self, round_trips: &[Vec<Duration>]) -> Self {
        let spread = Arc::new(Lognormal::new(WIDE_AREA_SIGMA));
        let row = |row: &Vec<Duration>| row.iter().map(|rtt| Link::wide_areas(&spread, *rtt)).collect();
        self.regions = round_trips.iter().map(row).collect();
        self
    }

    #[inline]
    pub(super) fn between_regions(&self, from: u32, to: u32) -> &Link {
        self.regions.get(from as usize).and_then(|row| row.get(to as usize)).unwrap_or(&self.elsewhere)
    }
}

/// What becomes of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Transit {
    /// One way; `None` if it is lost.
    pub(super) first: Option<Duration>,
    /// A second copy, after this delay.
    pub(super) second: Option<Duration>,
}

/// A datagram over `link`, made worse by `degrade`. Draws are by message, so no other message's fate shifts.
#[inline]
pub(super) fn datagram(link: &Link, degrade: Option<&Degrade>, draws: Draws, number: u64) -> Transit {
    let Some(degrade) = degrade else {
        let lost = link.loss > 0.0 && unit(draws.bits(number, LOSS)) < link.loss;
        return Transit { first: (!lost).then(|| link.delay(draws, number, DELAY)), second: None };
    };
    let loss = 1.0 - (1.0 - link.loss) * (1.0 - degrade.loss);
    let happens = |lane, share| unit(draws.bits(number, lane)) < share;
    let mut delay = link.delay(draws, number, DELAY) + worse(degrade, draws, number);
    if happens(REORDER, degrade.reorder) {
        delay += degrade.reorder_delay.mul_f64(unit(draws.bits(number, REORDER_DELAY)));
    }
    let second = happens(DUPLICATE, degrade.duplicate)
        .then(|| link.delay(draws, number, SECOND_DELAY) + worse(degrade, draws, number));
    Transit { first: (!happens(LOSS, loss)).then_some(delay), second }
}

/// A stream's segment over `link`: a loss is a timeout and another try (RFC 6298: 200 ms on Linux, doubling).
#[inline]
pub(super) fn segment(link: &Link, degrade: Option<(&Degrade, Time)>, draws: Draws, number: u64) -> Duration {
    let delay = link.delay(draws, number, DELAY);
    if degrade.is_none() && link.loss <= 0.0 { delay } else { delay + trouble(link, degrade, draws, number) }
}

/// What degradation, as of the present, and losses add to a segment's delay.
#[cold]
fn trouble(link: &Link, degrade: Option<(&Degrade, Time)>, draws: Draws, number: u64) -> Duration {
    let (mut delay, mut loss, mut lossy_for) = (Duration::ZERO, link.loss, Duration::ZERO);
    if let Some((degrade, now)) = degrade {
        delay += worse(degrade, draws, number);
        loss = 1.0 - (1.0 - loss) * (1.0 - degrade.loss);
        lossy_for = degrade.until.since(now);
    }
    let (mut waited, mut timeout) = (Duration::ZERO, RETRANSMIT_FIRST);
    for lane in LOSS..LOSS + TRIES_MAX {
        let loss = if waited < lossy_for { loss } else { link.loss };
        if unit(draws.bits(number, lane)) >= loss {
            break;
        }
        waited += timeout;
        timeout = (timeout * 2).min(RETRANSMIT_MAX);
    }
    delay + waited
}

fn worse(degrade: &Degrade, draws: Draws, number: u64) -> Duration {
    if degrade.jitter.is_zero() {
        return degrade.delay;
    }
    degrade.delay + degrade.jitter.mul_f64(unit(draws.bits(number, JITTER)))
}

/// Standard deviation of the logarithm of what varies between regions.
const WIDE_AREA_SIGMA: f64 = 0.7;
/// Linux `TCP_RTO_MIN`: the retransmission timeout of a connection whose round trip is short.
pub(super) const RETRANSMIT_FIRST: Duration = Duration::from_millis(200);
/// Linux `TCP_RTO_MAX`.
pub(super) const RETRANSMIT_MAX: Duration = Duration::from_secs(120);
/// Linux `tcp_retries2` = 15: losses of one segment after which the connection would be given up.
const TRIES_MAX: u64 = 15;

const DELAY: u64 = 0;
const JITTER: u64 = 1;
const REORDER: u64 = 2;
const REORDER_DELAY: u64 = 3;
const DUPLICATE: u64 = 4;
const SECOND_DELAY: u64 = 5;
/// The last lane, since the ones after it are further tries.
const LOSS: u64 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_have_the_floor_and_median_they_claim() {
        let link = Network::cloud().same_region;
        let draws = Draws::new(5, "links");
        let mut sample: Vec<_> = (0..20_001).filter_map(|i| datagram(&link, None, draws, i).first).collect();
        sample.sort_unstable();
        assert!(sample[0] >= link.base);
        let median = sample[sample.len() / 2].as_nanos() as f64;
        assert!((median / 375_000.0 - 1.0).abs() < 0.02, "{median}");
    }

    #[test]
    fn loss_drops_datagrams_and_delays_streams() {
        let link = Link { loss: 0.25, ..Link::fixed(Duration::from_millis(1)) };
        let draws = Draws::new(6, "links");
        let lost = (0..10_000).filter(|i| datagram(&link, None, draws, *i).first.is_none()).count();
        assert!((2_300..2_700).contains(&lost), "{lost}");
        let delayed = (0..10_000).filter(|i| segment(&link, None, draws, *i) > Duration::from_millis(1)).count();
        assert_eq!(lost, delayed);
        let twice = (0..10_000).filter(|i| segment(&link, None, draws, *i) > Duration::from_millis(500)).count();
        assert!((500..750).contains(&twice), "{twice}");
    }
}
