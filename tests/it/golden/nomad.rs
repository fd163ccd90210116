//! Recordings of nomad.
