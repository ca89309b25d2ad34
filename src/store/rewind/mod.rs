//! A database that went back in time: noticed before the next intent, and nothing is begun until an operator says so.

mod check;
mod close;
mod ground;

pub use check::Rewound;
pub(in crate::store) use close::stop_new;
pub(in crate::store) use ground::Grounds;
