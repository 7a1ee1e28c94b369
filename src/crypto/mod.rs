//! Secrets, digests, random values, sealed values and the key ring.
