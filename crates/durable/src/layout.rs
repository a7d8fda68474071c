//! What is where in a data directory. Source: docs/formats/directory.md.

use aof::{Generation, SegmentName};
use stdx::ShardId;

/// The identity.
pub const IDENTITY: &str = "lacewing.id";
/// The file that keeps a second server out.
pub const LOCK: &str = "lock";
/// The log's generations.
pub const LOGS: &str = "log";
/// The log while it is put together from an archive.
pub const LOGS_ASIDE: &str = "log.new";
/// The snapshot sets.
pub const SETS: &str = "snapshots";
/// What could not be read, or belongs to a past that was left.
pub const QUARANTINE: &str = "quarantine";
/// A dataset that comes from a master, until it is a set.
pub const STAGING: &str = "sync";
/// In a generation's directory: how it begins.
pub const BEGIN: &str = "begin";
/// In a generation's directory, when it has ended in order: where its logs end.
pub const END: &str = "end";
/// In a generation's directory: that it is written before it begins.
pub const WAITING: &str = "waiting";
/// In a set's directory: what makes it a set.
pub const MANIFEST: &str = "manifest";

/// In the directory of a set that came from a master: which place of whose stream it is.
pub const ORIGIN: &str = "origin";
/// Beside that, if it came in flows: where each of them goes on.
pub const FLOW_ORIGIN: &str = "origin-flows";
/// In the directory of a set that is elsewhere than in a data directory: that it is in quarantine.
pub const ASIDE_MARK: &str = "aside";

/// Number of a snapshot set, from 1.
pub type SetNumber = u64;

/// A generation's directory.
pub fn generation(number: Generation) -> String {
    format!("{LOGS}/{:010}", number.0)
}

/// A generation's begin.
pub fn begin(number: Generation) -> String {
    format!("{}/{BEGIN}", generation(number))
}

/// Where the logs of a generation end that has ended in order.
pub fn end(number: Generation) -> String {
    format!("{}/{END}", generation(number))
}

/// What says that a generation is written before it begins.
pub fn waiting(number: Generation) -> String {
    format!("{}/{WAITING}", generation(number))
}

/// A segment.
pub fn segment(number: Generation, name: SegmentName) -> String {
    format!("{}/{name}", generation(number))
}

/// A set's directory in the data directory.
pub fn set(number: SetNumber) -> String {
    format!("{SETS}/{}", set_directory(number))
}

/// A set's directory in the place where sets are.
pub fn set_directory(number: SetNumber) -> String {
    format!("{number:010}")
}

/// A set's manifest.
pub fn manifest(number: SetNumber) -> String {
    format!("{}/{MANIFEST}", set(number))
}

/// A shard's file of a set, in the set's directory.
pub fn set_file_name(writer: u64, shard: ShardId, compressed: bool) -> String {
    let zst = if compressed { ".zst" } else { "" };
    format!("{}{:05}.rdb{zst}", set_file_prefix(writer), shard.0)
}

/// What the names of all files of a set begin with.
pub fn set_file_prefix(writer: u64) -> String {
    format!("{writer:016x}-")
}

/// The number of a generation's or a set's directory.
pub fn parse_directory(name: &str) -> Option<u64> {
    parse_number(name, 10)
}

/// Decimal digits, as many as names have, so that a number has one name.
fn parse_number(text: &str, digits: usize) -> Option<u64> {
    let all_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if text.len() == digits && all_digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_to_what_they_were_made_of() {
        let name = SegmentName { shard: ShardId(12), base: aof::Lsn(4096) };
        assert_eq!(segment(Generation(3), name), "log/0000000003/12-00000000000000004096.log");
        assert_eq!(manifest(7), "snapshots/0000000007/manifest");
        assert_eq!(parse_directory("0000000007"), Some(7));
        assert_eq!(set_file_name(0xab, ShardId(1), true), "00000000000000ab-00001.rdb.zst");
    }

    #[test]
    fn other_names_are_nobodys() {
        for name in ["7", "00000000007", "000000000x", "+000000007", ""] {
            assert_eq!(parse_directory(name), None, "{name}");
        }
    }
}
