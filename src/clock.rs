//! Time as a parameter, so that tests turn the clock instead of sleeping.
