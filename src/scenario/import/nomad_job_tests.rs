//! Small fixtures, one per thing a job file can say.

use super::*;
use crate::base::time::Duration;
use crate::model::job::Launch;
use crate::model::job::Payload;
use crate::model::job::Restart;
use crate::model::job::RestartMode;
use crate::scenario::import::rules;
use crate::scenario::import::rules::Part;
use crate::scenario::import::rules::Piece;

fn read(text: &str) -> Imported {
    let (imported, findings) = import(text, &BTreeMap::new());
    let errors: Vec<_> = findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:?}");
    imported.expect("a file without errors is a job")
}

fn said(text: &str, severity: Severity) -> Vec<String> {
    let (_, findings) = import(text, &BTreeMap::new());
    findings.into_iter().filter(|finding| finding.severity == severity).map(|finding| finding.message).collect()
}

fn with_task(inner: &str) -> String {
    format!(
        "job \"j\" {{\n datacenters = [\"dc1\"]\n group \"g\" {{\n task \"t\" {{\n driver = \"docker\"\n{inner}\n}}\n}}\n}}\n"
    )
}

const TODAY: &str = r#"
variable "count" {
  type    = number
  default = 3
}
locals {
  host = "web.${local.domain}"
  domain = "x.example"
}
job "shop" {
  region      = "us-east-1"
  datacenters = ["a", "b"]
  update {
    max_parallel = 2
    canary       = 1
  }
  group "web" {
    count = var.count * 2
    network {
      port "http" {
        to = 8080
      }
      port "admin" {
        static = 9000
      }
    }
    update {
      auto_promote = true
    }
    spread {
      attribute = "${meta.zone}"
    }
    dynamic "service" {
      for_each = ["one", "two"]
      content {
        name = "web-${service.value}"
        port = "http"
        tags = ["urlprefix-${local.host}/", "${NOMAD_ALLOC_ID}"]
      }
    }
    task "server" {
      driver = "docker"
      config {
        image = "shop:${NOMAD_META_version}"
      }
      resources {
        cpu    = 500
        memory = max(64, 128)
      }
    }
  }
}
"#;

#[test]
fn a_job_of_today() {
    let imported = read(TODAY);
    let job = &imported.job;
    assert_eq!(imported.region.map(|(region, _)| region).as_deref(), Some("us-east-1"));
    let group = &job.groups[0];
    assert_eq!(group.count, 6);
    assert_eq!((group.networks[0].ports.len(), group.networks[0].ports[1].fixed), (2, Some(9_000)));
    let update = group.update.as_ref().unwrap();
    assert_eq!((update.max_parallel, update.canary, update.auto_promote), (2, 1, true));
    assert_eq!(group.spreads[0].attribute, "${meta.zone}");
    let names: Vec<&str> = group.services.iter().map(|service| &*service.name).collect();
    assert_eq!(names, ["web-one", "web-two"]);
    assert_eq!(&*group.services[0].tags[0], "urlprefix-web.x.example/");
    assert_eq!(&*group.services[0].tags[1], "${NOMAD_ALLOC_ID}");
    assert_eq!(group.tasks[0].resources.memory, Mebibytes(128));
    assert!(group.tasks[0].config.contains("shop:${NOMAD_META_version}"), "{}", group.tasks[0].config);
    assert_eq!(rules::broken(job), Vec::new());
}

#[test]
fn variables_can_be_given() {
    let given = BTreeMap::from([("count".to_owned(), "5".to_owned())]);
    assert_eq!(import(TODAY, &given).0.unwrap().job.groups[0].count, 10);
    let strange = BTreeMap::from([("colour".to_owned(), "5".to_owned())]);
    assert!(import(TODAY, &strange).1.iter().any(|finding| finding.message.contains("no variable `colour`")));
}

#[test]
fn the_defaults_depend_on_the_type() {
    let service = read(&with_task("")).job;
    assert!(service.groups[0].update.is_some() && service.groups[0].reschedule.is_some());
    let batch = read(&with_task("").replace("group", "type = \"batch\"\n group")).job;
    assert_eq!(batch.groups[0].restart, Restart::BATCH);
    assert!(batch.groups[0].update.is_none());
    let system =
        read(&with_task("").replace("group", "type = \"system\"\n update {\n stagger = \"5s\"\n}\n group")).job;
    assert_eq!(system.update.as_ref().map(|update| update.stagger), Some(Duration::from_secs(5)));
    assert!(system.groups[0].reschedule.is_none() && system.groups[0].update.is_none());
}

