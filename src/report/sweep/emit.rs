//! Job descriptions that let other engines run the shards of a sweep. Every engine numbers its tasks and starts the
//! same command for each; shards need no talking, so nothing else is asked of it.
//!
//! The descriptions name a plan folder and a results folder that every task can reach, and a `cossim` that is installed
//! (or an image that holds one). What finishes twice, restarts or moves does no harm: whole runs are not repeated.

use std::fmt::Write as _;

/// What to describe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Name of the job: letters, digits and dashes, not at the ends.
    pub name: String,
    /// Folder of the plan.
    pub plan: String,
    /// Folder of the results.
    pub results: String,
    /// How many shards.
    pub shards: usize,
    /// The program in the tasks.
    pub program: String,
    /// The image that holds it, where tasks run in containers.
    pub image: String,
}

/// Engines there are descriptions for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// GNU parallel: a shell command.
    Parallel,
    /// A Slurm batch script with a job array.
    Slurm,
    /// A Kubernetes Indexed Job.
    Kubernetes,
    /// A Nomad batch job.
    Nomad,
    /// A `HyperQueue` task array: a shell command.
    HyperQueue,
}

impl Job {
    /// A job of a scenario; its name is made fit for every engine.
    pub fn named(scenario: &str, sweep: &str) -> String {
        let plain: String =
            scenario.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
        let plain = plain.trim_matches('-');
        format!("sweep-{}-{}", &plain[..plain.len().min(40)], &sweep[..sweep.len().min(8)]).replace("--", "-")
    }

    /// The description for an engine.
    pub fn describe(&self, engine: Engine) -> String {
        match engine {
            Engine::Parallel => self.parallel(),
            Engine::Slurm => self.slurm(),
            Engine::Kubernetes => self.kubernetes(),
            Engine::Nomad => self.nomad(),
            Engine::HyperQueue => self.hyperqueue(),
        }
    }

    /// The command of one shard; `index` is what the engine's shell puts in for its number.
    fn command(&self, index: &str) -> String {
        let (program, plan, results) = (shell(&self.program), shell(&self.plan), shell(&self.results));
        format!("{program} sweep run {plan} --shard {index}/{} --out {results} --threads 1 --quiet", self.shards)
    }

    /// The last line of every description.
    fn merge(&self) -> String {
        format!("{} sweep merge {}", shell(&self.program), shell(&self.results))
    }

    fn parallel(&self) -> String {
        let last = self.shards - 1;
        let mut out = String::from("#!/bin/sh\n");
        let _ = writeln!(out, "# {} shards with GNU parallel; run it again to go on where it stopped.", self.shards);
        let _ = writeln!(out, "set -eu");
        let _ = writeln!(out, "mkdir -p {}", shell(&self.results));
        let _ = writeln!(out, "seq 0 {last} | parallel --halt soon,fail=1 {}", shell(&self.command("{}")));
        let _ = writeln!(out, "{}", self.merge());
        out
    }

    fn slurm(&self) -> String {
        let mut out = String::from("#!/bin/sh\n");
        let _ = writeln!(out, "#SBATCH --job-name={}", self.name);
        let _ = writeln!(out, "#SBATCH --array=0-{}", self.shards - 1);
        let _ = writeln!(out, "#SBATCH --ntasks=1");
        let _ = writeln!(out, "#SBATCH --cpus-per-task=1");
        let _ = writeln!(out, "#SBATCH --requeue");
        let _ = writeln!(out, "# When every task is done: {}", self.merge());
        let _ = writeln!(out, "set -eu");
        let _ = writeln!(out, "exec {}", self.command("\"$SLURM_ARRAY_TASK_ID\""));
        out
    }

