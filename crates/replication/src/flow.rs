//! Flows: how Lacewings replicate, a connection for each shard of the master.
//!
//! ```text
//!  master's shard                                              replica
//!    log ──► Frame::Log ──────────────── at most the window ──►  deal, run, journal
//!     ▲        Sender: spends credit                               │ applied
//!     └─────────── Frame::Credit ◄── Receiver: returns it ◄────────┘
//! ```
//!
//! What is sent is the master's log as it is on disk, so where a flow stands is (generation, LSN), and what is missing comes from memory
//! or from segments, the same bytes ([`resume`]). A session, which has all flows of a replica, begins on its link ([`hello`]). All flows of a replica resume, or none does. What has not been applied is bounded by
//! the window on both sides ([`credit`]): a replica that stalls costs its master nothing but log on disk.
//!
//! Both sides are machines, around which the server has sockets, files and tasks, and the simulator what it makes up: the master's are a
//! [`session`] and the [`course`] of each flow; the replica's an [`inflow`] for each, with what has [`come`] of its log, and all of them
//! [`together`].

pub mod come;
pub mod course;
pub mod credit;
pub mod frame;
pub mod hello;
pub mod inflow;
pub mod meet;
pub mod place;
pub mod resume;
pub mod session;
pub mod together;