#[test]
fn no_parallel_updates_are_no_updates() {
    let mut job = read(&with_task("").replace("group", "update {\n max_parallel = 0\n}\n group")).job;
    rules::drop_empty_updates(&mut job);
    assert_eq!(job.groups[0].update, None);
    let canary = "update {\n max_parallel = 0\n canary = 1\n}\n group";
    let mut job = read(&with_task("").replace("group", canary)).job;
    rules::drop_empty_updates(&mut job);
    assert_eq!(job.groups[0].update.as_ref().map(|update| update.canary), Some(1), "canaries are placed all the same");
}

#[test]
fn old_commas_quotes_and_numbers_as_text() {
    let task = &read(&with_task(
        "env {\n A = \"1\",\n \"B.C\" = \"2\", # two\n}\n resources {\n cpu = \"200\"\n network {\n mbits = 10\n dynamic_ports = [\"http\"]\n port \"admin\" { static = \"29200\" }\n}\n}",
    ))
    .job
    .groups[0]
        .tasks[0];
    assert_eq!(task.resources.cpu, MegaHertz(200));
    let network = &task.resources.networks[0];
    assert_eq!(network.bandwidth.get(), 10);
    let ports: Vec<_> = network.ports.iter().map(|port| (port.label.as_str(), port.fixed)).collect();
    assert_eq!(ports, [("admin", Some(29_200)), ("http", None)]);
    assert!(task.config.contains("B.C=\"2\""), "{}", task.config);
}

#[test]
fn old_blocks_as_objects_and_several_configs() {
    let task = &read(&with_task(
        "config {\n image = \"x\"\n}\n config {\n port_map = {\n http = 80\n}\n}\n meta = { owner = \"me\" }",
    ))
    .job
    .groups[0]
        .tasks[0];
    assert!(task.config.contains("port_map") && task.config.contains("image"), "{}", task.config);
    assert_eq!(task.meta["owner"], "me");
}

#[test]
fn old_targets_without_braces_and_a_task_without_a_group() {
    let job = read(
        "job \"a/b\" {\n datacenters = [\"dc1\"]\n constraint {\n attribute = \"$attr.kernel.name\"\n value = \"linux\"\n}\n task \"t\" {\n driver = \"exec\"\n}\n}",
    )
    .job;
    assert_eq!(job.constraints[0].left, "${attr.kernel.name}");
    assert_eq!((&*job.groups[0].name, job.groups[0].tasks.len()), ("t", 1));
}

#[test]
fn services_are_called_after_what_they_are_in() {
    let job = read(&with_task("service {\n name = \"${TASKGROUP}-${TASK}-x\"\n}\n service {\n port = \"http\"\n}")).job;
    let names: Vec<&str> = job.groups[0].tasks[0].services.iter().map(|service| &*service.name).collect();
    assert_eq!(names, ["g-t-x", "j-g-t"]);
}

#[test]
fn policies_are_merged_over_the_defaults() {
    let text = with_task("restart {\n attempts = 10\n interval = \"5m\"\n delay = \"25s\"\n mode = \"delay\"\n}");
    let restart = read(&text).job.groups[0].tasks[0].restart.clone().unwrap();
    assert_eq!((restart.attempts, restart.mode), (10, RestartMode::Delay));
    let text = with_task("restart {\n delay = \"9s\"\n}");
    let text = text.replace("task ", "restart {\n attempts = 7\n interval = \"10m\"\n mode = \"delay\"\n}\n task ");
    let restart = read(&text).job.groups[0].tasks[0].restart.clone().unwrap();
    assert_eq!((restart.attempts, restart.mode), (7, RestartMode::Delay), "as its group says");
    assert_eq!((restart.interval, restart.delay), (Duration::from_mins(10), Duration::from_secs(9)));
    let text = with_task("").replace("group", "reschedule {\n attempts = 3\n interval = \"1h\"\n}\n group");
    let reschedule = read(&text).job.groups[0].reschedule.clone().unwrap();
    // The default of service jobs stays, and the two together are refused.
    assert_eq!((reschedule.attempts, reschedule.unlimited), (3, true));
}

