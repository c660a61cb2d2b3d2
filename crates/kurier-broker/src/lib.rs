//! kurier-broker

pub mod group;
