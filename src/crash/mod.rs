//! Points at which a process may be told to die, or to freeze, one on each side of each durable effect, so that tests
//! can stop the service everywhere. Only test builds contain them, never a release.
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

/// It has panicked or been frozen already.
#[cfg(debug_assertions)]
static IS_PAST: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// Has this process die at a point: the name of an effect and its side, as in `intend:after`. With `panic` as its side, what
/// is about to make the effect panics once, with `panics` each time; with `frozen_before` or `frozen_after`, the process stops there once, until it
/// is let go on. With `panic_over=` and the id of a conversation, whatever records something of it there panics each time.
#[cfg(debug_assertions)]
pub fn arm(point: &str) {
    // Whoever arms a process twice has it die at the first.
    let _ = POINT.set(point.to_owned());
}

/// This side of this effect is reached.
#[cfg(debug_assertions)]
pub fn pass(effect: &str, side: Side) {
    let Some((_, at)) =
        POINT.get().and_then(|point| point.split_once(':')).filter(|(name, _)| *name == effect)
    else {
        return;
    };
    let is_first = || !IS_PAST.swap(true, std::sync::atomic::Ordering::Relaxed);
    match (side, at) {
        (Side::Before, "before") | (Side::After, "after") => std::process::abort(),
        (Side::Before, "panics") => std::panic::panic_any("a test wants it to"),
        (Side::Before, "panic") if is_first() => std::panic::panic_any("a test wants it to"),
        (Side::Before, "frozen_before") | (Side::After, "frozen_after") if is_first() => {
            // A signal that nobody can refuse.
            let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP);
        }
        _ => {}
    }
}

/// This side of this effect is reached.
#[cfg(not(debug_assertions))]
pub const fn pass(_: &str, _: Side) {}

/// What is recorded is about these conversations.
#[cfg(debug_assertions)]
pub fn over(effect: &str, ids: impl IntoIterator<Item = uuid::Uuid>) {
    let at = POINT.get().and_then(|point| point.split_once(":panic_over="));
    let Some((_, at)) = at.filter(|(name, _)| *name == effect) else { return };
    if ids.into_iter().any(|id| id.to_string() == at) {
        std::panic::panic_any("a test wants it to");
    }
}

/// What is recorded is about these conversations.
#[cfg(not(debug_assertions))]
pub fn over(_: &str, _: impl IntoIterator<Item = uuid::Uuid>) {}
