//! Who led each control plane, when, and when nobody did.

use crate::analysis::ensemble::Ensemble;
use crate::base::time::{Duration, Time};
use crate::measure::control::Reign;
use crate::measure::outcome::Outcome;
use crate::report::frame::{Anchor, Frame, Ink, PLAIN, SOFT, Scale, Sheet, sheet, width};
use crate::report::style::{self, BAD, Clock};
use crate::report::text::span;
use crate::world::event::{Group, System};
use crate::world::spec::WorldSpec;

const ROW: i32 = 50;
const TOP: i32 = 122;

/// The chart of one run.
pub fn leadership(ensemble: &Ensemble, run: &Outcome) -> Option<String> {
    let spec = &ensemble.spec;
    let mut groups: Vec<Group> = run.reigns.iter().map(|reign| reign.group).collect();
    groups.sort_unstable();
    groups.dedup();
    let rows = i32::try_from(groups.len()).ok().filter(|&rows| rows > 0)?;
    let frame = Frame {
        left: 190,
        top: TOP,
        right: 1_096,
        bottom: TOP + ROW * rows,
        span: (Time::ZERO, Time::ZERO + spec.duration),
        clock: Clock::of(spec.duration),
        scale: Scale::Linear(1.0),
    };
    let svg = sheet((TOP + ROW * rows + 52) as u32, |sheet| {
        sheet.title(ensemble, Some(run), "Leadership");
        sheet.legend(&[("no leader".to_owned(), BAD)]);
        frame.faults(sheet, &style::bands(spec), true);
        frame.axes(sheet, None);
        for (row, group) in (0..).zip(&groups) {
            let mut reigns: Vec<&Reign> = run.reigns.iter().filter(|reign| reign.group == *group).collect();
            reigns.sort_by_key(|reign| reign.from);
            draw(sheet, &Row { frame, y: TOP + ROW * row, spec, group: *group }, &reigns);
        }
    });
    Some(svg)
}

struct Row<'a> {
    frame: Frame,
    y: i32,
    spec: &'a WorldSpec,
    group: Group,
}

fn draw(sheet: &Sheet, row: &Row, reigns: &[&Reign]) {
    let (spec, frame, end) = (row.spec, &row.frame, row.frame.span.1);
    let (top, bottom, middle) = (row.y + 9, row.y + ROW - 9, row.y + ROW / 2);
    let region = &spec.regions[row.group.region];
    let servers = match row.group.system {
        System::Nomad => &region.nomad,
        System::Consul => &region.consul,
    };
    sheet.text((178, middle - 7), &format!("{} {}", row.group.system.name(), region.name), PLAIN, Anchor::End);
    let gaps = gaps(reigns, end);
    let longest = gaps.iter().skip(1).map(|(from, to)| to.since(*from)).max().unwrap_or(Duration::ZERO);
    let note = match gaps.len().saturating_sub(1) {
        0 => "no gap".to_owned(),
        1 => format!("1 gap, {}", span(longest.as_millis_f64())),
        many => format!("{many} gaps, longest {}", span(longest.as_millis_f64())),
    };
    sheet.text((178, middle + 9), &note, SOFT, Anchor::End);
    for reign in reigns {
        let position = servers.iter().position(|&server| server == reign.machine).unwrap_or(0);
        let (left, right) = (frame.x(reign.from), frame.x(reign.until.unwrap_or(end)));
        sheet.fill((left, top), (right.max(left + 1), bottom), style::colour(position));
        let machine = &spec.machines[reign.machine];
        let name = machine.name.rsplit('/').next().unwrap_or(&machine.name);
        let zone = format!("{name}, zone {}", spec.zones[machine.zone].name);
        let ink = Ink { size: 13, colour: style::text_on(style::colour(position)), bold: true };
        if let Some(text) = [zone.as_str(), name].into_iter().find(|text| width(text, 13) + 16 < right - left) {
            sheet.text((left + 9, middle), text, ink, Anchor::Start);
        }
    }
    for (from, to) in gaps.into_iter().filter(|(from, to)| from < to) {
        // A gap of seconds in a run of hours still gets two pixels: it is what one looks for.
        let left = frame.x(from);
        sheet.fill((left, top - 3), (frame.x(to).max(left + 2), bottom + 3), BAD);
    }
}

/// When nobody led: before the first leader (always the first, maybe of no length), between two, after the last.
fn gaps(reigns: &[&Reign], end: Time) -> Vec<(Time, Time)> {
    let mut gaps = Vec::new();
    let mut led = Time::ZERO;
    for reign in reigns {
        if reign.from > led || gaps.is_empty() {
            gaps.push((led, reign.from));
        }
        led = led.max(reign.until.unwrap_or(end));
    }
    if led < end {
        gaps.push((led, end));
    }
    gaps
}
