//! The engine: queue, clock, timers, network, disks, faults, digest.
