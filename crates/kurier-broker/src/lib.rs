//! kurier-broker
