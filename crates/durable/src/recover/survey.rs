//! All that is in the directory, before anything is decided.

use aof::{Generation, Lsn, NodeId};

use crate::disk::Attempt;
use crate::generation::{self, Begin, BeginState, ListedGeneration};
use crate::identity::Identity;
use crate::layout::{self, MANIFEST, SetNumber};
use crate::manifest::{Manifest, Position};
use crate::recover::Options;
use crate::recover::plan::Empty;
use crate::refusal::Refusal;
use crate::sets::{self, Listed, SetFault, SetState};
use crate::store::Places;

/// What the directory holds.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) identity: Option<Identity>,
    pub(crate) sets: Vec<Listed>,
    pub(crate) generations: Vec<ListedGeneration>,
    /// Names of Redis's, if there are any.
    redis: Option<String>,
}

impl Survey {
    pub(crate) fn of(places: &Places) -> Result<Self, Refusal> {
        let disk = places.disk();
        let entries = disk.list("").trying("list", &disk.name()).map_err(Refusal::directory)?;
        let redis = entries.into_iter().map(|entry| entry.name).find(|name| REDIS.contains(&name.as_str()));
        Ok(Self {
            identity: Identity::read(disk)?,
            sets: sets::list(places)?,
            generations: generation::list(disk)?,
            redis,
        })
    }

    /// Whether there is nothing that ever was data, nor what could have been.
    pub(crate) fn is_empty(&self) -> bool {
        self.sets.iter().all(|set| !set.is_data())
            && self.generations.iter().all(|one| matches!(one.begin, BeginState::Unbegun))
    }

    /// That it is right for the directory to be empty.
    pub(crate) fn prove_empty(&self, options: &Options) -> Result<Empty, Refusal> {
        match &self.identity {
            Some(identity) if identity.held_data => Err(Refusal::DataGone),
            _ if options.expect_data => Err(Refusal::DataExpected),
            None if self.redis.is_some() && !options.imports => {
                Err(Refusal::RedisData { found: self.redis.clone().unwrap_or_default() })
            }
            identity => Ok(Empty::proven(identity.clone())),
        }
    }

    /// That all was written by one node, whose directory it is. Without an identity, as when sets were restored from a backup, by
    /// whichever it is.
    pub(crate) fn check_owner(&self) -> Result<(), Refusal> {
        let Some(own) = self.owner() else { return Ok(()) };
        match self.written_by().find(|(_, found)| *found != own) {
            Some((path, found)) => Err(Refusal::Foreign { path, found, own }),
            None => Ok(()),
        }
    }

    /// That there is at least what the identity says there was.
    pub(super) fn check_newest(&self) -> Result<(), Refusal> {
        let Some(newest) = self.identity.as_ref().map(|identity| identity.newest) else { return Ok(()) };
        let head = self.head().map_or(Generation(0), |head| head.generation);
        // A set that was written when no log was stands for all generations before.
        let is_later = |manifest: &Manifest| {
            let Position { generation, lsns, .. } = &manifest.position;
            lsns.is_empty() && *generation > newest.generation
        };
        if head < newest.generation && !self.manifests().any(is_later) {
            return Err(Refusal::LogMissing { generation: newest.generation, shard: None, at: Lsn(0) });
        }
        match newest.set {
            // Whatever led to a generation that is later, it says itself.
            Some(set) if !set.is_in_log && head < set.generation && !self.has_set(set.number) => {
                let fault = SetFault::Missing { path: layout::set(set.number) };
                Err(Refusal::set(set.number, fault))
            }
            _ => Ok(()),
        }
    }

    /// Whether nothing is missed without this set, if logs lead past it to the present: it is one that the identity knows, and says of the
    /// newest whether a log was written then ([`Survey::check_newest`]). A set that was made without one breaks the way.
    pub(super) fn may_miss(&self, number: SetNumber) -> bool {
        let newest = self.identity.as_ref().and_then(|identity| identity.newest.set);
        newest.is_some_and(|newest| {
            let head = self.head().map_or(Generation(0), |head| head.generation);
            number < newest.number
                || (number == newest.number && (newest.is_in_log || head >= newest.generation))
        })
    }

    /// Whether this set is there, or a later one.
    pub(super) fn has_set(&self, number: SetNumber) -> bool {
        self.sets.iter().any(|set| set.number >= number && set.is_data())
    }

    /// The highest number of a set that is there, or was.
    pub(super) fn numbered(&self) -> SetNumber {
        let sets = self.sets.iter().filter(|set| !matches!(set.state, SetState::Unfinished));
        sets.map(|set| set.number).max().unwrap_or(0)
    }

    /// The highest number of a set that is elsewhere than in the data directory, or was.
    pub(super) fn elsewhere(&self) -> SetNumber {
        let sets = self.sets.iter().filter(|set| !set.is_own);
        sets.map(|set| set.number).max().unwrap_or(0)
    }

    /// That no number stands for two sets: what a number says must be the same everywhere.
    pub(super) fn check_numbers(&self) -> Result<(), Refusal> {
        for pair in self.sets.windows(2) {
            let [first, second] = pair else { continue };
            let (SetState::Set(one), SetState::Set(other)) = (&first.state, &second.state) else { continue };
            if one.number == other.number && one != other {
                let (first, second) = (first.store.name(), second.store.name());
                return Err(Refusal::TwoSets { number: one.number, first, second });
            }
        }
        Ok(())
    }

    /// Whose it is.
    pub(crate) fn owner(&self) -> Option<NodeId> {
        match &self.identity {
            Some(identity) => Some(identity.node),
            None => self.written_by().next().map(|(_, node)| node),
        }
    }

    fn written_by(&self) -> impl Iterator<Item = (String, NodeId)> {
        let sets = self.sets.iter().filter_map(|set| match &set.state {
            SetState::Set(manifest) => Some((set.store.path(set.number, MANIFEST), manifest.node)),
            _ => None,
        });
        sets.chain(self.begins().map(|begin| (layout::begin(begin.generation), begin.node)))
    }

    pub(crate) fn manifests(&self) -> impl DoubleEndedIterator<Item = &Manifest> {
        self.sets.iter().filter_map(|set| match &set.state {
            SetState::Set(manifest) => Some(manifest),
            _ => None,
        })
    }

    pub(crate) fn begins(&self) -> impl DoubleEndedIterator<Item = &Begin> {
        self.generations.iter().filter_map(|one| match &one.begin {
            BeginState::Begun(begin) => Some(begin),
            _ => None,
        })
    }

    pub(crate) fn begin(&self, generation: Generation) -> Option<&Begin> {
        self.begins().find(|begin| begin.generation == generation)
    }

    /// The newest generation that has begun, or has lost its beginning.
    pub(crate) fn head(&self) -> Option<&ListedGeneration> {
        self.generations.iter().rev().find(|one| !matches!(one.begin, BeginState::Unbegun))
    }
}

/// What Redis keeps its data in, by default.
const REDIS: [&str; 3] = ["dump.rdb", "appendonlydir", "appendonly.aof"];
