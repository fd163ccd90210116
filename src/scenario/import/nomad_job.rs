//! Nomad job files (HCL2, and what is common of the grammar before Nomad 1.0), read into the job model.
//!
//! Covers the blocks that placement, health, routing and failover depend on. What only the task itself cares about
//! (driver configuration, environment, templates, artifacts, vault) is kept as text, so that a change of it needs new
//! tasks. Blocks that would change results and are not modelled are left out with a warning: `multiregion`, `scaling`,
//! `connect`, CSI volumes, `check_restart`.
//!
//! Not covered: functions that read files or make identifiers, variable files, `NOMAD_VAR_*`.

use std::collections::BTreeMap;
use std::ops::Range;

use hcl::edit::Span;
use hcl::edit::structure;

use super::defaults;
use super::legacy;
use super::names::Names;
use super::policy::GIVE_VALUE;
use super::policy::Reader;
use super::rules::Piece;
use super::spots::GroupSpots;
use super::spots::Spot;
use super::spots::Spots;
use super::tree::Attribute;
use super::tree::Block;
use super::tree::Body;
use super::tree::Builder;
use super::tree::Kind;
use super::tree::Mistake;
use super::tree::Value;
use crate::base::ordered::OrdMap;
use crate::base::units::Mebibytes;
use crate::base::units::MegaHertz;
use crate::model::job::Hook;
use crate::model::job::Job;
use crate::model::job::JobKind;
use crate::model::job::Lifecycle;
use crate::model::job::Restart;
use crate::model::job::Task;
use crate::model::job::TaskGroup;
use crate::scenario::diagnostic::Severity;
use crate::scenario::diagnostic::offset_of;
use crate::scenario::suggest;

/// A job read from a file.
#[derive(Debug, Clone)]
pub struct Imported {
    /// `region`, and where it stands; `None` if left out.
    pub region: Option<(String, Range<usize>)>,
    /// The job, with Nomad's defaults filled in.
    pub job: Job,
    /// Where its parts stand.
    pub spots: Spots,
}

/// Something to say about a job file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// `E010` for what cannot be read, `E011` for what Nomad would refuse, `W001` for what is left out.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
    /// Where in the file.
    pub span: Range<usize>,
    /// A way out.
    pub hint: Option<String>,
}

/// Reads a job file; `vars` are values of its variables. The job is there unless the file cannot be read.
pub fn import(text: &str, vars: &BTreeMap<String, String>) -> (Option<Imported>, Vec<Finding>) {
    let mut reader = Reader::default();
    let modern = legacy::modernise(text);
    let (body, names) = match hcl::edit::parser::parse_body(text) {
        Ok(body) => (body, OrdMap::new()),
        Err(error) => {
            let Ok(body) = hcl::edit::parser::parse_body(&modern.text) else {
                // The parser points at the block around a text that does not end.
                if let Some(at) = modern.open {
                    let hint =
                        "close its quotes and the `${` within it, or the heredoc by its word on a line of its own";
                    let message = "the text that begins here does not end".to_owned();
                    reader.error("E010", at..at + 1, message, hint.to_owned());
                    return (None, reader.findings);
                }
                let at = offset_of(text, error.location().line(), error.location().column());
                let message = format!("the job file does not parse: {}", error.message().replace('\n', ", "));
                reader.error("E010", at..at + 1, message, "`nomad job validate` reads a file as Nomad does");
                return (None, reader.findings);
            };
            (body, modern.names)
        }
    };
    let mut builder =
        Builder { text, names: &names, variables: OrdMap::new(), blocks_left: BLOCKS_MAX, mistakes: Vec::new() };
    variables(&mut builder, &mut reader, &body, vars);
    let body = builder.body(&body);
    for Mistake { span, message, hint } in std::mem::take(&mut builder.mistakes) {
        reader.told.push(span.clone());
        reader.error("E010", span, message, hint);
    }
    let before = reader.findings.len();
    reader.known(&body, "job file", &FILE);
    let jobs = body.blocks("job");
    let is_job = |finding: &Finding| body.attribute("job").is_some_and(|job| job.span == finding.span);
    match jobs.as_slice() {
        [block] => {
            let imported = reader.job(block);
            (imported, reader.findings)
        }
        // What is wrong with it was said.
        [] if reader.findings[before..].iter().any(is_job) => (None, reader.findings),
        [] => {
            reader.error("E010", 0..0, "there is no `job` block in the file", "write `job \"name\" { … }`");
            (None, reader.findings)
        }
        [_, second, ..] => {
            reader.error(
                "E010",
                second.span.clone(),
                "a file holds one job; this is a second one",
                "move it into a file of its own",
            );
            (None, reader.findings)
        }
    }
}

