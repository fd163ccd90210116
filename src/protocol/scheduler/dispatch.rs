//! Dispatching parameterized jobs (Nomad 1.1.0 `Job.Dispatch`): a child per request, and its evaluation in a second
//! entry.

use std::sync::Arc;

use crate::base::machine::Fx;
use crate::base::ordered::OrdMap;
use crate::base::rng::Draws;
use crate::base::time::Time;
use crate::model::evaluation::{Evaluation, Trigger};
use crate::model::job::{JobId, Launch, Parameterized, Payload};
use crate::protocol::scheduler::command::{Applied, Command};
use crate::protocol::scheduler::forward::Origin;
use crate::protocol::scheduler::message::{Reply, RpcError};
use crate::protocol::scheduler::periodic::child;
use crate::protocol::scheduler::server::{After, Server};
use crate::protocol::scheduler::worker::Decide;

/// Largest payload, in bytes (Nomad `DispatchPayloadSizeLimit`).
const PAYLOAD_MAX: u32 = 16 * 1_024;

/// Why a dispatch is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DispatchError {
    /// The job is not parameterized.
    #[error("job is not parameterized")]
    NotParameterized,
    /// The job is stopped.
    #[error("job is stopped")]
    Stopped,
    /// There is no payload.
    #[error("payload is required")]
    PayloadMissing,
    /// There is one.
    #[error("payload is forbidden")]
    PayloadForbidden,
    /// It is too large.
    #[error("payload of `{0}` bytes exceeds `16384`")]
    PayloadTooLarge(u32),
    /// A required key is missing.
    #[error("required metadata is missing")]
    MetaMissing,
    /// A key is not permitted.
    #[error("metadata is not permitted")]
    MetaUnknown,
}

impl DispatchError {
    /// Tells errors apart in digests.
    pub fn number(self) -> u64 {
        match self {
            Self::NotParameterized => 0,
            Self::Stopped => 1,
            Self::PayloadMissing => 2,
            Self::PayloadForbidden => 3,
            Self::PayloadTooLarge(bytes) => 4 | u64::from(bytes) << 32,
            Self::MetaMissing => 5,
            Self::MetaUnknown => 6,
        }
    }
}

impl<D: Decide> Server<D> {
    /// `<job>/dispatch-<unix time>-<eight hexadecimal digits>`.
    pub(super) fn dispatching(
        &self,
        now: Time,
        id: JobId,
        meta: &OrdMap<String, String>,
        payload_bytes: u32,
    ) -> Result<Command, RpcError> {
        let job = self.state.job(id).ok_or(RpcError::UnknownJob)?;
        let Launch::Parameterized(rules) = &job.launch else { return Err(DispatchError::NotParameterized.into()) };
        if job.stop {
            return Err(DispatchError::Stopped.into());
        }
        check(rules, meta, payload_bytes)?;
        let draws = Draws::new(self.config.seed, &format!("dispatch/{}", self.config.id));
        let digits = draws.bits(u64::from(self.next_proposal), 0) as u32;
        let name = format!("{}/dispatch-{}-{digits:08x}", job.name, self.unix(now));
        let mut child = child(job, &name, Launch::Child { parent: id, payload_bytes });
        child.meta.extend(meta.iter().map(|(key, value)| (key.clone(), value.clone())));
        Ok(Command::RegisterJob { job: Arc::new(child), eval: None, time: now })
    }

    /// The child is written: its evaluation follows.
    pub(super) fn dispatched(&mut self, now: Time, origin: Origin, applied: &Applied, fx: &mut impl Fx<Self>) {
        match applied.child.and_then(|child| self.state.job(child)) {
            Some(job) => {
                let eval = Evaluation::new(job, Trigger::JobRegister, now);
                self.propose(now, Command::UpsertEvals(vec![eval]), After::Operated(origin), fx);
            }
            None => self.reply(now, origin, Reply::Failed(RpcError::UnknownJob), fx),
        }
    }
}

fn check(rules: &Parameterized, meta: &OrdMap<String, String>, payload_bytes: u32) -> Result<(), DispatchError> {
    match rules.payload {
        Payload::Required if payload_bytes == 0 => return Err(DispatchError::PayloadMissing),
        Payload::Forbidden if payload_bytes > 0 => return Err(DispatchError::PayloadForbidden),
        Payload::Required | Payload::Forbidden | Payload::Optional => {}
    }
    if payload_bytes > PAYLOAD_MAX {
        return Err(DispatchError::PayloadTooLarge(payload_bytes));
    }
    if !meta.keys().all(|key| rules.meta_required.contains(key) || rules.meta_optional.contains(key)) {
        return Err(DispatchError::MetaUnknown);
    }
    if rules.meta_required.iter().all(|key| meta.contains_key(key)) { Ok(()) } else { Err(DispatchError::MetaMissing) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dispatches_are_checked_against_the_job_s_rules() {
        let rules = |payload| Parameterized {
            payload,
            meta_required: vec!["input".into()],
            meta_optional: vec!["debug".into()],
        };
        let meta = |keys: &[&str]| keys.iter().map(|key| ((*key).to_string(), String::new())).collect();
        for (payload, keys, bytes, expected) in [
            (Payload::Optional, &["input"][..], 0, Ok(())),
            (Payload::Required, &["input", "debug"], 16_384, Ok(())),
            (Payload::Required, &["input"], 0, Err(DispatchError::PayloadMissing)),
            (Payload::Forbidden, &["input"], 1, Err(DispatchError::PayloadForbidden)),
            (Payload::Optional, &["input"], 16_385, Err(DispatchError::PayloadTooLarge(16_385))),
            (Payload::Optional, &["debug"], 0, Err(DispatchError::MetaMissing)),
            (Payload::Optional, &["input", "other"], 0, Err(DispatchError::MetaUnknown)),
        ] {
            assert_eq!(check(&rules(payload), &meta(keys), bytes), expected);
        }
    }
}
