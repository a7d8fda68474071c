//! Logs for tests and measurements, in a directory that the environment names, which must be empty.

use crate::clock::unix_ms;
use anyhow::bail;
use aof::{BootId, NodeId};
use durable::Places;
use durable::generation::{self, Beginning, Past};
use durable::log::LogWriter;
use durable::recover::{self, Options, Recovered};
use std::sync::Arc;

/// The logs, by shard, if the environment wants them.
pub(crate) fn begin(shards: u16) -> anyhow::Result<Option<Vec<LogWriter>>> {
    let Some(directory) = std::env::var_os("LACEWING_JOURNAL") else { return Ok(None) };
    let places = Places::local(Arc::new(storage::Directory::open(directory)?));
    let boot = BootId(storage::boot_id()?);
    let Recovered::Empty(empty) = recover::recover(&places, &Options::new(boot))? else {
        bail!("{} holds data", places.disk().name());
    };
    let (mut identity, loaded) = empty.accept(&places, NodeId::default(), unix_ms())?;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let past = Past::default();
    let segment_bytes =
        std::env::var("LACEWING_JOURNAL_SEGMENT").map_or(Ok(64 << 20), |text| text.parse())?;
    let beginning = Beginning { boot, version, now: unix_ms(), shards, past, segment_bytes };
    Ok(Some(generation::begin(&places, beginning, &mut identity, &loaded)?.1))
}
