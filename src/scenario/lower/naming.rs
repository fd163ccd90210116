//! What entries of the timeline are called, from what is written alone.

use crate::scenario::schema;

/// What an entry is called. Of some entries of operators it is the beginning: the rest follows from the job they are
/// about.
pub(super) fn label_of(action: &schema::Action) -> String {
    let at = |kind: &str, target: &str| format!("{kind} {}", target.trim());
    match action {
        schema::Action::ProcessKill { target, .. } => at("process-kill", &target.0),
        schema::Action::ProcessPause { target, .. } => at("process-pause", &target.0),
        schema::Action::ProcessRestart { target, .. } => at("process-restart", &target.0),
        schema::Action::NodeCrash { target, .. } => at("node-crash", &target.0),
        schema::Action::SlowDisk { target, .. } => at("slow-disk", &target.0),
        schema::Action::SlowCpu { target, .. } => at("slow-cpu", &target.0),
        schema::Action::ZoneOutage { zone, .. } => at("zone-outage", zone),
        schema::Action::RegionOutage { region, .. } => at("region-outage", region),
        schema::Action::Partition { from, to, one_way, .. } => at("partition", &between(&from.0, &to.0, *one_way)),
        schema::Action::LinkDegrade { from, to, one_way, .. } => at("link-degrade", &between(&from.0, &to.0, *one_way)),
        schema::Action::EvalPriority { of, .. } => label_of(of),
        schema::Action::RegisterJob(schema::JobSource::Inline(job)) => at("register", &job.name),
        schema::Action::RegisterJob(_) => "register ".to_owned(),
        schema::Action::UpdateImage { job, image, .. } => format!("update {job} to {image}"),
        schema::Action::ScaleJob { job, count, .. } => format!("scale {job} to {count}"),
        schema::Action::StopJob { job, .. } => format!("stop {job}"),
        schema::Action::RevertJob { job, .. } => format!("revert {job}"),
        schema::Action::EvaluateJob { job, .. } => format!("evaluate {job}"),
        schema::Action::PromoteDeployment { job, .. } => format!("promote {job}"),
        schema::Action::PauseDeployment { job, .. } => format!("pause {job}"),
        schema::Action::ResumeDeployment { job, .. } => format!("resume {job}"),
        schema::Action::FailDeployment { job, .. } => format!("fail {job}"),
        schema::Action::ForcePeriodic { job, .. } => format!("launch {job}"),
        schema::Action::DispatchJob { job, .. } => format!("dispatch {job}"),
        schema::Action::StopAlloc { job, .. } => format!("stop {job}."),
        schema::Action::SetHealth { job, .. } => format!("set health of {job}"),
        schema::Action::DrainNodes { target, .. } => at("drain", &target.0),
        schema::Action::CancelDrain { target, .. } => at("cancel-drain", &target.0),
        schema::Action::NodeEligibility { target, eligible: true } => at("eligible", &target.0),
        schema::Action::NodeEligibility { target, eligible: false } => at("ineligible", &target.0),
        schema::Action::EvaluateNodes { target } => at("evaluate", &target.0),
        schema::Action::CollectGarbage { .. } => "collect garbage".to_owned(),
        schema::Action::PauseBroker { paused: true, .. } => "pause broker".to_owned(),
        schema::Action::PauseBroker { paused: false, .. } => "resume broker".to_owned(),
        schema::Action::RejectRegistrations { rejected: true, .. } => "reject registrations".to_owned(),
        schema::Action::RejectRegistrations { rejected: false, .. } => "accept registrations".to_owned(),
    }
}

fn between(from: &str, to: &str, one_way: bool) -> String {
    format!("{} {} {}", from.trim(), if one_way { "->" } else { "<->" }, to.trim())
}
