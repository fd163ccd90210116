//! How tasks behave.

use serde::Deserialize;

use super::ServiceTime;
use super::ShareText;

/// How tasks end, fail and come up. What is not said of a task does not narrow the choice; one that nothing fits runs
/// until it is told to stop, or ends well at once if it is a hook and no sidecar.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Behaviour {
    /// Tasks of this job, and of the children of this periodic or parameterized one.
    #[serde(default)]
    pub job: Option<String>,
    /// Tasks of groups of this name.
    #[serde(default)]
    pub group: Option<String>,
    /// Tasks of this name.
    #[serde(default)]
    pub task: Option<String>,
    /// Tasks whose driver configuration names this image or program: a version of the software.
    #[serde(default)]
    pub image: Option<String>,
    /// How long a run takes that ends well. Default: for ever.
    #[serde(default)]
    pub runs_for: Option<ServiceTime>,
    /// How long a run takes that ends in failure. Default: as `runs_for`.
    #[serde(default)]
    pub fails_after: Option<ServiceTime>,
    /// Runs that end in failure. Default `100%` with `fails_after`, else `0%`.
    #[serde(default)]
    pub failing: Option<ShareText>,
    /// Whether it ever listens on its ports; if not, it runs and its checks stay critical. Default true.
    #[serde(default = "default_healthy")]
    pub healthy: bool,
}

const fn default_healthy() -> bool {
    true
}
