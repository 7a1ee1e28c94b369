//! The definitions of tools that count: an upstream that gives another one later is noticed.
//!
//! A model does what the description of a tool says, so whoever changes it after it was looked at changes what the model
//! does. The first definition of every tool that a route shows counts until an administrator decides otherwise. What
//! counts stands in the store and in the memory of every process; lists and calls ask memory only, and what they notice
//! is written by a task of its own.

mod queue;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use memchr::memchr2;

use self::queue::Queue;
use crate::{
    crypto::Digest,
    mcp::filter::canonical,
    store::{Change, Changes, MAX_TOOLS, SeenTool, ToolPin},
};

/// The tools of all routes.
#[derive(Debug, Default)]
pub struct Pins {
    routes: RwLock<HashMap<Box<str>, Arc<RoutePins>>>,
    queue: Arc<Queue>,
}

/// The tools of one route.
#[derive(Debug)]
pub struct RoutePins {
    operation_id: Box<str>,
    tools: RwLock<HashMap<Box<str>, Pin>>,
    queue: Arc<Queue>,
}

#[derive(Debug)]
struct Pin {
    accepted: Digest,
    /// What waits for a decision, as the store knows it or is about to.
    changed: Option<Digest>,
    /// A text of the accepted definition as it came last, so that the same need not be read again.
    text: Option<Box<str>>,
    /// Definitions that the store was told of already.
    told: Vec<Digest>,
}

impl Pins {
    /// The tools of no route yet; wakes whoever waits in [`Pins::news`] when `changes` announces a decision.
    pub fn new(changes: &Changes) -> Arc<Self> {
        let pins = Arc::new(Self::default());
        changes.subscribe(&pins, |pins, change| {
            if matches!(change, Change::ToolPinsChanged | Change::Unheard) {
                pins.queue.wake();
            }
        });
        pins
    }

    /// The tools of a route.
    pub fn of(&self, operation_id: &str) -> Arc<RoutePins> {
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let (tools, queue) = (RwLock::default(), Arc::clone(&self.queue));
            Arc::new(RoutePins { operation_id: operation_id.into(), tools, queue })
        };
        Arc::clone(routes.entry(operation_id.into()).or_insert_with(new))
    }

    /// Waits until there is something to write or to read anew.
    pub async fn news(&self) {
        self.queue.news().await;
    }

    /// What was noticed since, for the store.
    pub fn noticed(&self) -> Vec<SeenTool> {
        self.queue.take()
    }

    /// Takes back what the store did not take.
    pub fn put_back(&self, seen: Vec<SeenTool>) {
        self.queue.put_back(seen);
    }

    /// Believes what the store says from now on, and what it was not told yet.
    pub fn replace(&self, stored: Vec<ToolPin>) {
        let mut of_routes: HashMap<String, Vec<ToolPin>> = HashMap::new();
        for pin in stored {
            of_routes.entry(pin.operation_id.clone()).or_default().push(pin);
        }
        for operation_id in of_routes.keys() {
            self.of(operation_id);
        }
        let routes: Vec<_> =
            self.routes.read().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect();
        for route in routes {
            route.replace(of_routes.remove(&*route.operation_id).unwrap_or_default());
        }
    }
}

