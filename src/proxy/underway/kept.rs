//! The request bodies that are kept, all together.

use std::sync::{Arc, atomic::Ordering};

use super::{Full, Underway};

/// The room that one body takes, which it gives back with this.
pub struct KeptBody {
    table: Arc<Underway>,
    bytes: usize,
}

impl KeptBody {
    /// Room for nothing yet.
    pub const fn of(table: Arc<Underway>) -> Self {
        Self { table, bytes: 0 }
    }

    /// Takes room for so many bytes in all, unless there is too little.
    pub fn grow(&mut self, to: usize) -> Result<(), Full> {
        let more = to.saturating_sub(self.bytes);
        if self.table.kept.fetch_add(more, Ordering::AcqRel) + more > self.table.most_kept.load(Ordering::Relaxed) {
            self.table.kept.fetch_sub(more, Ordering::AcqRel);
            return Err(Full::Bodies);
        }
        self.bytes += more;
        Ok(())
    }
}

impl Drop for KeptBody {
    fn drop(&mut self) {
        self.table.kept.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}
