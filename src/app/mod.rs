//! Builds everything and runs it; the only place that names the concrete store.