#[test]
fn what_is_refused_is_found_where_it_stands() {
    let text = with_task(
        "constraint {\n attribute = \"${attr.x}\"\n value = \"y\"\n}\n constraint {\n attribute = \"${attr.x}\"\n regexp = \"[\"\n}\n restart {\n attempts = 1000\n}",
    );
    let text = text.replace("group ", "update {\n min_healthy_time = \"10m\"\n}\n group ");
    let imported = read(&text);
    let second = text.rfind("constraint").unwrap();
    for (part, starts) in [
        (Part::OfTask(0, 0, Piece::Constraint(1)), second),
        (Part::OfTask(0, 0, Piece::Restart), text.find("restart").unwrap()),
        // The group has it from the job.
        (Part::OfGroup(0, Piece::Update), text.find("update").unwrap()),
    ] {
        assert!(rules::broken(&imported.job).iter().any(|broken| broken.part == part), "{part:?}");
        assert_eq!(imported.spots.of(part).start, starts, "{part:?}");
    }
    let not_written = imported.spots.of(Part::OfTask(0, 0, Piece::Affinity(3)));
    assert_eq!(&text[not_written], "\"t\"", "the task's name");
}

#[test]
fn what_breaks_a_rule_is_told_once() {
    for (block, part) in [
        ("affinity {\n attribute = \"${attr.x}\"\n value = \"y\"\n weight = 0\n}", "weight of an affinity"),
        ("affinity {\n attribute = \"${attr.x}\"\n value = \"y\"\n weight = \"NaN\"\n}", "weight of an affinity"),
        (
            "spread {\n attribute = \"${attr.x}\"\n target \"a\" {\n percent = 70\n}\n target \"b\" {\n percent = 70\n}\n}",
            "add up to more than 100",
        ),
        ("spread {\n attribute = \"${attr.x}\"\n target \"a\" {\n}\n target \"a\" {\n}\n}", "two targets `a`"),
    ] {
        let text = with_task("").replace("group", &format!("{block}\n group"));
        let (imported, findings) = import(&text, &BTreeMap::new());
        assert!(findings.len() == 1 && findings[0].message.contains(part), "{part}: {findings:?}");
        assert_eq!(rules::broken(&imported.unwrap().job), Vec::new(), "{part}");
    }
    // Both groups take it from the job.
    let text = with_task("").replace("group \"g\"", "update {\n stagger = \"x\"\n}\n group \"h\" {\n}\n group \"g\"");
    assert_eq!(said(&text, Severity::Error).len(), 1);
}

#[test]
fn what_a_group_takes_over_from_its_job_is_shown_where_the_field_stands() {
    for (own, of_job) in [
        ("canary = 3", true),
        ("progress_deadline = \"30m\"", true),
        ("healthy_deadline = \"2m\"", false),
        ("min_healthy_time = \"6m\"", false),
    ] {
        let text = with_task("").replace(
            "group \"g\" {",
            &format!(
                "update {{\n min_healthy_time = \"5m\"\n healthy_deadline = \"1m\"\n}}\n group \"g\" {{\n update {{\n {own}\n}}"
            ),
        );
        let imported = read(&text);
        let broken = rules::broken(&imported.job);
        assert_eq!(broken.len(), 1, "{own}: {broken:?}");
        let place = if of_job { text.find("update") } else { text.rfind("update") };
        assert_eq!(Some(imported.spots.of_broken(&broken[0]).start), place, "{own}");
    }
}

#[test]
fn constraints_have_short_forms() {
    let job = read(&with_task(
        "constraint {\n distinct_hosts = true\n}\n constraint {\n attribute = \"${attr.cpu.arch}\"\n regexp = \"^arm\"\n}\n constraint {\n distinct_property = \"${meta.rack}\"\n value = \"2\"\n}",
    ))
    .job;
    let all = &job.groups[0].tasks[0].constraints;
    assert_eq!((all[0].operator.as_str(), all[0].right.as_str()), ("distinct_hosts", "true"));
    assert_eq!((all[1].operator.as_str(), all[1].right.as_str()), ("regexp", "^arm"));
    assert_eq!((all[2].left.as_str(), all[2].right.as_str()), ("${meta.rack}", "2"));
}

