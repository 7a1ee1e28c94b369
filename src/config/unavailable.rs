//! What a configuration may ask for and this version of the program does not do.
//!
//! Such a configuration is valid, so it loads; the program refuses to start with it rather than ignore a part of it.
//! Whoever builds a feature deletes its line from [`NOT_YET`].

use crate::config::file::AuthMode;
use crate::config::problem::{Fault, Problem};
use crate::config::{Config, Place};

/// Something that a configuration asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// An `authMode` of an upstream, given or by default.
    AuthMode(AuthMode),
}

/// What is not available, and what the message calls it.
const NOT_YET: &[(Feature, &str)] = &[(Feature::AuthMode(AuthMode::IdJag), "authMode `id-jag`")];

/// What the configuration asks for and the program cannot do. The program starts only if there is none.
pub fn unavailable(config: &Config) -> Vec<Problem> {
    let name_of = |feature: &Feature| NOT_YET.iter().find(|(known, _)| known == feature).map(|(_, name)| *name);
    let problem = |(feature, place): &(Feature, Place)| {
        let feature = name_of(feature)?;
        Some(Problem { place: place.clone(), fault: Fault::Unavailable { feature } })
    };
    config.features.iter().filter_map(problem).collect()
}
