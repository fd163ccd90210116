//! What a selection leaves behind of the nodes it did not choose from (Nomad `AllocMetric`).

use std::sync::Arc;

use crate::model::evaluation::FailedGroup;
use crate::model::node::NodeId;
use crate::protocol::scheduler::feasible::{Filtered, constraint_text, constraints};
use crate::protocol::scheduler::operators::{Resolved, Target};
use crate::protocol::scheduler::properties::ValueId;
use crate::protocol::scheduler::stack::{Rejected, Stack};

impl Stack<'_> {
    /// Whether every node of the last selection was filtered out, rather than some being full.
    pub fn was_filtered(&self) -> bool {
        self.rejected.iter().any(|(_, why)| matches!(why, Rejected::Filtered(_)))
    }

    /// The record of the last selection (Nomad `AllocMetric`).
    pub fn failure(&self, group: usize) -> FailedGroup {
        let mut record = FailedGroup { nodes_evaluated: self.evaluated, ..FailedGroup::default() };
        for (node, why) in &self.rejected {
            let class = self.state.node(*node).map(|entry| Arc::clone(&entry.node.spec.class));
            let class = class.filter(|class| !class.is_empty());
            match why {
                Rejected::Filtered(why) => {
                    record.nodes_filtered += 1;
                    *record.constraint_filtered.entry(self.filter_text(group, *node, *why)).or_default() += 1;
                    if let Some(class) = class {
                        *record.class_filtered.entry(class).or_default() += 1;
                    }
                }
                Rejected::Exhausted(why) => {
                    record.nodes_exhausted += 1;
                    *record.dimension_exhausted.entry(why.describe(&self.job.groups[group])).or_default() += 1;
                    if let Some(class) = class {
                        *record.class_exhausted.entry(class).or_default() += 1;
                    }
                }
            }
        }
        record
    }

    fn filter_text(&self, group: usize, node: NodeId, why: Filtered) -> String {
        let group = &self.job.groups[group];
        match why {
            Filtered::Class => "computed class ineligible".into(),
            Filtered::JobRule(at) => constraint_text(&self.job.constraints[at as usize]),
            Filtered::GroupRule(at) => constraints(group).nth(at as usize).map_or_else(String::new, constraint_text),
            Filtered::Drivers => "missing drivers".into(),
            Filtered::Volumes => "missing compatible host volumes".into(),
            Filtered::Devices => "missing devices".into(),
            Filtered::Network => "missing network".into(),
            Filtered::HostNetwork(at) => {
                let port = &group.networks[0].ports[at as usize];
                let (mut id_text, entry) = (String::new(), self.state.node(node));
                let target = Target::parse(&port.host_network);
                match entry.map(|entry| target.resolve(node, &entry.node.spec, &mut id_text)) {
                    Some(Resolved { text: Some(name), found: true }) => {
                        format!("missing host network \"{name}\" for port \"{}\"", port.label)
                    }
                    _ => format!("invalid host network \"{}\" template for port \"{}\"", port.host_network, port.label),
                }
            }
            Filtered::DistinctHosts => "distinct_hosts".into(),
            Filtered::MissingProperty(number) => {
                format!("missing property \"{}\"", self.properties[number as usize].attribute)
            }
            Filtered::DistinctProperty(number, value, used) => {
                let counted = &self.properties[number as usize];
                let value = counted.set.name(ValueId(value));
                format!("distinct_property: {}={value} used by {used} allocs", counted.attribute)
            }
        }
    }
}
