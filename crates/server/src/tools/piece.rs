//! One file of a data directory, looked at alone: a segment of the log, a packed file of a set, a manifest, a beginning, an identity. What it says of
//! other files is not looked at.

use crate::tools::check::Failure;
use crate::tools::finding::{Finding, Findings, State, Verdict};
use crate::tools::packed::Packed;
use aof::{HEADER_LEN, Header, Scanner};
use config::ExitCode;
use durable::check::Contents;
use durable::{Begin, Identity, Manifest};
use std::fs;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use stdx::UnixMs;
use stdx::envelope::{self, Content};

/// Looks at a file that begins with `first`, if it is of a kind that only Lacewing has.
pub(super) fn look(path: &Path, first: &[u8]) -> Result<Option<Findings>, Failure> {
    let (kind, row) = if first.starts_with(SEGMENT) {
        ("a segment of the log", segment(path)?)
    } else if first.starts_with(ENVELOPE) {
        enveloped(path)?
    } else if first.starts_with(ZSTD) {
        ("a file of a snapshot set", packed(path)?)
    } else {
        return Ok(None);
    };
    let code = row.verdict.code;
    let path = path.display().to_string();
    Ok(Some(Findings { path, kind, rows: vec![row], remarks: Vec::new(), more: Vec::new(), code }))
}

fn enveloped(path: &Path) -> Result<(&'static str, Finding), Failure> {
    let bytes = fs::read(path).map_err(|error| Failure::disk(path, &error))?;
    let kind = bytes.get(8..12).unwrap_or_default();
    let damaged = u8::try_from(ExitCode::ManifestDamaged.code()).expect("a byte");
    Ok(match kind {
        kind if kind == Manifest::KIND => {
            let row = row::<Manifest>(path, &bytes, damaged, |manifest| {
                let text = format!("of set {}, with {} files", manifest.number, manifest.files.len());
                (text, manifest.cut_ms, Some((manifest.keys(), "keys")))
            });
            ("the manifest of a snapshot set", row)
        }
        kind if kind == Begin::KIND => {
            let row = row::<Begin>(path, &bytes, 100, |begin| {
                (
                    format!("of generation {}, with {} logs", begin.generation, begin.shards),
                    begin.made_ms,
                    None,
                )
            });
            ("the beginning of a generation of the log", row)
        }
        _ => {
            let row = row::<Identity>(path, &bytes, 93, |identity| {
                let held = if identity.held_data { "has held data" } else { "never held data" };
                (format!("node {}, which {held}", identity.node), identity.made_ms, None)
            });
            ("the identity of a data directory", row)
        }
    })
}

fn row<T: Content>(
    path: &Path,
    bytes: &[u8],
    code: u8,
    tell: impl Fn(&T) -> (String, i64, Option<(u64, &'static str)>),
) -> Finding {
    let what = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let size = bytes.len() as u64;
    match envelope::open::<T>(bytes) {
        Ok(value) => {
            let (text, ms, count) = tell(&value);
            let verdict = Verdict { text, ..Verdict::whole() };
            Finding { what, time: Some(UnixMs(ms)), count, bytes: size, lsns: None, verdict }
        }
        Err(error) => {
            let verdict = Verdict::damaged(error.to_string(), code);
            Finding { what, time: None, count: None, bytes: size, lsns: None, verdict }
        }
    }
}

fn packed(path: &Path) -> Result<Finding, Failure> {
    let disk = |error| Failure::disk(path, &error);
    let mut file = File::open(path).map_err(disk)?;
    let bytes = file.metadata().map_err(disk)?.len();
    let no_memory = || Failure::new("no memory to unpack it", ExitCode::System);
    let mut packed = Box::new(Packed::new().ok_or_else(no_memory)?);
    let mut buffer = vec![0; READ_BYTES];
    let found = loop {
        let got = file.read(&mut buffer).map_err(disk)?;
        if got == 0 {
            break packed.end();
        }
        if let Err(wrong) = packed.feed(&buffer[..got]) {
            break Err(wrong);
        }
    };
    let what = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (count, verdict) = match found {
        Ok(keys) => (Some((keys.iter().map(|db| db.keys).sum(), "keys")), Verdict::whole()),
        Err(wrong) => (None, Verdict::damaged(wrong, SET_FILE_DAMAGED)),
    };
    Ok(Finding { what, time: None, count, bytes, lsns: None, verdict })
}

fn segment(path: &Path) -> Result<Finding, Failure> {
    let disk = |error| Failure::disk(path, &error);
    let mut file = File::open(path).map_err(disk)?;
    let size = file.metadata().map_err(disk)?.len();
    let what = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut buffer = vec![0; READ_BYTES];
    let mut got = read(&mut file, &mut buffer, size).map_err(disk)?;
    let damaged = |text| Finding {
        what: what.clone(),
        time: None,
        count: None,
        bytes: size,
        lsns: None,
        verdict: Verdict::damaged(text, 100),
    };
    let header = match Header::decode(&buffer[..got.min(HEADER_LEN)]) {
        Ok(header) => header,
        Err(error) => return Ok(damaged(error.to_string())),
    };
    let mut scanner = Scanner::new(header.log, header.base);
    if let Err(error) = scanner.segment(header.base, size) {
        return Ok(damaged(error.to_string()));
    }
    let mut left = size;
    loop {
        left -= got as u64;
        scanner.feed(&buffer[..got]);
        loop {
            match scanner.next() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => return Ok(damaged(error.to_string())),
            }
        }
        if left == 0 {
            break;
        }
        got = read(&mut file, &mut buffer, left).map_err(disk)?;
        if got == 0 {
            return Ok(damaged("it became shorter while it was read".to_owned()));
        }
    }
    let summary = scanner.finish();
    let verdict = match &summary.damage {
        None => Verdict { text: whose(&header), ..Verdict::whole() },
        Some(damage) if summary.must > summary.end => Verdict::damaged(
            format!("at {}: {damage}; it had been synced up to {}", summary.end, summary.must),
            100,
        ),
        Some(damage) => Verdict {
            state: State::Torn,
            text: format!("{} bytes behind the last record: {damage}", summary.behind.bytes),
            code: 101,
        },
    };
    Ok(Finding {
        what,
        time: summary.cuts.newest().map(|cut| cut.at).or(summary.created),
        count: Some((summary.records, "records")),
        bytes: size,
        lsns: Some((summary.start, summary.end)),
        verdict,
    })
}

fn whose(header: &Header) -> String {
    let log = header.log;
    format!("shard {} of {} in generation {}", log.shard.0, log.shards, log.generation)
}

/// Fills the buffer, or takes what is left.
fn read(file: &mut File, buffer: &mut [u8], left: u64) -> std::io::Result<usize> {
    let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
    let mut done = 0;
    while done < want {
        match file.read(&mut buffer[done..want])? {
            0 => break,
            got => done += got,
        }
    }
    Ok(done)
}

const SEGMENT: &[u8] = b"LWLOG\r\n\x1a";
const ENVELOPE: &[u8] = b"LACEWING";
const ZSTD: &[u8] = &[0x28, 0xB5, 0x2F, 0xFD];
const SET_FILE_DAMAGED: u8 = 97;
const READ_BYTES: usize = 1 << 20;
