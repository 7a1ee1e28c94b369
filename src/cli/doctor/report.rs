//! What the doctor tells: one line per step, and a summary.

use std::{
    fmt::Display,
    future::Future,
    io::Write,
    time::{Duration, Instant},
};

use url::Url;

/// A step of the walk, in the order of the walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    FindRoute,
    Challenge,
    OtherMethods,
    ResourceMetadata,
    ServerMetadata,
    OpenIdDiscovery,
    Cors,
    Registration,
    ForeignRedirect,
    Authorization,
    Token,
    Handshake,
    ToolsList,
    Echo,
    TokenStaysHere,
    JunkToken,
    QueryToken,
    OtherPath,
    WrongVerifier,
    Rotation,
    RotatedToken,
    Grace,
    Revocation,
    ReplayedCode,
}

impl Step {
    const ALL: [Self; 24] = [
        Self::FindRoute,
        Self::Challenge,
        Self::OtherMethods,
        Self::ResourceMetadata,
        Self::ServerMetadata,
        Self::OpenIdDiscovery,
        Self::Cors,
        Self::Registration,
        Self::ForeignRedirect,
        Self::Authorization,
        Self::Token,
        Self::Handshake,
        Self::ToolsList,
        Self::Echo,
        Self::TokenStaysHere,
        Self::JunkToken,
        Self::QueryToken,
        Self::OtherPath,
        Self::WrongVerifier,
        Self::Rotation,
        Self::RotatedToken,
        Self::Grace,
        Self::Revocation,
        Self::ReplayedCode,
    ];

    /// What the step establishes.
    const fn title(self) -> &'static str {
        match self {
            Self::FindRoute => "the gateway names its MCP route",
            Self::Challenge => "the MCP endpoint asks for a token",
            Self::OtherMethods => "GET and DELETE ask for one, too",
            Self::ResourceMetadata => "the resource metadata describes this URL",
            Self::ServerMetadata => "the authorization server describes itself",
            Self::OpenIdDiscovery => "OpenID Connect discovery says the same",
            Self::Cors => "clients in a browser may read and register",
            Self::Registration => "a public client registers itself",
            Self::ForeignRedirect => "a foreign redirect URI is never followed",
            Self::Authorization => "sign-in and consent lead back with a code",
            Self::Token => "the code becomes tokens",
            Self::Handshake => "the MCP server answers through the gateway",
            Self::ToolsList => "its tools are listed",
            Self::Echo => "the tool `echo` answers",
            Self::TokenStaysHere => "the client's token stays at the gateway",
            Self::JunkToken => "a made-up token is refused",
            Self::QueryToken => "a token in the query is refused",
            Self::OtherPath => "the token opens no other path",
            Self::WrongVerifier => "a code without its PKCE verifier is refused",
            Self::Rotation => "the refresh token rotates",
            Self::RotatedToken => "the new access token works",
            Self::Grace => "a repeated refresh gives the same pair",
            Self::Revocation => "a revoked token is refused",
            Self::ReplayedCode => "a replayed code is refused and ends the grant",
        }
    }
}

/// What a step yielded, and what is worth telling about it.
#[derive(Debug)]
pub(super) struct Passed<T> {
    pub(super) value: T,
    pub(super) note: String,
}

impl<T> Passed<T> {
    pub(super) fn new(value: T, note: impl Into<String>) -> Self {
        Self { value, note: note.into() }
    }
}

/// Why a step failed, for the person who has to repair it. No field ever holds a secret.
#[derive(Debug)]
pub(super) struct Problem {
    expected: String,
    came: String,
    advice: String,
    is_final: bool,
}

impl Problem {
    pub(super) fn new(expected: impl Display, came: impl Display, advice: impl Display) -> Self {
        Self { expected: expected.to_string(), came: came.to_string(), advice: advice.to_string(), is_final: false }
    }

    /// Nothing can be learned after this one.
    pub(super) fn and_final(self) -> Self {
        Self { is_final: true, ..self }
    }
}

/// Whether the gateway is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// No step failed.
    Well,
    /// At least one did.
    Ill,
}

/// Writes the lines as the steps end. Where nobody reads them any more, writing fails silently.
pub(super) struct Report<'a> {
    out: &'a mut (dyn Write + Send),
    started: Instant,
    told: Vec<Step>,
    passed: usize,
    failed: usize,
    skipped: usize,
    is_over: bool,
}

