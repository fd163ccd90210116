//! The `plan:` block: what a fleet may be, what has to hold, and what is to be small.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::At;
use super::DurationText;
use super::OutageKind;
use super::ShareText;

/// What `cossim plan` looks for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What may change.
    pub vary: Vec<Vary>,
    /// What befalls the fleet: everything expected holds under each of these. Default `[AsWritten]`.
    #[serde(default = "default_under")]
    pub under: Vec<Under>,
    /// Where the Nomad leader is when a zone is lost. Default `AsItFalls`.
    #[serde(default)]
    pub leaders: Leaders,
    /// What has to hold under each. Default: what the scenario expects.
    #[serde(default)]
    pub expect: Vec<String>,
    /// What is to be small. Default `Cost`.
    #[serde(default)]
    pub minimise: Minimise,
    /// How sure the answer is. Default `95%`.
    #[serde(default)]
    pub confidence: Option<ShareText>,
    /// In which share of runs everything holds, at least. Default `90%`.
    #[serde(default)]
    pub holds_in: Option<ShareText>,
    /// How fleets are looked through. Default `Bisect`.
    #[serde(default)]
    pub search: Search,
    /// Also the cheapest fleet with one nine of good answers (90 %), with two (99 %), up to so many; at most 6. Default
    /// 0, none.
    #[serde(default)]
    pub nines: u64,
    /// Also by how much traffic may grow before the first expectation breaks. Default false.
    #[serde(default)]
    pub headroom: bool,
    /// Prices by instance type, as `"0.096 USD/h"`, before those of the built-in types.
    #[serde(default)]
    pub prices: BTreeMap<String, PriceText>,
}

/// One thing that may change.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub enum Vary {
    /// How many client machines: `from`, `from + step`, … up to `to`.
    Count {
        /// The name of the client group, or its datacenter.
        clients: String,
        /// Only in this region. Default: wherever the group is written.
        #[serde(default)]
        region: Option<String>,
        /// Fewest.
        from: u64,
        /// Most.
        to: u64,
        /// Default 1.
        #[serde(default = "default_step")]
        step: u64,
    },
    /// Which machines they are.
    Instance {
        /// The name of the client group, or its datacenter.
        clients: String,
        /// Only in this region. Default: wherever the group is written.
        #[serde(default)]
        region: Option<String>,
        /// Instance types.
        among: Vec<String>,
    },
    /// Which zones they are in.
    Zones {
        /// The name of the client group, or its datacenter.
        clients: String,
        /// Only in this region. Default: wherever the group is written.
        #[serde(default)]
        region: Option<String>,
        /// Lists of zones.
        among: Vec<Vec<String>>,
    },
    /// How many instances of a job registered at the start.
    JobCount {
        /// The job.
        job: String,
        /// Its group. Default: the only one.
        #[serde(default)]
        group: Option<String>,
        /// Fewest.
        from: u64,
        /// Most.
        to: u64,
        /// Default 1.
        #[serde(default = "default_step")]
        step: u64,
    },
}

/// What befalls the fleet, besides the scenario's own timeline.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub enum Under {
    /// Nothing more.
    AsWritten,
    /// Each zone is lost, in a run of its own.
    EachZone {
        /// When.
        at: DurationText,
        /// For how long. Default: for ever.
        #[serde(default)]
        lasts: Option<DurationText>,
        /// Default `Power`.
        #[serde(default)]
        kind: OutageKind,
        /// Only zones of this region. Default: of every region.
        #[serde(default)]
        region: Option<String>,
    },
    /// These entries.
    Timeline {
        /// What reports call it.
        name: String,
        /// The entries.
        entries: Vec<At>,
    },
}

/// Where the Nomad leader of a region is when a zone of it is lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Leaders {
    /// Wherever elections put it.
    #[default]
    AsItFalls,
    /// In each zone that has a server, in a run of its own.
    Each,
}

/// What is to be small.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Minimise {
    /// Dollars per hour; of equal ones, machines.
    #[default]
    Cost,
    /// Machines; of equal ones, dollars per hour.
    Nodes,
}

/// How fleets are looked through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Search {
    /// A fleet that does not hold rules out every fleet with the same or fewer machines of the same kinds.
    #[default]
    Bisect,
    /// Each fleet is judged by itself, from the cheapest; one that fails is given up at its first failing run.
    EachFleet,
}

fn default_under() -> Vec<Under> {
    vec![Under::AsWritten]
}

const fn default_step() -> u64 {
    1
}

text!(
    /// A price: `"0.096 USD/h"`.
    PriceText,
    r"^\s*[0-9_.]+\s*USD/h\s*$"
);
