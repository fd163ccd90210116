//! Which fabio: behaviour that differs between the releases in use.

/// A fabio release. The reference deployment runs 1.5.10; 1.7.3 is the one the recordings were taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Release {
    /// 1.5.10.
    V1_5_10,
    /// 1.6.3.
    V1_6_3,
    /// 1.7.3.
    #[default]
    V1_7_3,
}

impl Release {
    /// `route weight` that matches nothing is ignored (1.7) instead of failing the whole table (up to 1.6.3).
    pub fn ignores_unmatched_weight(self) -> bool {
        self >= Self::V1_7_3
    }

    /// The request path is decoded once more and cleaned before the lookup (1.7).
    pub fn normalises_path(self) -> bool {
        self >= Self::V1_7_3
    }

    /// Tags are trimmed before the prefix is tested (since 1.6.4).
    pub fn trims_tags(self) -> bool {
        self >= Self::V1_7_3
    }

    /// Checks of services without a routing tag are dropped before anything else (since 1.6.4).
    pub fn filters_untagged_checks(self) -> bool {
        self >= Self::V1_7_3
    }

    /// 1.5.10 takes maintenance checks of a service for ordinary checks: the arguments of its prefix test are swapped.
    pub fn mistakes_maintenance_for_service(self) -> bool {
        self == Self::V1_5_10
    }

    /// Access rules (`allow`, `deny`) exist since 1.5.11.
    pub fn has_access_rules(self) -> bool {
        self >= Self::V1_6_3
    }
}
