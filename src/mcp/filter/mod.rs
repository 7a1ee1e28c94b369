//! What passes between a client and an upstream where a route shows only a part of it.
//!
//! Everything here is pure: text in, decision or text out. [`View`] says what there is for one caller; [`Request`] reads
//! what a client sends, [`narrow()`] what an upstream sends, and [`EventFilter`] cuts a stream of events into messages.

mod block;
mod definition;
mod edit;
mod events;
mod narrow;
mod request;
mod scan;
mod uri_template;
mod view;

pub use definition::canonical;
pub use edit::Edits;
pub use events::{EventFilter, MAX_EVENT_BYTES, TooLarge};
pub use narrow::{Narrowed, narrow};
pub use request::{Batch, Refusal, Request, Subject, Unreadable, judge};
pub use scan::Malformed;
pub use uri_template::UriTemplate;
pub use view::{Item, Kind, Projection, View};

#[cfg(test)]
mod tests;
