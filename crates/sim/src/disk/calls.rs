//! The calls of `durable` on the simulated disk.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use durable::disk::EIO;
use durable::{Disk, Entry, File, Lock, Source};

use crate::disk::state::{Crash, DiskFault, FileState, Lie, Node, NodeState, State};

/// A disk; clones are the same disk. Whatever happens on it follows from its seed and the calls.
#[derive(Clone, Debug)]
pub struct MemDisk {
    state: Arc<Mutex<State>>,
}

impl MemDisk {
    /// An empty one.
    pub fn new(seed: u64) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(seed))) }
    }

    /// Calls so far that change something.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// From call number `call` on nothing is done any more and every call fails: the process has ended there.
    pub fn crash_at(&self, call: u64) {
        self.state().crash_at = Some(call);
    }

    /// Whether it has come to that.
    pub fn is_dead(&self) -> bool {
        self.state().is_dead
    }

    /// Ends the process; what it leaves is what the next one finds.
    pub fn crash(&self, how: Crash) {
        self.state().crash(how);
    }

    /// Lets call number `call` fail.
    pub fn fault_at(&self, call: u64, fault: DiskFault) {
        self.state().faults.insert(call, fault);
    }

    /// Lets every sync of a file fail, or work again.
    pub fn syncs_fail(&self, fail: bool) {
        self.state().syncs_fail = fail;
    }

    /// Calls that failed for such reasons.
    pub fn faults_hit(&self) -> u64 {
        self.state().faults_hit
    }

    /// Plants a lie.
    pub fn lie(&self, lie: Lie) {
        self.state().lies.push(lie);
    }

    /// Flips a bit of a file, on the device too.
    pub fn flip(&self, path: &str, byte: u64) {
        let mut state = self.state();
        let node = state.find(path).expect("the file is there");
        state.file(node).live[byte as usize] ^= 4;
        state.file(node).sync();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no call panics")
    }

    /// One call that changes something: dead, failing, or to be done.
    fn call(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        state.is_dead |= state.crash_at.is_some_and(|at| state.calls >= at);
        if state.is_dead {
            return Err(io::Error::other("the process has ended"));
        }
        let call = state.calls;
        state.calls += 1;
        match state.faults.remove(&call) {
            None => Ok(state),
            Some(fault) => {
                state.faults_hit += 1;
                Err(fault.into())
            }
        }
    }

    fn reading(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state();
        if state.is_dead { Err(io::Error::other("the process has ended")) } else { Ok(state) }
    }

    fn opened(&self, node: Node, path: &str) -> Arc<dyn File> {
        Arc::new(MemFile { disk: self.clone(), node, path: path.to_owned() })
    }
}

impl From<DiskFault> for io::Error {
    fn from(fault: DiskFault) -> Self {
        match fault {
            DiskFault::Device => io::Error::from_raw_os_error(EIO),
            DiskFault::Full => io::ErrorKind::StorageFull.into(),
        }
    }
}

impl Disk for MemDisk {
    fn name(&self) -> String {
        "the simulated disk".to_owned()
    }

    fn create_new(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let mut state = self.call()?;
        let (parent, name) = state.parent(path)?;
        if state.names_of(parent)?.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = state.nodes.len();
        state.nodes.push(NodeState::File(FileState::default()));
        state.change(vec![(parent, name, Some(node))]);
        Ok(self.opened(node, path))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let node = self.reading()?.find(path)?;
        Ok(self.opened(node, path))
    }

    fn open_writable(&self, path: &str) -> io::Result<Arc<dyn File>> {
        self.open(path)
    }

    fn list(&self, directory: &str) -> io::Result<Vec<Entry>> {
        let state = self.reading()?;
        let names = state.names_of(state.find(directory)?)?;
        let entry = |(name, node): (&String, &Node)| match &state.nodes[*node] {
            NodeState::File(file) => {
                Entry { name: name.clone(), is_dir: false, bytes: file.live.len() as u64 }
            }
            NodeState::Directory { .. } => Entry { name: name.clone(), is_dir: true, bytes: 0 },
        };
        Ok(names.iter().map(entry).collect())
    }

