//! Whole logins at a fake provider.

mod id_token;
mod protocol;
mod upkeep;
