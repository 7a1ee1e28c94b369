//! Turns a bearer token into a `Principal`, or a challenge.
