//! The modules of `src/sys` whose unsafe code Miri can interpret: those that need neither `fork` nor a library
//! in C. They are a crate of their own because AWS-LC would have to be built for Miri otherwise.
#![cfg(miri)]

pub mod sys;
