//! Disk types: how long a synced write takes.
//!
//! Sources: gp2 and gp3 from `fio` with `fdatasync` after each 2300-byte write on an m6i.xlarge (minimum, mean and
//! standard deviation as published with the etcd/EBS comparison on besthub.dev). The rest are planning defaults of this
//! project, not measured.

use crate::base::time::Duration;
use crate::world::spec::DiskSpec;

/// A disk type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Disk {
    /// Its name in `disk:`.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// How it behaves.
    pub spec: DiskSpec,
}

/// A disk type by name.
pub fn find(name: &str) -> Option<&'static Disk> {
    DISKS.iter().find(|disk| disk.name == name)
}

/// All disk types.
pub static DISKS: [Disk; 5] = [
    Disk { name: "gp3", about: "EBS gp3, 3000 IOPS: mean 0.70 ms", spec: micros(327, 373, 240) },
    Disk { name: "gp2", about: "EBS gp2, 900 IOPS: mean 1.42 ms", spec: micros(476, 947, 728) },
    Disk { name: "nvme", about: "local NVMe with power-loss protection: mean 60 us", spec: micros(20, 40, 45) },
    Disk { name: "hdd", about: "7200 rpm disk: mean 12 ms", spec: micros(4_000, 8_000, 6_000) },
    Disk { name: "ideal", about: "10 us, always", spec: micros(10, 0, 0) },
];

const fn micros(shift: u64, mean: u64, deviation: u64) -> DiskSpec {
    DiskSpec {
        shift: Duration::from_micros(shift),
        mean: Duration::from_micros(mean),
        deviation: Duration::from_micros(deviation),
    }
}
