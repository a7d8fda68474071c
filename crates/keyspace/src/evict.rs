//! Eviction: choosing keys to remove when memory is full.
//!
//! LRU, LFU and TTL are approximated as in Redis: each call samples a few keys of each database into a pool of the
//! best candidates so far, and removes the best that is still there.

use crate::access::Clock;
use crate::db::Db;
use crate::entry::Entry;
use crate::hash::Random;
use crate::keyspace::{Keyspace, is_locked};
use crate::types::{Cause, Held, Key, Locks};
use config::MaxmemoryPolicy;
use stdx::{DbIndex, UnixMs};

/// Candidates kept from call to call, the best last.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    policy: MaxmemoryPolicy,
    candidates: Vec<Candidate>,
    /// The database that a random policy takes from next.
    next_db: usize,
}

#[derive(Debug)]
struct Candidate {
    /// The higher, the sooner it goes.
    score: u64,
    db: DbIndex,
    key: Vec<u8>,
}

const POOL_MAX: usize = 16;
/// Rounds of sampling that may find nothing but lent keys before a call gives up.
const TRIES: usize = 16;

impl Pool {
    pub(crate) fn clear(&mut self) {
        self.candidates.clear();
    }

    /// Keeps a key if it is among the best.
    fn offer(&mut self, score: u64, db: DbIndex, key: &[u8]) {
        let place = self.candidates.partition_point(|other| other.score < score);
        let known = |other: &Candidate| other.db == db && other.key == key;
        if self.candidates.iter().any(known) {
            return;
        }
        let mut buffer = Vec::new();
        let mut place = place;
        if self.candidates.len() == POOL_MAX {
            if place == 0 {
                return;
            }
            buffer = self.candidates.remove(0).key;
            place -= 1;
        }
        buffer.clear();
        buffer.extend_from_slice(key);
        self.candidates.insert(place, Candidate { score, db, key: buffer });
    }
}

impl Keyspace {
    /// Evicts one key by `policy`, the best of `samples` looked at; false when there is none to evict. Keys that are
    /// locked are none, for now.
    pub fn evict(&mut self, policy: MaxmemoryPolicy, samples: usize, now: UnixMs, random: u64) -> bool {
        let mut random = Random(random);
        match policy {
            MaxmemoryPolicy::NoEviction => false,
            _ if self.held() == Held::Whole => false,
            MaxmemoryPolicy::AllKeysRandom | MaxmemoryPolicy::VolatileRandom => {
                self.evict_random(policy == MaxmemoryPolicy::VolatileRandom, &mut random)
            }
            _ => self.evict_best(policy, samples.max(1), now, &mut random),
        }
    }

    fn evict_best(
        &mut self,
        policy: MaxmemoryPolicy,
        samples: usize,
        now: UnixMs,
        random: &mut Random,
    ) -> bool {
        if self.pool.policy != policy {
            self.pool.clear();
            self.pool.policy = policy;
        }
        for _ in 0..TRIES {
            let mut sampled = false;
            for (number, db) in self.dbs.iter().enumerate() {
                let ranking = Ranking { policy, clock: self.clock, now };
                let (number, locks) = (DbIndex(number as u16), self.locks.as_deref());
                sampled |= sample(db, (number, locks), ranking, samples, random, &mut self.pool);
            }
            while let Some(candidate) = self.pool.candidates.pop() {
                if self.evict_if_there(candidate.db, &candidate.key, is_volatile(policy)) {
                    return true;
                }
            }
            if !sampled {
                return false;
            }
        }
        false
    }

    fn evict_random(&mut self, volatile: bool, random: &mut Random) -> bool {
        for _ in 0..TRIES * self.dbs.len() {
            let number = self.pool.next_db % self.dbs.len();
            self.pool.next_db = number + 1;
            let db = &self.dbs[number];
            let key = if !volatile {
                db.dict.random(random).map(|entry| entry.key().to_vec())
            } else if db.links.len() > 0 {
                Some(db.links.key(random.below(db.links.len())).to_vec())
            } else {
                None
            };
            if key.is_some_and(|key| self.evict_if_there(DbIndex(number as u16), &key, volatile)) {
                return true;
            }
        }
        false
    }

    /// Evicts a key that was seen earlier, unless it has gone, is lent or locked, or has lost its expiry meanwhile.
    fn evict_if_there(&mut self, db: DbIndex, key: &[u8], volatile: bool) -> bool {
        let (key, hash) = (Key::new(key), self.hasher.hash(key));
        let fit = |entry: &Entry| !entry.is_lent() && (!volatile || entry.expiry().is_some());
        if !self.dbs[db.index()].find(key, hash).is_some_and(fit) || self.is_locked(key.bytes) {
            return false;
        }
        self.remove_because(db, key, hash, Cause::Evicted);
        true
    }
}

/// How candidates are compared.
#[derive(Clone, Copy)]
struct Ranking {
    policy: MaxmemoryPolicy,
    clock: Clock,
    now: UnixMs,
}

impl Ranking {
    fn score(self, clock: u32, expiry: Option<UnixMs>) -> u64 {
        match self.policy {
            MaxmemoryPolicy::VolatileTtl => expiry.map_or(0, |at| u64::MAX - at.0.max(0) as u64),
            MaxmemoryPolicy::AllKeysLfu | MaxmemoryPolicy::VolatileLfu => {
                u64::from(u8::MAX - self.clock.frequency(clock, self.now))
            }
            _ => self.clock.idle_s(clock, self.now),
        }
    }
}

fn is_volatile(policy: MaxmemoryPolicy) -> bool {
    matches!(
        policy,
        MaxmemoryPolicy::VolatileLru | MaxmemoryPolicy::VolatileLfu | MaxmemoryPolicy::VolatileTtl
    )
}

/// Offers a few of a database's keys to the pool; says whether there were any.
fn sample(
    db: &Db,
    (number, locks): (DbIndex, Option<&dyn Locks>),
    ranking: Ranking,
    samples: usize,
    random: &mut Random,
    pool: &mut Pool,
) -> bool {
    if !is_volatile(ranking.policy) {
        db.dict.sample(samples, random, &mut |entry| {
            if !entry.is_lent() && !is_locked(locks, entry.key()) {
                pool.offer(ranking.score(entry.clock(), entry.expiry()), number, entry.key());
            }
        });
        return db.dict.len() > 0;
    }
    let links = &db.links;
    for _ in 0..samples.min(links.len()) {
        // Not neighbours: the list is more or less in the order of age.
        let index = random.below(links.len());
        if !links.is_lent(index) && !is_locked(locks, links.key(index)) {
            pool.offer(
                ranking.score(links.clock(index), Some(links.expiry(index))),
                number,
                links.key(index),
            );
        }
    }
    links.len() > 0
}
