//! What `sallyport demo` prints once it is ready.
