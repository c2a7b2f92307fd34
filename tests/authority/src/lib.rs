//! The strict authorization server of the tests.