impl<'a> Report<'a> {
    pub(super) fn new(out: &'a mut (dyn Write + Send), url: &Url) -> Self {
        let mut report =
            Self { out, started: Instant::now(), told: Vec::new(), passed: 0, failed: 0, skipped: 0, is_over: false };
        report.line(format_args!("sallyport doctor {url}\n"));
        report
    }

    /// Does the work of a step and tells how it went; `None` if it failed.
    pub(super) async fn step<T>(
        &mut self,
        step: Step,
        work: impl Future<Output = Result<Passed<T>, Problem>>,
    ) -> Option<T> {
        let begun = Instant::now();
        let outcome = work.await;
        self.tell(step, begun, outcome)
    }

    /// Tells how a step went that began at `begun`; `None` if it failed.
    pub(super) fn tell<T>(&mut self, step: Step, begun: Instant, outcome: Result<Passed<T>, Problem>) -> Option<T> {
        let took = begun.elapsed();
        self.told.push(step);
        match outcome {
            Ok(Passed { value, note }) => {
                self.passed += 1;
                let colon = if note.is_empty() { "" } else { ": " };
                self.line(format_args!("  ok    {}{colon}{note} ({})", step.title(), Took(took)));
                Some(value)
            }
            Err(problem) => {
                self.failed += 1;
                self.is_over |= problem.is_final;
                self.line(format_args!("  FAIL  {} ({})", step.title(), Took(took)));
                self.line(format_args!("          expected  {}", problem.expected));
                self.line(format_args!("          came      {}", problem.came));
                self.line(format_args!("          to do     {}", problem.advice));
                None
            }
        }
    }

    /// Whether a problem came up after which nothing can be learned.
    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Tells that a step was left out.
    pub(super) fn skip(&mut self, step: Step, why: &str) {
        self.told.push(step);
        self.skipped += 1;
        self.line(format_args!("  skip  {}: {why}", step.title()));
    }

    /// Says something to the person in between.
    pub(super) fn say(&mut self, text: impl Display) {
        self.line(format_args!("        {text}"));
    }

    /// Tells which steps were never reached, and sums up.
    pub(super) fn finish(mut self) -> Outcome {
        for step in Step::ALL {
            if !self.told.contains(&step) {
                self.skip(step, "it needs a step that failed");
            }
        }
        let Self { passed, failed, skipped, .. } = self;
        let verdict = if failed == 0 { "All is well" } else { "Something is wrong" };
        let took = Took(self.started.elapsed());
        self.line(format_args!("\n{verdict}: {passed} ok, {failed} failed, {skipped} skipped ({took})."));
        if failed == 0 { Outcome::Well } else { Outcome::Ill }
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.out, "{text}").and_then(|()| self.out.flush());
    }
}

struct Took(Duration);

impl Display for Took {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 < Duration::from_secs(10) {
            write!(f, "{} ms", self.0.as_millis())
        } else {
            write!(f, "{} s", self.0.as_secs())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url() -> Url {
        "http://127.0.0.1:8080/mcp/sample".parse().unwrap()
    }

    #[tokio::test]
    async fn every_step_is_told_once_and_a_failure_makes_the_outcome_ill() {
        let mut out = Vec::new();
        let mut report = Report::new(&mut out, &url());
        report.skip(Step::FindRoute, "the URL is one");
        assert_eq!(report.step(Step::Challenge, async { Ok(Passed::new(7, "401")) }).await, Some(7));
        let failed: Option<()> =
            report.step(Step::OtherMethods, async { Err(Problem::new("401", "200", "close the door")) }).await;
        assert!(failed.is_none());
        assert_eq!(report.finish(), Outcome::Ill);
        let text = String::from_utf8(out).unwrap();
        for step in Step::ALL {
            assert_eq!(text.matches(step.title()).count(), 1, "{text}");
        }
        assert!(text.contains("  ok    the MCP endpoint asks for a token: 401 ("));
        assert!(text.contains("came      200\n") && text.contains("to do     close the door\n"));
        assert!(text.contains("Something is wrong: 1 ok, 1 failed, 22 skipped"));
    }

    #[test]
    fn skipped_steps_alone_do_no_harm() {
        let mut out = Vec::new();
        assert_eq!(Report::new(&mut out, &url()).finish(), Outcome::Well);
    }

    #[test]
    fn the_list_of_steps_is_in_order_and_complete() {
        assert!(Step::ALL.is_sorted());
        assert_eq!(Step::ALL.last().map(|step| *step as usize + 1), Some(Step::ALL.len()));
    }
}
