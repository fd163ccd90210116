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
use crate::model::job::Hook;
use crate::model::job::Job;
use crate::model::job::JobId;
use crate::model::job::JobKind;
use crate::model::job::Lifecycle;
use crate::model::job::Restart;
use crate::model::job::Task;
use crate::model::job::TaskGroup;
use crate::model::job::Update;
use crate::model::resources::DeviceAsk;
use crate::model::resources::NetworkAsk;
use crate::model::resources::PortAsk;
use crate::model::service::Check;
use crate::model::service::CheckKind;
use crate::model::service::Service;
use crate::scenario::import::defaults;
use crate::scenario::import::rules::Piece;
use crate::scenario::import::spots::GroupSpots;
use crate::scenario::import::spots::Spot;
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
        job.affinities = self.affinities(&format!("{path}.affinities"), &written.affinities);
        job.all_at_once = written.all_at_once;
        if let Some(pool) = &written.node_pool {
            self.needs_node_pools(&format!("{path}.node_pool"));
            job.node_pool = pool.as_str().into();
        }
        job.meta = written.meta.clone().into_iter().collect();
        job.launch = self.launch(path, written);
        let update = written.update.as_ref().map(|update| self.update(&format!("{path}.update"), update));
        if kind == JobKind::System {
            job.update.clone_from(&update);
        }
        let find = |path: String| self.text.tree.find(&path);
        let spot = |path: &str| self.spot(path);
        let mut spots = Spots { job: spot(path), datacenters: None, groups: Vec::new() };
        spots.datacenters = Some(find(format!("{path}.datacenters")));
        for (index, group) in written.groups.iter().enumerate() {
            let path = format!("{path}.groups[{index}]");
            spots.groups.push(GroupSpots {
                own: spot(&path),
                cpu: Some(find(format!("{path}.cpu"))),
                memory: Some(find(format!("{path}.memory"))),
                tasks: if group.tasks.is_empty() {
                    vec![Spot::new(find(format!("{path}.name")))]
                } else {
                    (0..group.tasks.len()).map(|task| spot(&format!("{path}.tasks[{task}]"))).collect()
                },
            });
        }
        for (index, group) in written.groups.iter().enumerate() {
            let group = self.group(&format!("{path}.groups[{index}]"), kind, group, update.as_ref());
            job.groups.push(group);
        }
        (job, spots)
    }

    fn group(&mut self, path: &str, kind: JobKind, written: &schema::Group, update: Option<&Update>) -> TaskGroup {
        let mut group = defaults::group(&written.name, kind);
        group.count = self.count(&format!("{path}.count"), written.count.unwrap_or(1), 0..=ALLOCATIONS_MAX);
        group.constraints = self.constraints(&format!("{path}.constraints"), &written.constraints);
        group.affinities = self.affinities(&format!("{path}.affinities"), &written.affinities);
        group.spreads = self.spreads(&format!("{path}.spreads"), &written.spreads);
        if let Some(disk) = &written.disk {
            group.disk.size = self.size(&format!("{path}.disk"), disk);
        }
        group.disk.sticky = written.sticky_disk;
        group.volumes = written
            .host_volumes
            .iter()
            .map(|volume| match volume.strip_prefix("ro:") {
                Some(volume) => (volume.to_owned(), true),
                None => (volume.clone(), false),
            })
            .collect();
        if !written.ports.is_empty() {
            group.networks = vec![NetworkAsk { ports: ports(&written.ports), ..NetworkAsk::default() }];
        }
        self.group_policies(path, kind, written, update, &mut group);
        group.services = self.group_services(path, &written.services, &written.ports);
        if written.tasks.is_empty() {
            group.tasks.push(self.only_task(path, written));
        } else {
            for (name, said) in [("image", written.image.is_some()), ("cpu", written.cpu.is_some())]
                .into_iter()
                .chain([("memory", written.memory.is_some())])
            {
                if said {
                    self.error(
                        "E015",
                        &format!("{path}.{name}"),
                        format!("the group lists its tasks: `{name}` is theirs"),
                    )
                    .hint("move it into the tasks");
                }
            }
            for (index, task) in written.tasks.iter().enumerate() {
                let task = self.task(&format!("{path}.tasks[{index}]"), task, written, &group.restart);
                group.tasks.push(task);
            }
        }
        group
    }

    fn group_policies(
        &mut self,
        path: &str,
        kind: JobKind,
        written: &schema::Group,
        update: Option<&Update>,
        group: &mut TaskGroup,
    ) {
        let own = written.update.as_ref().map(|own| {
            let path = format!("{path}.update");
            let own = self.update(&path, own);
            match update {
                Some(base) => merged(base, &own, |name| self.text.tree.has(&format!("{path}.{name}"))),
                None => own,
            }
        });
        // System jobs are updated by their job's block.
        let inherited = update.filter(|_| kind != JobKind::System).cloned();
        if let Some(update) = own.or(inherited) {
            group.update = Some(update);
        }
        if let Some(migrate) = &written.migrate {
            group.migrate = Some(self.migrate(&format!("{path}.migrate"), migrate));
        }
        if let Some(reschedule) = &written.reschedule {
            let default = group.reschedule.take();
            group.reschedule = Some(self.reschedule(&format!("{path}.reschedule"), reschedule, default));
        }
        if let Some(restart) = &written.restart {
            group.restart = self.restart(&format!("{path}.restart"), restart, &group.restart);
        }
        let mut span = |name: &str, text: &Option<schema::DurationText>| {
            text.as_ref().map(|text| self.duration(&format!("{path}.{name}"), text))
        };
        group.shutdown_delay = span("shutdown_delay", &written.shutdown_delay).unwrap_or_default();
        group.stop_after_client_disconnect =
            span("stop_after_client_disconnect", &written.stop_after_client_disconnect);
        group.max_client_disconnect = span("max_client_disconnect", &written.max_client_disconnect);
    }

    fn group_services(
        &mut self,
        path: &str,
        written: &[schema::GroupService],
        ports: &BTreeMap<String, u64>,
    ) -> Vec<Service> {
        let mut out = Vec::new();
        for (index, service) in written.iter().enumerate() {
            let path = format!("{path}.services[{index}]");
            if let Some(port) = &service.port
                && !ports.contains_key(port)
            {
                self.unknown(&format!("{path}.port"), "port", port, ports.keys().map(String::as_str));
            }
            out.push(Service {
                name: service.name.as_str().into(),
                port: service.port.as_deref().map(Arc::from),
                tags: service.tags.iter().map(|tag| tag.as_str().into()).collect(),
                checks: service.check.iter().map(|check| self.check(&format!("{path}.check"), check)).collect(),
            });
        }
        out
    }

    /// The task of a group that lists none: it is called after it.
    fn only_task(&mut self, path: &str, written: &schema::Group) -> Task {
        let mut task = Task::new(&written.name, &written.driver);
        task.config = config(written.image.as_deref());
        if let Some(cpu) = &written.cpu {
            task.resources.cpu = self.frequency(&format!("{path}.cpu"), cpu);
        }
        if let Some(memory) = &written.memory {
            task.resources.memory = self.size(&format!("{path}.memory"), memory);
        }
        task
    }

    /// Where a job, a group or a task stands, and its pieces.
    fn spot(&self, path: &str) -> Spot {
        let tree = &self.text.tree;
        let mut spot = Spot::new(tree.find(&format!("{path}.name")));
        for (_, name, piece) in Piece::LISTS {
            let items = (0..).map(|at| (piece(at), format!("{path}.{name}[{at}]")));
            let items = items.take_while(|(_, path)| tree.has(path));
            spot.pieces.extend(items.map(|(piece, path)| (piece, tree.find(&path))));
        }
        for (name, piece) in Piece::BLOCKS {
            let path = format!("{path}.{name}");
            if tree.has(&path) {
                spot.pieces.insert(piece, tree.find(&path));
                spot.fields.insert(piece, tree.fields(&path));
            }
        }
        spot
    }

    fn task(&mut self, path: &str, written: &schema::Task, group: &schema::Group, restarts: &Restart) -> Task {
        let mut task = Task::new(&written.name, written.driver.as_ref().unwrap_or(&group.driver));
        task.config = config(written.image.as_deref());
        if let Some(cpu) = &written.cpu {
            task.resources.cpu = self.frequency(&format!("{path}.cpu"), cpu);
        }
        if let Some(memory) = &written.memory {
            task.resources.memory = self.size(&format!("{path}.memory"), memory);
        }
        if let Some(cores) = written.cores {
            task.resources.cores = self.count(&format!("{path}.cores"), cores, 1..=1_024);
            if written.cpu.is_some() {
                self.error("E011", &format!("{path}.cores"), "a task asks for `cpu` or for `cores`, not for both")
                    .hint("leave one of them out");
            }
        }
        task.resources.devices = self.devices(&format!("{path}.devices"), &written.devices);
        task.resources.memory_max =
            written.memory_max.as_ref().map(|memory| self.size(&format!("{path}.memory_max"), memory));
        task.constraints = self.constraints(&format!("{path}.constraints"), &written.constraints);
        task.affinities = self.affinities(&format!("{path}.affinities"), &written.affinities);
        task.services = self.group_services(path, &written.services, &group.ports);
        task.meta = written.meta.clone().into_iter().collect();
        task.restart = written.restart.as_ref().map(|own| {
            let path = format!("{path}.restart");
            let own = self.restart(&path, own, restarts);
            let mode = if self.text.tree.has(&format!("{path}.mode")) { own.mode } else { restarts.mode };
            Restart { mode, ..own }
        });
        task.lifecycle = written.lifecycle.as_ref().map(|lifecycle| Lifecycle {
            hook: match lifecycle.hook {
                schema::Hook::Prestart => Hook::Prestart,
                schema::Hook::Poststart => Hook::Poststart,
                schema::Hook::Poststop => Hook::Poststop,
            },
            sidecar: lifecycle.sidecar,
        });
        task.leader = written.leader;
        task.kill_timeout =
            self.duration_or(&format!("{path}.kill_timeout"), written.kill_timeout.as_ref(), task.kill_timeout);
        task.shutdown_delay =
            self.duration_or(&format!("{path}.shutdown_delay"), written.shutdown_delay.as_ref(), Duration::ZERO);
        task
    }

    fn devices(&mut self, path: &str, written: &[schema::DeviceAsk]) -> Vec<DeviceAsk> {
        let mut out = Vec::new();
        for (index, device) in written.iter().enumerate() {
            let path = format!("{path}[{index}]");
            if device.name.is_empty() || device.name.split('/').count() > 3 {
                self.error("E015", &format!("{path}.name"), format!("`{}` names no device", device.name))
                    .hint("write `gpu`, `nvidia/gpu` or `nvidia/gpu/A100`");
            }
            out.push(DeviceAsk {
                name: device.name.clone(),
                count: self.count(&format!("{path}.count"), device.count.unwrap_or(1), 1..=1_024),
                constraints: self.constraints(&format!("{path}.constraints"), &device.constraints),
                affinities: self.affinities(&format!("{path}.affinities"), &device.affinities),
            });
        }
        out
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

    fn affinities(&mut self, path: &str, written: &[schema::Affinity]) -> Vec<Affinity> {
        let mut out = Vec::new();
        for (index, affinity) in written.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let rule = self.constraint(&format!("{path}.rule"), &affinity.rule);
            let mut weight = affinity.weight.unwrap_or(50);
            if weight == 0 || weight.unsigned_abs() > 100 {
                self.error("E015", &format!("{path}.weight"), "a weight is within -100..=100 and not 0")
                    .hint("leave it out for 50");
                weight = 50;
            }
            let Constraint { left, operator, right } = rule;
            out.push(Affinity { left, operator, right, weight: weight as i8 });
        }
        out
    }

    fn constraints(&mut self, path: &str, written: &[String]) -> Vec<Constraint> {
        let mut out = Vec::new();
        for (index, text) in written.iter().enumerate() {
            let constraint = self.constraint(&format!("{path}[{index}]"), text);
            out.push(constraint);
        }
        out
    }

    /// `LEFT OPERATOR RIGHT`, `LEFT is_set`, `distinct_hosts`, or `distinct_hosts = false`.
    fn constraint(&mut self, path: &str, text: &str) -> Constraint {
        let mut parts = text.trim().splitn(3, char::is_whitespace);
        let (left, operator) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let right = parts.next().unwrap_or("").trim();
        let of = |left: &str, operator: &str, right: &str| Constraint {
            left: left.to_owned(),
            operator: operator.to_owned(),
            right: right.to_owned(),
        };
        if left == "distinct_hosts" && matches!((operator, right), ("", "") | ("=", "true" | "false")) {
            return of("", "distinct_hosts", if right.is_empty() { "true" } else { right });
        }
        if !OPERATORS.contains(&operator) {
            self.error("E015", path, format!("`{text}` is no constraint"))
                .hint("write `${attr.kernel.name} = linux`, `${meta.zone} is_set` or `distinct_hosts`");
            return of("${node.datacenter}", "is_set", "");
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
                self.error("E015", &format!("{path}.targets"), "the shares of a spread add up to more than 100")
                    .hint("let them add up to 100 or less");
                targets.clear();
            }
            out.push(Spread { attribute: spread.attribute.clone(), weight, targets });
        }
        out
    }
}

