//! Why a store operation failed.

use thiserror::Error;

/// Why a store operation failed. What the caller can do about it is in the variant.
#[derive(Debug, Error)]
pub enum Error {
    /// The database cannot be reached, is overloaded or read-only; the same call may work later.
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database answered what the program does not understand; a person must look.
    #[error("the store holds what this program cannot read: {what}")]
    Corrupt {
        /// The column or row.
        what: &'static str,
        /// Why.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A statement failed for a reason that trying again does not mend.
    #[error("a store statement failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The schema belongs to a newer program.
    #[error("the store's schema is at version {found}, newer than this program's {known}")]
    NewerSchema {
        /// The version found.
        found: i64,
        /// The newest version this program knows.
        known: i64,
    },
}
