//! What JavaScript holds of a tensor in native memory, in place of its numbers.
use crate::accounts::Accounts;
use crate::buffer::Buffer;
use crate::fault::{fault, Outcome};
use crate::value::{bytes_of, Value};
use napi::bindgen_prelude::Uint8Array;
use napi::Env;
use napi_derive::napi;
use std::sync::Arc;

/// Where the numbers are.
#[derive(Clone)]
pub enum Storage {
    /// The first `length` rows of each head of a cache.
    Rows { buffer: Arc<Buffer>, length: usize },
    /// A tensor of ONNX Runtime, just as it came out; `data` lies in `owner`.
    Whole {
        #[allow(dead_code)] // held, not read
        owner: Arc<Value>,
        data: *mut u8,
        bytes: usize,
    },
}

// Neither part is written once it is here.
unsafe impl Send for Storage {}

/// A tensor in native memory. It outlives the session that made it; the memory goes with its last handle.
#[napi]
pub struct Handle {
    storage: Option<Storage>,
    element: i32,
    dims: Vec<i64>,
    accounts: Arc<Accounts>,
}

#[napi]
impl Handle {
    pub(crate) fn new(storage: Storage, element: i32, dims: Vec<i64>, accounts: Arc<Accounts>) -> Self {
        Self { storage: Some(storage), element, dims, accounts }
    }

    pub(crate) fn storage(&self) -> Outcome<&Storage> {
        match &self.storage {
            Some(storage) => Ok(storage),
            None => fault("HANDLE_DISPOSED", "a tensor that was disposed"),
        }
    }

    pub(crate) fn element(&self) -> i32 {
        self.element
    }

    pub(crate) fn dims(&self) -> &[i64] {
        &self.dims
    }

    /// A copy of the numbers, as bytes.
    #[napi(catch_unwind)]
    pub fn download(&self) -> napi::Result<Uint8Array> {
        let storage = self.storage()?;
        let bytes = bytes_of(self.element, &self.dims).unwrap_or(0);
        Ok(Uint8Array::new(match storage {
            Storage::Rows { buffer, length } => bytes_from(buffer.gathered(*length), bytes),
            Storage::Whole { data, bytes, .. } => match *bytes {
                0 => vec![],
                bytes => unsafe { std::slice::from_raw_parts(*data, bytes) }.to_vec(),
            },
        }))
    }

    /// Give up the memory now; whatever else holds it keeps it.
    #[napi(catch_unwind)]
    pub fn dispose(&mut self, env: Env) {
        self.storage = None;
        self.accounts.report(&env);
    }

    /// Tokens that fit before the cache has to move; undefined for tensors that are no cache.
    #[napi(getter)]
    pub fn capacity(&self) -> Option<u32> {
        match &self.storage {
            Some(Storage::Rows { buffer, .. }) => Some(buffer.capacity as u32),
            _ => None,
        }
    }
}

fn bytes_from(words: Vec<u64>, bytes: usize) -> Vec<u8> {
    let all = unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<u8>(), bytes) };
    all.to_vec()
}