    fn make_dir(&self, path: &str) -> io::Result<()> {
        let mut state = self.call()?;
        let (parent, name) = state.parent(path)?;
        if state.names_of(parent)?.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = state.nodes.len();
        state.nodes.push(NodeState::Directory { live: Default::default(), device: Default::default() });
        state.change(vec![(parent, name, Some(node))]);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        if self.reading()?.find(to).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.replace(from, to)
    }

    fn replace(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.call()?;
        let node = state.find(from)?;
        let ((from, from_name), (to, to_name)) = (state.parent(from)?, state.parent(to)?);
        state.change(vec![(from, from_name, None), (to, to_name, Some(node))]);
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.reading()?.find(path)?;
        let mut state = self.call()?;
        let (parent, name) = state.parent(path)?;
        state.change(vec![(parent, name, None)]);
        Ok(())
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        let mut state = self.call()?;
        let node = state.find(path)?;
        if !state.names_of(node)?.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let (parent, name) = state.parent(path)?;
        state.change(vec![(parent, name, None)]);
        Ok(())
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        let mut state = self.call()?;
        let node = state.find(path)?;
        let is_lie = |lie: &Lie| matches!(lie, Lie::Directory(prefix) if path.starts_with(prefix));
        if !state.lies.iter().any(is_lie) {
            state.sync_names(node);
        }
        Ok(())
    }

    fn lock(&self, _path: &str, _note: &str) -> io::Result<Box<dyn Lock>> {
        let mut state = self.reading()?;
        if std::mem::replace(&mut state.is_locked, true) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(MemLock(self.clone())))
    }
}

struct MemLock(MemDisk);

impl Lock for MemLock {}

impl Drop for MemLock {
    fn drop(&mut self) {
        self.0.state().is_locked = false;
    }
}

struct MemFile {
    disk: MemDisk,
    node: Node,
    path: String,
}

impl Source for MemFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.disk.reading()?;
        let live = &state.file(self.node).live;
        let from = live.len().min(offset as usize);
        let read = into.len().min(live.len() - from);
        into[..read].copy_from_slice(&live[from..from + read]);
        Ok(read)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.reading()?.file(self.node).live.len() as u64)
    }
}

impl File for MemFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let call = self.disk.calls();
        let fault = self.disk.state().faults.get(&call).copied();
        match self.disk.call() {
            Ok(mut state) => {
                // A process may end, and a disk fill up, in the middle of a long write.
                let is_last = state.crash_at == Some(state.calls);
                let taken = if is_last { state.rng.index(bytes.len() + 1).max(1) } else { bytes.len() };
                let taken = taken.min(bytes.len());
                state.file(self.node).write(offset, &bytes[..taken]);
                Ok(taken)
            }
            Err(error) => {
                let mut state = self.disk.state();
                if fault == Some(DiskFault::Full) && !state.is_dead && bytes.len() > 1 {
                    let taken = 1 + state.rng.index(bytes.len() - 1);
                    state.file(self.node).write(offset, &bytes[..taken]);
                    let next = state.calls;
                    state.faults.insert(next, DiskFault::Device);
                    return Ok(taken);
                }
                Err(error)
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        let mut rng = self.disk.state().rng.fork();
        let result = self.disk.call();
        let mut state = match result {
            Ok(state) => state,
            Err(error) => {
                let mut state = self.disk.state();
                if !state.is_dead {
                    state.file(self.node).sync_badly(&mut rng);
                }
                return Err(error);
            }
        };
        if state.syncs_fail {
            state.faults_hit += 1;
            state.file(self.node).sync_badly(&mut rng);
            return Err(DiskFault::Device.into());
        }
        let is_lie = |lie: &Lie| matches!(lie, Lie::File(part) if self.path.contains(part));
        if !state.lies.iter().any(is_lie) {
            state.file(self.node).sync();
        }
        Ok(())
    }

    fn preallocate(&self, size: u64) -> io::Result<()> {
        let mut state = self.disk.call()?;
        let file = state.file(self.node);
        if (file.live.len() as u64) < size {
            file.resize(size);
        }
        Ok(())
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        let mut state = self.disk.call()?;
        let file = state.file(self.node);
        if file.live.len() as u64 > size {
            file.resize(size);
        }
        Ok(())
    }
}