/// Declares `var.*` and `local.*`.
fn variables(builder: &mut Builder<'_>, reader: &mut Reader, body: &structure::Body, given: &BTreeMap<String, String>) {
    let mut values: hcl::Map<String, hcl::Value> = hcl::Map::new();
    // Several may stand in one block, by name and default.
    let several = body.get_blocks("variables").flat_map(|block| block.body.attributes());
    let several = several.map(|one| (one.key.as_str(), one.key.span(), Some(&one.value)));
    let one = body.get_blocks("variable").filter_map(|block| Some((block, block.labels.first()?)));
    let one = one.map(|(block, label)| {
        (label.as_str(), label.span(), block.body.get_attribute("default").map(|default| &default.value))
    });
    for (name, span, default) in one.chain(several) {
        let mistakes = builder.mistakes.len();
        let default = default.and_then(|default| builder.evaluate(default));
        let value = match given.get(name) {
            Some(text) => Some(variable_value(builder, text, default.as_ref())),
            None => default,
        };
        if value.is_none() && builder.mistakes.len() == mistakes {
            let hint = format!("write `vars: {{\"{name}\": …}}` beside the path of the file");
            reader.error("E010", span.unwrap_or_default(), format!("variable `{name}` has no value"), hint);
        }
        values.extend(value.map(|value| (name.to_owned(), value)));
    }
    for name in given.keys().filter(|name| !values.contains_key(*name)) {
        let hint = suggest::hint(name, values.keys().map(String::as_str));
        reader.error("E010", 0..0, format!("the job file has no variable `{name}`"), hint);
    }
    builder.variables.insert("var".to_owned(), hcl::Value::Object(values));
    let locals: Vec<_> = body.get_blocks("locals").flat_map(|block| block.body.attributes()).collect();
    // Locals may use each other in any order; as many passes as there are locals resolve every chain.
    for _ in 0..locals.len().min(LOCALS_MAX) {
        let mut known: hcl::Map<String, hcl::Value> = hcl::Map::new();
        for local in &locals {
            let Ok(value) = builder.attempt(&local.value) else { continue };
            // Locals that repeat each other grow with every pass.
            if size(&value) > LOCAL_SIZE_MAX {
                let message = format!("local `{}` grows beyond {LOCAL_SIZE_MAX} bytes", local.key.as_str());
                reader.error("E010", local.span().unwrap_or_default(), message, "locals must not repeat each other");
                return;
            }
            known.insert(local.key.as_str().to_owned(), value);
        }
        let before = builder.variables.insert("local".to_owned(), hcl::Value::Object(known));
        if before.as_ref() == builder.variables.get("local") {
            break;
        }
    }
    // What is wrong with the others may be known by now.
    for local in locals {
        builder.evaluate(&local.value);
    }
}

/// A value given as text: an expression if it is one, unless the default is a text.
fn variable_value(builder: &Builder<'_>, text: &str, default: Option<&hcl::Value>) -> hcl::Value {
    if !matches!(default, Some(hcl::Value::String(_)))
        && let Ok(expression) = text.parse::<hcl::edit::expr::Expression>()
        && let Ok(value) = builder.attempt(&expression)
    {
        return value;
    }
    hcl::Value::from(text)
}

