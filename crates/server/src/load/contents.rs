//! What a full copy of a master says besides its keys, and how many keys it has: judged as a start would judge it, before anything of
//! it counts.

use durable::manifest::DbKeys;
use rdb::file::{End, Event, Sum};
use script::{Engine, Hooks, Limits, Store};
use std::sync::Arc;
use stdx::number::parse_i64;
use stdx::{DbIndex, UnixMs};

/// What was read so far.
pub(crate) struct Contents {
    databases: u32,
    /// Compiles libraries of functions, for a store that nobody calls them from.
    engine: Engine,
    libraries: Arc<Store>,
    /// By database.
    keys: Vec<u64>,
    lasts_until: Option<UnixMs>,
    db: DbIndex,
}

/// By what it is judged whether a copy may take the place of other data.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Worth {
    /// Its keys, those too whose time is over.
    pub(crate) keys: u64,
    /// When the time of the last of them is over.
    lasts_until: Option<UnixMs>,
    /// Its libraries of functions.
    pub(crate) libraries: u64,
}

impl Worth {
    /// That of two parts of a copy.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            keys: self.keys + other.keys,
            lasts_until: self.lasts_until.max(other.lasts_until),
            libraries: self.libraries + other.libraries,
        }
    }

    /// Whether the time of all its keys is over by now.
    pub(crate) fn is_over(&self, now: UnixMs) -> bool {
        self.lasts_until.is_some_and(|until| until <= now)
    }
}

impl Contents {
    /// Nothing was read. `databases`: how many this server has.
    pub(crate) fn new(databases: u32, scripts: Limits) -> Self {
        let libraries = Arc::new(Store::default());
        let engine = Engine::new(Arc::clone(&libraries), Hooks::default(), scripts, 0);
        Self {
            databases,
            engine,
            libraries,
            keys: vec![0; databases as usize],
            lasts_until: None,
            db: DbIndex(0),
        }
    }

    /// Notes what comes next, which begins at `offset` or a little further on. Errors: it cannot be used.
    pub(crate) fn note(&mut self, event: &Event<'_>, offset: u64) -> Result<(), String> {
        match event {
            Event::Key(key) => {
                self.keys[key.db.index()] += 1;
                self.lasts_until = self.lasts_until.max(Some(key.expiry.unwrap_or(FOR_EVER)));
            }
            Event::Library(code) => {
                self.engine
                    .load_library(code, false)
                    .map_err(|why| format!("at byte {offset}: a library of functions is refused: {why}"))?;
            }
            Event::Aux { name, value } if **name == *STREAM_DB => {
                let selected = parse_i64(value).and_then(|db| u16::try_from(db).ok());
                self.db = DbIndex(selected.filter(|db| u32::from(*db) < self.databases).unwrap_or(0));
            }
            Event::ModuleAux(module) => {
                tracing::warn!(%module, "what this module of the master has kept beside keys is left out");
            }
            Event::Empty { .. }
            | Event::Aux { .. }
            | Event::SelectDb(_)
            | Event::ResizeDb { .. }
            | Event::End(_) => {}
        }
        Ok(())
    }

    /// Judges its end; whether nothing follows behind it.
    pub(crate) fn judge_end(end: &End, is_last: bool) -> Result<(), String> {
        if !is_last {
            return Err(format!("bytes follow behind its end, at {}", end.bytes));
        }
        if !matches!(end.sum, Sum::Verified(_)) {
            tracing::warn!("the master's data has no checksum (its rdbchecksum is 'no')");
        }
        Ok(())
    }

    /// Its keys, by rising number of database.
    pub(crate) fn keys(&self) -> Vec<DbKeys> {
        let counted = self.keys.iter().zip(0..).filter(|(keys, _)| **keys > 0);
        counted.map(|(&keys, db)| DbKeys { db, keys }).collect()
    }

    /// What it is worth.
    pub(crate) fn worth(&self) -> Worth {
        Worth {
            keys: self.keys.iter().sum(),
            lasts_until: self.lasts_until,
            libraries: self.libraries.gauges().libraries as u64,
        }
    }

    /// The database that is selected in the stream where it ends.
    pub(crate) fn db(&self) -> DbIndex {
        self.db
    }

    /// Its libraries of functions, if there are any.
    pub(crate) fn into_libraries(self) -> Option<Arc<Store>> {
        (self.libraries.gauges().libraries > 0).then_some(self.libraries)
    }
}

/// The time of a key that does not expire.
const FOR_EVER: UnixMs = UnixMs(i64::MAX);
/// A Redis that is a replica itself says so which database its own master's stream has selected.
const STREAM_DB: &[u8] = b"repl-stream-db";
