//! Quantities as people write them: a number and its unit. `40m`, `1h30m`, `250 ms`, `48 GiB`, `500 MHz`, `400/s`,
//! `95%`.
//!
//! A number without a unit is refused rather than guessed at. Spaces between number and unit are free; units are
//! matched exactly, since `m` and `M` mean different things.

use crate::base::time::Duration;
use crate::base::units::{BitsPerSecond, Mebibytes, MegaHertz, Ratio};
use crate::scenario::suggest::closest;

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Nothing there.
    #[error("a quantity is missing")]
    Empty {
        /// A good one.
        example: &'static str,
    },
    /// It does not begin with a number.
    #[error("`{text}` does not begin with a number")]
    NoNumber {
        /// What was written.
        text: String,
        /// A good one.
        example: &'static str,
    },
    /// A number alone.
    #[error("`{text}` has no unit")]
    NoUnit {
        /// What was written.
        text: String,
        /// Units there are.
        units: String,
        /// A good one.
        example: &'static str,
    },
    /// A unit of something else.
    #[error("`{unit}` is not a unit of {kind}")]
    UnknownUnit {
        /// What was written.
        unit: String,
        /// Of what it should be a unit.
        kind: &'static str,
        /// Units there are.
        units: String,
        /// A unit that is written nearly so.
        suggestion: Option<String>,
    },
    /// Below zero.
    #[error("`{text}` is negative")]
    Negative {
        /// What was written.
        text: String,
        /// A good one.
        example: &'static str,
    },
    /// Beyond what makes sense.
    #[error("`{text}` is more than {limit}")]
    TooLarge {
        /// What was written.
        text: String,
        /// The bound.
        limit: &'static str,
    },
}

impl QuantityError {
    /// A way out.
    pub fn hint(&self) -> String {
        match self {
            Self::Empty { example } | Self::NoNumber { example, .. } => {
                format!("write a number and a unit, as `{example}`")
            }
            Self::NoUnit { units, example, .. } => format!("write one of {units}, as `{example}`"),
            Self::UnknownUnit { suggestion: Some(unit), .. } => format!("did you mean `{unit}`?"),
            Self::UnknownUnit { units, .. } => format!("known are {units}"),
            Self::Negative { example, .. } => format!("write zero or more, as `{example}`"),
            Self::TooLarge { limit, .. } => format!("write {limit} or less"),
        }
    }
}

/// A kind of quantity: its name, an example, its units with their factor, and its upper bound in base units.
struct Kind {
    name: &'static str,
    example: &'static str,
    units: &'static [(&'static str, f64)],
    limit: (f64, &'static str),
}

const DURATION: Kind = Kind {
    name: "time",
    example: "250ms",
    units: &[
        ("ns", 1.0),
        ("us", 1e3),
        ("µs", 1e3),
        ("ms", 1e6),
        ("s", 1e9),
        ("m", 60e9),
        ("min", 60e9),
        ("h", 3_600e9),
        ("d", 86_400e9),
    ],
    limit: (86_400e9 * 3_660.0, "ten years"),
};

