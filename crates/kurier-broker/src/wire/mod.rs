//! The wire: which requests are spoken, and whether bytes may be decoded at all.
//!
//! Pure. The codec crate trusts the counts it reads and allocates for them before it reads on, so a
//! body goes through [`guard`] first, which walks it along [`schema`].

#[cfg(any(test, feature = "fuzzing"))]
pub mod answers;
#[cfg(any(test, feature = "fuzzing"))]
pub mod examples;
pub mod frame;
pub mod guard;
pub mod schema;
pub mod versions;
