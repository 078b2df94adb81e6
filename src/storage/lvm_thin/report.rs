//! Parses the report of `lvs`: one call for all volumes, as JSON (`docs/spec/r4-storage.md` §7).

use serde::Deserialize;

use super::command::Lvm;
use crate::storage::StorageError;

const FIELDS: &str = "vg_name,pool_lv,lv_name,lv_size,data_percent,lv_attr,origin,\
     metadata_percent,lv_metadata_size,lv_tags";

/// A logical volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogicalVolume {
    /// The volume group.
    pub group: String,
    /// The thin pool that it is in; empty for others, including the thin pool itself.
    pub pool: String,
    /// The name within the group.
    pub name: String,
    /// The size in bytes.
    pub size: u64,
    /// The filled part, in hundredths of a percent.
    pub filled: u64,
    /// The current name of the logical volume that it is a snapshot of; empty if there is none or
    /// it does not exist any more.
    pub origin: String,
    /// The LVM tags.
    pub tags: Vec<String>,
    /// For a thin pool: the size of its metadata in bytes and the filled part in hundredths of a
    /// percent.
    pub metadata: Option<(u64, u64)>,
    /// Whether it is a thin pool.
    pub is_pool: bool,
    /// Whether its device exists.
    pub is_active: bool,
    /// Whether its device is open.
    pub is_open: bool,
}

impl LogicalVolume {
    /// Returns the allocated space in bytes.
    pub fn used(&self) -> u64 {
        fraction(self.size, self.filled)
    }
}

/// Returns `hundredths` of a percent of `size`.
pub fn fraction(size: u64, hundredths: u64) -> u64 {
    u64::try_from(u128::from(size) * u128::from(hundredths) / 10_000).unwrap_or(u64::MAX)
}

/// The logical volumes of one volume group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report(Vec<LogicalVolume>);

impl Report {
    /// Runs `lvs`.
    pub fn query(lvm: &Lvm, group: &str) -> Result<Report, StorageError> {
        let arguments = [
            "lvs",
            "--reportformat=json",
            "--units=b",
            "--nosuffix",
            "-a",
            "-o",
            FIELDS,
            group,
        ];
        Report::parse(&lvm.run(&arguments)?)
    }

    /// Parses the JSON output of `lvs`.
    pub(super) fn parse(json: &[u8]) -> Result<Report, StorageError> {
        let unreadable = |e| StorageError::Refused(format!("cannot parse the output of lvs: {e}"));
        let answer: LvsOutput = serde_json::from_slice(json).map_err(unreadable)?;
        Ok(Report(
            answer
                .report
                .into_iter()
                .flat_map(|part| part.lv)
                .map(LogicalVolume::from)
                .collect(),
        ))
    }

    /// Returns the logical volume `name`.
    pub fn get(&self, name: &str) -> Option<&LogicalVolume> {
        self.0.iter().find(|lv| lv.name == name)
    }

    /// Iterates over the logical volumes.
    pub fn iter(&self) -> impl Iterator<Item = &LogicalVolume> {
        self.0.iter()
    }
}

#[derive(Deserialize)]
struct LvsOutput {
    report: Vec<LvsSection>,
}

#[derive(Deserialize)]
struct LvsSection {
    #[serde(default)]
    lv: Vec<LvsRow>,
}

#[derive(Deserialize)]
struct LvsRow {
    vg_name: String,
    pool_lv: String,
    lv_name: String,
    lv_size: String,
    data_percent: String,
    lv_attr: String,
    origin: String,
    metadata_percent: String,
    lv_metadata_size: String,
    #[serde(default)]
    lv_tags: String,
}

impl From<LvsRow> for LogicalVolume {
    fn from(row: LvsRow) -> LogicalVolume {
        let attribute = |at: usize| row.lv_attr.as_bytes().get(at).copied().unwrap_or(b'-');
        let is_pool = attribute(0) == b't';
        LogicalVolume {
            is_pool,
            is_active: attribute(4) == b'a',
            is_open: attribute(5) == b'o',
            size: bytes(&row.lv_size),
            filled: hundredths(&row.data_percent),
            metadata: is_pool.then(|| {
                (
                    bytes(&row.lv_metadata_size),
                    hundredths(&row.metadata_percent),
                )
            }),
            group: row.vg_name,
            pool: row.pool_lv,
            // With -a, internal volumes are in brackets.
            name: row.lv_name.trim_matches(['[', ']']).to_string(),
            origin: row.origin,
            tags: row
                .lv_tags
                .split(',')
                .filter(|tag| !tag.is_empty())
                .map(str::to_string)
                .collect(),
        }
    }
}

fn bytes(text: &str) -> u64 {
    text.trim_end_matches('B').parse().unwrap_or(0)
}

/// Parses `12.34` as 1234, and an empty text as 0.
fn hundredths(percent: &str) -> u64 {
    let (whole, rest) = percent.split_once('.').unwrap_or((percent, ""));
    let rest: String = rest.chars().chain("00".chars()).take(2).collect();
    whole.parse::<u64>().unwrap_or(0) * 100 + rest.parse::<u64>().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_origins_and_states_are_parsed() {
        let json = br#"{"report":[{"lv":[
            {"vg_name":"q","pool_lv":"","lv_name":"pool00","lv_size":"1073741824",
             "data_percent":"1.56","lv_attr":"twi-aotz--","origin":"",
             "metadata_percent":"10.94","lv_metadata_size":"4194304"},
            {"vg_name":"q","pool_lv":"pool00","lv_name":"vm-work-private-snap","lv_size":"67108864",
             "data_percent":"25.00","lv_attr":"Vwi-aotz--","origin":"vm-work-private",
             "metadata_percent":"","lv_metadata_size":""},
            {"vg_name":"q","pool_lv":"","lv_name":"[lvol0_pmspare]","lv_size":"4194304",
             "data_percent":"","lv_attr":"ewi-------",
             "origin":"","metadata_percent":"","lv_metadata_size":""}]}]}"#;
        let report = Report::parse(json).unwrap();
        let pool = report.get("pool00").unwrap();
        assert_eq!(
            (pool.is_pool, pool.used(), pool.metadata),
            (true, 16_750_372, Some((4_194_304, 1094)))
        );
        let snap = report.get("vm-work-private-snap").unwrap();
        assert_eq!(
            (snap.used(), snap.origin.as_str(), snap.is_open),
            (16_777_216, "vm-work-private", true)
        );
        assert!(!report.get("lvol0_pmspare").unwrap().is_active);
        assert!(
            Report::parse(b"Volume group not found")
                .unwrap_err()
                .to_string()
                .starts_with("cannot parse the output of lvs")
        );
    }
}
