//! The colours of the page, light and dark, and those of the drawn charts in the dark. All come from
//! [`style`](crate::report::style).

use std::fmt::Write as _;

use plotters::style::{BLACK, RGBColor, WHITE};

use crate::report::style::{PALETTE, PALETTE_DARK, TONES, hex, mixed};

/// Depths of the grounds that show how full something is.
const LEVELS: usize = 9;
/// Share of colour in the deepest ground that bears text.
const DEEPEST_UNDER_TEXT: f64 = 0.45;

/// Custom properties for both themes, and the dark charts. Paper is always light.
pub(super) fn css() -> String {
    let light = properties(0);
    let dark = properties(1);
    let (chosen, asked) = (":root[data-theme=dark]", ":root:not([data-theme=light])");
    let charts = |scope: &str| charts(scope);
    format!(
        ":root{{{light}}}\n@media screen and (prefers-color-scheme:dark){{{asked}{{{dark}}}\n{}}}\n\
         @media screen{{{chosen}{{{dark}}}\n{}}}\n",
        charts(asked),
        charts(chosen)
    )
}

/// The custom properties of a theme: 0 is light, 1 dark.
fn properties(theme: usize) -> String {
    let of = |light: RGBColor, dark: RGBColor| if theme == 0 { light } else { dark };
    let mut css = format!("color-scheme:{};", ["light", "dark"][theme]);
    let mut put =
        |name: &str, colour| write!(css, "--{name}:{};", hex(colour)).expect("a string takes every character");
    for (name, light, dark) in TONES {
        put(name, of(light, dark));
    }
    let (_, white, black) = TONES[0];
    let ground = of(white, black);
    for (at, (light, dark)) in PALETTE.into_iter().zip(PALETTE_DARK).enumerate() {
        put(&format!("p{at}"), of(light, dark));
    }
    let full = of(PALETTE[0], PALETTE_DARK[0]);
    for level in 0..LEVELS {
        let share = level as f64 / (LEVELS - 1) as f64;
        put(&format!("h{level}"), mixed(full, DEEPEST_UNDER_TEXT * share, ground));
        put(&format!("m{level}"), mixed(full, 0.1 + 0.9 * share, ground));
    }
    css
}

/// Rules that turn the colours of drawn charts into their dark ones.
fn charts(scope: &str) -> String {
    let mut css = String::new();
    let palette = PALETTE.into_iter().zip(PALETTE_DARK);
    for (light, dark) in TONES.into_iter().map(|(_, light, dark)| (light, dark)).chain(palette) {
        let (light, dark) = (hex(light), hex(dark));
        writeln!(
            css,
            "{scope} .drawn [fill=\"{light}\"]{{fill:{dark}}}{scope} .drawn [stroke=\"{light}\"]{{stroke:{dark}}}"
        )
        .expect("a string takes every character");
    }
    // Text on bars: every dark bar is light enough for black.
    let (white, black) = (hex(WHITE), hex(BLACK));
    write!(css, "{scope} .drawn text[fill=\"{white}\"]{{fill:{black}}}").expect("a string takes every character");
    css
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::style::contrast;

    /// WCAG 2.1 AA asks for 4.5.
    #[test]
    fn figures_can_be_read_on_every_depth() {
        for theme in 0..2 {
            let css = properties(theme);
            let colour = |name: &str| {
                let hex = css.split(&format!("--{name}:#")).nth(1).unwrap_or_else(|| panic!("{name}"));
                let part = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
                RGBColor(part(0), part(2), part(4))
            };
            for level in 0..LEVELS {
                let found = contrast(colour("ink"), colour(&format!("h{level}")));
                assert!(found >= 4.5, "theme {theme}, depth {level}: {found:.2}");
            }
        }
    }

    #[test]
    fn every_colour_of_a_chart_has_a_dark_one() {
        let css = css();
        for light in PALETTE.into_iter().chain(TONES.map(|(_, light, _)| light)) {
            let (all, chosen) = (hex(light), ":root[data-theme=dark] .drawn");
            assert!(css.contains(&format!("{chosen} [fill=\"{all}\"]")), "{all}");
        }
    }
}
