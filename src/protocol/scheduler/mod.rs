//! Nomad servers: state, scheduler, evaluation broker, plans, heartbeats.
