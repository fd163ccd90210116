//! Runs and ensembles.
