//! Schedulers of one's own: where a group's next allocation goes is a policy, and everything else (evaluations, broker,
//! workers, the reconciler, plans and their verification, Raft, clients) stays Nomad's.
//!
//! [`policy::Policy`] is the seam. It stands where Nomad chooses among the nodes that can take an allocation of a
//! service or batch job ([`super::scheduler::stack`]); a world without one runs the built-in choice, which does not
//! pass through here. [`search`] is that choice's way through the candidates, for policies that only score otherwise.

pub mod policy;
pub mod search;
