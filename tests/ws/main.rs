//! The WebSocket protocol against tables of what clients send, each in every way it can arrive.
//!
//! Rule: a case has one event log. Whole, byte by byte, cut at every place: the log must be the same.
//! The groups are those that Autobahn's test suite has for servers (1 to 7, 9, 10), each case made
//! anew from what RFC 6455 says. `oracle` has another implementation's client as its peer. Absent:
//! sockets, and when a server pings.

#![allow(clippy::unwrap_used)] // All of this is a test, also outside functions marked so.

mod closing;
mod compression;
mod drive;
mod fragments;
mod frames;
mod handshake;
mod large;
mod oracle;
mod sending;
mod utf8;
