//! Log format and audit events.