#[test]
fn what_matters_and_is_left_out_is_said() {
    let text = with_task("scaling \"cpu\" {\n}").replace("group", "multiregion {\n}\n cout = 3\n group");
    let warnings = said(&text, Severity::Warning);
    for part in ["`multiregion`", "`scaling`", "`cout`"] {
        assert!(warnings.iter().any(|warning| warning.contains(part)), "{warnings:?}");
    }
    assert_eq!(
        said(&with_task("template {\n data = <<EOF\n{{ x }}, ${y}\nEOF\n}"), Severity::Warning),
        Vec::<String>::new()
    );
}

/// The findings of one severity, as code, message and the text they point at.
fn found(text: &str, severity: Severity) -> Vec<(&'static str, String, String)> {
    let (_, findings) = import(text, &BTreeMap::new());
    let of = findings.into_iter().filter(|finding| finding.severity == severity);
    of.map(|finding| (finding.code, finding.message, text[finding.span].to_owned())).collect()
}

#[test]
fn no_block_leaves_out_a_misspelt_attribute_silently() {
    let own_group = |block: &str| with_task("").replace("task \"t\"", &format!("{block}\n task \"t\""));
    let in_resources = |block: &str| with_task(&format!("resources {{\n cpu = 500\n{block}\n}}"));
    for (text, word, holder) in [
        (own_group("restart {\n atempts = 50\n}"), "atempts", "restart"),
        (with_task("restart {\n atempts = 50\n}"), "atempts", "restart"),
        (own_group("reschedule {\n atempts = 50\n}"), "atempts", "reschedule"),
        (own_group("update {\n max_paralel = 50\n}"), "max_paralel", "update"),
        (own_group("migrate {\n max_paralel = 50\n}"), "max_paralel", "migrate"),
        (own_group("ephemeral_disk {\n siz = 3000\n}"), "siz", "ephemeral disk"),
        (own_group("volume \"v\" {\n type = \"host\"\n source = \"v\"\n redonly = true\n}"), "redonly", "volume"),
        (own_group("network {\n port \"a\" {\n statik = 80\n}\n}"), "statik", "port"),
        (own_group("spread {\n attribute = \"${meta.x}\"\n wieght = 50\n}"), "wieght", "spread"),
        (
            own_group("spread {\n attribute = \"${meta.x}\"\n target \"a\" {\n percnt = 50\n}\n}"),
            "percnt",
            "spread target",
        ),
        (own_group("affinity {\n attribute = \"${meta.x}\"\n value = \"y\"\n wieght = 50\n}"), "wieght", "affinity"),
        (
            own_group("constraint {\n attribute = \"${meta.x}\"\n value = \"y\"\n weight = 50\n}"),
            "weight",
            "constraint",
        ),
        (with_task("lifecycle {\n hook = \"prestart\"\n sidcar = true\n}"), "sidcar", "lifecycle"),
        (in_resources("device \"gpu\" {\n cnt = 2\n}"), "cnt", "device"),
    ] {
        let message = format!("`{word}` in this {holder} is left out");
        assert_eq!(found(&text, Severity::Warning), [("W001", message, word.to_owned())], "{holder}");
    }
    // A target whose share is misspelt is a target all the same.
    let text = own_group("spread {\n attribute = \"${meta.x}\"\n target \"a\" {\n percnt = 50\n}\n}");
    assert_eq!(read(&text).job.groups[0].spreads[0].targets.len(), 1);
}

/// The only finding, as the text it points at, its message and its hint.
fn only_error(text: &str) -> (String, String, String) {
    let (_, findings) = import(text, &BTreeMap::new());
    let [finding] = &findings[..] else { panic!("{text}: {findings:?}") };
    assert_eq!((finding.severity, finding.code), (Severity::Error, "E010"), "{text}");
    (text[finding.span.clone()].to_owned(), finding.message.clone(), finding.hint.clone().unwrap_or_default())
}

