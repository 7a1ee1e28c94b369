//! `/admin/tools`: tools whose definition changed, for administrators to decide on.

use std::{collections::HashSet, sync::Arc, time::Duration};

use http::{Method, StatusCode};
use serde_json::Value;
use similar::{ChangeTag, TextDiff};
use time::OffsetDateTime;

use super::{admins::Admins, analytics::ADMIN};
use crate::{
    clock::{Clock, Timestamp},
    crypto::Digest,
    identity::{SignedIn, Trouble, page_response, store_trouble, trouble_page},
    oauth::Params,
    pages::{self, ChangedTool, DecidedTool, DiffLine, Field, Form, LocalHref, SafeText, Side, safe_text, visible},
    pins::KEPT_BYTES,
    routes::Routes,
    store::{self, Change, Changes, Store, ToolChange, ToolDecision},
    web::{BasePath, Request, Response},
};

/// The page of the tools of one gateway.
pub(super) struct Tools {
    pub(super) base_path: BasePath,
    pub(super) admins: Admins,
    pub(super) routes: Arc<Routes>,
    /// The routes that hold changed tools back.
    pub(super) holding: HashSet<String>,
    pub(super) store: Arc<dyn Store>,
    pub(super) changes: Arc<Changes>,
    pub(super) clock: Clock,
}

/// The page, below the base path.
pub(super) const TOOLS: &str = "/admin/tools";

impl Tools {
    /// Answers a request to the page.
    pub(super) async fn answer(&self, request: &Request) -> Response {
        if ![Method::GET, Method::POST].contains(&request.method) {
            return Response::method_not_allowed(&request.id, "GET, HEAD, POST");
        }
        let signed_in = match self.admins.admit(request).await {
            Ok(signed_in) => signed_in,
            Err(answer) => return answer,
        };
        if request.method == Method::POST {
            return self.decide(request, &signed_in).await;
        }
        match self.page(&signed_in).await {
            Ok(page) => page_response(&page, StatusCode::OK),
            Err(error) => store_trouble(request, &error),
        }
    }

    async fn page(&self, signed_in: &SignedIn) -> store::Result<pages::Tools> {
        let changed = self.store.tool_changes(SHOWN).await?;
        let decided = self.store.tool_decisions(SHOWN).await?;
        Ok(pages::Tools {
            user: pages::User { name: safe_text(signed_in.name()), email: None },
            sign_out: LocalHref::new(&self.admins.identity.sign_out_path()),
            board: LocalHref::new(&self.base_path.path(ADMIN)),
            changed: changed.iter().enumerate().map(|(index, tool)| self.changed(signed_in, index, tool)).collect(),
            decided: decided
                .iter()
                .map(|decision| DecidedTool {
                    name: visible(&decision.tool),
                    route: self.title(&decision.operation_id),
                    accepted: decision.accepted,
                    by: safe_text(&decision.by),
                    at: moment(decision.at),
                })
                .collect(),
        })
    }

    fn changed(&self, signed_in: &SignedIn, index: usize, tool: &ToolChange) -> ChangedTool {
        let cut = [&tool.definition, &tool.changed_definition].iter().any(|text| text.len() + 4 > KEPT_BYTES);
        ChangedTool {
            id: format!("change-{index}"),
            name: visible(&tool.tool),
            route: self.title(&tool.operation_id),
            hidden: self.holding.contains(&tool.operation_id),
            seen: moment(tool.seen_at),
            changed: moment(tool.changed_at),
            lines: diff(&tool.definition, &tool.changed_definition),
            cut,
            accept: self.form(signed_in, tool, "accept"),
            keep: self.form(signed_in, tool, "keep"),
        }
    }

    fn form(&self, signed_in: &SignedIn, tool: &ToolChange, decision: &str) -> Form {
        let digest = tool.changed.to_hex();
        Form {
            action: LocalHref::new(&self.base_path.path(TOOLS)),
            csrf: signed_in.csrf(&purpose(decision, &tool.operation_id, &tool.tool, &digest)).as_str().to_owned(),
            fields: vec![
                Field { name: "route", value: tool.operation_id.clone() },
                Field { name: "tool", value: tool.tool.clone() },
                Field { name: "definition", value: digest },
                Field { name: "decision", value: decision.to_owned() },
            ],
        }
    }

