//! How a round ends: the master dies, gives its place away, or comes back with less than it had.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::clients::strange_db;
use super::life::WRITERS_MAX;
use super::members::Members;
use super::node::{Kind, Node};
use crate::crash::look::{Seen, look};
use crate::{Client, copy_dir};

/// How a round ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Nothing more happens.
    Rest,
    KillMaster,
    /// All die, and come back one after the other.
    KillAll,
    StopMaster,
    Failover,
    /// The master is killed, and a replica takes its place. What writers wrote was waited for, or not.
    Promote {
        is_waited_for: bool,
    },
    /// The master comes back with what it had long ago.
    PutBack,
}

/// What an ending may have cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// Nothing that was answered.
    Nothing,
    /// What replicas have not acknowledged.
    Unacknowledged,
    /// Whatever is newer than the data that the operator took.
    Newer,
}

/// A directory of a member as it was once.
pub(super) struct Copy {
    pub(super) of: usize,
    dir: PathBuf,
}

impl Members {
    /// Ends the round; what that may have cost.
    pub(super) fn end(
        &mut self,
        ending: Ending,
        copy: &mut Option<Copy>,
        root: &Path,
    ) -> Result<Loss, String> {
        let master = self.master();
        match ending {
            Ending::Rest => Ok(Loss::Nothing),
            Ending::KillMaster => {
                self.tell("the master is killed".to_owned());
                self.nodes[master].kill()?;
                if copy.is_none() || self.rng.one_in(2) {
                    *copy = Some(self.copied(master, root)?);
                }
                self.pause(500);
                self.start(master)?;
                Ok(Loss::Nothing)
            }
            Ending::KillAll => {
                self.tell("all are killed".to_owned());
                self.nodes.iter_mut().try_for_each(Node::kill)?;
                for number in 0..self.nodes.len() {
                    self.start((number + master) % self.nodes.len())?;
                    self.pause(200);
                }
                Ok(Loss::Nothing)
            }
            Ending::StopMaster => {
                self.tell("the master is asked to end".to_owned());
                self.nodes[master].stop()?;
                self.start(master)?;
                Ok(Loss::Nothing)
            }
            Ending::Failover => self.fail_over(),
            Ending::Promote { .. } => self.promote(),
            Ending::PutBack => {
                let copy = copy.take().ok_or("there is a copy")?;
                self.put_back(&copy)
            }
        }
    }

    /// Roles are exchanged, if that can be done in time.
    fn fail_over(&mut self) -> Result<Loss, String> {
        for node in &mut self.nodes {
            node.proxy.release();
            node.go_on();
        }
        let (master, direct) = (self.master(), self.direct());
        let heir = direct[self.rng.index(direct.len())];
        let command = format!("FAILOVER TO 127.0.0.1 {} TIMEOUT 4000", self.nodes[heir].proxy.port);
        let reply = self.nodes[master].line(&command)?;
        self.tell(format!("node {master}, to node {heir}: {command}: {reply}"));
        let began = Instant::now();
        while self.nodes[master].field("master_failover_state")?.as_deref() != Some("no-failover") {
            if began.elapsed() > FAILOVER_MAX {
                return Err(format!("a failover from node {master} to node {heir} does not end"));
            }
            self.pause(20);
        }
        if self.nodes[master].is_replica()? {
            (self.nodes[master].follows, self.nodes[heir].follows) = (Some(heir), None);
        }
        self.tell(format!(
            "it is over after {:.3} s, the master is node {}",
            began.elapsed().as_secs_f64(),
            self.master()
        ));
        Ok(Loss::Nothing)
    }

    /// The master is killed, and one that followed it becomes the master.
    fn promote(&mut self) -> Result<Loss, String> {
        let (master, mut heirs) = (self.master(), self.direct());
        // A redis-server that has begun a full sync has nothing.
        heirs.retain(|heir| {
            let node = &mut self.nodes[*heir];
            node.go_on();
            let is_linked =
                || node.field("master_link_status").is_ok_and(|status| status.as_deref() == Some("up"));
            node.kind == Kind::Lacewing || is_linked()
        });
        self.tell("the master is killed".to_owned());
        self.nodes[master].kill()?;
        if heirs.is_empty() {
            self.start(master)?;
            return Ok(Loss::Nothing);
        }
        let heir = heirs[self.rng.index(heirs.len())];
        self.follow(heir, None)?;
        for number in (0..self.nodes.len()).filter(|number| *number != heir) {
            if [Some(master), Some(heir)].contains(&self.nodes[number].follows) || number == master {
                self.nodes[number].follows = Some(heir);
            }
        }
        Ok(if self.is_ambiguous { Loss::Newer } else { Loss::Unacknowledged })
    }

