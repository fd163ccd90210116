//! Jobs written in the scenario itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ALLOCATIONS_MAX;
use super::Lowering;
use crate::base::time::Duration;
use crate::model::constraint::Affinity;
use crate::model::constraint::Constraint;
use crate::model::constraint::Spread;
use crate::model::constraint::SpreadTarget;
use crate::model::job::Job;
use crate::model::job::JobId;
use crate::model::job::JobKind;
use crate::model::job::Task;
use crate::model::job::TaskGroup;
use crate::model::job::Update;
use crate::model::resources::NetworkAsk;
use crate::model::resources::PortAsk;
use crate::model::service::Check;
use crate::model::service::CheckKind;
use crate::model::service::Service;
use crate::scenario::import::defaults;
use crate::scenario::import::spots::GroupSpots;
use crate::scenario::import::spots::Spots;
use crate::scenario::schema;

impl Lowering<'_> {
    pub(super) fn build_inline(&mut self, path: &str, written: &schema::Job) -> (Job, Spots) {
        let kind = match written.kind {
            schema::JobKind::Service => JobKind::Service,
            schema::JobKind::Batch => JobKind::Batch,
            schema::JobKind::System => JobKind::System,
            schema::JobKind::SysBatch => JobKind::SysBatch,
        };
        let mut job = defaults::job(&written.name, kind);
        job.id = JobId(0);
        job.priority = self.count(&format!("{path}.priority"), written.priority.unwrap_or(50), 1..=100) as u8;
        job.datacenters = written.datacenters.iter().map(|name| name.as_str().into()).collect();
        job.constraints = self.constraints(&format!("{path}.constraints"), &written.constraints);
        job.spreads = self.spreads(&format!("{path}.spreads"), &written.spreads);
        for (index, affinity) in written.affinities.iter().enumerate() {
            let path = format!("{path}.affinities[{index}]");
            let rule = self.constraint(&format!("{path}.rule"), &affinity.rule);
            let weight = affinity.weight.unwrap_or(50);
            if weight == 0 || weight.abs() > 100 {
                self.error("E015", &format!("{path}.weight"), "a weight is within -100..=100 and not 0");
            }
            let Constraint { left, operator, right } = rule;
            job.affinities.push(Affinity { left, operator, right, weight: weight.clamp(-100, 100) as i8 });
        }
        let find = |path: String| self.text.tree.find(&path);
        let mut spots = Spots::new(find(format!("{path}.name")));
        spots.datacenters = Some(find(format!("{path}.datacenters")));
        for (index, _) in written.groups.iter().enumerate() {
            let path = format!("{path}.groups[{index}]");
            spots.groups.push(GroupSpots {
                name: find(format!("{path}.name")),
                cpu: Some(find(format!("{path}.cpu"))),
                memory: Some(find(format!("{path}.memory"))),
                tasks: vec![find(format!("{path}.name"))],
            });
        }
        for (index, group) in written.groups.iter().enumerate() {
            let group = self.group(&format!("{path}.groups[{index}]"), kind, group);
            job.groups.push(group);
        }
        (job, spots)
    }

    fn group(&mut self, path: &str, kind: JobKind, written: &schema::Group) -> TaskGroup {
        let mut group = defaults::group(&written.name, kind);
        group.count = self.count(&format!("{path}.count"), written.count.unwrap_or(1), 0..=ALLOCATIONS_MAX);
        group.constraints = self.constraints(&format!("{path}.constraints"), &written.constraints);
        group.spreads = self.spreads(&format!("{path}.spreads"), &written.spreads);
        if let Some(disk) = &written.disk {
            group.disk.size = self.size(&format!("{path}.disk"), disk);
        }
        if !written.ports.is_empty() {
            group.networks = vec![NetworkAsk { ports: ports(&written.ports), ..NetworkAsk::default() }];
        }
        if let Some(update) = &written.update {
            group.update = Some(self.update(&format!("{path}.update"), update));
        }
        for (index, service) in written.services.iter().enumerate() {
            let path = format!("{path}.services[{index}]");
            if let Some(port) = &service.port
                && !written.ports.contains_key(port)
            {
                self.unknown(&format!("{path}.port"), "port", port, written.ports.keys().map(String::as_str));
            }
            group.services.push(Service {
                name: service.name.as_str().into(),
                port: service.port.as_deref().map(Arc::from),
                tags: service.tags.iter().map(|tag| tag.as_str().into()).collect(),
                checks: service.check.iter().map(|check| self.check(&format!("{path}.check"), check)).collect(),
            });
        }
        let mut task = Task::new(&written.name, &written.driver);
        if let Some(cpu) = &written.cpu {
            task.resources.cpu = self.frequency(&format!("{path}.cpu"), cpu);
        }
        if let Some(memory) = &written.memory {
            task.resources.memory = self.size(&format!("{path}.memory"), memory);
        }
        group.tasks.push(task);
        group
    }

    fn check(&mut self, path: &str, written: &schema::Check) -> Check {
        let (kind, http_path, interval, timeout) = match written {
            schema::Check::Http { path, interval, timeout } => (CheckKind::Http, path.as_str(), interval, timeout),
            schema::Check::Tcp { interval, timeout } => (CheckKind::Tcp, "", interval, timeout),
        };
        let interval = self.duration_or(&format!("{path}.interval"), interval.as_ref(), Duration::from_secs(10));
        let mut check = Check::new("check", kind, interval);
        check.path = http_path.into();
        check.timeout = self.duration_or(&format!("{path}.timeout"), timeout.as_ref(), Duration::from_secs(2));
        check
    }

    fn update(&mut self, path: &str, written: &schema::Update) -> Update {
        let default = Update::default();
        let mut span = |name: &str, text: &Option<schema::DurationText>, default: Duration| {
            self.duration_or(&format!("{path}.{name}"), text.as_ref(), default)
        };
        let min_healthy_time = span("min_healthy_time", &written.min_healthy_time, default.min_healthy_time);
        let healthy_deadline = span("healthy_deadline", &written.healthy_deadline, default.healthy_deadline);
        let progress_deadline = span("progress_deadline", &written.progress_deadline, default.progress_deadline);
        let mut count = |name: &str, value: Option<u64>, default: u32| {
            value.map_or(default, |value| self.count(&format!("{path}.{name}"), value, 0..=ALLOCATIONS_MAX))
        };
        Update {
            max_parallel: count("max_parallel", written.max_parallel, default.max_parallel),
            canary: count("canary", written.canary, default.canary),
            min_healthy_time,
            healthy_deadline,
            progress_deadline,
            auto_revert: written.auto_revert,
            auto_promote: written.auto_promote,
            ..default
        }
    }

    fn constraints(&mut self, path: &str, written: &[String]) -> Vec<Constraint> {
        let mut out = Vec::new();
        for (index, text) in written.iter().enumerate() {
            let constraint = self.constraint(&format!("{path}[{index}]"), text);
            out.push(constraint);
        }
        out
    }

    /// `LEFT OPERATOR RIGHT`, `LEFT is_set`, or `distinct_hosts`.
    fn constraint(&mut self, path: &str, text: &str) -> Constraint {
        let mut parts = text.trim().splitn(3, char::is_whitespace);
        let (left, operator) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let right = parts.next().unwrap_or("").trim();
        let of = |left: &str, operator: &str, right: &str| Constraint {
            left: left.to_owned(),
            operator: operator.to_owned(),
            right: right.to_owned(),
        };
        if left == "distinct_hosts" && operator.is_empty() {
            return of("", "distinct_hosts", "true");
        }
        if !OPERATORS.contains(&operator) {
            self.error("E015", path, format!("`{text}` is no constraint"))
                .hint("write `${attr.kernel.name} = linux`, `${meta.zone} is_set` or `distinct_hosts`");
        }
        of(left, operator, right)
    }

    fn spreads(&mut self, path: &str, written: &[schema::Spread]) -> Vec<Spread> {
        let mut out = Vec::new();
        for (index, spread) in written.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let weight = self.count(&format!("{path}.weight"), spread.weight.unwrap_or(50), 1..=100) as i8;
            let mut targets = Vec::new();
            for (value, percent) in &spread.targets {
                let percent = self.count(&format!("{path}.targets.{value}"), *percent, 0..=100) as u8;
                targets.push(SpreadTarget { value: value.clone(), percent });
            }
            if targets.iter().map(|target| u32::from(target.percent)).sum::<u32>() > 100 {
                self.error("E015", &format!("{path}.targets"), "the shares of a spread add up to more than 100");
            }
            out.push(Spread { attribute: spread.attribute.clone(), weight, targets });
        }
        out
    }
}

fn ports(written: &BTreeMap<String, u64>) -> Vec<PortAsk> {
    written
        .iter()
        .map(|(label, port)| PortAsk {
            label: label.clone(),
            fixed: (*port != 0).then_some(i64::try_from(*port).unwrap_or(i64::MAX)),
            ..PortAsk::default()
        })
        .collect()
}

/// Operators of constraints and affinities (Nomad `checkConstraint`).
const OPERATORS: [&str; 19] = [
    "=",
    "==",
    "is",
    "!=",
    "not",
    "<",
    "<=",
    ">",
    ">=",
    "regexp",
    "version",
    "semver",
    "set_contains",
    "set_contains_all",
    "set_contains_any",
    "is_set",
    "is_not_set",
    "distinct_property",
    "distinct_hosts",
];
