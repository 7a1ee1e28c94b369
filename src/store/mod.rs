//! The store: what outlives a request, as whole atomic operations that say what happened.
