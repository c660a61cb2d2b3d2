//! kurier-broker

#![allow(dead_code, unused_imports, reason = "the network side that uses it follows")]

mod group;
mod storage;
mod wire;
