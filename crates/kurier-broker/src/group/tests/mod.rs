//! Scenarios of the group coordinator, under a clock that only the test moves.

mod joins;
mod offsets;
mod statics;
mod syncs;
mod views;
mod world;
