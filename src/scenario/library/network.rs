//! Network presets: delays by distance class.
//!
//! Sources. Between AWS regions: median TCP round trip of each pair (cloudping.co, snapshot of 2025-07-17), both
//! directions averaged, halved for one way; jitter is the median over all pairs of ln(p90/p50)/1.2816 = 0.031. Within
//! an
//! AWS zone: 0.107 ms round trip, mean over 19 regions (fantoch `latency_aws/2020_06_05`), and that file's relative
//! deviation in eu-west-1 for the jitter. Between zones: 0.8 ms round trip (five-minute averages of eu-west-1, 2022).
//! Same host, `lan` and `ideal`, and users to balancers (25 ms round trip) are planning defaults of this project, not
//! measured. No preset loses packets.

use crate::base::time::Duration;
use crate::base::units::Ratio;
use crate::world::spec::LinkSpec;

/// A preset: everything but the distance of regions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preset {
    /// Its name in `Preset("…")`.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Between processes of one machine.
    pub same_host: LinkSpec,
    /// Between machines of one zone.
    pub same_zone: LinkSpec,
    /// Between zones of one region.
    pub same_region: LinkSpec,
    /// From users to balancers.
    pub internet: LinkSpec,
    /// Between any two regions; `None` if it depends on which.
    pub between: Option<LinkSpec>,
}

impl Preset {
    /// The distance of two regions; `None` if the preset does not know one of them.
    pub fn between(&self, from: &str, to: &str) -> Option<LinkSpec> {
        if self.between.is_some() {
            return self.between;
        }
        let place = |name: &str| AWS_REGIONS.iter().position(|known| *known == name);
        let (low, high) = match (place(from)?, place(to)?) {
            (a, b) if a < b => (a, b),
            (a, b) => (b, a),
        };
        let tenths = u64::from(*AWS_ROUND_TRIPS.get(high.checked_sub(1)?)?.get(low)?);
        Some(link(tenths * 50, 0.031))
    }
}

/// A preset by name.
pub fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

/// All presets.
pub static PRESETS: [Preset; 3] = [
    Preset {
        name: "aws",
        about: "Amazon's regions as measured from outside and inside",
        same_host: link(25, 0.1),
        same_zone: link(54, 0.3),
        same_region: link(400, 0.2),
        internet: link(12_500, 0.3),
        between: None,
    },
    Preset {
        name: "lan",
        about: "one machine room; regions are 10 ms apart",
        same_host: link(15, 0.1),
        same_zone: link(50, 0.1),
        same_region: link(100, 0.1),
        internet: link(2_500, 0.1),
        between: Some(link(5_000, 0.02)),
    },
    Preset {
        name: "ideal",
        about: "one microsecond everywhere and no jitter, for arguments about protocols alone",
        same_host: link(1, 0.0),
        same_zone: link(1, 0.0),
        same_region: link(1, 0.0),
        internet: link(1, 0.0),
        between: Some(link(1, 0.0)),
    },
];

const fn link(one_way_micros: u64, jitter_sigma: f64) -> LinkSpec {
    LinkSpec { delay: Duration::from_micros(one_way_micros), jitter_sigma, loss: Ratio::ZERO }
}