    fn hyperqueue(&self) -> String {
        let mut out = String::from("#!/bin/sh\n");
        let _ = writeln!(out, "# {} shards as a task array of HyperQueue.", self.shards);
        let _ = writeln!(out, "set -eu");
        let command = shell(&self.command("\"$HQ_TASK_ID\""));
        let (name, last) = (&self.name, self.shards - 1);
        let _ = writeln!(
            out,
            "hq submit --name {name} --array 0-{last} --cpus 1 --crash-limit 5 --wait -- sh -c {command}"
        );
        let _ = writeln!(out, "{}", self.merge());
        out
    }

    /// Shards of more than 100 000 indexes are refused by Kubernetes; a sweep has at most that many runs.
    fn kubernetes(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "# Needs Kubernetes 1.29 or later and a volume claim `sweep` that many pods can mount.");
        let _ = writeln!(out, "# When every index is done: {}", self.merge());
        let _ = writeln!(out, "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {}\nspec:", self.name);
        let _ = writeln!(
            out,
            "  completionMode: Indexed\n  completions: {}\n  parallelism: {}",
            self.shards,
            self.shards.min(100)
        );
        let _ = writeln!(out, "  backoffLimitPerIndex: 3\n  maxFailedIndexes: 0");
        let _ = writeln!(
            out,
            "  template:\n    spec:\n      restartPolicy: Never\n      containers:\n        - name: shard"
        );
        let _ = writeln!(out, "          image: {}", json(&self.image));
        let _ = writeln!(out, "          command: [\"/bin/sh\", \"-c\"]");
        // Kubernetes puts variables in for `$(NAME)` before a shell sees it; two dollar signs stand for one.
        let command = self.command("\"$JOB_COMPLETION_INDEX\"").replace("$(", "$$(");
        let _ = writeln!(out, "          args: [{}]", json(&format!("exec {command}")));
        let _ = writeln!(
            out,
            "          resources:\n            requests:\n              cpu: \"1\"\n              memory: 1Gi"
        );
        let _ = writeln!(out, "          volumeMounts:\n            - name: sweep\n              mountPath: /sweep");
        let _ = writeln!(
            out,
            "      volumes:\n        - name: sweep\n          persistentVolumeClaim:\n            claimName: sweep"
        );
        out
    }

    fn nomad(&self) -> String {
        let command = format!("exec {}", self.command("\"$NOMAD_ALLOC_INDEX\""));
        format!(
            r#"# Needs Nomad 1.5 or later and machines with a host volume `sweep`.
# When every allocation is complete: {merge}
job "{name}" {{
  datacenters = ["*"]
  type        = "batch"

  group "shard" {{
    count = {shards}

    reschedule {{
      attempts  = 3
      interval  = "24h"
      unlimited = false
    }}

    volume "sweep" {{
      type   = "host"
      source = "sweep"
    }}

    task "run" {{
      driver = "docker"

      config {{
        image   = {image}
        command = "/bin/sh"
        args    = ["-c", {command}]
      }}

      volume_mount {{
        volume      = "sweep"
        destination = "/sweep"
      }}

      resources {{
        cpu    = 2000
        memory = 1024
      }}
    }}
  }}
}}
"#,
            merge = self.merge(),
            name = self.name,
            shards = self.shards,
            image = hcl(&self.image),
            command = hcl(&command),
        )
    }
}

/// A word for a POSIX shell.
fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=:,+%@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// A quoted text, for YAML.
fn json(text: &str) -> String {
    serde_json::to_string(text).expect("a text is JSON")
}

/// A quoted text, for HCL, where `${` and `%{` mean something.
fn hcl(text: &str) -> String {
    json(text).replace("${", "$${").replace("%{", "%%{")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_variable_stays_what_it_is() {
        let text = |text: &str| text.to_owned();
        let (plan, results) = (text("/a$(HOME)"), text("/r"));
        let job = Job { name: text("s"), plan, results, shards: 2, program: text("cossim"), image: text("i") };
        let described = job.describe(Engine::Kubernetes);
        assert!(described.contains("'/a$$(HOME)' --shard \\\"$JOB_COMPLETION_INDEX\\\"/2"), "{described}");
        assert!(job.describe(Engine::Slurm).contains("'/a$(HOME)'"));
    }
}
