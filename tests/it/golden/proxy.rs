//! Recordings of proxy.