impl RoutePins {
    /// Looks at a definition as the upstream wrote it: whether it is the one that counts, and nothing waits.
    ///
    /// The first one counts. One that could be read in two ways is nobody's but its own bytes'.
    pub fn is_settled(&self, tool: &str, definition: &str) -> bool {
        if !is_name(tool) {
            return false;
        }
        if let Some(pin) = self.read().get(tool)
            && pin.text.as_deref() == Some(definition)
        {
            return pin.changed.is_none();
        }
        let canonical = canonical(definition).unwrap_or_else(|_ambiguous| definition.to_owned());
        let digest = Digest::of(&canonical);
        let text = (definition.len() <= REMEMBERED_BYTES).then(|| definition.into());
        let mut tools = self.write();
        let has_room = tools.len() < MAX_TOOLS;
        match tools.get_mut(tool) {
            None if !has_room => false,
            None => {
                tools.insert(tool.into(), Pin { accepted: digest, changed: None, text, told: Vec::new() });
                self.queue.push(self.seen(tool, digest, canonical));
                true
            }
            Some(pin) if pin.accepted == digest => {
                pin.text = text;
                pin.changed.is_none()
            }
            Some(pin) => {
                // An upstream that says something else to everybody does not fill the store and the log.
                if pin.changed != Some(digest) && !pin.told.contains(&digest) && pin.told.len() < TOLD {
                    pin.told.push(digest);
                    pin.changed = Some(digest);
                    self.queue.push(self.seen(tool, digest, canonical));
                }
                false
            }
        }
    }

    /// The name of the tool at the front of this text, and how long its definition is, if that is the text of the one that
    /// counts as it came last, and nothing waits.
    ///
    /// Only where the name comes first, as nearly all servers write it.
    pub fn known<'t>(&self, text: &'t str) -> Option<(&'t str, usize)> {
        let behind = ["{\"name\":\"", "{\"name\": \""].iter().find_map(|front| text.strip_prefix(front))?;
        let name = behind.get(..memchr2(b'"', b'\\', behind.as_bytes())?)?;
        let tools = self.read();
        let pin = tools.get(name).filter(|pin| pin.changed.is_none())?;
        let known = pin.text.as_deref().filter(|known| text.starts_with(*known))?;
        Some((name, known.len()))
    }

    /// Whether a changed definition of a tool waits for a decision. What there is no room for waits for ever.
    pub fn waits(&self, tool: &str) -> bool {
        let tools = self.read();
        tools.get(tool).map_or_else(|| !is_name(tool) || tools.len() >= MAX_TOOLS, |pin| pin.changed.is_some())
    }

    fn seen(&self, tool: &str, digest: Digest, mut definition: String) -> SeenTool {
        definition.truncate(definition.floor_char_boundary(KEPT_BYTES));
        SeenTool { operation_id: self.operation_id.to_string(), tool: tool.to_owned(), digest, definition }
    }

    fn replace(&self, stored: Vec<ToolPin>) {
        let mut tools = self.write();
        let mut known = std::mem::take(&mut *tools);
        for ToolPin { tool, accepted, changed, .. } in stored {
            let pin = match known.remove(tool.as_str()) {
                Some(pin) if pin.accepted == accepted && pin.changed == changed => pin,
                Some(pin) if pin.accepted == accepted => Pin { changed, told: Vec::new(), ..pin },
                _ => Pin { accepted, changed, text: None, told: Vec::new() },
            };
            tools.insert(tool.into(), pin);
        }
        self.queue.each(&self.operation_id, |seen| match tools.get_mut(seen.tool.as_str()) {
            Some(pin) if pin.accepted == seen.digest => {}
            Some(pin) => {
                pin.told.push(seen.digest);
                pin.changed = Some(seen.digest);
            }
            None => {
                let pin = Pin { accepted: seen.digest, changed: None, text: None, told: Vec::new() };
                tools.insert(seen.tool.as_str().into(), pin);
            }
        });
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<Box<str>, Pin>> {
        self.tools.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<Box<str>, Pin>> {
        self.tools.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What can be kept; MCP has names of at most 128 characters.
fn is_name(tool: &str) -> bool {
    tool.len() <= 1_000 && !tool.contains('\0')
}

/// Longer texts are read anew every time.
const REMEMBERED_BYTES: usize = 32 * 1024;
/// How much of a definition is kept for people to look at; all of it counts.
pub const KEPT_BYTES: usize = 256 * 1024;
/// How many definitions of one tool are told of before somebody decides.
const TOLD: usize = 16;

#[cfg(test)]
mod tests;
