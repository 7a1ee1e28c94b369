//! How much is measured.

use std::{path::PathBuf, time::Duration};

/// How much is measured.
pub struct Plan {
    /// A proof that everything runs; its figures say nothing.
    pub quick: bool,
    /// How often variants are interleaved.
    pub rounds: usize,
    /// How long one variant runs in one round.
    pub window: Duration,
    /// How long something runs before it is timed call by call.
    pub warm_up: Duration,
    /// Where the JSON goes.
    pub json: Option<PathBuf>,
    only: Vec<String>,
    matching: Option<String>,
}

impl Plan {
    /// As the command line says; cargo adds `--bench`.
    pub fn from_arguments() -> Self {
        let mut plan = Self {
            quick: false,
            rounds: 7,
            window: Duration::from_millis(1500),
            warm_up: Duration::from_secs(1),
            json: None,
            only: Vec::new(),
            matching: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => {}
                "--quick" => {
                    plan.quick = true;
                    plan.rounds = 1;
                    plan.window = Duration::from_millis(300);
                    plan.warm_up = Duration::from_millis(100);
                }
                "--rounds" => plan.rounds = arguments.next().unwrap().parse().unwrap(),
                "--window-ms" => plan.window = Duration::from_millis(arguments.next().unwrap().parse().unwrap()),
                "--only" => plan.only = arguments.next().unwrap().split(',').map(str::to_owned).collect(),
                "--match" => plan.matching = arguments.next(),
                "--json" => plan.json = Some(PathBuf::from(arguments.next().unwrap())),
                other => panic!("unknown argument {other}; see benches/load/plan.rs"),
            }
        }
        plan
    }

    /// Whether this part is measured.
    pub fn has(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }

    /// Whether this variant is measured.
    pub fn wants(&self, variant: &str) -> bool {
        self.matching.as_deref().is_none_or(|part| variant.contains(part))
    }

    /// Whether other proxies are measured too.
    pub fn has_peers(&self) -> bool {
        !self.quick || std::env::var_os("SALLYPORT_BENCH_PEER").is_some()
    }

    /// One of two sizes.
    pub const fn size(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }
}