#[test]
fn blocks_and_attributes_are_not_each_other() {
    let in_job = |inner: &str| with_task("").replace("group \"g\"", &format!("{inner}\n group \"g\""));
    let in_group = |inner: &str| with_task("").replace("task \"t\"", &format!("{inner}\n task \"t\""));
    let in_service = |inner: &str| in_group(&format!("service {{\n name = \"s\"\n{inner}\n}}"));
    for (text, word, holder) in [
        (in_job("priority { }"), "priority", "job"),
        (in_job("type \"batch\" { }"), "type", "job"),
        (in_group("count { }"), "count", "group"),
        (in_group("restart {\n interval { }\n}"), "interval", "restart"),
        (in_group("restart = {\n attempts = 1\n}\n count { }"), "count", "group"),
        (in_job("update {\n stagger { }\n}"), "stagger", "update"),
        (in_group("network {\n port \"a\" {\n static { }\n}\n}"), "static", "port"),
        (in_group("constraint {\n distinct_hosts { }\n}"), "distinct_hosts", "constraint"),
        (in_service("port { }"), "port", "service"),
        (in_service("check {\n type = \"tcp\"\n on_update { }\n}"), "on_update", "check"),
        (with_task("user { }"), "user", "task"),
        (with_task("resources {\n cpu { }\n}"), "cpu", "resources"),
        (with_task("kill_signal { }"), "kill_signal", "task"),
        (with_task("meta {\n a { }\n}"), "a", "meta"),
        (with_task("dynamic \"kill_timeout\" {\n for_each = [1]\n content { }\n}"), "kill_timeout", "task"),
    ] {
        let place = if text.contains("dynamic") { "dynamic" } else { word };
        let message = format!("`{word}` in this {holder} is written as a block");
        let hint = format!("`{word}` is an attribute: write `{word} = …`");
        assert_eq!(only_error(&text), (place.to_owned(), message, hint));
    }
    for (text, word, holder, label) in [
        (in_job("update = \"x\""), "update", "job", ""),
        (in_job("periodic = \"@daily\""), "periodic", "job", ""),
        (in_job("task = 1"), "task", "job", " \"name\""),
        (in_group("restart = 5"), "restart", "group", ""),
        (in_group("restart = [5]"), "restart", "group", ""),
        (in_group("restart = null"), "restart", "group", ""),
        (in_group("service = [1]"), "service", "group", ""),
        (in_group("service = [{ name = \"s\" }, 1]"), "service", "group", ""),
        (in_group("network {\n port = 80\n}"), "port", "network", " \"name\""),
        (in_service("check = true"), "check", "service", ""),
        (in_service("canary_meta = \"x\""), "canary_meta", "service", ""),
        (with_task("resources = 500"), "resources", "task", ""),
        (with_task("resources {\n device = \"gpu\"\n}"), "device", "resources", " \"name\""),
        (with_task("meta = \"x\""), "meta", "task", ""),
        (with_task("env = [\"A=b\"]"), "env", "task", ""),
        (with_task("logs = 3"), "logs", "task", ""),
    ] {
        let message = format!("`{word}` in this {holder} is written as an attribute");
        let hint = format!("`{word}` is a block: write `{word}{label} {{ … }}`");
        assert_eq!(only_error(&text), (word.to_owned(), message, hint));
    }
    let (_, message, hint) = only_error(&with_task("restart = jsondecode(\"{}\")"));
    assert_eq!(message, "`jsondecode(\"{}\")` cannot be evaluated, and `restart` in this task needs a block");
    assert_eq!(hint, "write the value itself, or a variable that is given one in `vars`");
    let (place, message, hint) = only_error("job = \"x\"\n");
    assert_eq!((place.as_str(), message.as_str()), ("job", "`job` in this job file is written as an attribute"));
    assert_eq!(hint, "`job` is a block: write `job \"name\" { … }`");
    assert_eq!(only_error("job = []\n").1, "there is no `job` block in the file");
    let (place, message, _) = only_error(&with_task("meta {\n a = [1]\n}"));
    assert_eq!((place.as_str(), message.as_str()), ("[1]", "`a` needs a text"));
}

