//! How many seeds are run: a number, or as many as it takes.

use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::MapAccess;
use serde::de::Visitor;
use serde::de::value::MapAccessDeserializer;

use super::ShareText;

/// `10`, or `Auto(half_width: "5%", max: 200)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seeds {
    /// So many, from 1.
    Count(u64),
    /// As many as it takes.
    Auto(Auto),
}

/// As many seeds as it takes until the mean of what every expectation observes is known to so much.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename = "Auto")]
pub struct Auto {
    /// Half of the 95 % interval of the mean, of the mean. Default 5 %.
    #[serde(default)]
    pub half_width: Option<ShareText>,
    /// Seeds at most. Default 200.
    #[serde(default)]
    pub max: Option<u64>,
}

impl Default for Seeds {
    fn default() -> Self {
        Self::Count(10)
    }
}

impl<'de> Deserialize<'de> for Seeds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either)
    }
}

struct Either;

impl<'de> Visitor<'de> for Either {
    type Value = Seeds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of seeds, or `Auto(half_width: \"5%\", max: 200)`")
    }

    fn visit_u64<E>(self, count: u64) -> Result<Seeds, E> {
        Ok(Seeds::Count(count))
    }

    fn visit_unit<E>(self) -> Result<Seeds, E> {
        Ok(Seeds::Auto(Auto { half_width: None, max: None }))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Seeds, A::Error> {
        Auto::deserialize(MapAccessDeserializer::new(map)).map(Seeds::Auto)
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Seeds {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Seeds".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let auto = generator.subschema_for::<Auto>();
        schemars::json_schema!({
            "description": "How many seeds are run: a number, or `Auto(half_width: \"5%\", max: 200)`.",
            "anyOf": [{"type": "integer", "minimum": 1, "maximum": 10_000}, auto],
        })
    }
}
