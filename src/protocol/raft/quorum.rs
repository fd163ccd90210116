//! Counting: majorities, the commit rule, the leader's lease.

use smallvec::SmallVec;

use crate::base::time::Duration;
use crate::base::time::Time;
use crate::protocol::raft::Index;

/// Votes that make a majority of `voters`.
pub(super) fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// Highest index stored by a majority of the voters, whose last matching indexes are `matched`; `None` without voters.
pub(super) fn commit_candidate(mut matched: SmallVec<[Index; 8]>) -> Option<Index> {
    matched.sort_unstable();
    let place = matched.len().checked_sub(1)? / 2;
    matched.get(place).copied()
}

/// What a leader learns from checking its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lease {
    /// A quorum was in contact within the lease; check again after this long.
    Held(Duration),
    /// It was not.
    Lost,
}

/// Checks the lease (HashiCorp raft `checkLeaderLease`): `contacts` are the last contacts with the other voters, `own`
/// is
/// 1 if the leader is a voter itself. The next check is when the oldest contact counted would expire, 10 ms at least.
/// A contact exactly as old as the lease has expired: the original lets it count, but its timer never fires that
/// exactly.
pub(super) fn check_lease(now: Time, lease: Duration, own: usize, contacts: &[Time]) -> Lease {
    let fresh = || contacts.iter().map(|contact| now.since(*contact)).filter(|age| *age < lease);
    if own + fresh().count() < majority(own + contacts.len()) {
        return Lease::Lost;
    }
    let oldest = fresh().max().unwrap_or(Duration::ZERO);
    Lease::Held(lease.saturating_sub(oldest).max(LEASE_CHECK_MIN))
}

const LEASE_CHECK_MIN: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_majorities_always_share_a_voter() {
        for (voters, expected) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)] {
            assert_eq!(majority(voters), expected, "{voters}");
        }
    }

    #[test]
    fn a_majority_decides_what_is_stored() {
        let check = |matched: &[u64], expected: Option<u64>| {
            assert_eq!(
                commit_candidate(matched.iter().map(|i| Index(*i)).collect()),
                expected.map(Index),
                "{matched:?}"
            );
        };
        check(&[], None);
        check(&[7], Some(7));
        check(&[7, 3], Some(3));
        check(&[1, 9, 5], Some(5));
        check(&[1, 2, 3, 4], Some(2));
        check(&[9, 9, 1, 1, 5], Some(5));
    }

    #[test]
    fn the_lease_follows_the_contact_of_the_quorum() {
        let at = |ms: u64| Time::from_nanos(ms * 1_000_000);
        let ms = Duration::from_millis;
        let check = |contacts: &[u64], expected: Lease| {
            let contacts: Vec<Time> = contacts.iter().map(|c| at(*c)).collect();
            assert_eq!(check_lease(at(1_000), ms(500), 1, &contacts), expected);
        };
        check(&[], Lease::Held(ms(500)));
        check(&[900, 0], Lease::Held(ms(400)));
        check(&[900, 600], Lease::Held(ms(100)));
        check(&[500, 400], Lease::Lost);
        check(&[505, 400], Lease::Held(ms(10)));
        check(&[900, 400, 400, 400], Lease::Lost);
    }
}
