//! Where the logs of a generation end after a crash; or why that cannot be told, and nothing may be served.
//!
//! Every log ends at the latest before its first place without a valid record. If anything proves that more had been synced,
//! that is damage and not a torn tail: [`EndsError`]. Otherwise:
//!
//! | | the logs end |
//! |---|---|
//! | a time was asked for | at the newest cut, not after it, that all logs have |
//! | the kernel was not started anew: what was written is there, synced or not | at their last valid records, with nothing behind |
//! | all logs have an end record | there |
//! | there is one log: each prefix of it is a state that was | at its last valid record |
//! | power was lost | at the newest cut that all have, or behind it at their last record under `always` |
//!
//! The last row leans on this: policies change to `always` and from it in all logs at the same cut, under its locks, and that cut
//! is synced in all of them before the first record behind it. So a record under `always` depends on nothing in another log that
//! is not synced there.

use stdx::{ShardId, UnixMs};

use crate::ids::{BootId, Lsn};
use crate::scan::{Cut, Damage, Summary};

/// What is known from elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The kernel's boot that is now.
    pub boot: BootId,
    /// The number of the cut at which reading began, 0 for the beginning of the generation.
    pub start_cut: u64,
    /// By shard: everything before this position was synced, say other files (a set's manifest, the next generation).
    /// Shards behind its end are known nothing about.
    pub must: &'a [Lsn],
    /// Recover the state of this time at the latest; the summaries were made with the same
    /// ([`crate::Scanner::cuts_until`]).
    pub until: Option<UnixMs>,
}

/// Where the logs end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// By which rule.
    pub rule: Rule,
    /// The cut at which they end, or beyond which they do, where a cut decides; `None` where none does, or there is none after
    /// the start.
    pub cut: Option<u64>,
    /// By shard.
    pub logs: Vec<End>,
}

/// By which rule logs end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// At the newest cut that is not after the time that was asked for.
    Time,
    /// The kernel runs on: all records count.
    SameBoot,
    /// An orderly shutdown: all records count.
    Orderly,
    /// One log: all records before the tail count.
    Alone,
    /// Power was lost.
    PowerLoss,
}

/// Where one log ends, and what that leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Its shard.
    pub shard: ShardId,
    /// The end of its last record that counts.
    pub end: Lsn,
    /// Records that count, from where reading began.
    pub records: u64,
    /// What lies behind it, if anything does.
    pub dropped: Option<Dropped>,
}

/// What lies behind the end of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Valid records, those behind damage included.
    pub records: u64,
    /// Bytes, up to the last valid record, and those behind it that are not zero.
    pub bytes: u64,
    /// The time of the last cut, or of the start of the log, that counts: it was written after this.
    pub since: Option<UnixMs>,
    /// The time of the log's last cut, if that does not count: something of it was written after this even.
    pub last_cut: Option<UnixMs>,
    /// Why the log could not be read further, if that is so.
    pub damage: Option<Damage>,
}

/// Why the logs cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndsError {
    /// There are not as many logs as shards, each once, all of one generation.
    #[error("logs of {want} shards are needed; missing or double or of another generation: that of shard {}", .shard.0)]
    Incomplete {
        /// How many there should be.
        want: u16,
        /// The first that is not there.
        shard: ShardId,
    },
    /// Logs of one generation were written in different boots.
    #[error("the log of shard {} was written in another boot than those before it", .shard.0)]
    Boots {
        /// Whose.
        shard: ShardId,
    },
    /// More was synced than is there.
    #[error(
        "the log of shard {} is damaged at {end}, and it had been synced up to {must}{}",
        .shard.0,
        .damage.map_or(String::new(), |damage| format!(": {damage}"))
    )]
    Damaged {
        /// Whose.
        shard: ShardId,
        /// The end of its last valid record.
        end: Lsn,
        /// What should be there.
        must: Lsn,
        /// What is there instead; `None` for the end of the file, or zeros.
        damage: Option<Damage>,
    },
    /// The kernel that took the records has not been started anew, and some are gone from among them: no crash does that.
    #[error("the log of shard {} is damaged at {end}, with {records} records behind it, and the machine has not been restarted since: {damage}", .shard.0)]
    Hole {
        /// Whose.
        shard: ShardId,
        /// The end of its last valid record before the hole.
        end: Lsn,
        /// Valid records behind it.
        records: u64,
        /// What is there.
        damage: Damage,
    },
    /// A cut was synced in all logs, says one of them, and another does not have it.
    #[error("the log of shard {} ends at {end}, and cut {cut} had been synced in it, as the log of shard {} says", .shard.0, .says.0)]
    CutMissing {
        /// Whose.
        shard: ShardId,
        /// The end of its last valid record.
        end: Lsn,
        /// The cut.
        cut: u64,
        /// Who says so.
        says: ShardId,
    },
    /// The newest cut that all have may be among those that a summary has not kept: scan again, all logs, with
    /// [`crate::Scanner::cuts_up_to`].
    #[error("cuts up to {up_to} are needed")]
    Forgotten {
        /// With this.
        up_to: u64,
    },
}

