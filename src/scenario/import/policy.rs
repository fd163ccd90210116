//! Reading the smaller blocks of a job file: policies, networks, services, constraints.

use std::ops::Range;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::names::Names;
use super::nomad_job::Finding;
use super::nomad_job::Scope;
use super::tree::Block;
use super::tree::Body;
use super::tree::Kind;
use super::tree::Value;
use crate::base::time::Duration;
use crate::base::units::MegabitsPerSecond;
use crate::model::constraint::Affinity;
use crate::model::constraint::Constraint;
use crate::model::constraint::Spread;
use crate::model::constraint::SpreadTarget;
use crate::model::job::DelayFunction;
use crate::model::job::HealthCheck;
use crate::model::job::Migrate;
use crate::model::job::Reschedule;
use crate::model::job::Restart;
use crate::model::job::RestartMode;
use crate::model::job::Update;
use crate::model::resources::DeviceAsk;
use crate::model::resources::NetworkAsk;
use crate::model::resources::PortAsk;
use crate::model::service::Check;
use crate::model::service::CheckKind;
use crate::model::service::Service;
use crate::scenario::diagnostic::Severity;
use crate::scenario::quantity;
use crate::scenario::suggest;

/// Reads blocks and collects what is to be said about them.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) findings: Vec<Finding>,
    /// Where expressions are whose fault was found already.
    pub(super) told: Vec<Range<usize>>,
}

impl Reader {
    pub(super) fn error(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let (message, hint) = (message.into(), Some(hint.into()));
        self.push(Finding { severity: Severity::Error, code, message, span, hint });
    }

    pub(super) fn ignored(&mut self, span: Range<usize>, name: &str, holder: &str) {
        self.warn(span, format!("`{name}` in this {holder} is left out"), LEFT_OUT);
    }

    pub(super) fn warn(&mut self, span: Range<usize>, message: String, hint: &str) {
        let hint = Some(hint.to_owned());
        self.push(Finding { severity: Severity::Warning, code: "W001", message, span, hint });
    }