#[test]
fn objects_count_as_blocks() {
    let text = with_task(
        "env = {\n A = \"b\"\n}\n meta = {\n owner = \"me\"\n}\n service = [{\n name = \"s\"\n}, {\n name = \"t\"\n}]\n \
         config = {\n port_map = {\n http = 80\n}\n}\n artifact = jsondecode(\"{}\")\n restart = {\n attempts = 7\n}",
    );
    assert_eq!(said(&text, Severity::Warning), Vec::<String>::new());
    let task = &read(&text).job.groups[0].tasks[0];
    assert_eq!((task.services.len(), task.meta["owner"].as_str()), (2, "me"));
    assert_eq!(task.restart.as_ref().map(|restart| restart.attempts), Some(7));
    assert!(task.config.contains("port_map"), "{}", task.config);
}

#[test]
fn metadata_may_be_any_expression() {
    let in_job = |inner: &str| with_task("").replace("group \"g\"", &format!("{inner}\n group \"g\""));
    let in_group = |inner: &str| with_task("").replace("task \"t\"", &format!("{inner}\n task \"t\""));
    let in_service = |inner: &str| in_group(&format!("service {{\n name = \"s\"\n{inner}\n}}"));
    let plain = read(&with_task("")).job;
    for value in ["zipmap([\"a\"], [\"b\"])", "jsondecode(\"{}\")", "null", "true ? null : { a = \"b\" }"] {
        let meta = format!("meta = {value}");
        for (text, holder) in [(in_job(&meta), "job"), (in_group(&meta), "group"), (with_task(&meta), "task")] {
            let message = format!("`meta` in this {holder} is taken as empty: `{value}` cannot be evaluated");
            let expected = if value.contains("null") { vec![] } else { vec![("W001", message, "meta".to_owned())] };
            assert_eq!(found(&text, Severity::Warning), expected);
            assert_eq!(read(&text).job, plain, "{holder} with {meta}");
        }
        let check = format!("check {{\n type = \"tcp\"\n interval = \"10s\"\n header = {value}\n}}");
        for unread in [meta, format!("canary_meta = {value}"), format!("tagged_addresses = {value}"), check] {
            assert_eq!(said(&in_service(&unread), Severity::Warning), Vec::<String>::new(), "{unread}");
            read(&in_service(&unread));
        }
    }
    assert_eq!(read(&with_task("env = null")).job, plain);
}

#[test]
fn what_is_left_out_may_stay_so() {
    let (_, findings) = import(&with_task("numa {\n}\n volume \"v\" {\n}"), &BTreeMap::new());
    let hints: Vec<_> = findings.iter().map(|finding| finding.hint.as_deref().unwrap_or_default()).collect();
    assert_eq!(hints, ["leave it so, unless the answer depends on it"; 2]);
}

#[test]
fn blocks_of_which_there_is_one_are_not_repeated() {
    let in_group = |inner: &str| with_task("").replace("task \"t\"", &format!("{inner}\n task \"t\""));
    for (text, word) in [
        (in_group("restart { }\n restart { }"), "restart"),
        (in_group("ephemeral_disk { }\n ephemeral_disk { }"), "ephemeral_disk"),
        (with_task("resources { }\n resources { }"), "resources"),
        (with_task("restart = [{ }, { }]"), "restart"),
    ] {
        let (place, message, _) = only_error(&text);
        assert_eq!((place.as_str(), message), (word, format!("there is a second `{word}` block")));
    }
}

#[test]
fn checks_that_an_update_would_ignore_are_said_to_count() {
    let service = |of: &str, check: &str| {
        let check = format!("check {{\n type = \"tcp\"\n interval = \"10s\"\n{check}\n}}");
        with_task("").replace("task \"t\"", &format!("service {{\n name = \"s\"\n{of}\n{check}\n}}\n task \"t\""))
    };
    let said = |word: &str| format!("on_update = \"{word}\"");
    for (text, holder) in [(service(&said("ignore"), ""), "service"), (service("", &said("ignore")), "check")] {
        let message = format!("`on_update` in this {holder} is left out");
        assert_eq!(found(&text, Severity::Warning), [("W001", message, "\"ignore\"".to_owned())]);
    }
    for word in ["require_healthy", "ignore_warnings", ""] {
        assert_eq!(found(&service(&said(word), &said(word)), Severity::Warning), []);
    }
    for (text, holder) in [(service(&said("ignored"), ""), "service"), (service("", &said("ignored")), "check")] {
        let message = format!("`ignored` is no `on_update` of a {holder}");
        assert_eq!(found(&text, Severity::Error), [("E010", message, "\"ignored\"".to_owned())]);
    }
}

