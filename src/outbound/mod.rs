//! The only HTTP client: SSRF guard, deadlines, size caps, no redirects.
