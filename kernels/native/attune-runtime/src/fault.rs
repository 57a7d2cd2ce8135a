//! What can go wrong: a code of docs/errors.md and a sentence. JavaScript makes an AttuneError of it.
use std::panic::{catch_unwind, AssertUnwindSafe};

pub struct Fault {
    pub code: &'static str,
    pub message: String,
}

pub type Outcome<T> = Result<T, Fault>;

pub fn fault<T>(code: &'static str, message: impl Into<String>) -> Outcome<T> {
    Err(Fault { code, message: message.into() })
}

/// Between code and sentence in the text of a JavaScript error: ASCII's unit separator, which no path or name holds.
const SEPARATOR: char = '\u{1f}';

impl From<Fault> for napi::Error {
    fn from(Fault { code, message }: Fault) -> Self {
        napi::Error::new(napi::Status::GenericFailure, format!("{code}{SEPARATOR}{message}"))
    }
}

/// A panic ends the call, not the process.
pub fn guarded<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<&str>()
            .map(|text| text.to_string())
            .or_else(|| panic.downcast_ref::<String>().cloned());
        fault("NATIVE_PANIC", said.unwrap_or_else(|| "a panic without words".into()))
    })
}
