//! Target health as one balancer node sees one target (AWS ELB target group health checks).

use crate::base::time::Duration;

/// A target group's health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthConfig {
    /// Port probed; the traffic port unless set (`traffic-port`).
    pub port: Option<u32>,
    /// Time between two probes of a target. Default 30 s, 5..=300.
    pub interval: Duration,
    /// A probe without answer for this long failed. Default 5 s, 2..=120.
    pub timeout: Duration,
    /// Successes in a row that make an unhealthy target healthy. Default 5, 2..=10.
    pub healthy_threshold: u32,
    /// Failures in a row that make it unhealthy. Default 2, 2..=10.
    pub unhealthy_threshold: u32,
    /// The status that counts as success. Default 200.
    pub matcher: u16,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            port: None,
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            healthy_threshold: 5,
            unhealthy_threshold: 2,
            matcher: 200,
        }
    }
}

impl HealthConfig {
    /// As the reference deployment checks fabio: port 9998, interval 15 s, timeout 3 s, thresholds 2 and 2.
    pub fn fabio() -> Self {
        Self {
            port: Some(9_998),
            interval: Duration::from_secs(15),
            timeout: Duration::from_secs(3),
            healthy_threshold: 2,
            unhealthy_threshold: 2,
            matcher: 200,
        }
    }
}

/// What a balancer node thinks of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HealthState {
    /// Registered, not judged yet: gets no traffic while others are healthy; its first success makes it healthy.
    #[default]
    Initial,
    /// Gets traffic.
    Healthy,
    /// Gets none, unless all are unhealthy.
    Unhealthy,
}

/// State and the run of results that contradict it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TargetHealth {
    state: HealthState,
    contrary: u32,
}

impl TargetHealth {
    /// The state.
    pub fn state(self) -> HealthState {
        self.state
    }

    /// Takes one probe result into account. Returns whether the state changed.
    pub fn observe(&mut self, is_success: bool, config: &HealthConfig) -> bool {
        let threshold = match (self.state, is_success) {
            (HealthState::Healthy, true) | (HealthState::Unhealthy, false) => {
                self.contrary = 0;
                return false;
            }
            (HealthState::Initial, true) => 1,
            (HealthState::Unhealthy, true) => config.healthy_threshold,
            (HealthState::Initial | HealthState::Healthy, false) => config.unhealthy_threshold,
        };
        self.contrary += 1;
        if self.contrary < threshold {
            return false;
        }
        self.state = if is_success { HealthState::Healthy } else { HealthState::Unhealthy };
        self.contrary = 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_follow_runs_of_results() {
        let check = |results: &str, expected: HealthState| {
            let mut health = TargetHealth::default();
            for result in results.chars() {
                health.observe(result == '+', &HealthConfig::fabio());
            }
            assert_eq!(health.state(), expected, "{results}");
        };
        check("", HealthState::Initial);
        check("+", HealthState::Healthy);
        check("-", HealthState::Initial);
        check("--", HealthState::Unhealthy);
        check("+-+-", HealthState::Healthy);
        check("+--", HealthState::Unhealthy);
        check("+--+", HealthState::Unhealthy);
        check("+--+-+", HealthState::Unhealthy);
        check("+--++", HealthState::Healthy);
    }
}
