//! Memory that tasks of one call write at the same time, each in its own places.
use std::marker::PhantomData;
use std::ops::Range;

pub struct Cells<'a> {
    data: *mut f32,
    length: usize,
    life: PhantomData<&'a mut [f32]>,
}

// Whoever borrows pieces promises that they do not meet.
unsafe impl Send for Cells<'_> {}
unsafe impl Sync for Cells<'_> {}

impl<'a> Cells<'a> {
    pub fn new(values: &'a mut [f32]) -> Self {
        Self { data: values.as_mut_ptr(), length: values.len(), life: PhantomData }
    }

    /// # Safety
    /// Nobody reads or writes the range meanwhile.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn piece(&self, range: Range<usize>) -> &mut [f32] {
        assert!(range.start <= range.end && range.end <= self.length);
        std::slice::from_raw_parts_mut(self.data.add(range.start), range.len())
    }

    /// # Safety
    /// Nobody writes the range meanwhile.
    #[inline(always)]
    pub unsafe fn seen(&self, range: Range<usize>) -> &[f32] {
        self.piece(range)
    }
}
