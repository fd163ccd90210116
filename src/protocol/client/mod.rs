//! The Nomad client agent.
