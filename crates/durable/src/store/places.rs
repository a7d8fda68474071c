//! All places of one server.

use std::sync::Arc;

use crate::disk::Disk;
use crate::store::nothing::Nothing;
use crate::store::{DirectorySets, SetStore};

/// The data directory, and where its server's sets are: there, and perhaps elsewhere. Sets are looked for in both; new
/// ones go elsewhere if there is such a place. Clones are the same places.
#[derive(Clone)]
pub struct Places {
    disk: Arc<dyn Disk>,
    own: Arc<dyn SetStore>,
    elsewhere: Option<Arc<dyn SetStore>>,
}

impl Places {
    /// A data directory alone.
    pub fn local(disk: Arc<dyn Disk>) -> Self {
        let own = Arc::new(DirectorySets::own(Arc::clone(&disk)));
        Self { disk, own, elsewhere: None }
    }

    /// A data directory whose server writes its sets to `elsewhere`.
    pub fn with(disk: Arc<dyn Disk>, elsewhere: Arc<dyn SetStore>) -> Self {
        Self { elsewhere: Some(elsewhere), ..Self::local(disk) }
    }

    /// The same, with the data directory's log and identity read through `disk`.
    pub(crate) fn read_through(&self, disk: Arc<dyn Disk>) -> Self {
        Self { disk, ..self.clone() }
    }

    /// A place as a machine finds it that has no data directory yet. For looking only.
    pub fn without_directory(elsewhere: Arc<dyn SetStore>) -> Self {
        Self::with(Arc::new(Nothing), elsewhere)
    }

    /// The data directory.
    pub fn disk(&self) -> &dyn Disk {
        self.disk.as_ref()
    }

    /// The data directory, to keep.
    pub fn shared_disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// The data directory's own sets.
    pub fn own(&self) -> &Arc<dyn SetStore> {
        &self.own
    }

    /// Where new sets go.
    pub fn target(&self) -> &Arc<dyn SetStore> {
        self.elsewhere.as_ref().unwrap_or(&self.own)
    }

    /// Where copies of the log go, if new sets go elsewhere.
    pub fn archive(&self) -> Option<Arc<dyn SetStore>> {
        self.elsewhere.as_ref()?.archive()
    }

    /// Ends what is under way in places that are reached over a network, for a server that stops.
    pub fn close(&self) {
        if let Some(place) = &self.elsewhere {
            place.close();
        }
    }

    /// Every place, with whether it is the data directory's own.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Arc<dyn SetStore>, bool)> {
        [(&self.own, true)].into_iter().chain(self.elsewhere.as_ref().map(|place| (place, false)))
    }
}
