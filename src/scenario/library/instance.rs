//! Machine types: cores, clock as Nomad counts it, memory, bandwidth, price.
//!
//! Sources: vCPU, memory and architecture of EC2 types from the Kubernetes cluster autoscaler's tables (2026-01),
//! baseline
//! bandwidth and the on-demand price of Linux in us-east-1 from Karpenter's tables (2026-07-20), megahertz per core
//! from
//! the table Nomad 1.6.1 carried for EC2. Types that Nomad had no clock rate for are left out.

use crate::base::units::{Mebibytes, MegaHertz, MegabitsPerSecond};

/// Processor architecture, as Nomad's `cpu.arch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

impl Arch {
    /// As Nomad writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

/// A machine type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceType {
    /// As `m5.large`.
    pub name: std::borrow::Cow<'static, str>,
    /// Cores (vCPUs).
    pub cores: u16,
    /// Clock of one core.
    pub clock: MegaHertz,
    /// Memory on the label.
    pub memory: Mebibytes,
    /// Memory the operating system sees.
    pub usable: Mebibytes,
    /// Baseline bandwidth.
    pub bandwidth: MegabitsPerSecond,
    /// Architecture.
    pub arch: Arch,
    /// US dollars per million hours, on demand; `None` for types of the scenario's own.
    pub price_per_million_hours: Option<u64>,
}

impl InstanceType {
    const fn aws(
        name: &'static str,
        cores: u16,
        clock: u64,
        memory: u64,
        bandwidth: u64,
        arch: Arch,
        price: u64,
    ) -> Self {
        Self {
            name: std::borrow::Cow::Borrowed(name),
            cores,
            clock: MegaHertz(clock),
            memory: Mebibytes(memory),
            usable: Mebibytes(memory * (1_000 - OVERHEAD_PER_MILLE) / 1_000),
            bandwidth: MegabitsPerSecond(bandwidth),
            arch,
            price_per_million_hours: Some(price),
        }
    }

    /// Cores times clock: what Nomad offers.
    pub fn cpu(&self) -> MegaHertz {
        self.clock * u64::from(self.cores)
    }
}

/// A built-in type.
pub fn find(name: &str) -> Option<&'static InstanceType> {
    TYPES.iter().find(|kind| kind.name == name)
}

/// Memory that kernel and hypervisor keep from what is on the label: 7.5 %, the share Karpenter assumes
/// (`vm-memory-overhead-percent`).
const OVERHEAD_PER_MILLE: u64 = 75;