/// Regions the `aws` preset knows, sorted.
pub static AWS_REGIONS: [&str; 33] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// Median round trips in tenths of a millisecond: row `i` is the distance of region `i + 1` to the regions before it.
#[rustfmt::skip]
static AWS_ROUND_TRIPS: [&[u16]; 32] = [
    &[3503], // ap-east-1
    &[2565, 185], // ap-east-2
    &[3573, 518, 371], // ap-northeast-1
    &[3864, 392, 652, 364], // ap-northeast-2
    &[3739, 468, 353, 100, 253], // ap-northeast-3
    &[2728, 977, 1123, 1338, 1349, 1379], // ap-south-1
    &[2945, 815, 944, 1180, 1186, 1217, 256], // ap-south-2
    &[3154, 374, 512, 708, 741, 770, 641, 491], // ap-southeast-1
    &[4088, 1279, 1539, 1064, 1457, 1205, 1548, 1408, 948], // ap-southeast-2
    &[3400, 535, 680, 866, 896, 931, 805, 641, 184, 1109], // ap-southeast-3
    &[4198, 1397, 1650, 1318, 1562, 1320, 1658, 1503, 1054, 140, 1218], // ap-southeast-4
    &[3288, 442, 571, 763, 793, 827, 706, 546, 91, 1003, 250, 1110], // ap-southeast-5
    &[3486, 645, 783, 991, 999, 1032, 916, 754, 299, 1222, 461, 1320, 252], // ap-southeast-7
    &[2242, 1997, 1825, 1472, 1763, 1525, 1920, 2095, 2150, 1982, 2321, 2096, 2222, 2434], // ca-central-1
    &[2924, 1630, 1456, 1132, 1401, 1176, 2425, 2260, 1778, 1592, 1944, 1706, 1846, 2056, 498], // ca-west-1
    &[1553, 1935, 2080, 2273, 2312, 2341, 1291, 1469, 1608, 2515, 1769, 2632, 1668, 1888, 930, 1617], // eu-central-1
    &[1523, 1882, 2040, 2219, 2247, 2287, 1158, 1331, 1553, 2463, 1719, 2575, 1611, 1833, 941, 1626, 96], // eu-central-2
    &[1742, 2131, 2270, 2469, 2502, 2534, 1487, 1658, 1806, 2714, 1967, 2827, 1864, 2081, 1056, 1737, 230, 282], // eu-north-1
    &[1904, 1842, 2009, 2180, 2218, 2249, 1104, 1288, 1515, 2424, 1678, 2539, 1573, 1793, 1020, 1704, 126, 76, 317], // eu-south-1
    &[1363, 1980, 2035, 2343, 2394, 2410, 1209, 1417, 1648, 2708, 1840, 2832, 1732, 1940, 1107, 1793, 351, 324, 550, 273], // eu-south-2
    &[1594, 2425, 2355, 2024, 2329, 2086, 1256, 1433, 1788, 2557, 1977, 2669, 1881, 2090, 692, 1371, 272, 281, 403, 361, 313], // eu-west-1
    &[1500, 2037, 2453, 2130, 2435, 2191, 1173, 1351, 1697, 2662, 1892, 2778, 1792, 2001, 793, 1477, 177, 197, 313, 274, 360, 138], // eu-west-2
    &[1456, 1999, 1964, 2195, 2496, 2254, 1091, 1264, 1671, 2803, 1843, 2910, 1743, 1956, 858, 1544, 124, 120, 319, 211, 219, 201, 113], // eu-west-3
    &[2311, 2405, 2572, 2749, 2778, 2816, 1459, 1624, 2075, 2993, 2245, 3106, 2138, 2357, 1406, 2091, 684, 460, 881, 495, 629, 743, 660, 542], // il-central-1
    &[2848, 1255, 1399, 1697, 1643, 1643, 306, 479, 906, 1812, 1065, 1921, 955, 1172, 1968, 2695, 1161, 1105, 1359, 1069, 1217, 1307, 1226, 1149, 1471], // me-central-1
    &[2489, 1313, 1462, 1757, 1678, 1711, 385, 563, 985, 1892, 1152, 2004, 1042, 1247, 1627, 2564, 864, 914, 1054, 1138, 910, 982, 890, 869, 1156, 156], // me-south-1
    &[2822, 2153, 1996, 1680, 1960, 1724, 2472, 2751, 2424, 2136, 2594, 2248, 2505, 2719, 722, 780, 1491, 1486, 1684, 1585, 1652, 1257, 1337, 1403, 1957, 2522, 2177], // mx-central-1
    &[3381, 3123, 2917, 2586, 2895, 2649, 3014, 3184, 3277, 3122, 3451, 3236, 3346, 3563, 1257, 1936, 2045, 2034, 2232, 2134, 2199, 1784, 1871, 1958, 2501, 3062, 2734, 1704], // sa-east-1
    &[2269, 1986, 1808, 1496, 1797, 1550, 1911, 2068, 2193, 1997, 2357, 2099, 2254, 2472, 165, 515, 929, 919, 1125, 1017, 1077, 697, 777, 841, 1373, 1944, 1618, 584, 1153], // us-east-1
    &[2378, 1867, 1691, 1360, 1663, 1436, 2023, 2175, 2040, 1883, 2212, 1983, 2135, 2328, 274, 411, 1037, 1029, 1233, 1125, 1186, 805, 885, 949, 1462, 2051, 1722, 517, 1257, 158], // us-east-2
    &[2870, 1553, 1423, 1085, 1337, 1098, 2318, 2181, 1701, 1392, 1868, 1501, 1764, 1976, 799, 410, 1531, 1525, 1727, 1620, 1694, 1300, 1479, 1444, 1992, 2557, 2216, 748, 1750, 641, 528], // us-west-1
    &[2741, 1453, 1318, 984, 1237, 998, 2222, 2076, 1606, 1411, 1754, 1517, 1659, 1882, 607, 216, 1426, 1434, 1551, 1516, 1590, 1184, 1289, 1355, 1859, 2572, 2389, 918, 1749, 642, 508, 218], // us-west-2
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_half_the_round_trip_and_symmetric() {
        let aws = find("aws").unwrap();
        let near = aws.between("us-east-1", "us-east-2").unwrap().delay;
        assert!(Duration::from_micros(7_000) < near && near < Duration::from_micros(8_000), "{near}");
        assert_eq!(aws.between("us-east-2", "us-east-1").unwrap().delay, near);
        assert_eq!(aws.between("us-east-1", "us-east-1"), None);
        assert_eq!(aws.between("us-east-1", "atlantis-1"), None);
        assert!(find("lan").unwrap().between("x", "y").is_some());
    }
}
