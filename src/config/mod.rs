//! One YAML file becomes a validated `Config`.