/// A group's `update` block over its job's: what the group says (`said`, by field) wins.
fn merged(base: &Update, own: &Update, said: impl Fn(&str) -> bool) -> Update {
    fn pick<T>(said: bool, own: T, base: T) -> T {
        if said { own } else { base }
    }
    Update {
        max_parallel: pick(said("max_parallel"), own.max_parallel, base.max_parallel),
        health_check: pick(said("health_check"), own.health_check, base.health_check),
        min_healthy_time: pick(said("min_healthy_time"), own.min_healthy_time, base.min_healthy_time),
        healthy_deadline: pick(said("healthy_deadline"), own.healthy_deadline, base.healthy_deadline),
        progress_deadline: pick(said("progress_deadline"), own.progress_deadline, base.progress_deadline),
        auto_revert: pick(said("auto_revert"), own.auto_revert, base.auto_revert),
        auto_promote: pick(said("auto_promote"), own.auto_promote, base.auto_promote),
        canary: pick(said("canary"), own.canary, base.canary),
        stagger: pick(said("stagger"), own.stagger, base.stagger),
    }
}

/// A driver configuration with nothing but an image, as the importer of job files would write it.
fn config(image: Option<&str>) -> String {
    image.map_or(String::new(), |image| format!("config{{image=\"{}\";}}", image.escape_debug()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::job::HealthCheck;
    use crate::model::job::RestartMode;
    use crate::scenario::load_text;
    use crate::scenario::lower::Files;

    struct Nothing;

    impl Files for Nothing {
        fn read(&self, _: &str) -> Result<(String, String), String> {
            Err("there is none".to_owned())
        }
    }

    /// The only job of a scenario, under a release of Nomad.
    fn lowered(release: &str, job: &str) -> Arc<Job> {
        let text = format!(
            r#"Scenario(name: "x", about: "x.", seeds: 1, duration: "1m", regions: [Region(name: "r", zones: ["a"],
                consul: Servers(count: 0), clients: [Clients(datacenter: "apps", count: 1, instance: "m5.large")])],
                versions: (nomad: "{release}"), jobs: [Inline(Job({job}))])"#
        );
        let loaded = load_text("x.ron", &text, &[], &Nothing);
        let lowered = loaded.lowered.unwrap_or_else(|| panic!("{:?}", loaded.findings));
        let (_, spec) = lowered.world.jobs.iter().next().expect("a job");
        Arc::clone(&spec.job)
    }

    #[test]
    fn a_group_s_update_says_what_differs_from_its_job_s() {
        let job = lowered(
            "1.6",
            r#"name: "j", datacenters: ["apps"], update: Update(max_parallel: 3, canary: 2, auto_promote: true,
                auto_revert: true, health_check: TaskStates, min_healthy_time: "20s", healthy_deadline: "4m"), groups: [
                Group(name: "a", image: "i:1", update: Update(max_parallel: 1, auto_revert: false)),
                Group(name: "b", image: "i:1", update: Update(canary: 0, auto_promote: false, health_check: Checks,
                    healthy_deadline: "3m")),
                Group(name: "c", image: "i:1")]"#,
        );
        let seconds = Duration::from_secs;
        let whole = Update {
            max_parallel: 3,
            canary: 2,
            auto_promote: true,
            auto_revert: true,
            health_check: HealthCheck::TaskStates,
            min_healthy_time: seconds(20),
            healthy_deadline: seconds(240),
            ..Update::default()
        };
        let first = Update { max_parallel: 1, auto_revert: false, ..whole.clone() };
        let second = Update {
            canary: 0,
            auto_promote: false,
            health_check: HealthCheck::Checks,
            healthy_deadline: seconds(180),
            ..whole.clone()
        };
        let found: Vec<Option<Update>> = job.groups.iter().map(|group| group.update.clone()).collect();
        assert_eq!(found, [Some(first), Some(second), Some(whole)]);
    }

    fn findings(more: &str, job: &str) -> Vec<(&'static str, String)> {
        let text = format!(
            r#"Scenario(name: "x", about: "x.", seeds: 1, duration: "1m", regions: [Region(name: "r", zones: ["a"],
                consul: Servers(count: 0), clients: [Clients(datacenter: "apps", count: 1, instance: "m5.large")])],
                {more} jobs: [Inline(Job(name: "j", datacenters: ["apps"], {job}))])"#
        );
        let loaded = load_text("x.ron", &text, &[], &Nothing);
        assert!(loaded.findings.iter().all(|of| of.hint.is_some()), "{:?}", loaded.findings);
        let source = |place: &crate::scenario::diagnostic::Place| text[place.span.clone()].to_owned();
        loaded.findings.iter().map(|of| (of.code, of.place.as_ref().map(source).unwrap_or_default())).collect()
    }

    #[test]
    fn a_rule_that_cannot_be_is_an_error_and_no_warning_besides() {
        let group = |constraint: &str| {
            findings("", &format!(r#"groups: [Group(name: "a", image: "i:1", constraints: ["{constraint}"])]"#))
        };
        let constraint = "${attr.kernel.name} regexp [a-";
        assert_eq!(group(constraint), [("E011", format!("\"{constraint}\""))]);
        // One that can be and that no machine satisfies waits.
        assert_eq!(group("${attr.kernel.name} = plan9").iter().map(|(code, _)| *code).collect::<Vec<_>>(), ["W006"]);
    }

    #[test]
    fn an_update_that_cannot_be_is_shown_where_its_field_stands() {
        let job = |own: &str| {
            let whole = r#"update: Update(min_healthy_time: "5m", healthy_deadline: "1m")"#;
            findings("", &format!(r#"{whole}, groups: [Group(name: "a", image: "i:1", update: {own})]"#))
        };
        let whole = "Update(min_healthy_time: \"5m\", healthy_deadline: \"1m\")";
        assert_eq!(job("Update(canary: 1)"), [("E011", whole.to_owned())]);
        let own = "Update(healthy_deadline: \"2m\")";
        assert_eq!(job(own), [("E011", own.to_owned())]);
    }

    #[test]
    fn facts_that_tell_runs_apart_are_there_once() {
        let by =
            |facts: &str| findings(&format!("group_by: [{facts}],"), r#"groups: [Group(name: "a", image: "i:1")]"#);
        let twice = |fact: &str| vec![("E015", format!("\"{fact}\""))];
        assert_eq!(by(r#""leaders", "placement.queued > 0", "placement.queued max > 0""#), []);
        assert_eq!(by(r#""leaders", "leaders""#), twice("leaders"));
        let (one, other) = ("failover.leader max > 60s", "failover.leader > 1min");
        assert_eq!(by(&format!("\"{one}\", \"{other}\"")), twice(other));
    }

    #[test]
    fn a_task_s_restart_says_what_differs_from_its_group_s() {
        let job = lowered(
            "1.6",
            r#"name: "j", datacenters: ["apps"], groups: [Group(name: "a",
                restart: Restart(attempts: 7, interval: "10m", delay: "5s", mode: Delay),
                tasks: [Task(name: "t", image: "i:1", restart: Restart(delay: "9s"))])]"#,
        );
        let restart = job.groups[0].tasks[0].restart.clone().expect("a restart of its own");
        assert_eq!((restart.attempts, restart.mode), (7, RestartMode::Delay));
        assert_eq!((restart.interval, restart.delay), (Duration::from_mins(10), Duration::from_secs(9)));
    }

    #[test]
    fn patterns_of_datacenters_are_names_before_1_5() {
        let wanted = r#"name: "j", datacenters: ["a*s"], groups: [Group(name: "a", image: "i:1")]"#;
        for (release, expected) in [("1.4.3", "a*s"), ("1.5.0", "apps")] {
            let datacenters = lowered(release, wanted).datacenters.clone();
            assert_eq!(datacenters, [Arc::from(expected)], "{release}");
        }
    }
}
