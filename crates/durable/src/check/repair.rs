//! Cutting off torn tails, after a copy.

use aof::{BootId, HEADER_LEN, Lsn, SegmentName, Summary};

use crate::check::{fault, scan_generation};
use crate::disk::{Attempt, Disk, DiskError, ensure_dir, list_sorted, read_full_at, write_all_at};
use crate::generation::{Begin, BeginState};
use crate::layout::{self, QUARANTINE};
use crate::log::{self, SPARED_BYTES};
use crate::recover::survey::Survey;
use crate::refusal::Refusal;
use crate::store::Places;
use stdx::ShardId;

/// A tail that was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// Whose log.
    pub shard: ShardId,
    /// Where it ends now.
    pub end: Lsn,
    /// Bytes behind it that were not zeros.
    pub bytes: u64,
    /// Records among them that were whole; none of them was promised.
    pub records: u64,
    /// Where the files are as they were.
    pub copies: Vec<String>,
}

/// Cuts torn tails off the logs of the newest generation. The directory's lock is held. Anything but a torn tail is refused, and then
/// nothing was changed: no tool can tell what was there.
pub fn repair(places: &Places, boot: BootId) -> Result<Vec<Repaired>, Refusal> {
    let disk = places.disk();
    let survey = Survey::of(places)?;
    let Some(head) = survey.head() else { return Ok(Vec::new()) };
    let begin = match &head.begin {
        BeginState::Begun(begin) => begin,
        BeginState::Damaged(what) => {
            return Err(Refusal::BeginDamaged { generation: head.generation, what: what.clone() });
        }
        BeginState::Unreadable(error) => return Err(Refusal::disk(error.copy())),
        BeginState::Unbegun => unreachable!("the head has begun"),
    };
    let logs: Vec<Summary> = scan_generation(disk, &survey, begin)?.into_iter().collect::<Result<_, _>>()?;
    if let Some((_, refusal)) = fault(disk, &survey, begin, &logs, boot)? {
        return Err(refusal);
    }
    let mut repaired = Vec::new();
    for summary in logs.iter().filter(|log| log.damage.is_some()) {
        repaired.push(cut(disk, begin, summary)?);
    }
    Ok(repaired)
}

fn cut(disk: &dyn Disk, begin: &Begin, summary: &Summary) -> Result<Repaired, DiskError> {
    let shard = summary.log.shard;
    let segments = log::segments(disk, begin.generation)?;
    let own: Vec<SegmentName> = segments.into_iter().filter(|name| name.shard == shard).collect();
    // The last that has something before the end is cut, those behind it go: the header of one that begins at the end may be
    // what is damaged.
    let last = own.partition_point(|name| name.base < summary.end).saturating_sub(1);
    let place = place(disk)?;
    let mut copies = Vec::new();
    for name in &own[last..] {
        copies.push(copy(disk, begin, *name, &place)?);
    }
    for name in own[last + 1..].iter().rev() {
        let path = layout::segment(begin.generation, *name);
        disk.remove(&path).trying("remove", &path)?;
    }
    let path = layout::segment(begin.generation, own[last]);
    let file = disk.open_writable(&path).trying("open", &path)?;
    let size = HEADER_LEN as u64 + summary.end.since(own[last].base);
    file.truncate(size + SPARED_BYTES).trying("truncate", &path)?;
    write_all_at(file.as_ref(), size, &[0; SPARED_BYTES as usize]).trying("write", &path)?;
    file.sync().trying("sync", &path)?;
    let directory = layout::generation(begin.generation);
    disk.sync_dir(&directory).trying("sync", &directory)?;
    let (end, bytes, records) = (summary.end, summary.behind.bytes, summary.behind.records);
    Ok(Repaired { shard, end, bytes, records, copies })
}

/// A new directory in quarantine.
fn place(disk: &dyn Disk) -> Result<String, DiskError> {
    ensure_dir(disk, QUARANTINE)?;
    let rounds = list_sorted(disk, QUARANTINE)?;
    let last = rounds.iter().filter_map(|entry| layout::parse_directory(&entry.name)).max().unwrap_or(0);
    let place = format!("{QUARANTINE}/{:010}", last + 1);
    ensure_dir(disk, &place)?;
    Ok(place)
}

fn copy(disk: &dyn Disk, begin: &Begin, name: SegmentName, place: &str) -> Result<String, DiskError> {
    let from_path = layout::segment(begin.generation, name);
    let to_path = format!("{place}/{name}");
    let from = disk.open(&from_path).trying("open", &from_path)?;
    let to = disk.create_new(&to_path).trying("create", &to_path)?;
    let mut buffer = vec![0; COPY_BYTES];
    let mut at = 0;
    loop {
        let got = read_full_at(from.as_ref(), at, &mut buffer).trying("read", &from_path)?;
        if got == 0 {
            break;
        }
        write_all_at(to.as_ref(), at, &buffer[..got]).trying("write", &to_path)?;
        at += got as u64;
    }
    to.sync().trying("sync", &to_path)?;
    disk.sync_dir(place).trying("sync", place)?;
    Ok(to_path)
}

const COPY_BYTES: usize = 1 << 20;
