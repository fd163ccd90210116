//! Recordings of catalog.
