//! `periodic` and `parameterized`: what makes a job run besides its registration.

use super::names::Names;
use super::policy::Reader;
use super::tree::Block;
use super::tree::Body;
use crate::model::cron::Cron;
use crate::model::job::Launch;
use crate::model::job::Parameterized;
use crate::model::job::Payload;
use crate::model::job::Periodic;

impl Reader {
    /// What makes the job of this body run.
    pub(super) fn launch(&mut self, body: &Body) -> Launch {
        let periodic = self.blocks_one(body, "periodic");
        let parameterized = self.blocks_one(body, "parameterized");
        if let (Some(_), Some(second)) = (&periodic, &parameterized) {
            self.error(
                "E011",
                second.span.clone(),
                "a job is periodic or parameterized, not both",
                "leave one of the two out",
            );
        }
        match (periodic, parameterized) {
            (Some(block), _) => self.periodic(&block).map_or(Launch::Registration, Launch::Periodic),
            (None, Some(block)) => Launch::Parameterized(self.parameterized(&block.body)),
            (None, None) => Launch::Registration,
        }
    }

    fn periodic(&mut self, block: &Block) -> Option<Periodic> {
        let body = &block.body;
        let names = Names {
            attributes: &["cron", "time_zone", "prohibit_overlap", "enabled"],
            matters: &[("crons", "write one expression as `cron`")],
            ..Names::default()
        };
        self.known(body, "periodic block", &names);
        let utc_offset = match self.text(body, "time_zone") {
            None => 0,
            Some((zone, span)) => utc_offset(&zone).unwrap_or_else(|| {
                let message = format!("time zone `{zone}` is not known; its launches follow UTC");
                self.warn(span, message, "known are `UTC` and the fixed zones `Etc/GMT-14` to `Etc/GMT+12`");
                0
            }),
        };
        let prohibit_overlap = self.truth(body, "prohibit_overlap").unwrap_or(false);
        let enabled = self.truth(body, "enabled").unwrap_or(true);
        let Some((text, span)) = self.text(body, "cron") else {
            self.error("E011", block.span.clone(), "a periodic job needs a `cron` expression", CRON);
            return None;
        };
        match text.parse::<Cron>() {
            Ok(cron) => Some(Periodic { cron, utc_offset, prohibit_overlap, enabled }),
            Err(error) => {
                self.error("E011", span, error.to_string(), CRON);
                None
            }
        }
    }

    fn parameterized(&mut self, body: &Body) -> Parameterized {
        let names = ["payload", "meta_required", "meta_optional"];
        self.known(body, "parameterized block", &Names::attributes(&names));
        let payload = self.text(body, "payload");
        let payload = match payload.as_ref().map(|(word, span)| (word.as_str(), span)) {
            None | Some(("optional" | "", _)) => Payload::Optional,
            Some(("required", _)) => Payload::Required,
            Some(("forbidden", _)) => Payload::Forbidden,
            Some((word, span)) => {
                self.one_of(span.clone(), "rule for payloads", word, &["optional", "required", "forbidden"]);
                Payload::Optional
            }
        };
        Parameterized {
            payload,
            meta_required: self.texts(body, "meta_required"),
            meta_optional: self.texts(body, "meta_optional"),
        }
    }
}

/// Seconds a zone without daylight saving is ahead of UTC. The signs of the `Etc` zones are POSIX's: `Etc/GMT+5` is
/// behind.
pub fn utc_offset(zone: &str) -> Option<i64> {
    if matches!(zone, "" | "UTC" | "Etc/UTC" | "GMT" | "Etc/GMT" | "Local") {
        return Some(0);
    }
    let hours: i64 = zone.strip_prefix("Etc/GMT").filter(|rest| rest.starts_with(['+', '-']))?.parse().ok()?;
    (-14..=12).contains(&hours).then_some(-hours * 3_600)
}

/// What a `cron` looks like.
pub const CRON: &str = "write minute, hour, day of month, month and day of week, as `*/15 * * * *`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_zones_have_the_signs_of_posix() {
        for (zone, hours) in [("UTC", Some(0)), ("Etc/GMT+5", Some(-5)), ("Etc/GMT-14", Some(14))] {
            assert_eq!(utc_offset(zone), hours.map(|hours: i64| hours * 3_600), "{zone}");
        }
        assert_eq!(utc_offset("America/New_York"), None);
        assert_eq!(utc_offset("Etc/GMT-15"), None);
    }
}