/// Built-in types.
#[rustfmt::skip]
pub static TYPES: &[InstanceType] = &[
    InstanceType::aws("t3.micro", 2, 2500, 1024, 64, Arch::Amd64, 10_400),
    InstanceType::aws("t3.small", 2, 2500, 2048, 128, Arch::Amd64, 20_800),
    InstanceType::aws("t3.medium", 2, 2500, 4096, 256, Arch::Amd64, 41_600),
    InstanceType::aws("t3.large", 2, 2500, 8192, 512, Arch::Amd64, 83_200),
    InstanceType::aws("t3.xlarge", 4, 2500, 16_384, 1024, Arch::Amd64, 166_400),
    InstanceType::aws("t3.2xlarge", 8, 2500, 32_768, 2048, Arch::Amd64, 332_800),
    InstanceType::aws("t3a.micro", 2, 2200, 1024, 64, Arch::Amd64, 9400),
    InstanceType::aws("t3a.small", 2, 2200, 2048, 128, Arch::Amd64, 18_800),
    InstanceType::aws("t3a.medium", 2, 2200, 4096, 256, Arch::Amd64, 37_600),
    InstanceType::aws("t3a.large", 2, 2200, 8192, 512, Arch::Amd64, 75_200),
    InstanceType::aws("t3a.xlarge", 4, 2200, 16_384, 1024, Arch::Amd64, 150_400),
    InstanceType::aws("t3a.2xlarge", 8, 2200, 32_768, 2048, Arch::Amd64, 300_800),
    InstanceType::aws("m5.large", 2, 3100, 8192, 750, Arch::Amd64, 96_000),
    InstanceType::aws("m5.xlarge", 4, 3100, 16_384, 1250, Arch::Amd64, 192_000),
    InstanceType::aws("m5.2xlarge", 8, 3100, 32_768, 2500, Arch::Amd64, 384_000),
    InstanceType::aws("m5.4xlarge", 16, 3100, 65_536, 5000, Arch::Amd64, 768_000),
    InstanceType::aws("m5.8xlarge", 32, 3100, 131_072, 10_000, Arch::Amd64, 1_536_000),
    InstanceType::aws("m5.12xlarge", 48, 3100, 196_608, 12_000, Arch::Amd64, 2_304_000),
    InstanceType::aws("m6i.large", 2, 3500, 8192, 781, Arch::Amd64, 96_000),
    InstanceType::aws("m6i.xlarge", 4, 3500, 16_384, 1562, Arch::Amd64, 192_000),
    InstanceType::aws("m6i.2xlarge", 8, 3500, 32_768, 3125, Arch::Amd64, 384_000),
    InstanceType::aws("m6i.4xlarge", 16, 3500, 65_536, 6250, Arch::Amd64, 768_000),
    InstanceType::aws("m6i.8xlarge", 32, 3500, 131_072, 12_500, Arch::Amd64, 1_536_000),
    InstanceType::aws("m6i.12xlarge", 48, 3500, 196_608, 18_750, Arch::Amd64, 2_304_000),
    InstanceType::aws("m6g.medium", 1, 2500, 4096, 500, Arch::Arm64, 38_500),
    InstanceType::aws("m6g.large", 2, 2500, 8192, 750, Arch::Arm64, 77_000),
    InstanceType::aws("m6g.xlarge", 4, 2500, 16_384, 1250, Arch::Arm64, 154_000),
    InstanceType::aws("m6g.2xlarge", 8, 2500, 32_768, 2500, Arch::Arm64, 308_000),
    InstanceType::aws("m6g.4xlarge", 16, 2500, 65_536, 5000, Arch::Arm64, 616_000),
    InstanceType::aws("m6g.8xlarge", 32, 2500, 131_072, 12_000, Arch::Arm64, 1_232_000),
    InstanceType::aws("m6g.12xlarge", 48, 2500, 196_608, 20_000, Arch::Arm64, 1_848_000),
    InstanceType::aws("m7g.medium", 1, 2600, 4096, 520, Arch::Arm64, 40_800),
    InstanceType::aws("m7g.large", 2, 2600, 8192, 937, Arch::Arm64, 81_600),
    InstanceType::aws("m7g.xlarge", 4, 2600, 16_384, 1876, Arch::Arm64, 163_200),
    InstanceType::aws("m7g.2xlarge", 8, 2600, 32_768, 3750, Arch::Arm64, 326_400),
    InstanceType::aws("m7g.4xlarge", 16, 2600, 65_536, 7500, Arch::Arm64, 652_800),
    InstanceType::aws("m7g.8xlarge", 32, 2600, 131_072, 15_000, Arch::Arm64, 1_305_600),
    InstanceType::aws("m7g.12xlarge", 48, 2600, 196_608, 22_500, Arch::Arm64, 1_958_400),
    InstanceType::aws("c5.large", 2, 3400, 4096, 750, Arch::Amd64, 85_000),
    InstanceType::aws("c5.xlarge", 4, 3400, 8192, 1250, Arch::Amd64, 170_000),
    InstanceType::aws("c5.2xlarge", 8, 3400, 16_384, 2500, Arch::Amd64, 340_000),
    InstanceType::aws("c5.4xlarge", 16, 3400, 32_768, 5000, Arch::Amd64, 680_000),
    InstanceType::aws("c5.12xlarge", 48, 3600, 98_304, 12_000, Arch::Amd64, 2_040_000),
    InstanceType::aws("c6i.large", 2, 3500, 4096, 781, Arch::Amd64, 85_000),
    InstanceType::aws("c6i.xlarge", 4, 3500, 8192, 1562, Arch::Amd64, 170_000),
    InstanceType::aws("c6i.2xlarge", 8, 3500, 16_384, 3125, Arch::Amd64, 340_000),
    InstanceType::aws("c6i.4xlarge", 16, 3500, 32_768, 6250, Arch::Amd64, 680_000),
    InstanceType::aws("c6i.8xlarge", 32, 3500, 65_536, 12_500, Arch::Amd64, 1_360_000),
    InstanceType::aws("c6i.12xlarge", 48, 3500, 98_304, 18_750, Arch::Amd64, 2_040_000),
    InstanceType::aws("c7g.medium", 1, 2600, 2048, 520, Arch::Arm64, 36_300),
    InstanceType::aws("c7g.large", 2, 2600, 4096, 937, Arch::Arm64, 72_500),
    InstanceType::aws("c7g.xlarge", 4, 2600, 8192, 1876, Arch::Arm64, 145_000),
    InstanceType::aws("c7g.2xlarge", 8, 2600, 16_384, 3750, Arch::Arm64, 290_000),
    InstanceType::aws("c7g.4xlarge", 16, 2600, 32_768, 7500, Arch::Arm64, 580_000),
    InstanceType::aws("c7g.8xlarge", 32, 2600, 65_536, 15_000, Arch::Arm64, 1_160_000),
    InstanceType::aws("c7g.12xlarge", 48, 2600, 98_304, 22_500, Arch::Arm64, 1_740_000),
    InstanceType::aws("r5.large", 2, 3100, 16_384, 750, Arch::Amd64, 126_000),
    InstanceType::aws("r5.xlarge", 4, 3100, 32_768, 1250, Arch::Amd64, 252_000),
    InstanceType::aws("r5.2xlarge", 8, 3100, 65_536, 2500, Arch::Amd64, 504_000),
    InstanceType::aws("r5.4xlarge", 16, 3100, 131_072, 5000, Arch::Amd64, 1_008_000),
    InstanceType::aws("r5.8xlarge", 32, 3100, 262_144, 10_000, Arch::Amd64, 2_016_000),
    InstanceType::aws("r5.12xlarge", 48, 3100, 393_216, 12_000, Arch::Amd64, 3_024_000),
    InstanceType::aws("r6i.large", 2, 3500, 16_384, 781, Arch::Amd64, 126_000),
    InstanceType::aws("r6i.xlarge", 4, 3500, 32_768, 1562, Arch::Amd64, 252_000),
    InstanceType::aws("r6i.2xlarge", 8, 3500, 65_536, 3125, Arch::Amd64, 504_000),
    InstanceType::aws("r6i.4xlarge", 16, 3500, 131_072, 6250, Arch::Amd64, 1_008_000),
    InstanceType::aws("r6i.8xlarge", 32, 3500, 262_144, 12_500, Arch::Amd64, 2_016_000),
    InstanceType::aws("r6i.12xlarge", 48, 3500, 393_216, 18_750, Arch::Amd64, 3_024_000),
    InstanceType::aws("i3.large", 2, 2300, 15_616, 750, Arch::Amd64, 156_000),
    InstanceType::aws("i3.xlarge", 4, 2300, 31_232, 1250, Arch::Amd64, 312_000),
    InstanceType::aws("i3.2xlarge", 8, 2300, 62_464, 2500, Arch::Amd64, 624_000),
    InstanceType::aws("i3.4xlarge", 16, 2300, 124_928, 5000, Arch::Amd64, 1_248_000),
    InstanceType::aws("i3.8xlarge", 32, 2300, 249_856, 10_000, Arch::Amd64, 2_496_000),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nomad_counts_cores_times_clock() {
        let medium = find("t3.medium").unwrap();
        assert_eq!((medium.cpu(), medium.usable), (MegaHertz(5_000), Mebibytes(3_788)));
        assert_eq!(find("m5.large").unwrap().price_per_million_hours, Some(96_000));
        assert!(find("t9.nano").is_none());
    }

    #[test]
    fn names_are_unique() {
        for (index, kind) in TYPES.iter().enumerate() {
            assert!(TYPES[..index].iter().all(|other| other.name != kind.name), "{}", kind.name);
        }
    }
}