#[test]
fn what_a_dynamic_block_repeats_is_known_or_said() {
    let repeated = |each: &str, rest: &str| {
        with_task("").replace("task \"t\"", &format!("dynamic \"constraint\" {{\n{each}\n{rest}\n}}\n task \"t\""))
    };
    let content = "content {\n attribute = \"${meta.x}\"\n value = \"v${constraint.value}\"\n}";
    for (each, values) in [
        ("range(1)", vec!["v0"]),
        ("range(4, 0, -2)", vec!["v4", "v2"]),
        ("keys({ b = 1, a = 2 })", vec!["va", "vb"]),
        ("values({ b = 1, a = 2 })", vec!["v2", "v1"]),
        ("flatten([[\"a\"], \"b\"])", vec!["va", "vb"]),
        ("split(\",\", \"a,b\")", vec!["va", "vb"]),
    ] {
        let job = read(&repeated(&format!("for_each = {each}"), content)).job;
        let found: Vec<&str> = job.groups[0].constraints.iter().map(|constraint| constraint.right.as_str()).collect();
        assert_eq!(found, values, "{each}");
    }
    assert_eq!(read(&repeated("for_each = range(500)", content)).job.groups[0].constraints.len(), 500);
    for each in ["var.nope", "local.nope", "5", "range(5000)", "range(1, 2, 0)", "setproduct([\"a\"], [\"b\"])"] {
        let errors = found(&repeated(&format!("for_each = {each}"), content), Severity::Error);
        assert!(errors.len() == 1 && errors[0].1.contains("needs a list or a map"), "{each}: {errors:?}");
        assert_eq!((errors[0].0, errors[0].2.as_str()), ("E010", each));
    }
    for (each, rest, part) in [
        ("", content, "needs `for_each`"),
        ("for_each = [1]", "", "needs `content`"),
        ("for_each = [1]\n labels = [var.nope]", content, "list of labels"),
    ] {
        let errors = found(&repeated(each, rest), Severity::Error);
        assert!(errors.len() == 1 && errors[0].1.contains(part), "{part}: {errors:?}");
    }
}

#[test]
fn unknown_variables_within_a_text_are_unknown_and_what_a_client_knows_is_not() {
    let with_value = |value: &str| {
        let block = format!("constraint {{\n attribute = \"${{meta.x}}\"\n value = {value}\n}}\n task \"t\"");
        with_task("").replace("task \"t\"", &block)
    };
    for value in [
        "\"x${var.nope}\"",
        "\"x${local.nope}\"",
        "\"x${upper(var.nope)}\"",
        "\"x${uuid()}\"",
        "\"%{ if var.nope }x%{ endif }\"",
    ] {
        let errors = found(&with_value(value), Severity::Error);
        assert!(errors.len() == 1 && errors[0].1.contains("cannot be evaluated"), "{value}: {errors:?}");
        assert_eq!((errors[0].0, errors[0].2.as_str()), ("E010", value));
    }
    for (value, read_as) in [
        ("\"x${attr.kernel.name}${meta.a}${node.class}\"", "x${attr.kernel.name}${meta.a}${node.class}"),
        ("\"${NOMAD_META_x}${env[\"HOME\"]}\"", "${NOMAD_META_x}${env[\"HOME\"]}"),
        ("\"x${upper(\"a\")}\"", "xA"),
        ("\"%{ if true }x%{ endif }\"", "x"),
    ] {
        assert_eq!(read(&with_value(value)).job.groups[0].constraints[0].right, read_as);
    }
    let text = with_task("").replace("[\"dc1\"]", "\"${split(\",\", \"a,b\")}\"");
    assert_eq!(read(&text).job.datacenters.len(), 2);
}

#[test]
fn a_text_without_an_end_is_shown_where_it_begins() {
    for (inner, starts) in [
        ("config { image = \"x }", "\"x }"),
        ("user = \"${attr.x\"", "\"${attr"),
        ("env {\n A = <<EOF\n b\n}", "<<EOF"),
    ] {
        let text = with_task(inner);
        let (_, findings) = import(&text, &BTreeMap::new());
        assert_eq!(findings.len(), 1, "{inner}");
        assert_eq!((findings[0].code, findings[0].span.start), ("E010", text.find(starts).unwrap()), "{inner}");
    }
}

