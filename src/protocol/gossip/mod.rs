//! memberlist (SWIM with Lifeguard) and Serf.
