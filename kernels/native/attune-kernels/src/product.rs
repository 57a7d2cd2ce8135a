//! Products of small matrices, the two that attention is made of: rows of queries with keys, weights with values. For any processor;
//! vectors.rs has them for x64.
use crate::lanes::{add_scaled, dot};

/// c[M,N] (+)= a[M,L]·b[L,N]; each with its own distance between rows.
#[derive(Clone, Copy)]
pub struct Shape {
    pub rows: usize,
    pub inner: usize,
    pub columns: usize,
    pub a: usize,
    pub b: usize,
    pub c: usize,
}

/// @param add to what c holds, else c is overwritten
pub fn multiply(shape: Shape, a: &[f32], b: &[f32], c: &mut [f32], add: bool) {
    for row in 0..shape.rows {
        let c = &mut c[row * shape.c..row * shape.c + shape.columns];
        if !add {
            c.fill(0.0);
        }
        for i in 0..shape.inner {
            add_scaled::<false>(c, a[row * shape.a + i], &b[i * shape.b..i * shape.b + shape.columns]);
        }
    }
}

/// Scores of few rows: c[m, t] = a[m]·b[t], with keys as they lie in the cache. Rows of c are `apart`.
pub fn scores(rows: usize, size: usize, a: &[f32], b: &[f32], c: &mut [f32], apart: usize) {
    for (key, k) in b.chunks_exact(size).enumerate() {
        for row in 0..rows {
            c[row * apart + key] = dot::<false>(&a[row * size..(row + 1) * size], k);
        }
    }
}
