//! Notes about instances, looked at with every request.

use crate::base::id::Id as _;
use crate::model::alloc::AllocId;
use crate::model::topology::RegionId;
use crate::world::event::Instance;

/// Something for some instances, asked for with every request: by region and allocation, both of which are dense.
#[derive(Debug, Clone)]
pub(super) struct ByInstance<T>(Vec<Vec<Option<T>>>);

impl<T> Default for ByInstance<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy> ByInstance<T> {
    pub(super) fn get(&self, Instance { region, alloc }: Instance) -> Option<T> {
        *self.0.get(region.index())?.get(alloc.index())?
    }

    #[inline]
    pub(super) fn insert(&mut self, Instance { region, alloc }: Instance, what: T) {
        let (region, alloc) = (region.index(), alloc.index());
        if self.0.len() <= region {
            self.0.resize(region + 1, Vec::new());
        }
        if self.0[region].len() <= alloc {
            self.0[region].resize(alloc + 1, None);
        }
        self.0[region][alloc] = Some(what);
    }

    pub(super) fn remove(&mut self, Instance { region, alloc }: Instance) -> Option<T> {
        self.0.get_mut(region.index())?.get_mut(alloc.index())?.take()
    }

    /// In order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Instance, T)> {
        self.0.iter().enumerate().flat_map(|(region, allocs)| {
            let region = RegionId::from_index(region);
            let instance = move |alloc| Instance { region, alloc: AllocId::from_index(alloc) };
            allocs.iter().enumerate().filter_map(move |(alloc, what)| Some((instance(alloc), (*what)?)))
        })
    }
}