impl Reader {
    fn job(&mut self, block: &Block) -> Option<Imported> {
        let body = &block.body;
        let Some((label, label_span)) = block.labels.first() else {
            self.error("E010", block.span.clone(), "a job needs a name", "write `job \"name\" { … }`");
            return None;
        };
        let kind = self.job_kind(body);
        let mut job = defaults::job(label, kind);
        if let Some((name, _)) = self.text(body, "id") {
            job.name = name.as_str().into();
        }
        self.job_settings(body, &mut job);
        let mut spots = Spots::new(label_span.clone());
        spots.job = spot_of(label_span.clone(), body);
        spots.datacenters = body.attribute("datacenters").map(|attribute| attribute.value.span.clone());
        let update = self.blocks_one(body, "update");
        let migrate = self.blocks_one(body, "migrate");
        let reschedule = self.blocks_one(body, "reschedule");
        if matches!(kind, JobKind::System) {
            job.update = update.as_ref().map(|block| self.update(&block.body, None));
        }
        job.launch = self.launch(body);
        let mut text = String::new();
        for block in body.blocks.iter().filter(|block| INHERITED_TEXT.contains(&block.name.as_str())) {
            block.canonical(&mut text);
        }
        let inherited = Inherited { kind, update, migrate, reschedule, text };
        for group in body.blocks("group") {
            let (name, span) = label_of(&group);
            let (group, spot) = self.group((&name, span), &group.body, &inherited, &job.name);
            job.groups.push(group);
            spots.groups.push(spot);
        }
        // Before groups were needed, a task could stand in the job itself: a group of its name.
        for task in body.blocks("task") {
            let (name, span) = label_of(&task);
            let holder = Body { attributes: Vec::new(), blocks: vec![task] };
            let (group, spot) = self.group((&name, span), &holder, &inherited, &job.name);
            job.groups.push(group);
            spots.groups.push(spot);
        }
        self.known(body, "job", &JOB);
        let region = self.text(body, "region");
        Some(Imported { region, job, spots })
    }

    fn job_kind(&mut self, body: &Body) -> JobKind {
        let Some((kind, span)) = self.text(body, "type") else { return JobKind::Service };
        match kind.as_str() {
            "service" => JobKind::Service,
            "batch" => JobKind::Batch,
            "system" => JobKind::System,
            "sysbatch" => JobKind::SysBatch,
            _ => {
                self.one_of(span, "job type", &kind, &["service", "batch", "system", "sysbatch"]);
                JobKind::Service
            }
        }
    }

    fn job_settings(&mut self, body: &Body, job: &mut Job) {
        if let Some((namespace, _)) = self.text(body, "namespace") {
            job.namespace = namespace.as_str().into();
        }
        if let Some(priority) = self.whole(body, "priority", 0..=255) {
            job.priority = priority as u8;
        }
        if let Some(all_at_once) = self.truth(body, "all_at_once") {
            job.all_at_once = all_at_once;
        }
        job.datacenters = self.texts(body, "datacenters").iter().map(|name| name.as_str().into()).collect();
        if let Some((pool, _)) = self.text(body, "node_pool") {
            job.node_pool = pool.as_str().into();
        }
        job.constraints = self.constraints(body);
        job.affinities = self.affinities(body);
        job.spreads = self.spreads(body);
        job.meta = self.map(body, "job", "meta");
    }

    fn group(
        &mut self,
        (name, span): (&str, Range<usize>),
        body: &Body,
        inherited: &Inherited,
        job: &str,
    ) -> (TaskGroup, GroupSpots) {
        let kind = inherited.kind;
        let mut group = defaults::group(name, kind);
        let own = spot_of(span, body);
        let mut spots = GroupSpots { own, cpu: None, memory: None, tasks: Vec::new() };
        if let Some(count) = self.whole(body, "count", 0..=10_000_000) {
            group.count = count as u32;
        }
        group.constraints = self.constraints(body);
        group.affinities = self.affinities(body);
        group.spreads = self.spreads(body);
        group.networks = body.blocks("network").iter().map(|block| self.network(block)).collect();
        self.group_policies(body, inherited, &mut group);
        if let Some(disk) = self.blocks_one(body, "ephemeral_disk") {
            if let Some(size) = self.whole(&disk.body, "size", 0..=1 << 40) {
                group.disk.size = Mebibytes(size);
            }
            group.disk.sticky = self.truth(&disk.body, "sticky").unwrap_or(false);
            group.disk.migrate = self.truth(&disk.body, "migrate").unwrap_or(false);
            self.known(&disk.body, "ephemeral disk", &Names::attributes(&["size", "sticky", "migrate"]));
        }
        for volume in body.blocks("volume") {
            match self.text(&volume.body, "type").map(|(kind, _)| kind).as_deref() {
                Some("host") => {
                    self.known(&volume.body, "volume", &VOLUME);
                    let source = self.text(&volume.body, "source").map(|(source, _)| source).unwrap_or_default();
                    group.volumes.push((source, self.truth(&volume.body, "read_only").unwrap_or(false)));
                }
                Some(_) | None => self.ignored(volume.span.clone(), "volume", "group (only host volumes are modelled)"),
            }
        }
        let scope = Scope { job, group: name, task: None };
        group.services = body.blocks("service").iter().map(|block| self.service(block, scope)).collect();
        group.meta = self.map(body, "group", "meta");
        if let Some(delay) = self.span(body, "shutdown_delay") {
            group.shutdown_delay = delay;
        }
        group.stop_after_client_disconnect = self.span(body, "stop_after_client_disconnect");
        group.max_client_disconnect = self.span(body, "max_client_disconnect");
        for block in body.blocks("task") {
            let (name, span) = label_of(&block);
            spots.tasks.push(spot_of(span, &block.body));
            let task = self.task(&name, &block.body, &group.restart, scope, &mut spots);
            group.tasks.push(task);
        }
        // Tasks have the Vault policies and the Consul namespace of their group, or of their job.
        let mut inherited_text = inherited.text.clone();
        for block in body.blocks.iter().filter(|block| INHERITED_TEXT.contains(&block.name.as_str())) {
            block.canonical(&mut inherited_text);
        }
        group.tasks.iter_mut().for_each(|task| task.config.push_str(&inherited_text));
        self.known(body, "group", &GROUP);
        (group, spots)
    }

