//! The instances of one host behind its address: which port is whose, health checks, responses.

use crate::base::id::ProcessId;
use crate::base::rng::Draws;
use crate::base::time::{Duration, Time};
use crate::protocol::proxy::message::{Exchange, HttpMsg};
use crate::protocol::workload::station::{Admission, Departure, Job, Station, StationConfig};

/// What stations do to the world; their host implements it.
pub trait Outlet {
    /// Sends a message.
    fn send(&mut self, to: ProcessId, msg: HttpMsg);
    /// Sends the response of the instance on `port`.
    fn respond(&mut self, port: u32, to: ProcessId, exchange: Exchange, status: u16);
    /// Sets the alarm of a station; when it goes off call [`Stations::fired`].
    fn arm(&mut self, slot: u32, delay: Duration);
    /// Stops it.
    fn disarm(&mut self, slot: u32);
}

/// What an instance answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Behaviour {
    /// Serves, and passes health checks.
    #[default]
    Sound,
    /// Serves, but fails health checks with 503.
    FailsChecks,
    /// Answers everything with 500 at once, health checks too: a bad version.
    Broken,
    /// Accepts no connection: shutting down; what is under way goes on.
    Closing,
}

#[derive(Debug, Clone)]
struct Hosted {
    station: Station,
    port: u32,
    behaviour: Behaviour,
    armed: Option<Time>,
}

/// The stations of one host. Slots are dense and recycled; a station is found by its port.
#[derive(Debug, Clone)]
pub struct Stations {
    hosted: Vec<Option<Hosted>>,
    /// Ports and their slots, in order: a host has few.
    by_port: Vec<(u32, u32)>,
    draws: Draws,
    departed: Vec<(Job, Departure)>,
    lost: Vec<Job>,
}

/// Lanes of the request's draws used here: two for the law of service times.
const LANE_SERVICE: u64 = 16;

impl Stations {
    /// A host without instances. `draws` give service times, by request number.
    pub fn new(draws: Draws) -> Self {
        Self { hosted: Vec::new(), by_port: Vec::new(), draws, departed: Vec::new(), lost: Vec::new() }
    }

    /// An instance starts listening. One that held the port before is killed first. Returns its slot.
    pub fn insert(&mut self, now: Time, port: u32, config: StationConfig, out: &mut impl Outlet) -> u32 {
        self.remove(port, out);
        let slot = self.hosted.iter().position(Option::is_none).unwrap_or(self.hosted.len());
        let hosted = Hosted { station: Station::new(now, config), port, behaviour: Behaviour::Sound, armed: None };
        if slot == self.hosted.len() {
            self.hosted.push(Some(hosted));
        } else {
            self.hosted[slot] = Some(hosted);
        }
        let slot = u32::try_from(slot).expect("fewer than 2^32 instances on a host");
        let at = self.by_port.partition_point(|(other, _)| *other < port);
        self.by_port.insert(at, (port, slot));
        slot
    }

    /// An instance dies: its connections are reset. Returns whether there was one.
    pub fn remove(&mut self, port: u32, out: &mut impl Outlet) -> bool {
        let Ok(at) = self.place_of(port) else { return false };
        let (_, slot) = self.by_port.remove(at);
        let Some(mut hosted) = self.hosted[slot as usize].take() else { return false };
        hosted.station.kill(&mut self.lost);
        for Job { from, exchange: Exchange { id, number } } in self.lost.drain(..) {
            out.send(from, HttpMsg::Reset { id, number });
        }
        out.disarm(slot);
        true
    }

    /// The instance on a port.
    pub fn station(&self, port: u32) -> Option<&Station> {
        let slot = self.slot_of(port)?;
        self.hosted[slot as usize].as_ref().map(|hosted| &hosted.station)
    }

    /// The port of the instance in a slot.
    pub fn port_of(&self, slot: u32) -> Option<u32> {
        self.hosted.get(slot as usize)?.as_ref().map(|hosted| hosted.port)
    }

    /// Changes how an instance behaves. Returns whether there is one.
    pub fn set_behaviour(&mut self, port: u32, behaviour: Behaviour) -> bool {
        self.hosted_mut(port).map(|(_, hosted)| hosted.behaviour = behaviour).is_some()
    }

    /// Changes the speed of one instance: 1 is nominal, 0 hangs.
    pub fn set_speed(&mut self, now: Time, port: u32, speed: f64, out: &mut impl Outlet) {
        let Some((slot, _)) = self.hosted_mut(port) else { return };
        self.settle(now, slot, out);
        if let Some(hosted) = &mut self.hosted[slot as usize] {
            hosted.station.set_speed(now, speed);
            rearm(now, slot, hosted, out);
        }
    }