    /// The master comes back with an older copy of its directory. Those who follow it must keep what they have, and say so, until the
    /// operator has decided.
    fn put_back(&mut self, copy: &Copy) -> Result<Loss, String> {
        self.heal()?;
        self.become_same(strange_db(WRITERS_MAX), strange_db(WRITERS_MAX))?;
        let (master, direct) = (self.master(), self.direct());
        let before = direct.iter().map(|number| self.lasting(*number)).collect::<Result<Vec<_>, _>>()?;
        self.tell(format!("node {master} is put back"));
        self.nodes[master].kill()?;
        let dir = self.nodes[master].dir.path().to_owned();
        let replaced = fs::remove_dir_all(&dir).and_then(|()| copy_dir(&copy.dir, &dir));
        replaced.map_err(|error| format!("cannot put {} back: {error}", dir.display()))?;
        self.start(master)?;
        let began = Instant::now();
        let is_refused = |node: &Node| node.field("master_link_last_error").map(|error| error.is_some());
        let mut refused = vec![false; direct.len()];
        while began.elapsed() < KEPT_AT_LEAST || (refused.contains(&false) && began.elapsed() < FAILOVER_MAX)
        {
            for (index, number) in direct.iter().enumerate() {
                if self.nodes[*number].field("master_link_status")?.as_deref() == Some("up") {
                    return Err(format!("node {number} follows a master that has lost what it has"));
                }
                if self.lasting(*number)? != before[index] {
                    return Err(format!("node {number} has lost what its master has lost"));
                }
                refused[index] |= is_refused(&self.nodes[*number])?;
            }
            self.pause(100);
        }
        for number in &direct {
            let error = self.nodes[*number].field("master_link_last_error")?;
            self.tell(format!("node {number} says {error:?}"));
            if !error.is_some_and(|error| {
                error.contains("less") || error.contains("older") || error.contains("lost")
            }) {
                return Err(format!("node {number} does not say that its master has lost something"));
            }
        }
        if self.rng.one_in(2) {
            for number in &direct {
                self.nodes[*number].line("CONFIG SET replica-accept-less yes")?;
            }
            self.become_same(strange_db(WRITERS_MAX), strange_db(WRITERS_MAX))?;
            for number in &direct {
                self.nodes[*number].line("CONFIG SET replica-accept-less no")?;
            }
            return Ok(Loss::Newer);
        }
        let heir = direct[self.rng.index(direct.len())];
        self.follow(heir, None)?;
        for number in direct.into_iter().chain([master]).filter(|number| *number != heir) {
            self.follow(number, Some(heir))?;
        }
        Ok(Loss::Nothing)
    }

    /// What a member has of keys that do not expire.
    fn lasting(&self, number: usize) -> Result<Vec<Seen>, String> {
        let addr = self.nodes[number].place.get().ok_or("it does not run")?;
        let mut client = Client::try_connect(addr).map_err(|error| error.to_string())?;
        let (mut seen, _) = look(&mut client, strange_db(WRITERS_MAX))?;
        seen.iter_mut().for_each(|seen| seen.retain(|_, (_, until)| until.is_none()));
        Ok(seen)
    }

    fn copied(&self, number: usize, root: &Path) -> Result<Copy, String> {
        let dir = root.join("copy");
        let from = self.nodes[number].dir.path();
        let made = if dir.exists() { fs::remove_dir_all(&dir) } else { Ok(()) };
        made.and_then(|()| copy_dir(from, &dir))
            .map_err(|error| format!("no copy of {}: {error}", from.display()))?;
        Ok(Copy { of: number, dir })
    }
}

/// How long an exchange of roles may take: four seconds, and attempts to connect after that.
const FAILOVER_MAX: Duration = Duration::from_secs(45);
/// How long those who follow are watched while their master has less.
const KEPT_AT_LEAST: Duration = Duration::from_secs(2);
