//! What the person must still do before an authorization request can finish.