    /// A message for one of the instances.
    pub fn message(&mut self, now: Time, from: ProcessId, msg: HttpMsg, out: &mut impl Outlet) {
        match msg {
            HttpMsg::Connect { id, number, port } => {
                let is_open = self.behaviour(port).is_some_and(|behaviour| behaviour != Behaviour::Closing);
                out.send(from, if is_open { HttpMsg::Accepted { id, number } } else { HttpMsg::Reset { id, number } });
            }
            HttpMsg::Request { id, number, port, .. } => {
                self.request(now, port, Job { from, exchange: Exchange { id, number } }, out);
            }
            HttpMsg::Cancel { id, number, port } => {
                let Some((slot, _)) = self.hosted_mut(port) else { return };
                self.settle(now, slot, out);
                if let Some(hosted) = &mut self.hosted[slot as usize]
                    && hosted.station.cancel(now, Job { from, exchange: Exchange { id, number } })
                {
                    rearm(now, slot, hosted, out);
                }
            }
            HttpMsg::Probe { slot, sequence, port } => {
                let status = match self.behaviour(port) {
                    None | Some(Behaviour::Closing) => {
                        return out.send(from, HttpMsg::ProbeRefused { slot, sequence });
                    }
                    Some(Behaviour::Sound) => 200,
                    Some(Behaviour::FailsChecks) => 503,
                    Some(Behaviour::Broken) => 500,
                };
                out.send(from, HttpMsg::ProbeReply { slot, sequence, status });
            }
            // Instances ask nobody.
            HttpMsg::Accepted { .. }
            | HttpMsg::Response { .. }
            | HttpMsg::Reset { .. }
            | HttpMsg::ProbeReply { .. }
            | HttpMsg::ProbeRefused { .. } => {}
        }
    }

    /// The alarm of a station went off.
    pub fn fired(&mut self, now: Time, slot: u32, out: &mut impl Outlet) {
        if let Some(Some(hosted)) = self.hosted.get_mut(slot as usize) {
            hosted.armed = None;
            self.settle(now, slot, out);
        }
    }

    fn place_of(&self, port: u32) -> Result<usize, usize> {
        self.by_port.binary_search_by_key(&port, |(port, _)| *port)
    }

    fn slot_of(&self, port: u32) -> Option<u32> {
        self.place_of(port).ok().map(|at| self.by_port[at].1)
    }

    fn behaviour(&self, port: u32) -> Option<Behaviour> {
        let slot = self.slot_of(port)?;
        self.hosted[slot as usize].as_ref().map(|hosted| hosted.behaviour)
    }

    fn hosted_mut(&mut self, port: u32) -> Option<(u32, &mut Hosted)> {
        let slot = self.slot_of(port)?;
        self.hosted[slot as usize].as_mut().map(|hosted| (slot, hosted))
    }

    fn request(&mut self, now: Time, port: u32, job: Job, out: &mut impl Outlet) {
        let Exchange { id, number } = job.exchange;
        let draws = self.draws;
        let Some((slot, hosted)) = self.hosted_mut(port) else {
            return out.send(job.from, HttpMsg::Reset { id, number });
        };
        if hosted.behaviour == Behaviour::Broken {
            return out.respond(port, job.from, job.exchange, 500);
        }
        if hosted.station.due().is_some_and(|due| due <= now) {
            self.settle(now, slot, out);
        }
        let Some(hosted) = &mut self.hosted[slot as usize] else { return };
        let work = hosted.station.config().service_time.sample(draws, number.0, LANE_SERVICE);
        match hosted.station.offer(now, job, work) {
            Admission::Started | Admission::Queued => rearm(now, slot, hosted, out),
            Admission::Rejected => out.respond(port, job.from, job.exchange, 503),
        }
    }

    /// Answers everything that is due at a station.
    fn settle(&mut self, now: Time, slot: u32, out: &mut impl Outlet) {
        let is_found = |hosted: &Hosted| self.slot_of(hosted.port) == Some(slot);
        debug_assert!(self.hosted[slot as usize].as_ref().is_none_or(is_found), "a station is found by its port");
        let Some(hosted) = &mut self.hosted[slot as usize] else { return };
        hosted.station.advance(now, &mut self.departed);
        for (Job { from, exchange }, departure) in self.departed.drain(..) {
            let status = match departure {
                Departure::Served => 200,
                Departure::TimedOut => 503,
            };
            out.respond(hosted.port, from, exchange, status);
        }
        rearm(now, slot, hosted, out);
    }
}

/// Sets the alarm to when the station is due, if that changed.
fn rearm(now: Time, slot: u32, hosted: &mut Hosted, out: &mut impl Outlet) {
    let due = hosted.station.due();
    if due == hosted.armed {
        return;
    }
    hosted.armed = due;
    match due {
        Some(due) => out.arm(slot, due.since(now)),
        None => out.disarm(slot),
    }
}