    fn group_policies(&mut self, body: &Body, inherited: &Inherited, group: &mut TaskGroup) {
        let kind = inherited.kind;
        let own = self.blocks_one(body, "update");
        // System jobs are updated by their job's block.
        if own.is_some() || kind != JobKind::System && inherited.update.is_some() {
            let mut update = inherited.update.as_ref().map(|block| self.update(&block.body, None));
            if let Some(block) = own {
                update = Some(self.update(&block.body, update));
            }
            group.update = update;
        }
        let own = self.blocks_one(body, "migrate");
        for block in [inherited.migrate.as_ref(), own.as_ref()].into_iter().flatten() {
            group.migrate = Some(self.migrate(&block.body, group.migrate.clone()));
        }
        let own = self.blocks_one(body, "reschedule");
        for block in [inherited.reschedule.as_ref(), own.as_ref()].into_iter().flatten() {
            group.reschedule = Some(self.reschedule(&block.body, group.reschedule.clone()));
        }
        if let Some(block) = self.blocks_one(body, "restart") {
            group.restart = self.restart(&block.body, &group.restart);
        }
    }

    fn task(&mut self, name: &str, body: &Body, restarts: &Restart, scope: Scope<'_>, spots: &mut GroupSpots) -> Task {
        let driver = self.text(body, "driver").map(|(driver, _)| driver).unwrap_or_default();
        let mut task = Task::new(name, &driver);
        let scope = Scope { task: Some(name), ..scope };
        task.user = self.text(body, "user").map(|(user, _)| user).unwrap_or_default();
        task.constraints = self.constraints(body);
        task.affinities = self.affinities(body);
        task.services = body.blocks("service").iter().map(|block| self.service(block, scope)).collect();
        task.meta = self.map(body, "task", "meta");
        task.leader = self.truth(body, "leader").unwrap_or(false);
        if let Some(timeout) = self.span(body, "kill_timeout") {
            task.kill_timeout = timeout;
        }
        if let Some(delay) = self.span(body, "shutdown_delay") {
            task.shutdown_delay = delay;
        }
        if let Some(block) = self.blocks_one(body, "restart") {
            // What it leaves out is as its group says.
            task.restart = Some(self.restart(&block.body, restarts));
        }
        if let Some(block) = self.blocks_one(body, "lifecycle") {
            let hook = self.text(&block.body, "hook");
            let hook = match hook.as_ref().map(|(hook, span)| (hook.as_str(), span)) {
                Some(("prestart", _)) | None => Hook::Prestart,
                Some(("poststart", _)) => Hook::Poststart,
                Some(("poststop", _)) => Hook::Poststop,
                Some((other, span)) => {
                    self.one_of(span.clone(), "hook", other, &["prestart", "poststart", "poststop"]);
                    Hook::Prestart
                }
            };
            self.known(&block.body, "lifecycle", &Names::attributes(&["hook", "sidecar"]));
            task.lifecycle = Some(Lifecycle { hook, sidecar: self.truth(&block.body, "sidecar").unwrap_or(false) });
        }
        if let Some(block) = self.blocks_one(body, "resources") {
            self.resources(&block.body, &mut task, spots);
        }
        for kept in TASK_TEXT {
            if let Some(attribute) = body.attribute(kept).filter(|attribute| attribute.value.kind != Kind::Null) {
                let holder = Body { attributes: vec![attribute.clone()], blocks: Vec::new() };
                holder.canonical(&mut task.config);
            }
            for block in body.blocks.iter().filter(|block| block.name == *kept) {
                block.canonical(&mut task.config);
            }
        }
        self.known(body, "task", &TASK);
        task
    }

