//! Turns a `Principal` and a call into a `Permit` or a denial.