    pub(super) fn push(&mut self, finding: Finding) {
        // What groups take over from their job is read once for each of them.
        if self.findings.len() < FINDINGS_MAX && !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    pub(super) fn one_of(&mut self, span: Range<usize>, what: &str, word: &str, known: &[&str]) {
        let hint = suggest::hint(word, known.iter().copied());
        self.error("E010", span, format!("`{word}` is no {what}"), hint);
    }

    /// A value that could not be evaluated, or is of another type.
    pub(super) fn wrong(&mut self, value: &Value, key: &str, expected: &str) {
        let is_told = |told: &Range<usize>| value.span.start <= told.start && told.end <= value.span.end;
        if matches!(value.kind, Kind::Unknown(_)) && self.told.iter().any(is_told) {
            return;
        }
        let (message, hint) = match &value.kind {
            Kind::Unknown(raw) => {
                (format!("`{raw}` cannot be evaluated, and `{key}` needs {expected}"), GIVE_VALUE.to_owned())
            }
            _ => (format!("`{key}` needs {expected}"), format!("write {expected}")),
        };
        self.error("E010", value.span.clone(), message, hint);
    }

    pub(super) fn text(&mut self, body: &Body, key: &str) -> Option<(String, Range<usize>)> {
        let value = &body.attribute(key)?.value;
        if value.kind == Kind::Null {
            return None;
        }
        let text = value.text();
        if text.is_none() {
            self.wrong(value, key, "a text");
        }
        text.map(|text| (text, value.span.clone()))
    }

    pub(super) fn texts(&mut self, body: &Body, key: &str) -> Vec<String> {
        let Some(attribute) = body.attribute(key) else { return Vec::new() };
        let items = match &attribute.value.kind {
            Kind::List(items) => items.clone(),
            Kind::Null => Vec::new(),
            _ => vec![attribute.value.clone()],
        };
        let mut out = Vec::new();
        for item in &items {
            match item.text() {
                Some(text) => out.push(text),
                None => self.wrong(item, key, "a list of texts"),
            }
        }
        out
    }

    /// A whole number, also as text (HCL1).
    pub(super) fn whole(&mut self, body: &Body, key: &str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let value = &body.attribute(key)?.value;
        let number = match &value.kind {
            Kind::Null => return None,
            Kind::Number(number) => Some(*number),
            Kind::Text(text) => text.trim().parse().ok(),
            Kind::Bool(_) | Kind::List(_) | Kind::Object(_) | Kind::Unknown(_) => None,
        };
        let (low, high) = (*bounds.start(), *bounds.end());
        match number {
            Some(number)
                if low as f64 <= number
                    && number <= high as f64
                    && libm::trunc(number).to_bits() == number.to_bits() =>
            {
                Some(number as u64)
            }
            Some(_) | None => {
                self.wrong(value, key, &format!("a whole number within {low}..={high}"));
                None
            }
        }
    }

    pub(super) fn truth(&mut self, body: &Body, key: &str) -> Option<bool> {
        let value = &body.attribute(key)?.value;
        match value.text().as_deref() {
            Some("true" | "1") => Some(true),
            Some("false" | "0") => Some(false),
            Some(_) | None if value.kind == Kind::Null => None,
            Some(_) | None => {
                self.wrong(value, key, "`true` or `false`");
                None
            }
        }
    }

    /// `"30s"`, or a number of nanoseconds, as Go reads durations.
    pub(super) fn span(&mut self, body: &Body, key: &str) -> Option<Duration> {
        let value = &body.attribute(key)?.value;
        match &value.kind {
            Kind::Null => None,
            Kind::Number(nanos) if *nanos >= 0.0 => Some(Duration::from_secs_f64(nanos / 1e9)),
            Kind::Text(text) if text.trim() == "0" => Some(Duration::ZERO),
            Kind::Text(text) => match quantity::duration(text) {
                Ok(span) => Some(span),
                Err(error) => {
                    self.error("E010", value.span.clone(), format!("`{key}`: {error}"), error.hint());
                    None
                }
            },
            Kind::Number(_) | Kind::Bool(_) | Kind::List(_) | Kind::Object(_) | Kind::Unknown(_) => {
                self.wrong(value, key, "a duration, as `\"30s\"`");
                None
            }
        }
    }

    fn count(&mut self, body: &Body, key: &str, default: u32) -> u32 {
        self.whole(body, key, 0..=u64::from(u32::MAX)).map_or(default, |count| count as u32)
    }

    /// `update`, over what the job says, over the default.
    pub(super) fn update(&mut self, body: &Body, base: Option<Update>) -> Update {
        let base = base.unwrap_or_default();
        self.known(
            body,
            "update",
            &Names::attributes(&[
                "max_parallel",
                "health_check",
                "min_healthy_time",
                "healthy_deadline",
                "progress_deadline",
                "auto_revert",
                "auto_promote",
                "canary",
                "stagger",
            ]),
        );
        Update {
            max_parallel: self.count(body, "max_parallel", base.max_parallel),
            health_check: self.health_check(body, base.health_check),
            min_healthy_time: self.span(body, "min_healthy_time").unwrap_or(base.min_healthy_time),
            healthy_deadline: self.span(body, "healthy_deadline").unwrap_or(base.healthy_deadline),
            progress_deadline: self.span(body, "progress_deadline").unwrap_or(base.progress_deadline),
            auto_revert: self.truth(body, "auto_revert").unwrap_or(base.auto_revert),
            auto_promote: self.truth(body, "auto_promote").unwrap_or(base.auto_promote),
            canary: self.count(body, "canary", base.canary),
            stagger: self.span(body, "stagger").unwrap_or(base.stagger),
        }
    }

    fn health_check(&mut self, body: &Body, default: HealthCheck) -> HealthCheck {
        let Some((word, span)) = self.text(body, "health_check") else { return default };
        match word.as_str() {
            "checks" => HealthCheck::Checks,
            "task_states" => HealthCheck::TaskStates,
            "manual" => HealthCheck::Manual,
            _ => {
                self.one_of(span, "health check", &word, &["checks", "task_states", "manual"]);
                default
            }
        }
    }

    pub(super) fn migrate(&mut self, body: &Body, base: Option<Migrate>) -> Migrate {
        let base = base.unwrap_or_default();
        let read = ["max_parallel", "health_check", "min_healthy_time", "healthy_deadline"];
        self.known(body, "migrate", &Names::attributes(&read));
        Migrate {
            max_parallel: self.count(body, "max_parallel", base.max_parallel),
            health_check: self.health_check(body, base.health_check),
            min_healthy_time: self.span(body, "min_healthy_time").unwrap_or(base.min_healthy_time),
            healthy_deadline: self.span(body, "healthy_deadline").unwrap_or(base.healthy_deadline),
        }
    }

    /// `reschedule`.
    pub(super) fn reschedule(&mut self, body: &Body, base: Option<Reschedule>) -> Reschedule {
        let base = base.unwrap_or(Reschedule::BATCH);
        let read = ["attempts", "interval", "delay", "delay_function", "max_delay", "unlimited"];
        self.known(body, "reschedule", &Names::attributes(&read));
        let function = self.text(body, "delay_function");
        let delay_function = match function.as_ref().map(|(word, span)| (word.as_str(), span)) {
            None => base.delay_function,
            Some(("constant", _)) => DelayFunction::Constant,
            Some(("exponential", _)) => DelayFunction::Exponential,
            Some(("fibonacci", _)) => DelayFunction::Fibonacci,
            Some((word, span)) => {
                self.one_of(span.clone(), "delay function", word, &["constant", "exponential", "fibonacci"]);
                base.delay_function
            }
        };
        let attempts = self.whole(body, "attempts", 0..=u64::from(u32::MAX)).map(|attempts| attempts as u32);
        let unlimited = self.truth(body, "unlimited").unwrap_or(base.unlimited);
        Reschedule {
            attempts: attempts.unwrap_or(base.attempts),
            interval: self.span(body, "interval").unwrap_or(base.interval),
            delay: self.span(body, "delay").unwrap_or(base.delay),
            delay_function,
            max_delay: self.span(body, "max_delay").unwrap_or(base.max_delay),
            unlimited,
        }
    }

    pub(super) fn restart(&mut self, body: &Body, base: &Restart) -> Restart {
        let names = ["attempts", "interval", "delay", "mode", "render_templates"];
        self.known(body, "restart", &Names::attributes(&names));
        let mode = self.text(body, "mode");
        let mode = match mode.as_ref().map(|(word, span)| (word.as_str(), span)) {
            None => base.mode,
            Some(("fail", _)) => RestartMode::Fail,
            Some(("delay", _)) => RestartMode::Delay,
            Some((word, span)) => {
                self.one_of(span.clone(), "restart mode", word, &["fail", "delay"]);
                base.mode
            }
        };
        Restart {
            attempts: self.count(body, "attempts", base.attempts),
            interval: self.span(body, "interval").unwrap_or(base.interval),
            delay: self.span(body, "delay").unwrap_or(base.delay),
            mode,
        }
    }

    /// `network`, with ports as blocks, or as the lists of the oldest files.
    pub(super) fn network(&mut self, block: &Block) -> NetworkAsk {
        let body = &block.body;
        let mut ask = NetworkAsk {
            mode: self.text(body, "mode").map(|(mode, _)| mode).unwrap_or_default(),
            bandwidth: MegabitsPerSecond(self.whole(body, "mbits", 0..=1_000_000_000).unwrap_or(0)),
            ports: Vec::new(),
        };
        for port in body.blocks("port") {
            let names = ["static", "to", "host_network", "ignore_collision"];
            self.known(&port.body, "port", &Names::attributes(&names));
            let label = port.labels.first().map(|(label, _)| label.clone()).unwrap_or_default();
            let fixed = self.whole(&port.body, "static", 0..=1 << 40).filter(|port| *port != 0);
            let to = match port.body.attribute("to").map(|attribute| &attribute.value.kind) {
                Some(Kind::Number(to)) => *to as i64,
                Some(_) => self.whole(&port.body, "to", 0..=65_535).map_or(0, |to| to as i64),
                None => 0,
            };
            ask.ports.push(PortAsk {
                label,
                fixed: fixed.map(|port| i64::try_from(port).unwrap_or(i64::MAX)),
                to,
                host_network: self.text(&port.body, "host_network").map(|(name, _)| name).unwrap_or_default(),
            });
        }
        for label in self.texts(body, "dynamic_ports") {
            ask.ports.push(PortAsk { label, ..PortAsk::default() });
        }
        for port in self.texts(body, "reserved_ports") {
            ask.ports.push(PortAsk { label: port.clone(), fixed: port.parse().ok(), ..PortAsk::default() });
        }
        self.known(
            body,
            "network",
            &Names {
                attributes: &["mode", "mbits", "dynamic_ports", "reserved_ports", "hostname"],
                blocks: &["port", "dns"],
                ..Names::default()
            },
        );
        ask
    }

    pub(super) fn device(&mut self, block: &Block) -> DeviceAsk {
        let names = Names { attributes: &["count"], blocks: &["constraint", "affinity"], ..Names::default() };
        self.known(&block.body, "device", &names);
        DeviceAsk {
            name: block.labels.first().map(|(label, _)| label.clone()).unwrap_or_default(),
            count: self.count(&block.body, "count", 1),
            constraints: self.constraints(&block.body),
            affinities: self.affinities(&block.body),
        }
    }

    pub(super) fn constraints(&mut self, body: &Body) -> Vec<Constraint> {
        body.blocks("constraint").iter().map(|block| self.constraint(&block.body, "constraint", &[])).collect()
    }

    /// `attribute`, `operator`, `value`, or one of the short forms; `more` is read elsewhere.
    fn constraint(&mut self, body: &Body, holder: &str, more: &[&str]) -> Constraint {
        let mut constraint = Constraint {
            left: self.text(body, "attribute").map(|(left, _)| target(&left)).unwrap_or_default(),
            operator: self.text(body, "operator").map_or_else(|| "=".to_owned(), |(operator, _)| operator),
            right: self.text(body, "value").map(|(right, _)| target(&right)).unwrap_or_default(),
        };
        for short in ["regexp", "version", "semver", "set_contains", "set_contains_all", "set_contains_any"] {
            if let Some((right, _)) = self.text(body, short) {
                short.clone_into(&mut constraint.operator);
                constraint.right = right;
            }
        }
        for short in ["is_set", "is_not_set", "distinct_hosts"] {
            if let Some(truth) = self.truth(body, short) {
                short.clone_into(&mut constraint.operator);
                constraint.right = truth.to_string();
            }
        }
        if let Some((property, _)) = self.text(body, "distinct_property") {
            "distinct_property".clone_into(&mut constraint.operator);
            constraint.left = target(&property);
        }
        self.known(body, holder, &Names::attributes(&[CONSTRAINT_READ, more].concat()));
        constraint
    }

    pub(super) fn affinities(&mut self, body: &Body) -> Vec<Affinity> {
        let mut out = Vec::new();
        for block in body.blocks("affinity") {
            let Constraint { left, operator, right } = self.constraint(&block.body, "affinity", &["weight"]);
            let mut weight = match block.body.attribute("weight").map(|attribute| &attribute.value) {
                None => 50.0,
                Some(Value { kind: Kind::Number(weight), .. }) => *weight,
                Some(value) => value.text().and_then(|text| text.parse().ok()).unwrap_or(0.0),
            };
            if !(-100.0..=100.0).contains(&weight) || weight.abs() < 1.0 {
                self.error(
                    "E011",
                    block.span.clone(),
                    "the weight of an affinity is within -100..=100 and not 0",
                    "leave it out: 50",
                );
                // So that nobody says it again.
                weight = 50.0;
            }
            out.push(Affinity { left, operator, right, weight: weight as i8 });
        }
        out
    }

    pub(super) fn spreads(&mut self, body: &Body) -> Vec<Spread> {
        let mut out = Vec::new();
        for block in body.blocks("spread") {
            let attribute = self.text(&block.body, "attribute").map(|(left, _)| target(&left)).unwrap_or_default();
            let weight = self.whole(&block.body, "weight", 1..=100).unwrap_or(50) as i8;
            let names = Names { attributes: &["attribute", "weight"], blocks: &["target"], ..Names::default() };
            self.known(&block.body, "spread", &names);
            for wanted in block.body.blocks("target") {
                self.known(&wanted.body, "spread target", &Names::attributes(&["value", "percent"]));
            }
            let mut targets: Vec<SpreadTarget> = Vec::new();
            let found = self.findings.len();
            for wanted in block.body.blocks("target") {
                let label = wanted.labels.first().map(|(label, _)| label.clone());
                let value =
                    label.or_else(|| self.text(&wanted.body, "value").map(|(value, _)| value)).unwrap_or_default();
                let percent = self.whole(&wanted.body, "percent", 0..=100).unwrap_or(0) as u8;
                if targets.iter().any(|other| other.value == value) {
                    self.error(
                        "E011",
                        wanted.span.clone(),
                        format!("the spread has two targets `{value}`"),
                        "leave one of the two out",
                    );
                }
                targets.push(SpreadTarget { value, percent });
            }
            if targets.iter().map(|target| u32::from(target.percent)).sum::<u32>() > 100 {
                self.error(
                    "E011",
                    block.span.clone(),
                    "the shares of a spread add up to more than 100",
                    "let them add up to 100 or less",
                );
            }
            // What is wrong with the targets was said.
            if self.findings.len() > found {
                targets.clear();
            }
            out.push(Spread { attribute, weight, targets });
        }
        out
    }

    /// `service`; without a name it is called after job, group and task.
    pub(super) fn service(&mut self, block: &Block, scope: Scope<'_>) -> Service {
        let body = &block.body;
        let default = match scope.task {
            Some(task) => format!("{}-{}-{task}", scope.job, scope.group),
            None => format!("{}-{}", scope.job, scope.group),
        };
        let name = self.text(body, "name").map_or(default, |(name, _)| named(&name, scope));
        let checks =
            body.blocks("check").iter().enumerate().map(|(index, check)| self.check(check, &name, index)).collect();
        let service = Service {
            name: name.as_str().into(),
            port: self.text(body, "port").map(|(port, _)| Arc::from(port)).filter(|port: &Arc<str>| !port.is_empty()),
            tags: self.texts(body, "tags").iter().map(|tag| named(tag, scope).into()).collect(),
            checks,
        };
        self.known(
            body,
            "service",
            &Names {
                attributes: &[
                    "name",
                    "port",
                    "tags",
                    "address_mode",
                    "canary_tags",
                    "enable_tag_override",
                    "on_update",
                    "provider",
                    "task",
                    "address",
                    "cluster",
                    "namespace",
                    "kind",
                ],
                blocks: &["check", "identity"],
                texts: &["meta", "canary_meta", "tagged_addresses"],
                matters: &[
                    ("connect", "requests go to the service itself, not through a sidecar"),
                    ("check_restart", "failing checks do not restart the task"),
                ],
            },
        );
        self.on_update(body, "service");
        service
    }

    /// Nomad takes an allocation for healthy whatever those checks say that are ignored. Ignoring warnings changes
    /// nothing: no check of a task here comes to one. Any other word is refused (`Service.Validate`); an empty text is
    /// the default.
    fn on_update(&mut self, body: &Body, holder: &str) {
        let Some((word, span)) = self.text(body, "on_update") else { return };
        match word.as_str() {
            "" | "require_healthy" | "ignore_warnings" => {}
            "ignore" => {
                let hint = "an allocation of an update is healthy once all its checks pass";
                self.warn(span, format!("`on_update` in this {holder} is left out"), hint);
            }
            _ => {
                let message = format!("`{word}` is no `on_update` of a {holder}");
                let hint = "write `require_healthy`, `ignore_warnings` or `ignore`";
                self.error("E010", span, message, hint);
            }
        }
    }

    fn check(&mut self, block: &Block, service: &str, index: usize) -> Check {
        let body = &block.body;
        let kind = self.text(body, "type");
        let kind = match kind.as_ref().map(|(word, span)| (word.as_str(), span)) {
            Some(("http", _)) => CheckKind::Http,
            Some(("tcp", _)) => CheckKind::Tcp,
            Some(("grpc", _)) => CheckKind::Grpc,
            Some(("script", _)) => CheckKind::Script,
            Some(("ttl", _)) => CheckKind::Ttl,
            None => {
                self.error(
                    "E011",
                    block.span.clone(),
                    format!("a check of service `{service}` has no `type`"),
                    "add `type = \"http\"` or `type = \"tcp\"`",
                );
                CheckKind::Tcp
            }
            Some((word, span)) => {
                self.one_of(span.clone(), "type of check", word, &["http", "tcp", "grpc", "script", "ttl"]);
                CheckKind::Tcp
            }
        };
        let interval = self.span(body, "interval").unwrap_or(Duration::from_secs(10));
        let name =
            self.text(body, "name").map_or_else(|| format!("service: {service} check {index}"), |(name, _)| name);
        let mut check = Check::new(&name, kind, interval);
        check.path = self.text(body, "path").map(|(path, _)| path).unwrap_or_default().into();
        check.timeout = self.span(body, "timeout").unwrap_or(check.timeout);
        check.success_before_passing = self.count(body, "success_before_passing", 0);
        check.failures_before_critical = self.count(body, "failures_before_critical", 0);
        check.initially_passing = self.text(body, "initial_status").is_some_and(|(status, _)| status == "passing");
        check.deregister_after = self.span(body, "deregister_critical_service_after");
        self.known(
            body,
            "check",
            &Names {
                attributes: CHECK_ATTRIBUTES,
                texts: &["header"],
                matters: &[("check_restart", "failing checks do not restart the task")],
                ..Names::default()
            },
        );
        self.on_update(body, "check");
        check
    }
}

/// `$attr.kernel.name`, as the oldest files write it, is `${attr.kernel.name}`.
fn target(text: &str) -> String {
    match text.strip_prefix('$') {
        Some(name) if !name.starts_with('{') => format!("${{{name}}}"),
        Some(_) | None => text.to_owned(),
    }
}

/// Names may hold the job's, the group's and the task's.
fn named(text: &str, scope: Scope<'_>) -> String {
    if !text.contains("${") {
        return text.to_owned();
    }
    let base = match scope.task {
        Some(task) => format!("{}-{}-{task}", scope.job, scope.group),
        None => format!("{}-{}", scope.job, scope.group),
    };
    let task = scope.task.unwrap_or("");
    let mut out = text.to_owned();
    for (name, value) in [
        ("${BASE}", base.as_str()),
        ("${JOB}", scope.job),
        ("${NOMAD_JOB_NAME}", scope.job),
        ("${TASKGROUP}", scope.group),
        ("${NOMAD_GROUP_NAME}", scope.group),
        ("${TASK}", task),
        ("${NOMAD_TASK_NAME}", task),
    ] {
        out = out.replace(name, value);
    }
    out
}

const CONSTRAINT_READ: &[&str] = &[
    "attribute",
    "operator",
    "value",
    "regexp",
    "version",
    "semver",
    "set_contains",
    "set_contains_all",
    "set_contains_any",
    "is_set",
    "is_not_set",
    "distinct_hosts",
    "distinct_property",
];
const CHECK_ATTRIBUTES: &[&str] = &[
    "type",
    "interval",
    "name",
    "path",
    "timeout",
    "success_before_passing",
    "failures_before_critical",
    "initial_status",
    "deregister_critical_service_after",
    "port",
    "method",
    "protocol",
    "command",
    "args",
    "address_mode",
    "expose",
    "task",
    "tls_skip_verify",
    "grpc_service",
    "grpc_use_tls",
    "body",
    "on_update",
    "failures_before_warning",
    "id",
    "tls_server_name",
    "notes",
];
/// What to do about something that is left out, unless more is known.
pub(super) const LEFT_OUT: &str = "leave it so, unless the answer depends on it";
/// What to do about an expression that cannot be evaluated.
pub(super) const GIVE_VALUE: &str = "write the value itself, or a variable that is given one in `vars`";
/// After so many findings the rest is noise.
const FINDINGS_MAX: usize = 100;