/// Where these logs end. `logs`: of all shards of a generation, in their order.
pub fn ends(logs: &[Summary], known: &Known<'_>) -> Result<Ends, EndsError> {
    is_complete(logs)?;
    let boot = one_boot(logs)?;
    logs.iter().enumerate().try_for_each(|(index, log)| is_whole(log, known.must.get(index)))?;
    has_durable_cut(logs, known.start_cut)?;
    if boot == Some(known.boot) {
        logs.iter().try_for_each(has_no_hole)?;
    }
    let is_orderly =
        logs.iter().all(|log| log.orderly.is_some_and(|at| known.until.is_none_or(|to| at <= to)));
    let rule = match known.until {
        _ if is_orderly => Rule::Orderly,
        Some(_) => Rule::Time,
        None if boot == Some(known.boot) => Rule::SameBoot,
        None if logs.len() == 1 => Rule::Alone,
        None => Rule::PowerLoss,
    };
    let cut = match rule {
        Rule::Time | Rule::PowerLoss => common_cut(logs)?,
        Rule::SameBoot | Rule::Orderly | Rule::Alone => None,
    };
    let logs = logs.iter().map(|log| end(log, rule, cut)).collect();
    Ok(Ends { rule, cut, logs })
}

fn is_complete(logs: &[Summary]) -> Result<(), EndsError> {
    let want = logs.first().map_or(1, |log| log.log.shards);
    let shard = |index: usize| ShardId(index as u16);
    let is_wrong = |(index, log): (usize, &Summary)| {
        log.log != crate::LogId { shard: shard(index), ..logs[0].log } || index >= usize::from(want)
    };
    match logs.iter().enumerate().position(is_wrong) {
        Some(index) => Err(EndsError::Incomplete { want, shard: shard(index) }),
        None if logs.len() < usize::from(want) => {
            Err(EndsError::Incomplete { want, shard: shard(logs.len()) })
        }
        None => Ok(()),
    }
}

fn one_boot(logs: &[Summary]) -> Result<Option<BootId>, EndsError> {
    let mut boot = None;
    for log in logs {
        match (boot, log.boot) {
            (Some(boot), Some(other)) if boot != other => {
                return Err(EndsError::Boots { shard: log.log.shard });
            }
            (None, found) => boot = found,
            _ => {}
        }
    }
    Ok(boot)
}

/// Whether all is there that was synced.
fn is_whole(log: &Summary, must: Option<&Lsn>) -> Result<(), EndsError> {
    let must = log.must.max(must.copied().unwrap_or_default());
    if must <= log.end {
        return Ok(());
    }
    Err(EndsError::Damaged { shard: log.log.shard, end: log.end, must, damage: log.damage })
}

/// Whether nothing stands behind the first place without a record: a process that is killed leaves its last record torn, and
/// nothing else. A segment has its header before it has its name.
fn has_no_hole(log: &Summary) -> Result<(), EndsError> {
    match log.damage {
        Some(damage)
            if log.behind.records > 0 || matches!(damage, Damage::Gap { .. } | Damage::Header(_)) =>
        {
            let (shard, records) = (log.log.shard, log.behind.records);
            Err(EndsError::Hole { shard, end: log.end, records, damage })
        }
        _ => Ok(()),
    }
}

/// Whether every log has the newest cut that any of them says all have.
fn has_durable_cut(logs: &[Summary], start_cut: u64) -> Result<(), EndsError> {
    let Some(witness) = logs.iter().max_by_key(|log| log.durable_cut) else { return Ok(()) };
    let cut = witness.durable_cut;
    let lacks = |log: &&Summary| log.cuts.newest().map_or(start_cut, |newest| newest.number) < cut;
    match logs.iter().find(lacks) {
        None => Ok(()),
        Some(log) => {
            let (shard, says) = (log.log.shard, witness.log.shard);
            Err(EndsError::CutMissing { shard, end: log.end, cut, says })
        }
    }
}

/// The newest cut that all logs have, among those that are wanted.
fn common_cut(logs: &[Summary]) -> Result<Option<u64>, EndsError> {
    let Some((first, others)) = logs.split_first() else { return Ok(None) };
    let is_common = |cut: &&Cut| others.iter().all(|log| log.cuts.get(cut.number).is_some());
    if let Some(cut) = first.cuts.iter().rev().find(is_common) {
        return Ok(Some(cut.number));
    }
    if !logs.iter().any(|log| log.cuts.has_forgotten()) {
        return Ok(None);
    }
    let newest = |log: &Summary| log.cuts.iter().next_back().map(|cut| cut.number);
    // A log without any cut that is wanted has none in common with the others.
    let up_to = logs.iter().map(newest).min().flatten();
    up_to.map_or(Ok(None), |up_to| Err(EndsError::Forgotten { up_to }))
}

fn end(log: &Summary, rule: Rule, cut: Option<u64>) -> End {
    let cut = cut.and_then(|number| log.cuts.get(number));
    let at_cut = cut.map_or((log.start, 0), |cut| (cut.end, cut.records));
    let (end, records) = match rule {
        Rule::SameBoot | Rule::Orderly | Rule::Alone => (log.end, log.records),
        Rule::Time => at_cut,
        Rule::PowerLoss => log.always.map_or(at_cut, |always| always.max(at_cut)),
    };
    let shard = log.log.shard;
    End { shard, end, records, dropped: dropped(log, end, records) }
}

fn dropped(log: &Summary, end: Lsn, records: u64) -> Option<Dropped> {
    let records = log.records - records + log.behind.records;
    let bytes = log.end.since(end) + log.behind.bytes;
    if bytes == 0 && log.damage.is_none() {
        return None;
    }
    let since = log.cuts.iter().rev().find(|cut| cut.end <= end).map(|cut| cut.at).or(log.created);
    let last_cut = log.cuts.newest().filter(|cut| cut.end > end).map(|cut| cut.at);
    Some(Dropped { records, bytes, since, last_cut, damage: log.damage })
}

#[cfg(test)]
mod tests;
