//! Consul: catalog, health, local agents, blocking queries.
