//! What is done to processes and hosts from outside, between events: kill, restart, pause, power, slowness.
//!
//! Every control that makes events takes the cause they hang on; [`Engine::new_cause`] makes one for a fault. Controls
//! say whether they had anything to do.

use crate::base::id::{HostId, ProcessId};
use crate::base::machine::Kept;
use crate::base::time::{Duration, Time};
use crate::sim::core::{Core, Held, State, timer_item};
use crate::sim::engine::{Actor, Engine};
use crate::sim::queue::Entry;
use crate::sim::stream::StreamState;
use crate::sim::trace::Cause;

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Its host goes on and resets its streams.
    Killed,
    /// Its host is gone too.
    HostLost,
}

impl<P: Actor> Engine<P> {
    /// Kills a process (`kill -9`): timers and pending work are dropped. Of its unfinished writes some first ones may
    /// have
    /// reached the disk all the same, which a draw decides. Peers with an established stream are refused one network
    /// delay later.
    pub fn kill(&mut self, process: ProcessId, cause: Cause) -> bool {
        self.core.stop(process, End::Killed, cause)
    }

    /// Launches a process again, killing it first if it runs: `reboot` now, then `Start`, at once or within the span
    /// given to [`Engine::spread_boots`]. Until it starts, messages are refused. False if its host is down.
    pub fn restart(&mut self, process: ProcessId, cause: Cause) -> bool {
        if !self.host_up(self.host_of(process)) {
            return false;
        }
        self.core.stop(process, End::Killed, cause);
        let kept = std::mem::take(&mut self.core.lockers[process].kept);
        self.machines[process].reboot(self.core.now, &kept);
        self.schedule_start(process, self.core.now + self.core.boot_delay(process), cause);
        true
    }

    /// From now on a process that is launched again starts at a random moment within this span: what a machine does
    /// before takes its time, and never the same. So processes that come back together are not in step.
    pub fn spread_boots(&mut self, process: ProcessId, span: Duration) {
        self.core.lockers[process].boot_spread = span;
    }

    /// Freezes a process (`SIGSTOP`, a stalled virtual machine): it is sent nothing; its host still takes what arrives.
    /// One that is about to start does so when it goes on.
    pub fn pause(&mut self, process: ProcessId) -> bool {
        let seat = &mut self.core.seats[process];
        let is_new = seat.state != State::Stopped && !seat.paused;
        seat.paused |= is_new;
        is_new
    }

    /// Lets a paused process go on: it receives, now and in order, what came meanwhile; overdue timers fire.
    pub fn resume(&mut self, process: ProcessId) -> bool {
        let core = &mut self.core;
        let seat = &mut core.seats[process];
        if !std::mem::replace(&mut seat.paused, false) {
            return false;
        }
        for held in std::mem::take(&mut core.lockers[process].held) {
            match held {
                Held::Parcel(place) => core.post_place(core.now, process, place),
                Held::Timer(slot) => {
                    let seat = &mut core.seats[process];
                    let rank = seat.next_rank();
                    if seat.timers.catch_up(slot, core.now, rank as u32) {
                        let item = timer_item(process, slot);
                        core.queue.push(Entry { time: core.now.as_nanos(), rank, item });
                    }
                }
            }
        }
        true
    }

    /// A host loses power: all its processes end, silently.
    pub fn crash_host(&mut self, host: HostId, cause: Cause) -> bool {
        if !std::mem::replace(&mut self.core.hosts[host].up, false) {
            return false;
        }
        for at in 0..self.core.hosts[host].processes.len() {
            let process = self.core.hosts[host].processes[at];
            self.core.stop(process, End::HostLost, cause);
        }
        true
    }

    /// A host comes back: every process on it that had ever been started is [launched again](Engine::restart).
    pub fn boot_host(&mut self, host: HostId, cause: Cause) -> bool {
        self.boot_host_without(host, &[], cause)
    }

    /// The same, but for these processes, which stay as they are.
    pub fn boot_host_without(&mut self, host: HostId, dead: &[ProcessId], cause: Cause) -> bool {
        if std::mem::replace(&mut self.core.hosts[host].up, true) {
            return false;
        }
        for at in 0..self.core.hosts[host].processes.len() {
            let process = self.core.hosts[host].processes[at];
            if self.core.lockers[process].was_started && !dead.contains(&process) {
                self.restart(process, cause);
            }
        }
        true
    }

    /// Computations begun from now on take `factor` times their cost; 1 is nominal speed.
    pub fn slow_cpu(&mut self, host: HostId, factor: f64) {
        self.core.hosts[host].cpu_factor = factor.max(0.0);
    }

    /// Writes begun from now on take `factor` times as long; 1 is nominal speed.
    pub fn slow_disk(&mut self, host: HostId, factor: f64) {
        self.core.hosts[host].disk_factor = factor.max(0.0);
    }

    /// No write of this host completes before `until`. Writes that were due before complete then, in order.
    pub fn stall_disk(&mut self, host: HostId, until: Time) {
        let host = &mut self.core.hosts[host];
        host.disk_stalled_until = host.disk_stalled_until.max(until);
    }
}

impl<P: Actor> Core<P> {
    fn stop(&mut self, process: ProcessId, end: End, cause: Cause) -> bool {
        let now = self.now;
        let seat = &mut self.seats[process];
        if seat.state == State::Stopped {
            return false;
        }
        seat.state = State::Stopped;
        seat.paused = false;
        seat.timers.clear();
        let stall = self.hosts[seat.host].disk_stalled_until;
        let locker = &mut self.lockers[process];
        // While the disk stands still, what it had not finished before is unfinished.
        let is_safe = |done: Time| done <= now && stall <= now;
        let safe = locker.writes.iter().take_while(|(_, done)| is_safe(*done)).count();
        let open = (locker.writes.len() - safe) as u64;
        let lucky = self.crash_draws.below(seat.key.wrapping_add(u64::from(seat.incarnation)), 0, open + 1);
        let lost = locker.writes.drain(..).skip(safe + lucky as usize).map(|(token, _)| token);
        locker.kept = Kept { lost: lost.collect() };
        locker.disk_free = now;
        locker.cpu_free = now;
        seat.incarnation = seat.incarnation.wrapping_add(1);
        for held in std::mem::take(&mut locker.held) {
            if let Held::Parcel(place) = held {
                self.parcels.take(place);
            }
        }
        for at in 0..self.lockers[process].streams.len() {
            let index = self.lockers[process].streams[at];
            self.abandon(index, process, end, cause);
        }
        true
    }

    /// What becomes of a stream when the process at one end dies.
    fn abandon(&mut self, index: u32, process: ProcessId, end: End, cause: Cause) {
        let stream = &self.streams[index];
        let side = stream.side_of(process);
        let peer_side = 1 - side;
        let is_established = stream.state == StreamState::Established && stream.ends[0] != stream.ends[1];
        self.forget_stalled(index, side);
        if is_established && end == End::Killed {
            self.close_towards(index, peer_side);
            self.report_refused(index, peer_side, cause);
        }
    }
}
