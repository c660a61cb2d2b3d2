//! Scenarios of the group coordinator, under a clock that only the test moves.

mod bounds;
mod joins;
mod offsets;
mod random;
mod statics;
mod syncs;
mod views;
mod world;
