//! A data directory of Lacewing.

use crate::tools::check::Failure;
use crate::tools::finding::{Finding, Findings, State, Verdict};
use crate::tools::json::Json;
use crate::tools::packed::Packed;
use crate::tools::progress::Progress;
use crate::tools::rdb_part::RdbPart;
use aof::BootId;
use aof::ends::{Dropped, Rule};
use config::ExitCode;
use durable::archive::{self, Looked};
use durable::check::{self, Contents, Kind, Outcome, Repaired, Report, Row, Watch};
use durable::layout::SetNumber;
use durable::recover::Plan;
use durable::store::DirectorySets;
use durable::{Disk, Lock, Places, Refusal, SetStore, Trouble, layout, lock};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::{fs, io};
use stdx::ShardId;
use storage::Directory;

/// Whether a directory is, or was, a data directory of Lacewing. A place of sets may have a log beside them, too: an archive.
pub(super) fn is_one(path: &Path) -> bool {
    let has = |name: &str| path.join(name).exists();
    has(layout::IDENTITY) || has(layout::SETS) || has(layout::LOGS) && !has_sets(path).unwrap_or(false)
}

/// The data directory that `path` is a part of which cannot be looked at by itself: its logs, or what was put into quarantine.
pub(super) fn whole_of(path: &Path) -> Option<PathBuf> {
    let path = path.canonicalize().ok()?;
    let parts = [layout::LOGS, layout::QUARANTINE];
    let part = path.ancestors().find(|part| parts.iter().any(|name| part.ends_with(name)))?;
    let whole = part.parent()?;
    let has = |name: &str| whole.join(name).exists();
    (has(layout::IDENTITY) || has(layout::SETS)).then(|| whole.to_owned())
}

/// Looks at it, and cuts torn tails off before, if that is wanted.
pub(super) fn look(path: &Path, repair: bool) -> Result<Findings, Failure> {
    let directory = Arc::new(Directory::open(path).map_err(|error| Failure::disk(path, &error))?);
    let places = Places::local(Arc::clone(&directory) as Arc<dyn Disk>);
    let boot = BootId(storage::boot_id().map_err(|error| Failure::disk(path, &error))?);
    let (_held, note) = hold(&directory, repair)?;
    let repaired = if repair { check::repair(&places, boot)? } else { Vec::new() };
    let progress = Progress::begin();
    let report = check::check(&places, boot, &mut Shown(&progress))?;
    drop(progress);
    let mut findings = findings(directory.name(), "a data directory", &report);
    findings.remarks.splice(0..0, repaired.iter().map(repaired_line));
    findings.remarks.extend(note);
    if repair {
        findings.more.push(("repaired", Json::List(repaired.iter().map(repaired_json).collect())));
    }
    Ok(findings)
}

/// The number of the set whose directory this is, if it is one's.
pub(super) fn set_number(path: &Path) -> io::Result<Option<SetNumber>> {
    let whole = path.canonicalize()?;
    let number = whole.file_name().and_then(|name| layout::parse_directory(name.to_str()?));
    Ok(number.filter(|_| whole.join(layout::MANIFEST).exists()))
}

