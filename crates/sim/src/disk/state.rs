//! What a simulated disk holds.

use std::collections::BTreeMap;
use std::io;

use stdx::Rng;

/// How a run ends before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process is gone, the kernel lives on.
    Kill,
    /// The machine is gone, and with it what was not synced, or part of it.
    Power,
}

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// A device error.
    Device,
    /// No room; writes take some bytes first.
    Full,
}

/// Planted: a promise that the disk breaks. Each stands for an order of calls that the code under test must not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Syncs of files whose path contains this do nothing.
    File(&'static str),
    /// Syncs of directories whose path begins with this do nothing.
    Directory(&'static str),
}

pub(super) type Node = usize;

#[derive(Clone, Debug, Default)]
pub(super) struct FileState {
    pub(super) live: Vec<u8>,
    device: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Bytes(u64, Vec<u8>),
    Size(u64),
}

/// A change of names that is on the device whole or not at all.
#[derive(Clone, Debug)]
struct Rename(Vec<(Node, String, Option<Node>)>);

#[derive(Clone, Debug)]
pub(super) enum NodeState {
    File(FileState),
    Directory { live: BTreeMap<String, Node>, device: BTreeMap<String, Node> },
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) nodes: Vec<NodeState>,
    names: Vec<Rename>,
    pub(super) is_locked: bool,
    /// Calls that change something, so far.
    pub(super) calls: u64,
    pub(super) crash_at: Option<u64>,
    pub(super) is_dead: bool,
    pub(super) faults: BTreeMap<u64, DiskFault>,
    pub(super) syncs_fail: bool,
    pub(super) faults_hit: u64,
    pub(super) lies: Vec<Lie>,
    pub(super) rng: Rng,
}

pub(super) const ROOT: Node = 0;

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            nodes: vec![NodeState::Directory { live: BTreeMap::new(), device: BTreeMap::new() }],
            names: Vec::new(),
            is_locked: false,
            calls: 0,
            crash_at: None,
            is_dead: false,
            faults: BTreeMap::new(),
            syncs_fail: false,
            faults_hit: 0,
            lies: Vec::new(),
            rng: Rng::new(seed),
        }
    }

    pub(super) fn find(&self, path: &str) -> io::Result<Node> {
        let mut node = ROOT;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let NodeState::Directory { live, .. } = &self.nodes[node] else {
                return Err(io::ErrorKind::NotADirectory.into());
            };
            node = *live.get(part).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(node)
    }

    pub(super) fn parent(&self, path: &str) -> io::Result<(Node, String)> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok((self.find(parent)?, name.to_owned()))
    }

    pub(super) fn names_of(&self, node: Node) -> io::Result<&BTreeMap<String, Node>> {
        match &self.nodes[node] {
            NodeState::Directory { live, .. } => Ok(live),
            NodeState::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn file(&mut self, node: Node) -> &mut FileState {
        match &mut self.nodes[node] {
            NodeState::File(file) => file,
            NodeState::Directory { .. } => panic!("a directory was opened as a file"),
        }
    }

    /// Changes names, as one step.
    pub(super) fn change(&mut self, changes: Vec<(Node, String, Option<Node>)>) {
        for change in &changes {
            apply(self.directory(change.0).0, change);
        }
        self.names.push(Rename(changes));
    }

    fn directory(&mut self, node: Node) -> (&mut BTreeMap<String, Node>, &mut BTreeMap<String, Node>) {
        match &mut self.nodes[node] {
            NodeState::Directory { live, device } => (live, device),
            NodeState::File(_) => panic!("a file was used as a directory"),
        }
    }

    pub(super) fn sync_names(&mut self, node: Node) {
        let (now, later) = std::mem::take(&mut self.names)
            .into_iter()
            .partition::<Vec<_>, _>(|rename| rename.0.iter().any(|(directory, ..)| *directory == node));
        self.names = later;
        now.into_iter().for_each(|rename| self.settle_names(&rename));
    }

    fn settle_names(&mut self, rename: &Rename) {
        for change in &rename.0 {
            apply(self.directory(change.0).1, change);
        }
    }

    /// Ends the process, and perhaps the machine; the disk can be used again by the next one.
    pub(super) fn crash(&mut self, how: Crash) {
        (self.is_dead, self.is_locked, self.crash_at) = (false, false, None);
        if how == Crash::Kill {
            return;
        }
        for rename in std::mem::take(&mut self.names) {
            if self.rng.one_in(2) {
                self.settle_names(&rename);
            }
        }
        let mut rng = self.rng.fork();
        for node in &mut self.nodes {
            match node {
                NodeState::File(file) => file.lose(&mut rng),
                NodeState::Directory { live, device } => live.clone_from(device),
            }
        }
    }
}

fn apply(names: &mut BTreeMap<String, Node>, (_, name, node): &(Node, String, Option<Node>)) {
    match node {
        Some(node) => _ = names.insert(name.clone(), *node),
        None => _ = names.remove(name),
    }
}

impl FileState {
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        put(&mut self.live, offset, bytes);
        self.pending.push(Change::Bytes(offset, bytes.to_vec()));
    }

    pub(super) fn resize(&mut self, size: u64) {
        self.live.resize(size as usize, 0);
        self.pending.push(Change::Size(size));
    }

    pub(super) fn sync(&mut self) {
        self.device.clone_from(&self.live);
        self.pending.clear();
    }

    /// A sync that fails: some of it is written, and the rest is taken for written.
    pub(super) fn sync_badly(&mut self, rng: &mut Rng) {
        for change in std::mem::take(&mut self.pending) {
            change.land(&mut self.device, rng);
        }
    }

    fn lose(&mut self, rng: &mut Rng) {
        // All, nothing and anything between are each as likely: faults hide at the ends.
        match rng.below(4) {
            0 => self.pending.clear(),
            1 => self.sync(),
            _ => self.sync_badly(rng),
        }
        self.live.clone_from(&self.device);
    }
}

impl Change {
    fn land(self, device: &mut Vec<u8>, rng: &mut Rng) {
        match self {
            Self::Size(size) => {
                if rng.one_in(2) {
                    device.resize(size as usize, 0);
                }
            }
            Self::Bytes(offset, bytes) => {
                let mut at = 0;
                while at < bytes.len() {
                    let sector_end = ((offset + at as u64) / SECTOR + 1) * SECTOR - offset;
                    let end = bytes.len().min(sector_end as usize);
                    if rng.one_in(2) {
                        put(device, offset + at as u64, &bytes[at..end]);
                    }
                    at = end;
                }
            }
        }
    }
}

fn put(into: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let (from, to) = (offset as usize, offset as usize + bytes.len());
    if into.len() < to {
        into.resize(to, 0);
    }
    into[from..to].copy_from_slice(bytes);
}

const SECTOR: u64 = 512;