    fn resources(&mut self, body: &Body, task: &mut Task, spots: &mut GroupSpots) {
        let resources = &mut task.resources;
        let cores = self.whole(body, "cores", 0..=1_024);
        let cpu = self.whole(body, "cpu", 0..=1_000_000_000);
        resources.cores = cores.unwrap_or(0) as u32;
        if let Some(cpu) = cpu {
            resources.cpu = MegaHertz(cpu);
        } else if resources.cores > 0 {
            resources.cpu = MegaHertz::ZERO;
        }
        if cpu.is_some() && resources.cores > 0 {
            let span = body.attribute("cores").map(|attribute| attribute.span.clone()).unwrap_or_default();
            self.error("E011", span, "a task asks for `cpu` or for `cores`, not for both", "leave one of them out");
        }
        if let Some(memory) = self.whole(body, "memory", 0..=1 << 40) {
            resources.memory = Mebibytes(memory);
        }
        resources.memory_max = self.whole(body, "memory_max", 0..=1 << 40).filter(|most| *most > 0).map(Mebibytes);
        resources.networks = body.blocks("network").iter().map(|block| self.network(block)).collect();
        resources.devices = body.blocks("device").iter().map(|block| self.device(block)).collect();
        let place = |key: &str| body.attribute(key).map(|attribute| attribute.value.span.clone());
        spots.cpu = spots.cpu.take().or_else(|| place("cpu"));
        spots.memory = spots.memory.take().or_else(|| place("memory"));
        self.known(body, "resources", &RESOURCES);
    }

    /// The block of this name; a second one is an error.
    pub(super) fn blocks_one(&mut self, body: &Body, name: &str) -> Option<Block> {
        let mut blocks = body.blocks(name).into_iter();
        let first = blocks.next();
        if let Some(second) = blocks.next() {
            self.error("E010", second.span, format!("there is a second `{name}` block"), "leave one of the two out");
        }
        first
    }

    /// Key and value pairs of a block or an object. An expression may come to one, only nobody knows to which.
    fn map(&mut self, body: &Body, holder: &str, name: &str) -> OrdMap<String, String> {
        let mut out = OrdMap::new();
        if let Some(Attribute { span, value: Value { kind: Kind::Unknown(raw), .. }, .. }) = body.attribute(name) {
            let message = format!("`{name}` in this {holder} is taken as empty: `{raw}` cannot be evaluated");
            self.warn(span.clone(), message, GIVE_VALUE);
        }
        for block in body.blocks(name) {
            let keys: Vec<&str> = block.body.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
            let nested: Vec<&str> = block.body.blocks.iter().map(|block| block.name.as_str()).collect();
            self.known(&block.body, name, &Names::attributes(&[keys, nested].concat()));
            for attribute in &block.body.attributes {
                let text = match &attribute.value.kind {
                    Kind::Unknown(raw) => Some(raw.clone()),
                    Kind::Null => Some(String::new()),
                    _ => attribute.value.text(),
                };
                if text.is_none() {
                    self.wrong(&attribute.value, &attribute.key, "a text");
                }
                out.insert(attribute.key.clone(), text.unwrap_or_default());
            }
        }
        out
    }
}

/// What groups take from their job.
struct Inherited {
    kind: JobKind,
    update: Option<Block>,
    migrate: Option<Block>,
    reschedule: Option<Block>,
    /// What its tasks are made of, besides their own configuration.
    text: String,
}

/// What a service is called after.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) job: &'a str,
    pub(super) group: &'a str,
    pub(super) task: Option<&'a str>,
}