/// Whether a directory has sets in it, as one that `snapshot-dir` names.
pub(super) fn has_sets(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        if set_number(&entry?.path())?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Looks at one set, by its directory. Others beside it are not looked at.
pub(super) fn look_at_set(path: &Path, number: SetNumber) -> Result<Findings, Failure> {
    let failed = |error: io::Error| Failure::disk(path, &error);
    let whole = path.canonicalize().map_err(failed)?;
    let sets = whole.parent().expect("a directory with a name is in one");
    let disk = Arc::new(Directory::open(sets).map_err(failed)?);
    let mut findings = look_in(Arc::new(DirectorySets::one(disk, number)))?;
    (findings.path, findings.kind) = (path.display().to_string(), "a snapshot set");
    Ok(findings)
}

/// Looks at the snapshot sets in a place as `snapshot-dir` names it.
pub(super) fn look_elsewhere(place: &str) -> Result<Findings, Failure> {
    let store = storage::open_sets(place, None, || {});
    look_in(store.map_err(|error| Failure::new(error.to_string(), ExitCode::Config))?)
}

fn look_in(store: Arc<dyn SetStore>) -> Result<Findings, Failure> {
    let name = store.name();
    let boot = storage::boot_id().map_err(|error| Failure::disk(Path::new(&name), &error))?;
    let progress = Progress::begin();
    let places = Places::without_directory(store);
    let report = check::check(&places, BootId(boot), &mut Shown(&progress))?;
    let archive = archive::look(&places).map_err(Refusal::disk)?;
    drop(progress);
    let mut findings = findings(name, "snapshot sets", &report);
    if findings.code == 0 && archive.iter().any(|one| one.fault.is_some()) {
        findings.code = ExitCode::LogDamaged.code() as u8;
    }
    findings.rows.extend(archive.into_iter().map(archived));
    Ok(findings)
}

/// A generation in an archive.
fn archived(one: Looked) -> Finding {
    let verdict = match one.fault {
        None => Verdict::whole(),
        Some(what) => Verdict::damaged(what, ExitCode::LogDamaged.code() as u8),
    };
    Finding {
        what: one.place,
        time: one.until,
        count: Some((one.records, "records")),
        bytes: one.bytes,
        lsns: None,
        verdict,
    }
}

/// The lock, if it was taken, and what is to be said of it.
type Hold = (Option<Box<dyn Lock>>, Option<String>);

/// Takes the directory's lock, so that no server changes it meanwhile; or says why that is not known.
fn hold(directory: &Directory, repair: bool) -> Result<Hold, Failure> {
    if !repair && !directory.root().join(layout::LOCK).exists() {
        // No server has ever had it, and looking at it leaves nothing behind.
        return Ok((None, None));
    }
    let note = format!("lacewing check, process {}", std::process::id());
    match lock::take(directory, &note) {
        Ok(held) => Ok((Some(held), None)),
        Err(lock::LockError::Disk(error))
            if !repair && matches!(error.trouble(), Trouble::Forbidden | Trouble::ReadOnly) =>
        {
            let note =
                "The lock may not be taken: if a server is running, what it writes meanwhile looks torn.";
            Ok((None, Some(note.to_owned())))
        }
        Err(error) => Err(Refusal::from(error).into()),
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self { code: i32::from(refusal.exit_code()), text: refusal.to_string() }
    }
}

/// Shows how far it is, and reads what is in sets.
struct Shown<'a>(&'a Progress);

impl Watch for Shown<'_> {
    fn phase(&mut self, what: &'static str, bytes: u64, read: &Arc<AtomicU64>) {
        self.0.phase(what, bytes, read);
    }

    fn contents(&mut self, name: &str, bytes: u64) -> Option<Box<dyn Contents>> {
        if name.ends_with(".zst") {
            return Some(Box::new(Packed::new()?));
        }
        Some(Box::new(RdbPart::new(Some(bytes))))
    }
}

fn findings(path: String, kind: &'static str, report: &Report) -> Findings {
    let mut remarks = Vec::new();
    for (path, bytes) in &report.quarantine {
        remarks.push(format!("In {path} {bytes} bytes are kept that are no part of the data."));
    }
    match &report.outcome {
        Outcome::Load(plan) => remarks.extend(plan_lines(plan)),
        Outcome::Empty => remarks.push("It holds no data: a start would begin with nothing.".to_owned()),
        Outcome::Refuse(refusal) => remarks.push(format!("A start would be refused: {refusal}.")),
    }
    let quarantine = report.quarantine.iter().map(|(path, _)| Json::from(path.as_str())).collect();
    Findings {
        path,
        kind,
        rows: report.rows.iter().map(finding).collect(),
        remarks,
        more: vec![("start", start_json(&report.outcome)), ("quarantine", Json::List(quarantine))],
        code: report.code(),
    }
}

fn finding(row: &Row) -> Finding {
    let verdict = match &row.verdict {
        check::Verdict::Whole => Verdict::whole(),
        check::Verdict::Unfinished => {
            Verdict { state: State::Unfinished, text: "no part of the data".to_owned(), code: 0 }
        }
        check::Verdict::Aside => Verdict { state: State::Aside, text: ASIDE.to_owned(), code: 0 },
        check::Verdict::Torn { bytes, what } => {
            let text = format!("{bytes} bytes behind the last record that counts: {what}");
            Verdict { state: State::Torn, text, code: 101 }
        }
        check::Verdict::Damaged { what, code } if row.is_needed => Verdict::damaged(what.clone(), *code),
        check::Verdict::Damaged { what, code } => {
            Verdict::damaged(format!("{what}; it is older than what a start loads, and not needed"), *code)
        }
    };
    let of = match row.kind {
        Kind::Set => "keys",
        Kind::Generation | Kind::Log(_) => "records",
    };
    Finding {
        what: row.name(),
        time: row.time,
        count: row.count.map(|count| (count, of)),
        bytes: row.bytes,
        lsns: row.lsns,
        verdict,
    }
}

