//! Active expiry: finding expired keys that nobody asks for.
//!
//! Rounds of samples, as Redis does: another round while more than a tenth of the last one had expired, or less with
//! more effort. Half of a round's samples go through the list of volatile keys in order, so that each is seen in the end; half are random, so
//! that the share of expired keys is known even if they lie together.

use crate::keyspace::{Keyspace, is_locked};
use crate::types::{Held, Key};
use stdx::{DbIndex, UnixMs};

/// How hard the cycle looks, from active-expire-effort.
#[derive(Clone, Copy, Debug)]
struct Effort {
    /// Keys looked at in one round.
    round: usize,
    /// It goes on while more than so many of a hundred had expired.
    stale_percent: usize,
}

impl Effort {
    /// Redis's scale: 1 looks at 20 keys and puts up with 10 % of expired ones, 10 at 65 and with 1 %.
    fn new(level: u8) -> Self {
        let more = usize::from(level.clamp(1, 10) - 1);
        Self { round: ROUND_MIN + more * ROUND_MIN / 4, stale_percent: STALE_PERCENT_MAX - more }
    }
}

const ROUND_MIN: usize = 20;
const ROUND_MAX: usize = ROUND_MIN + 9 * ROUND_MIN / 4;
const STALE_PERCENT_MAX: usize = 10;

/// What one call of the expire cycle did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpireCycle {
    /// Keys looked at.
    pub looked: usize,
    /// Keys removed.
    pub removed: usize,
    /// Whether it was told to stop before few expired keys were left.
    pub has_more: bool,
}

impl Keyspace {
    /// Removes expired keys, until `go_on` says no (asked once a round of 20 to 65 keys) or few are left to find;
    /// `effort`, 1 to 10, is active-expire-effort. The next call goes on where this one stopped. Keys that are locked stay.
    pub fn expire_cycle(&mut self, now: UnixMs, effort: u8, go_on: &mut dyn FnMut() -> bool) -> ExpireCycle {
        let effort = Effort::new(effort);
        let (mut looked, mut removed) = (0, 0);
        if self.held() == Held::Whole {
            return ExpireCycle { looked, removed, has_more: false };
        }
        for _ in 0..self.dbs.len() {
            let db = self.expire_db % self.dbs.len();
            loop {
                if self.dbs[db].links.len() == 0 {
                    break;
                }
                if !go_on() {
                    return ExpireCycle { looked, removed, has_more: true };
                }
                let (sampled, expired) = self.expire_round(DbIndex(db as u16), now, effort.round);
                looked += sampled;
                removed += expired;
                if expired * 100 <= sampled * effort.stale_percent {
                    break;
                }
            }
            self.expire_db = db + 1;
        }
        ExpireCycle { looked, removed, has_more: false }
    }

    /// How many keys of database `db` have an expiry.
    pub fn expiring(&self, db: DbIndex) -> usize {
        self.dbs[db.index()].links.len()
    }

    /// The average time to live of database `db`'s expiring keys, in ms, estimated by sampling (INFO's avg_ttl).
    pub fn average_ttl_ms(&self, db: DbIndex, now: UnixMs) -> u64 {
        let links = &self.dbs[db.index()].links;
        let samples = links.len().min(TTL_SAMPLES);
        if samples == 0 {
            return 0;
        }
        let left = |sample| links.expiry(sample * links.len() / samples).0.saturating_sub(now.0).max(0);
        let sum: i128 = (0..samples).map(|sample| i128::from(left(sample))).sum();
        (sum / samples as i128) as u64
    }

    /// Looks at some keys; returns how many, and how many of them had expired.
    fn expire_round(&mut self, db: DbIndex, now: UnixMs, round: usize) -> (usize, usize) {
        let looked = round.min(self.dbs[db.index()].links.len());
        let mut indices = [0; ROUND_MAX];
        for (number, index) in indices[..looked].iter_mut().enumerate() {
            let Self { dbs, random, .. } = self;
            let links = &dbs[db.index()].links;
            // A short list is looked at whole.
            let in_order = looked < round || number % 2 == 0;
            *index = if in_order { self.next_in_order(db) } else { random.below(links.len()) };
            self.dbs[db.index()].links.prefetch(*index);
        }
        // From the end, because a removal moves the last key of the list, and only that, to the place it frees.
        indices[..looked].sort_unstable();
        let mut expired = 0;
        let mut last = usize::MAX;
        for &index in indices[..looked].iter().rev() {
            let links = &self.dbs[db.index()].links;
            let seen = std::mem::replace(&mut last, index) == index;
            if seen
                || links.expiry(index) > now
                || links.is_lent(index)
                || is_locked(self.locks.as_deref(), links.key(index))
            {
                continue;
            }
            let key = links.key(index).to_vec();
            self.expire(db, Key::new(&key), self.hasher.hash(&key));
            expired += 1;
        }
        (looked, expired)
    }

    /// The next place of the walk through a database's list.
    fn next_in_order(&mut self, db: DbIndex) -> usize {
        let db = &mut self.dbs[db.index()];
        let index = if db.expire_at < db.links.len() { db.expire_at } else { 0 };
        db.expire_at = index + 1;
        index
    }
}

const TTL_SAMPLES: usize = 64;
