//! What the gateway does: for administrators.

use std::fmt::Write as _;

use super::{FormAction, LocalHref, Page, SafeText, User};

/// The analytics page.
#[derive(askama::Template)]
#[template(path = "admin.html")]
pub struct Admin {
    /// Who is signed in.
    pub user: User,
    /// Where the sign-in can be ended.
    pub sign_out: LocalHref,
    /// Where changed tools are decided on.
    pub tools: LocalHref,
    /// How many changed tools wait.
    pub waiting: usize,
    /// How it is now.
    pub health: Health,
    /// The times that can be looked at.
    pub ranges: Vec<Choice>,
    /// What is looked at alone, with the way to look at more.
    pub filters: Vec<Filter>,
    /// The most important numbers.
    pub figures: Vec<Figure>,
    /// Calls over time by how they ended.
    pub calls: Bars,
    /// Latencies over time.
    pub latencies: Lines,
    /// The tables.
    pub tables: Vec<Table>,
}

/// How the gateway is, in a sentence.
pub struct Health {
    /// Whether a person should look.
    pub state: HealthState,
    /// The sentence.
    pub text: SafeText,
}

/// Whether a person should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthState {
    /// No.
    Good,
    /// Yes.
    Bad,
    /// There is nothing to look at.
    Quiet,
}

/// A link among others of its kind.
pub struct Choice {
    /// What it says.
    pub label: &'static str,
    /// Where it leads.
    pub href: LocalHref,
    /// Whether it is what is shown.
    pub current: bool,
}

/// Something that is looked at alone.
pub struct Filter {
    /// What kind of thing.
    pub kind: &'static str,
    /// Which one.
    pub value: SafeText,
    /// Looks at all again.
    pub remove: LocalHref,
}

/// A number with its name.
pub struct Figure {
    /// The name.
    pub label: &'static str,
    /// The number.
    pub value: String,
    /// What it says beyond.
    pub note: String,
}

/// A table of what things did.
pub struct Table {
    /// Its id on the page.
    pub id: &'static str,
    /// What it shows.
    pub title: &'static str,
    /// What a row is about.
    pub kind: &'static str,
    /// The rows.
    pub rows: Vec<Row>,
}

/// What one thing did.
pub struct Row {
    /// The thing.
    pub value: SafeText,
    /// What it calls itself, where that is known and another name.
    pub name: Option<SafeText>,
    /// Looks at it alone.
    pub href: LocalHref,
    /// How often it was called.
    pub calls: String,
    /// The share of the largest row, from 0 to 100.
    pub share: u32,
    /// How many failed by a fault of the gateway or the upstream.
    pub failures: String,
    /// How many the upstream answered with an error.
    pub errors: String,
    /// How many were refused.
    pub denied: String,
    /// The gateway's part: median and 95th percentile.
    pub gateway: String,
    /// The upstream's part: median and 95th percentile.
    pub upstream: String,
}

/// Counts over time, stacked.
pub struct Bars {
    /// A sentence for who does not see it.
    pub summary: String,
    /// The columns from left to right: good, errors of upstreams, refused, failed.
    pub columns: Vec<[i64; 4]>,
    /// What the height stands for.
    pub top: String,
    /// When it begins and ends.
    pub span: (String, String),
}

/// Two lines over time.
pub struct Lines {
    /// A sentence for who does not see it.
    pub summary: String,
    /// The 95th percentiles from left to right in microseconds, where there is one: gateway, upstream.
    pub points: Vec<[Option<f64>; 2]>,
    /// What the height stands for.
    pub top: String,
    /// When it begins and ends.
    pub span: (String, String),
}

impl Bars {
    /// One path for each of the four kinds, in a box of 720 by 160.
    pub fn paths(&self) -> [String; 4] {
        let most = self.columns.iter().map(|column| column.iter().sum::<i64>()).max().unwrap_or(0).max(1);
        let width = WIDTH / exact(self.columns.len().max(1));
        let mut paths = [const { String::new() }; 4];
        for (index, column) in self.columns.iter().enumerate() {
            let x = exact(index) * width;
            let mut bottom = HEIGHT;
            for (path, count) in paths.iter_mut().zip(column) {
                if *count > 0 {
                    let height = whole(*count) / whole(most) * HEIGHT;
                    let drawn = (width - 1.0).max(0.5);
                    // Writing to a string cannot fail.
                    let _written = write!(path, "M{x:.1} {bottom:.1}h{drawn:.1}v-{height:.1}h-{drawn:.1}z");
                    bottom -= height;
                }
            }
        }
        paths
    }
}

impl Lines {
    /// One path for the gateway and one for the upstream, in a box of 720 by 160, on a scale of logarithms.
    pub fn paths(&self) -> [String; 2] {
        let step = WIDTH / exact(self.points.len().max(2) - 1);
        let most = self.points.iter().flatten().flatten().copied().fold(LEAST * 10.0, f64::max).ln();
        let mut paths = [const { String::new() }; 2];
        for (part, path) in paths.iter_mut().enumerate() {
            let mut pen_down = false;
            for (index, point) in self.points.iter().enumerate() {
                let Some(value) = point[part] else {
                    pen_down = false;
                    continue;
                };
                let (x, height) = (exact(index) * step, (value.max(LEAST) / LEAST).ln() / (most - LEAST.ln()));
                let y = HEIGHT - height * HEIGHT;
                // A point without neighbours is drawn as a dash.
                let _written = write!(path, "{}{x:.1} {y:.1}", if pen_down { "L" } else { "M" });
                if !pen_down {
                    let _written = write!(path, "h4");
                }
                pen_down = true;
            }
        }
        paths
    }
}

impl Page for Admin {
    const FORM_ACTION: FormAction = FormAction::None_;
}

#[expect(clippy::cast_precision_loss, reason = "a number of columns")]
fn exact(number: usize) -> f64 {
    number as f64
}

#[expect(clippy::cast_precision_loss, reason = "a height of pixels needs no more")]
fn whole(number: i64) -> f64 {
    number as f64
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 160.0;
/// The lower end of the scale, in microseconds.
const LEAST: f64 = 50.0;
