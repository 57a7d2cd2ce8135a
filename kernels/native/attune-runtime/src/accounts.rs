//! Native memory that JavaScript objects keep alive, for V8: without it two hundred dropped handles of 8 MB wait for a
//! collection that nothing calls for. Buffers may be freed on any thread, V8 may be told on its own only: changes add
//! up here until the next call that has an environment at hand.
use std::sync::atomic::{AtomicI64, Ordering};

#[derive(Default)]
pub struct Accounts {
    pending: AtomicI64,
    held: AtomicI64,
}

impl Accounts {
    pub fn change(&self, bytes: i64) {
        self.pending.fetch_add(bytes, Ordering::Relaxed);
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn report(&self, env: &napi::Env) {
        let bytes = self.pending.swap(0, Ordering::Relaxed);
        if bytes != 0 {
            // V8 only takes note; there is nothing to be done if it does not.
            let _ = env.adjust_external_memory(bytes);
        }
    }

    /// Bytes alive, for tests.
    pub fn held(&self) -> i64 {
        self.held.load(Ordering::Relaxed)
    }
}