#[test]
fn jobs_are_launched_by_time_or_by_dispatch() {
    let text = with_task("").replace(
        "group",
        "type = \"batch\"\n periodic {\n cron = \"*/5 * * * *\"\n prohibit_overlap = true\n time_zone = \"Etc/GMT-2\"\n}\n group",
    );
    let Launch::Periodic(periodic) = read(&text).job.launch else { panic!("it is periodic") };
    assert_eq!((periodic.cron.to_string().as_str(), periodic.utc_offset), ("*/5 * * * *", 7_200));
    assert!(periodic.prohibit_overlap && periodic.enabled);
    let text = with_task("").replace(
        "group",
        "type = \"batch\"\n parameterized {\n payload = \"required\"\n meta_required = [\"user\"]\n}\n group",
    );
    let Launch::Parameterized(rules) = read(&text).job.launch else { panic!("it is parameterized") };
    assert_eq!((rules.payload, rules.meta_required), (Payload::Required, vec!["user".to_owned()]));
    let text = with_task("").replace("group", "periodic {\n cron = \"now and then\"\n}\n group");
    assert!(said(&text, Severity::Error).iter().any(|error| error.contains("cron expression")));
}

#[test]
fn mistakes_are_found_all_at_once() {
    let text = with_task("kill_timeout = \"5\"\n resources {\n cpu = \"much\"\n memory = 1.5\n}")
        .replace("group", "type = \"servce\"\n priority = var.nothing\n group");
    let errors = said(&text, Severity::Error);
    for part in ["`servce` is no job type", "cannot be evaluated", "no unit", "`cpu` needs", "`memory` needs"] {
        assert!(errors.iter().any(|error| error.contains(part)), "{part}: {errors:?}");
    }
}

#[test]
fn hostile_files_are_refused() {
    for text in [
        String::new(),
        "job".to_owned(),
        "job {}".to_owned(),
        "job \"a\" {".to_owned(),
        "job \"a\" {}\njob \"b\" {}".to_owned(),
        "}".repeat(1_000),
        format!("job \"a\" {}", "{ x ".repeat(100_000)),
        format!("job \"a\" {{\n x = {}\n}}", "[".repeat(100_000)),
        format!("job \"a\" {{\n x = {}1\n}}", "(".repeat(100_000)),
        format!("job \"a\" {{\n x = \"{}\"\n}}", "${\"".repeat(10_000)),
        with_task("count = 1").replace("group \"g\" {", "group \"g\" {\n count = 1000000000000"),
    ] {
        let (_, findings) = import(&text, &BTreeMap::new());
        assert!(findings.iter().any(|finding| finding.severity == Severity::Error), "{text:.40}");
    }
}

#[test]
fn what_a_task_is_made_of_is_kept_and_what_it_is_not_is_not() {
    let config = |inner: &str| read(&with_task(inner)).job.groups[0].tasks[0].config.clone();
    let bare = config("");
    for harmless in ["kill_signal = \"SIGINT\"", "logs {\n max_files = 3\n}", "volume_mount {\n volume = \"v\"\n}"] {
        assert_eq!(config(harmless), bare, "{harmless}");
    }
    for matters in ["env {\n A = \"b\"\n}", "artifact {\n source = \"x\"\n}", "vault {\n policies = [\"p\"]\n}"] {
        assert_ne!(config(matters), bare, "{matters}");
    }
    let in_group = with_task("").replace("task \"t\"", "vault {\n policies = [\"p\"]\n}\n task \"t\"");
    assert_ne!(read(&in_group).job.groups[0].tasks[0].config, bare);
}

#[test]
fn pools_and_metadata_of_groups() {
    let plain = read(&with_task(""));
    assert_eq!(&*plain.job.node_pool, "default");
    let text = with_task("").replace("datacenters", "node_pool = \"gpu\"\n datacenters");
    let text = text.replace("task \"t\"", "meta {\n owner = \"me\"\n}\n task \"t\"");
    let job = read(&text).job;
    assert_eq!((&*job.node_pool, job.groups[0].meta["owner"].as_str()), ("gpu", "me"));
    assert_eq!(said(&text, Severity::Warning), Vec::<String>::new());
}
