//! Scenarios of the group coordinator, under a clock that only the test moves.
