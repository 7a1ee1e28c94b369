//! Errors for the log.

use std::{error::Error, fmt};

/// An error with everything that caused it, on one line for the log.
pub fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl fmt::Display + 'e {
    struct Causes<'e>(&'e (dyn Error + 'static));
    impl fmt::Display for Causes<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{}", self.0)?;
            let mut cause = self.0.source();
            while let Some(error) = cause {
                write!(f, ": {error}")?;
                cause = error.source();
            }
            Ok(())
        }
    }
    Causes(error)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::causes;

    #[derive(Debug, thiserror::Error)]
    #[error("the store is unavailable")]
    struct Unavailable(#[source] io::Error);

    #[test]
    fn an_error_is_logged_with_its_causes() {
        let error = Unavailable(io::Error::other("connection refused"));
        assert_eq!(causes(&error).to_string(), "the store is unavailable: connection refused");
    }
}