    /// Decides about the definition that the administrator saw, and about no other.
    async fn decide(&self, request: &Request, signed_in: &SignedIn) -> Response {
        let Ok(form) = Params::parse(&request.body) else { return trouble_page(request, &Trouble::MALFORMED) };
        let field = |name| form.get(name).ok().flatten();
        let (Some(operation_id), Some(tool), Some(digest), Some(decision)) =
            (field("route"), field("tool"), field("definition"), field("decision"))
        else {
            return trouble_page(request, &Trouble::MALFORMED);
        };
        if !signed_in.sent(request, &form, &purpose(decision, operation_id, tool, digest)) {
            return trouble_page(request, &Trouble::FOREIGN_FORM);
        }
        let (Some(changed), true) = (Digest::from_hex(digest), ["accept", "keep"].contains(&decision)) else {
            return trouble_page(request, &Trouble::MALFORMED);
        };
        let user = signed_in.user();
        let decided = ToolDecision {
            operation_id: operation_id.to_owned(),
            tool: tool.to_owned(),
            accepted: decision == "accept",
            by: user.email.clone().unwrap_or_else(|| user.sub.clone()),
            at: self.clock.now(),
        };
        match self.store.decide_tool(&decided, &changed).await {
            Ok(true) => {
                self.changes.publish(&Change::ToolPinsChanged);
                tracing::info!(event = "mcp_tool_decided", requestId = %request.id, subjectId = %user.subject,
                    operationId = operation_id, capabilityName = tool, decision, "a changed tool was decided on");
                Response::see_other(&self.base_path.path(TOOLS))
            }
            Ok(false) => trouble_page(request, &CHANGED_AGAIN),
            Err(error) => store_trouble(request, &error),
        }
    }

    fn title(&self, operation_id: &str) -> SafeText {
        safe_text(self.routes.of(operation_id).map_or(operation_id, |route| &route.title))
    }
}

/// Both definitions line by line, with everything visible that is in them.
fn diff(old: &str, new: &str) -> Vec<DiffLine> {
    let (old, new) = (lines(old), lines(new));
    let mut config = TextDiff::configure();
    config.timeout(PATIENCE);
    config
        .diff_lines(&old, &new)
        .iter_all_changes()
        .map(|change| DiffLine {
            side: match change.tag() {
                ChangeTag::Equal => Side::Both,
                ChangeTag::Delete => Side::Old,
                ChangeTag::Insert => Side::New,
            },
            text: visible(change.value().trim_end_matches('\n')),
        })
        .collect()
}

/// A definition in lines: one for each member, and for each line of a text.
fn lines(definition: &str) -> String {
    let pretty =
        serde_json::from_str::<Value>(definition).ok().and_then(|value| serde_json::to_string_pretty(&value).ok());
    pretty.unwrap_or_else(|| definition.to_owned()).replace("\\n", "\\n\n      ")
}

fn purpose(decision: &str, operation_id: &str, tool: &str, digest: &str) -> String {
    format!("tools {decision} {operation_id} {digest} {tool}")
}

fn moment(at: Timestamp) -> SafeText {
    let time = OffsetDateTime::from_unix_timestamp(at.as_seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    safe_text(&format!("{} {:02}:{:02} UTC", time.date(), time.hour(), time.minute()))
}

const CHANGED_AGAIN: Trouble<'static> = Trouble {
    status: StatusCode::CONFLICT,
    reason: "tool_changed_again",
    title: "This change is gone",
    happened: "The tool changed again, or somebody else decided, since the page was opened.",
    next: "Open the page anew and look at what waits now.",
    details: &[],
};

/// How many changes and decisions a page shows.
const SHOWN: usize = 100;
/// A diff that takes longer is coarser.
const PATIENCE: Duration = Duration::from_millis(200);
