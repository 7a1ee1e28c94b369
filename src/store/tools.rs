//! Definitions of tools: the one that counts, and the one that an upstream gives instead.

use async_trait::async_trait;

use super::Result;
use crate::{clock::Timestamp, crypto::Digest};

/// A tool as an upstream defines it at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenTool {
    /// The route.
    pub operation_id: String,
    /// The tool.
    pub tool: String,
    /// The digest of the definition.
    pub digest: Digest,
    /// The definition, as far as it is kept.
    pub definition: String,
}

/// What is new about a tool that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sighting {
    /// The tool: its definition counts from now on.
    First,
    /// Its definition: it waits for a decision.
    Changed,
    /// Nothing, or there is no room for another tool of this route.
    Known,
}

/// The definition of a tool that counts, and the one that waits for a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolPin {
    /// The route.
    pub operation_id: String,
    /// The tool.
    pub tool: String,
    /// What counts.
    pub accepted: Digest,
    /// What waits.
    pub changed: Option<Digest>,
}

/// A changed definition that waits for a decision, beside the one that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolChange {
    /// The route.
    pub operation_id: String,
    /// The tool.
    pub tool: String,
    /// What counts.
    pub definition: String,
    /// What waits.
    pub changed: Digest,
    /// The same in words.
    pub changed_definition: String,
    /// When what counts was first seen.
    pub seen_at: Timestamp,
    /// When what waits was seen.
    pub changed_at: Timestamp,
}

/// What an administrator decided about a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolDecision {
    /// The route.
    pub operation_id: String,
    /// The tool.
    pub tool: String,
    /// Whether the new definition counts since then.
    pub accepted: bool,
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// The definitions of tools that routes expose.
#[async_trait]
pub trait ToolPins {
    /// Takes notice of a definition: the first one of a tool counts, a later one that differs waits for a decision.
    ///
    /// Of several that see a tool first, one says [`Sighting::First`]. What waits already changes nothing. A route has at
    /// most [`MAX_TOOLS`] tools.
    async fn see_tool(&self, seen: &SeenTool, now: Timestamp) -> Result<Sighting>;

    /// All tools of all routes.
    async fn tool_pins(&self) -> Result<Vec<ToolPin>>;

    /// The changes that wait for a decision, the latest first, at most so many.
    async fn tool_changes(&self, limit: usize) -> Result<Vec<ToolChange>>;

    /// How many changes wait for a decision.
    async fn waiting_tools(&self) -> Result<usize>;

    /// Decides about the change with this digest: its definition counts from now on, or it is forgotten. False if that is
    /// not what waits.
    async fn decide_tool(&self, decision: &ToolDecision, changed: &Digest) -> Result<bool>;

    /// The last decision about each tool, the latest first, at most so many.
    async fn tool_decisions(&self, limit: usize) -> Result<Vec<ToolDecision>>;
}

/// How many tools of a route are kept.
pub const MAX_TOOLS: usize = 2_000;
