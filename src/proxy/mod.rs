//! The Pingora edge: router, phases, relay, and the one place where errors become HTTP.
