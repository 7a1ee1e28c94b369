//! Renders HTML pages from view structs; no JavaScript needed.
