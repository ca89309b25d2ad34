//! Points at which a process may be told to die, one on each side of each durable effect, so that tests can kill the service
//! everywhere. Builds for tests alone know them: of a release they are no part.
//!
//! Invariant: crash does nothing in a process that was not started to die.

/// Which side of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

#[cfg(debug_assertions)]
static POINT: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// Has this process die at a point: the name of an effect and its side, as in `intend:after`.
#[cfg(debug_assertions)]
pub fn arm(point: &str) {
    // Whoever arms a process twice has it die at the first.
    let _ = POINT.set(point.to_owned());
}

/// This side of this effect is reached.
#[cfg(debug_assertions)]
pub fn pass(effect: &str, side: Side) {
    let at = match side {
        Side::Before => "before",
        Side::After => "after",
    };
    if POINT.get().and_then(|point| point.split_once(':')).is_some_and(|point| point == (effect, at)) {
        std::process::abort();
    }
}

/// This side of this effect is reached.
#[cfg(not(debug_assertions))]
pub const fn pass(_: &str, _: Side) {}