/// Where a job, a group or a task stands, and its pieces.
fn spot_of(name: Range<usize>, body: &Body) -> Spot {
    let mut spot = Spot::new(name);
    for (name, _, piece) in Piece::LISTS {
        spot.pieces.extend(body.blocks(name).into_iter().enumerate().map(|(at, block)| (piece(at), block.span)));
    }
    for (name, piece) in Piece::BLOCKS {
        for block in body.blocks(name).into_iter().take(1) {
            spot.fields.insert(piece, block.body.attributes.iter().map(|field| field.key.clone()).collect());
            spot.pieces.insert(piece, block.span);
        }
    }
    spot
}

fn label_of(block: &Block) -> (String, Range<usize>) {
    block.labels.first().cloned().unwrap_or_else(|| (String::new(), block.span.clone()))
}

/// `dynamic` blocks of one file.
const BLOCKS_MAX: usize = 10_000;
/// Locals that may depend on each other.
const LOCALS_MAX: usize = 64;
/// Bytes of text in one local.
const LOCAL_SIZE_MAX: usize = 1 << 16;

/// About how many bytes a value takes.
fn size(value: &hcl::Value) -> usize {
    match value {
        hcl::Value::Null | hcl::Value::Bool(_) | hcl::Value::Number(_) => 8,
        hcl::Value::String(text) => text.len(),
        hcl::Value::Array(items) => items.iter().map(size).sum::<usize>() + 8,
        hcl::Value::Object(entries) => entries.iter().map(|(key, value)| key.len() + size(value)).sum::<usize>() + 8,
    }
}

const FILE: Names<'_> =
    Names { attributes: &[], blocks: &["job", "variable", "locals", "variables"], texts: &[], matters: &[] };
const JOB: Names<'_> = Names {
    attributes: &[
        "id",
        "name",
        "type",
        "region",
        "namespace",
        "priority",
        "all_at_once",
        "datacenters",
        "node_pool",
        "consul_token",
        "vault_token",
    ],
    blocks: &[
        "constraint",
        "affinity",
        "spread",
        "update",
        "migrate",
        "reschedule",
        "periodic",
        "parameterized",
        "group",
        "task",
        "ui",
    ],
    texts: HOLDER_TEXT,
    matters: &[("multiregion", "say in the scenario which regions it is registered in")],
};
const GROUP: Names<'_> = Names {
    attributes: &["count", "shutdown_delay", "stop_after_client_disconnect", "max_client_disconnect"],
    blocks: &[
        "constraint",
        "affinity",
        "spread",
        "network",
        "update",
        "migrate",
        "reschedule",
        "restart",
        "ephemeral_disk",
        "volume",
        "service",
        "task",
    ],
    texts: HOLDER_TEXT,
    matters: &[("scaling", "no autoscaler runs; counts change by the timeline")],
};
const VOLUME: Names<'_> = Names {
    attributes: &["type", "source", "read_only", "per_alloc", "access_mode", "attachment_mode", "sticky"],
    blocks: &["mount_options"],
    texts: &[],
    matters: &[],
};
const TASK: Names<'_> = Names {
    attributes: &["driver", "user", "leader", "kill_timeout", "shutdown_delay", "kill_signal", "kind"],
    blocks: &[
        "constraint",
        "affinity",
        "service",
        "restart",
        "lifecycle",
        "resources",
        "logs",
        "volume_mount",
        "dispatch_payload",
        "identity",
        "action",
        "csi_plugin",
        "consul",
    ],
    texts: &["config", "env", "artifact", "template", "vault", "meta"],
    matters: &[("scaling", "no autoscaler runs")],
};
const RESOURCES: Names<'_> = Names {
    attributes: &["cpu", "cores", "memory", "memory_max", "disk", "iops"],
    blocks: &["network", "device"],
    texts: &[],
    matters: &[],
};
/// A change of these needs new tasks (Nomad `tasksUpdated`).
const TASK_TEXT: &[&str] = &["config", "env", "artifact", "template", "vault"];
/// Of these blocks of jobs and groups too.
const INHERITED_TEXT: &[&str] = &["vault", "consul"];
/// What counts as text in jobs and groups.
const HOLDER_TEXT: &[&str] = &["vault", "consul", "meta"];

#[cfg(test)]
#[path = "nomad_job_tests.rs"]
mod tests;