/// What a start would load, and what it would leave out.
fn plan_lines(plan: &Plan) -> Vec<String> {
    let set = plan
        .set
        .as_ref()
        .map(|set| format!("snapshot set {} of {}", set.number, stdx::utc(stdx::UnixMs(set.cut_ms))));
    let generations: Vec<String> = plan.replays.iter().map(|one| one.generation.to_string()).collect();
    let logs = match generations.as_slice() {
        [] => None,
        [one] => Some(format!("generation {one} of the log")),
        all => Some(format!("generations {} of the log", all.join(", "))),
    };
    let parts: Vec<String> = set.into_iter().chain(logs).collect();
    let rule = plan.ends.as_ref().map_or(String::new(), |(rule, _)| format!(" {}", rule_text(*rule)));
    let mut lines = vec![format!("A start would load {}{rule}.", parts.join(" and "))];
    lines.extend(plan.dropped().filter(|(_, dropped)| dropped.bytes > 0).map(dropped_line));
    lines.extend(plan.notes.iter().map(|note| format!("Note: {note}.")));
    lines
}

fn rule_text(rule: Rule) -> &'static str {
    match rule {
        Rule::Time => "up to the time asked for",
        Rule::SameBoot => "to their last whole records, for the machine has not been started anew",
        Rule::Orderly => "to their orderly end",
        Rule::Alone => "to its last whole record",
        Rule::PowerLoss => {
            "to the newest cut that all logs have: the machine was started anew, as after a loss of power"
        }
    }
}

fn dropped_line((shard, dropped): (ShardId, Dropped)) -> String {
    let since = dropped.since.map_or(String::new(), |since| format!(", written after {}", stdx::utc(since)));
    format!(
        "It would leave out what is behind the end of the log of shard {}: {} bytes ({}){since}.",
        shard.0,
        dropped.bytes,
        records(dropped.records)
    )
}

fn start_json(outcome: &Outcome) -> Json {
    let plan = match outcome {
        Outcome::Load(plan) => plan,
        Outcome::Empty => return Json::Object(vec![("outcome", "empty".into())]),
        Outcome::Refuse(refusal) => {
            return Json::Object(vec![
                ("outcome", "refused".into()),
                ("reason", refusal.cause().as_str().into()),
                ("remedy", refusal.remedy().into()),
                ("code", u64::from(refusal.exit_code()).into()),
            ]);
        }
    };
    let lsns = |lsns: &[aof::Lsn]| Json::List(lsns.iter().map(|lsn| lsn.0.into()).collect());
    let replay = |one: &durable::recover::Replay| {
        Json::Object(vec![
            ("generation", one.generation.0.into()),
            ("from", lsns(&one.starts)),
            ("to", lsns(&one.ends)),
        ])
    };
    let dropped = |(shard, dropped): (ShardId, Dropped)| {
        Json::Object(vec![
            ("shard", u64::from(shard.0).into()),
            ("bytes", dropped.bytes.into()),
            ("records", dropped.records.into()),
        ])
    };
    Json::Object(vec![
        ("outcome", "load".into()),
        ("set", plan.set.as_ref().map(|set| set.number).into()),
        ("logs", Json::List(plan.replays.iter().map(replay).collect())),
        ("left_out", Json::List(plan.dropped().filter(|(_, one)| one.bytes > 0).map(dropped).collect())),
    ])
}

fn repaired_line(cut: &Repaired) -> String {
    format!(
        "Cut {} bytes ({}) off the log of shard {}, which ends at {} now; as it was it is in {}.",
        cut.bytes,
        records(cut.records),
        cut.shard.0,
        cut.end,
        cut.copies.join(", ")
    )
}

fn records(count: u64) -> String {
    match count {
        0 => "no whole record".to_owned(),
        1 => "1 whole record".to_owned(),
        count => format!("{count} whole records"),
    }
}

fn repaired_json(cut: &Repaired) -> Json {
    Json::Object(vec![
        ("shard", u64::from(cut.shard.0).into()),
        ("end", cut.end.0.into()),
        ("bytes", cut.bytes.into()),
        ("records", cut.records.into()),
        ("copies", Json::List(cut.copies.iter().map(|copy| copy.as_str().into()).collect())),
    ])
}

/// What is to be known of a set in quarantine that stays where it is.
const ASIDE: &str =
    "in quarantine, so no part of the data and never removed; without the file 'aside' in it it counts again";
