//! Scenarios of the group coordinator, under a clock that only the test moves.

mod bounds;
mod joins;
mod model;
mod offsets;
mod statics;
mod syncs;
mod views;
mod world;
