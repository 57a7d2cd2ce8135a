//! Rows of keys or of values, [B,K,C,D], of which the first `filled` of the C are in use: what GroupQueryAttention takes as
//! past and present at once. Letters: B batch, K kv heads, C capacity, D head size.
use crate::accounts::Accounts;
use crate::fault::{fault, Outcome};
use std::alloc::{alloc_zeroed, dealloc, Layout};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

/// A line of the processor's cache. The allocator is asked for no more than it gives anyway: only then are zeros free, pages of the
/// system that nobody has touched. Nothing a run reads is left over from elsewhere.
const LINE: usize = 64;
const ALIGNMENT: usize = 16;
/// Rows beyond the present ones, so that a short answer needs no second buffer; pages that nobody touches cost nothing.
const HEADROOM: usize = 128;
/// Capacities are multiples of this.
const STEP: usize = 64;

pub struct Buffer {
    memory: NonNull<u8>,
    layout: Layout,
    /// B·K
    pub outer: usize,
    /// C
    pub capacity: usize,
    /// Bytes of one row: D elements.
    pub row: usize,
    filled: AtomicUsize,
    accounts: Arc<Accounts>,
}

// Rows below `filled` are written once, by the run that claimed them; runs claim ranges that do not meet.
unsafe impl Send for Buffer {}
unsafe impl Sync for Buffer {}

impl Drop for Buffer {
    fn drop(&mut self) {
        unsafe { dealloc(self.memory.as_ptr(), self.layout) };
        self.accounts.change(-(self.layout.size() as i64));
    }
}

impl Buffer {
    /// Room for `rows` and some more; `grown` doubles it, for a sequence that has outgrown a buffer already.
    pub fn for_rows(
        outer: usize,
        row: usize,
        rows: usize,
        grown: bool,
        accounts: &Arc<Accounts>,
    ) -> Outcome<Arc<Self>> {
        let wanted = if grown { rows.saturating_mul(2) } else { rows.saturating_add(HEADROOM.max(rows / 8)) };
        let capacity = wanted.div_ceil(STEP).saturating_mul(STEP);
        let layout = outer
            .checked_mul(capacity)
            .and_then(|all| all.checked_mul(row))
            .and_then(|bytes| bytes.checked_add(LINE))
            .and_then(|bytes| Layout::from_size_align(bytes, ALIGNMENT).ok());
        let Some(layout) = layout else {
            return fault("NATIVE_MEMORY", format!("a cache of {outer} heads, {rows} tokens and {row} bytes each"));
        };
        let Some(memory) = NonNull::new(unsafe { alloc_zeroed(layout) }) else {
            return fault("NATIVE_MEMORY", format!("{} bytes for a cache", layout.size()));
        };
        accounts.change(layout.size() as i64);
        let accounts = accounts.clone();
        Ok(Arc::new(Self { memory, layout, outer, capacity, row, filled: AtomicUsize::new(0), accounts }))
    }

    pub fn data(&self) -> *mut u8 {
        let start = self.memory.as_ptr();
        start.wrapping_add(start.align_offset(LINE))
    }

    /// Bytes of [B,K,C,D].
    pub fn bytes(&self) -> usize {
        self.outer * self.capacity * self.row
    }

    /// Take rows `from..to` to write them; only one can, and only at the end of what is filled.
    pub fn claim(&self, from: usize, to: usize) -> bool {
        let order = Ordering::AcqRel;
        from <= to
            && to <= self.capacity
            && self.filled.compare_exchange(from, to, order, Ordering::Acquire).is_ok()
    }

    /// Give back rows that were claimed and not written, if nobody took more since.
    pub fn unclaim(&self, from: usize, to: usize) {
        let _ = self.filled.compare_exchange(to, from, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Write the first `rows` rows of every head from [B,K,stride,D].
    ///
    /// # Safety
    /// `from` points to B·K·stride rows, and this buffer's first `rows` are claimed by the caller.
    pub unsafe fn fill(&self, from: *const u8, stride: usize, rows: usize) {
        debug_assert!(rows <= stride && rows <= self.capacity);
        copy_rows(from, stride, self.data(), self.capacity, self.outer, rows * self.row, self.row);
    }

    /// The first `rows` rows of every head, without room between them: [B,K,rows,D].
    pub fn gathered(&self, rows: usize) -> Vec<u64> {
        let bytes = self.outer * rows * self.row;
        let mut packed = vec![0u64; bytes.div_ceil(8)];
        let to = packed.as_mut_ptr().cast();
        unsafe { copy_rows(self.data(), self.capacity, to, rows, self.outer, rows * self.row, self.row) };
        packed
    }
}

/// For each of `outer` heads, `bytes` from the start of its rows in one layout to the start of its rows in another.
unsafe fn copy_rows(
    from: *const u8,
    from_stride: usize,
    to: *mut u8,
    to_stride: usize,
    outer: usize,
    bytes: usize,
    row: usize,
) {
    for head in 0..outer {
        let (source, target) = (from.add(head * from_stride * row), to.add(head * to_stride * row));
        std::ptr::copy_nonoverlapping(source, target, bytes);
    }
}
