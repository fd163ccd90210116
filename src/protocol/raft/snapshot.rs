//! Images of the state: when one is due, storing it, shortening the log, sending it to a peer that is too far behind
//! (HashiCorp raft `runSnapshots`, `compactLogs`, `installSnapshot`).

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::Fx;
use crate::base::time::Time;
use crate::protocol::raft::Command;
use crate::protocol::raft::Event;
use crate::protocol::raft::Index;
use crate::protocol::raft::Msg;
use crate::protocol::raft::RaftNode;
use crate::protocol::raft::Snapshot;
use crate::protocol::raft::State;
use crate::protocol::raft::Term;
use crate::protocol::raft::Timer;
use crate::protocol::raft::membership::Membership;
use crate::protocol::raft::node::Change;
use crate::protocol::raft::node::Role;
use crate::protocol::raft::node::Then;
use crate::protocol::raft::peer::Flight;

impl<E: Command> RaftNode<E> {
    /// Every server looks for itself whether its log has grown enough.
    pub(super) fn snapshot_fired(&mut self, fx: &mut impl Fx<Self>) {
        let pause = self.rng.timeout(self.config.snapshot_interval);
        fx.arm(Timer::Snapshot, pause);
        let last = self.durable.log.last();
        let imaged = self.durable.snapshot.as_ref().map_or(Index::ZERO, |image| image.index);
        if self.disk.imaging.is_none() && last.0 - imaged.0 >= self.config.snapshot_threshold {
            fx.emit(Event::SnapshotDue);
        }
    }

    /// The container's image of its state as of the last entry it was given; `bytes` is its size on the disk. Nothing
    /// happens if an image is being written already, or this one contains nothing new, or a change of the configuration
    /// is not committed.
    pub fn snapshot_taken(&mut self, state: E::Snapshot, bytes: u32, fx: &mut impl Fx<Self>) {
        let index = self.commit;
        let imaged = self.durable.snapshot.as_ref().map_or(Index::ZERO, |image| image.index);
        let settled = self.membership.committed_index <= index && self.membership.latest_index <= index;
        if self.disk.imaging.is_some() || index <= imaged || !settled {
            return;
        }
        let term = self.durable.log.term_at(index).expect("the last committed entry is in the log");
        let hash = self.durable.log.hash_at(index).expect("the last committed entry is in the log");
        let (configuration, configuration_index) = (Arc::clone(&self.membership.latest), self.membership.latest_index);
        let image = Snapshot { index, term, hash, configuration, configuration_index, state, bytes };
        let token = self.disk.token();
        self.disk.imaging = Some((token, Arc::new(image)));
        fx.write(token, bytes);
    }

    /// The image is durable: the log may be shortened.
    pub(super) fn image_stored(&mut self, image: Arc<Snapshot<E::Snapshot>>, fx: &mut impl Fx<Self>) {
        let index = image.index;
        self.recover_image(image);
        fx.emit(Event::SnapshotStored { index });
    }

    /// Keeps the image, unless a later one was installed meanwhile, and shortens the log behind it.
    pub(super) fn recover_image(&mut self, image: Arc<Snapshot<E::Snapshot>>) {
        if self.durable.snapshot.as_ref().is_some_and(|kept| kept.index >= image.index) {
            return;
        }
        let trailing = self.durable.log.last().0.saturating_sub(self.config.trailing_logs);
        self.durable.log.compact(Index(image.index.0.min(trailing)));
        self.durable.snapshot = Some(image);
    }

    /// Sends the latest image to a peer whose next entry is gone from our log.
    pub(super) fn send_snapshot(&mut self, now: Time, place: usize, fx: &mut impl Fx<Self>) {
        let snapshot = self.durable.snapshot.as_ref().map(Arc::clone).expect("a log is shortened only behind an image");
        let seq = self.next_seq();
        let upto = snapshot.index;
        let msg = Msg::InstallSnapshot { seq, term: self.durable.term, snapshot };
        self.take_off(place, Flight { seq, upto, due: now + msg.answer_within(self.config.rpc_timeout) }, fx);
        fx.send(self.peers[place].id, msg);
    }

    /// The leader's image replaces our log and state.
    pub(super) fn install(
        &mut self,
        now: Time,
        from: ProcessId,
        seq: u32,
        term: Term,
        snapshot: Arc<Snapshot<E::Snapshot>>,
        fx: &mut impl Fx<Self>,
    ) {
        let own = self.durable.term;
        if term < own {
            fx.send(from, Msg::SnapshotReply { seq, term: own, success: false });
            return;
        }
        if term > own || self.state() != State::Follower {
            self.adopt(now, term, Then::Receive { from, msg: Msg::InstallSnapshot { seq, term, snapshot } }, fx);
            return;
        }
        self.set_leader(Some(from), fx);
        if snapshot.index <= self.commit {
            self.installed(now, from, seq, fx);
            return;
        }
        self.disk.then = Then::Installed { to: from, seq };
        self.persist(Change::Snapshot(snapshot), fx);
    }

    /// The image is durable (or older than what we have).
    pub(super) fn installed(&mut self, now: Time, to: ProcessId, seq: u32, fx: &mut impl Fx<Self>) {
        if let Some(image) = self.durable.snapshot.as_ref().filter(|image| image.index > self.commit) {
            let image = Arc::clone(image);
            self.commit = image.index;
            self.membership = Membership::new(Arc::clone(&image.configuration), image.configuration_index);
            for (index, later) in self.durable.log.configurations(image.index) {
                self.membership.append(later, index);
            }
            self.refresh_peers();
            let Membership { latest_index: index, latest, .. } = &self.membership;
            fx.emit(Event::ConfigurationChanged { index: *index, configuration: Arc::clone(latest) });
            fx.emit(Event::Restore { snapshot: image });
        }
        self.last_contact = Some(now);
        fx.send(to, Msg::SnapshotReply { seq, term: self.durable.term, success: true });
    }

    /// A peer installed our image, or did not.
    pub(super) fn snapshot_answered(
        &mut self,
        now: Time,
        from: ProcessId,
        seq: u32,
        term: Term,
        success: bool,
        fx: &mut impl Fx<Self>,
    ) {
        let Some((place, flight)) = self.land(from, seq) else { return };
        if term > self.durable.term {
            self.stale_term(now, place, fx);
            return;
        }
        let progress = &mut self.peers[place].progress;
        progress.last_contact = now;
        if success {
            progress.failures = 0;
            progress.next = flight.upto.next();
            progress.matched = progress.matched.max(flight.upto);
        } else {
            progress.failures += 1;
        }
        self.go_on(now, place, fx);
        if success && matches!(self.role, Role::Leader(_)) {
            self.answered_as_leader(place, fx);
            self.count(now, fx);
        }
    }
}
