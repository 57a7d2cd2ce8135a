//! Products of small matrices, the two that attention is made of: rows of queries with keys, weights with values.
use crate::lanes::{fma, WIDTH};

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
#[inline(always)]
pub fn multiply<const FUSED: bool, const WIDE: usize>(
    shape: Shape,
    a: &[f32],
    b: &[f32],
    c: &mut [f32],
    add: bool,
) {
    let mut row = 0;
    while row < shape.rows {
        let left = shape.rows - row;
        let (a, c) = (&a[row * shape.a..], &mut c[row * shape.c..]);
        // 7 rows as 4 and 3: a few accumulators less are better than a last row by itself.
        row += match left {
            1 | 2 => strip::<FUSED, WIDE, 1>(shape, a, b, c, add),
            3 => strip::<FUSED, WIDE, 3>(shape, a, b, c, add),
            4 | 5 | 7 | 8 => strip::<FUSED, WIDE, 4>(shape, a, b, c, add),
            _ => strip::<FUSED, WIDE, 6>(shape, a, b, c, add),
        };
    }
}

#[inline(always)]
fn strip<const FUSED: bool, const WIDE: usize, const M: usize>(
    shape: Shape,
    a: &[f32],
    b: &[f32],
    c: &mut [f32],
    add: bool,
) -> usize {
    let mut column = 0;
    while column + WIDE <= shape.columns {
        tile::<FUSED, M, WIDE>(shape, a, &b[column..], &mut c[column..], add);
        column += WIDE;
    }
    while column + 8 <= shape.columns {
        tile::<FUSED, M, 8>(shape, a, &b[column..], &mut c[column..], add);
        column += 8;
    }
    while column < shape.columns {
        tile::<FUSED, M, 1>(shape, a, &b[column..], &mut c[column..], add);
        column += 1;
    }
    M
}

/// M rows and N columns, whose sums stay in registers.
#[inline(always)]
fn tile<const FUSED: bool, const M: usize, const N: usize>(
    Shape { inner, a: lda, b: ldb, c: ldc, .. }: Shape,
    a: &[f32],
    b: &[f32],
    c: &mut [f32],
    add: bool,
) {
    let rows: [&[f32]; M] = std::array::from_fn(|m| &a[m * lda..m * lda + inner]);
    let mut sums = [[0f32; N]; M];
    for i in 0..inner {
        let b: &[f32; N] = b[i * ldb..i * ldb + N].try_into().expect("N of them");
        for m in 0..M {
            let x = rows[m][i];
            for n in 0..N {
                sums[m][n] = fma::<FUSED>(x, b[n], sums[m][n]);
            }
        }
    }
    for (m, sums) in sums.iter().enumerate() {
        let c = &mut c[m * ldc..m * ldc + N];
        for n in 0..N {
            c[n] = if add { c[n] + sums[n] } else { sums[n] };
        }
    }
}

/// Scores of few rows: c[m, t] = a[m]·b[t], with keys as they lie in the cache. Rows of c are `c` apart.
#[inline(always)]
pub fn scores<const FUSED: bool>(
    rows: usize,
    size: usize,
    a: &[f32],
    b: &[f32],
    c: &mut [f32],
    ldc: usize,
) {
    let keys = b.len() / size;
    let mut key = 0;
    while key + 4 <= keys {
        let of: [&[f32]; 4] = std::array::from_fn(|i| &b[(key + i) * size..(key + i + 1) * size]);
        let mut row = 0;
        while row + 2 <= rows {
            let q = [&a[row * size..(row + 1) * size], &a[(row + 1) * size..(row + 2) * size]];
            for (i, sums) in dots::<FUSED, 2>(q, of).into_iter().enumerate() {
                c[(row + i) * ldc + key..][..4].copy_from_slice(&sums);
            }
            row += 2;
        }
        if row < rows {
            let [sums] = dots::<FUSED, 1>([&a[row * size..(row + 1) * size]], of);
            c[row * ldc + key..][..4].copy_from_slice(&sums);
        }
        key += 4;
    }
    for key in key..keys {
        for row in 0..rows {
            let (q, k) = (&a[row * size..(row + 1) * size], &b[key * size..(key + 1) * size]);
            c[row * ldc + key] = crate::lanes::dot::<FUSED>(q, k);
        }
    }
}

const LANES: usize = 8;

/// M queries with four keys.
#[inline(always)]
fn dots<const FUSED: bool, const M: usize>(q: [&[f32]; M], k: [&[f32]; 4]) -> [[f32; 4]; M] {
    let size = k[0].len();
    let mut sums = [[[0f32; LANES]; 4]; M];
    let whole = size / LANES * LANES;
    let mut at = 0;
    while at < whole {
        let keys: [&[f32; LANES]; 4] = std::array::from_fn(|i| k[i][at..at + LANES].try_into().expect("eight"));
        for m in 0..M {
            let q: &[f32; LANES] = q[m][at..at + LANES].try_into().expect("eight");
            for i in 0..4 {
                for lane in 0..LANES {
                    sums[m][i][lane] = fma::<FUSED>(q[lane], keys[i][lane], sums[m][i][lane]);
                }
            }
        }
        at += LANES;
    }
    std::array::from_fn(|m| {
        let mut totals = across::<FUSED>(&sums[m]);
        for at in whole..size {
            for i in 0..4 {
                totals[i] = fma::<FUSED>(q[m][at], k[i][at], totals[i]);
            }
        }
        totals
    })
}

/// Each of four vectors added up.
#[inline(always)]
fn across<const FUSED: bool>(sums: &[[f32; LANES]; 4]) -> [f32; 4] {
    #[cfg(target_arch = "x86_64")]
    if FUSED {
        use std::arch::x86_64::*;
        // FUSED is only instantiated under AVX2.
        return unsafe {
            let of = |i: usize| _mm256_loadu_ps(sums[i].as_ptr());
            let pairs = _mm256_hadd_ps(_mm256_hadd_ps(of(0), of(1)), _mm256_hadd_ps(of(2), of(3)));
            let halves = _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1));
            let mut totals = [0f32; 4];
            _mm_storeu_ps(totals.as_mut_ptr(), halves);
            totals
        };
    }
    std::array::from_fn(|i| {
        let mut lanes = sums[i];
        for width in [4, 2, 1] {
            for lane in 0..width {
                lanes[lane] += lanes[lane + width];
            }
        }
        lanes[0]
    })
}

/// Keys as columns: [D, n] from rows [n, D]; a row of the result is WIDTH·m apart.
#[inline(always)]
pub fn turn(keys: &[f32], size: usize, to: &mut [f32], stride: usize) {
    let count = keys.len() / size;
    for start in (0..count).step_by(WIDTH) {
        let end = (start + WIDTH).min(count);
        for d in 0..size {
            for key in start..end {
                to[d * stride + key] = keys[key * size + d];
            }
        }
    }
}