const SIZE: Kind = Kind {
    name: "memory or disk",
    example: "512 MiB",
    units: &[
        ("KiB", 1_024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
        ("TiB", 1_099_511_627_776.0),
        ("kB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("TB", 1e12),
    ],
    limit: (1_152_921_504_606_846_976.0, "1 EiB"),
};

const FREQUENCY: Kind = Kind {
    name: "processor capacity",
    example: "500 MHz",
    units: &[("MHz", 1.0), ("GHz", 1_000.0)],
    limit: (1e9, "1 000 000 GHz"),
};

const BANDWIDTH: Kind = Kind {
    name: "bandwidth",
    example: "10 Gbit/s",
    units: &[("bit/s", 1.0), ("kbit/s", 1e3), ("Mbit/s", 1e6), ("Gbit/s", 1e9), ("Mbps", 1e6), ("Gbps", 1e9)],
    limit: (1e15, "1 000 Tbit/s"),
};

const RATE: Kind = Kind {
    name: "a rate",
    example: "400/s",
    units: &[("/s", 1.0), ("/min", 1.0 / 60.0), ("/m", 1.0 / 60.0), ("/h", 1.0 / 3_600.0)],
    limit: (1e9, "1 000 000 000/s"),
};

const SHARE: Kind = Kind { name: "a share", example: "95%", units: &[("%", 1.0)], limit: (100.0, "100%") };

const PRICE: Kind =
    Kind { name: "a price", example: "0.096 USD/h", units: &[("USD/h", 1e6)], limit: (1e12, "1 000 000 USD/h") };

impl Kind {
    fn unit_list(&self) -> String {
        self.units.iter().map(|(unit, _)| format!("`{unit}`")).collect::<Vec<_>>().join(", ")
    }

    /// The factor of a unit.
    fn factor(&self, text: &str, unit: &str) -> Result<f64, QuantityError> {
        if unit.is_empty() {
            let (text, units) = (text.to_owned(), self.unit_list());
            return Err(QuantityError::NoUnit { text, units, example: self.example });
        }
        if let Some((_, factor)) = self.units.iter().find(|(known, _)| *known == unit) {
            return Ok(*factor);
        }
        let suggestion = closest(unit, self.units.iter().map(|(known, _)| *known)).map(str::to_owned);
        Err(QuantityError::UnknownUnit { unit: unit.to_owned(), kind: self.name, units: self.unit_list(), suggestion })
    }

    /// The sum of all `number unit` pairs in `text`, in base units.
    fn parse(&self, text: &str) -> Result<f64, QuantityError> {
        let whole = text.trim();
        if whole.is_empty() {
            return Err(QuantityError::Empty { example: self.example });
        }
        if whole.starts_with('-') {
            return Err(QuantityError::Negative { text: whole.to_owned(), example: self.example });
        }
        let (mut rest, mut sum) = (whole, 0.0);
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(rest.len());
            let number = rest[..digits].replace('_', "");
            let no_number = || QuantityError::NoNumber { text: whole.to_owned(), example: self.example };
            let number: f64 = number.parse().map_err(|_| no_number())?;
            rest = rest[digits..].trim_start();
            let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
            sum += number * self.factor(whole, rest[..end].trim_end())?;
            rest = rest[end..].trim_start();
        }
        if sum > self.limit.0 {
            return Err(QuantityError::TooLarge { text: whole.to_owned(), limit: self.limit.1 });
        }
        Ok(sum)
    }
}

/// Whether two texts are one quantity, or one number, written in two ways: `5s` and `5000ms`.
pub fn are_equal(one: &str, two: &str) -> bool {
    let number = |text: &str| text.trim().replace('_', "").parse::<f64>().ok();
    let kinds = [&DURATION, &SIZE, &FREQUENCY, &BANDWIDTH, &RATE, &SHARE, &PRICE];
    let of_kinds = kinds.into_iter().map(|kind| kind.parse(one).ok().zip(kind.parse(two).ok()));
    let mut values = of_kinds.chain([number(one).zip(number(two))]).flatten();
    values.any(|(one, two)| (one - two).abs() <= 1e-12 * one.abs())
}

/// A span of time: `40m`, `1h30m`, `250 ms`.
pub fn duration(text: &str) -> Result<Duration, QuantityError> {
    Ok(Duration::from_nanos(libm::rint(DURATION.parse(text)?) as u64))
}

/// Memory or disk, rounded to the nearest mebibyte: `48 GiB`, `512 MiB`.
pub fn size(text: &str) -> Result<Mebibytes, QuantityError> {
    Ok(Mebibytes(libm::rint(SIZE.parse(text)? / 1_048_576.0) as u64))
}

/// A size in bytes, rounded to the nearest: `16 KiB`.
pub fn bytes(text: &str) -> Result<u64, QuantityError> {
    Ok(libm::rint(SIZE.parse(text)?) as u64)
}

/// Processor capacity: `500 MHz`, `2.5 GHz`.
pub fn frequency(text: &str) -> Result<MegaHertz, QuantityError> {
    Ok(MegaHertz(libm::rint(FREQUENCY.parse(text)?) as u64))
}

/// Bandwidth: `750 Mbit/s`, `10 Gbit/s`.
pub fn bandwidth(text: &str) -> Result<BitsPerSecond, QuantityError> {
    Ok(BitsPerSecond(libm::rint(BANDWIDTH.parse(text)?) as u64))
}

/// Something per second: `400/s`, `9000/min`.
pub fn rate(text: &str) -> Result<f64, QuantityError> {
    RATE.parse(text)
}

/// A share: `95%`, `0.1 %`.
pub fn share(text: &str) -> Result<Ratio, QuantityError> {
    let share = SHARE.parse(text)? / 100.0;
    Ok(Ratio::new(share).expect("the bound of shares keeps it within 0..=1"))
}

/// Millionths of a dollar per hour: `0.096 USD/h`.
pub fn price(text: &str) -> Result<u64, QuantityError> {
    Ok(libm::rint(PRICE.parse(text)?) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_a_number_and_a_unit() {
        for (text, expected) in [
            ("40m", Duration::from_mins(40)),
            ("1h30m", Duration::from_mins(90)),
            ("250 ms", Duration::from_millis(250)),
            ("0.1s", Duration::from_millis(100)),
            ("2m 0.5s", Duration::from_millis(120_500)),
            ("0s", Duration::ZERO),
        ] {
            assert_eq!(duration(text), Ok(expected), "{text}");
        }
        assert_eq!(size("48 GiB"), Ok(Mebibytes(49_152)));
        assert_eq!(frequency("2.5 GHz"), Ok(MegaHertz(2_500)));
        assert_eq!(bandwidth("10 Gbit/s"), Ok(BitsPerSecond(10_000_000_000)));
        assert_eq!(bandwidth("1.5 kbit/s"), Ok(BitsPerSecond(1_500)));
        assert_eq!(rate("400/s"), Ok(400.0));
        assert_eq!(share("95%").map(Ratio::get), Ok(0.95));
    }

    #[test]
    fn a_quantity_can_be_written_in_two_ways() {
        for (one, two, expected) in [
            ("5s", "5000ms", true),
            ("1h30m", "90min", true),
            ("1 GiB", "1024MiB", true),
            ("60/min", "1/s", true),
            ("4", "4.0", true),
            ("0s", "0ms", true),
            ("5s", "5001ms", false),
            ("5", "5s", false),
            ("BinPack", "Spread", false),
        ] {
            assert_eq!(are_equal(one, two), expected, "{one} {two}");
        }
    }

    #[test]
    fn anything_else_says_what_is_wrong() {
        for (error, part) in [
            (duration("40").unwrap_err(), "no unit"),
            (duration("").unwrap_err(), "missing"),
            (duration("-2s").unwrap_err(), "negative"),
            (duration("40 minutes").unwrap_err(), "not a unit"),
            (duration("2sec").unwrap_err(), "not a unit"),
            (duration("NaN s").unwrap_err(), "does not begin with a number"),
            (duration("1e9s").unwrap_err(), "not a unit"),
            (duration("9999999d").unwrap_err(), "ten years"),
            (size("500 MHz").unwrap_err(), "not a unit of memory"),
            (frequency("500 mhz").unwrap_err(), "not a unit of processor capacity"),
            (rate("400").unwrap_err(), "no unit"),
            (share("101%").unwrap_err(), "100%"),
        ] {
            assert!(error.to_string().contains(part) && !error.hint().is_empty(), "{error}");
        }
        for (error, way_out) in [
            (duration("40").unwrap_err(), "write one of `ns`, `us`, `µs`, `ms`, `s`, `m`, `min`, `h`, `d`, as `250ms`"),
            (duration("").unwrap_err(), "write a number and a unit, as `250ms`"),
            (duration("-2s").unwrap_err(), "write zero or more, as `250ms`"),
            (duration("2sec").unwrap_err(), "known are `ns`, `us`, `µs`, `ms`, `s`, `m`, `min`, `h`, `d`"),
            (frequency("500 mhz").unwrap_err(), "did you mean `MHz`?"),
            (duration("9999999d").unwrap_err(), "write ten years or less"),
        ] {
            assert_eq!(error.hint(), way_out);
        }
    }
}
