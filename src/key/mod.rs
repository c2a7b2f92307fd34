//! Key material: a file and a password in, a key that signs out.
