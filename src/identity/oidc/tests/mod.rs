//! Whole logins at a fake provider.

mod id_token;
mod oddities;
mod protocol;
mod upkeep;
