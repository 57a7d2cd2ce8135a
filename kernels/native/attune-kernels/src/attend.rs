//! The inner loop: keys and values of one kv head stream by once for all query heads that share them. Per query head the running
//! maximum m, the mass l = Σ e^(s − m) and the output o = Σ e^(s − m)·v are kept, and scaled down when the maximum rises.
use crate::exponential::exp;
use crate::lanes::{add_scaled, dot, scale};

/// Keys whose scores are held at a time.
const BLOCK: usize = 64;

/// One kv head and the query heads over it; N of these.
pub struct Group<'a> {
    /// [N,D]
    pub q: &'a [f32],
    /// [T,D], of which `from..to` are attended to.
    pub k: &'a [f32],
    pub v: &'a [f32],
    pub size: usize,
    pub from: usize,
    pub to: usize,
    pub scale: f32,
    pub softcap: f32,
    /// Per query head, what is added to the scores of all keys.
    pub bias: &'a dyn Fn(usize) -> Option<&'a [f32]>,
}

/// Whether the processor has what the fast version was compiled for.
pub fn is_fast() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// @param z [N,D], overwritten by the outputs
pub fn attend(group: &Group, z: &mut [f32], fast: bool) {
    #[cfg(target_arch = "x86_64")]
    if fast && is_fast() {
        return unsafe { attend_avx2(group, z) };
    }
    let _ = fast;
    attend_loop::<false>(group, z);
}

/// # Safety
/// The processor has AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn attend_avx2(group: &Group, z: &mut [f32]) {
    attend_loop::<true>(group, z);
}

#[inline(always)]
fn attend_loop<const FUSED: bool>(group: &Group, z: &mut [f32]) {
    let Group { q, k, v, size, from, to, .. } = *group;
    let heads = q.len() / size;
    let (mut maxima, mut masses) = (vec![f32::NEG_INFINITY; heads], vec![0f32; heads]);
    z.fill(0.0);
    let mut scores = [0f32; BLOCK];
    for start in (from..to).step_by(BLOCK) {
        let end = (start + BLOCK).min(to);
        let (keys, values) = (&k[start * size..end * size], &v[start * size..end * size]);
        for head in 0..heads {
            let scores = &mut scores[..end - start];
            let row = head * size..(head + 1) * size;
            let highest = score::<FUSED>(group, &q[row.clone()], head, start, keys, scores);
            if highest == f32::NEG_INFINITY {
                continue;
            }
            let o = &mut z[row];
            if highest > maxima[head] {
                let shrink = exp::<FUSED>(maxima[head] - highest);
                masses[head] *= shrink;
                scale(o, shrink);
                maxima[head] = highest;
            }
            for score in scores.iter_mut() {
                *score = exp::<FUSED>(*score - maxima[head]);
            }
            masses[head] += scores.iter().sum::<f32>();
            for (weight, value) in scores.iter().zip(values.chunks_exact(size)) {
                add_scaled::<FUSED>(o, *weight, value);
            }
        }
    }
    for (o, mass) in z.chunks_exact_mut(size).zip(masses) {
        // No key at all: nothing flows, as in ONNX Runtime where everything is masked.
        scale(o, if mass > 0.0 { 1.0 / mass } else { 0.0 });
    }
}

/// Scores of one query head against a block of keys. @returns the highest
#[inline(always)]
fn score<const FUSED: bool>(
    group: &Group,
    q: &[f32],
    head: usize,
    start: usize,
    keys: &[f32],
    scores: &mut [f32],
) -> f32 {
    for (score, key) in scores.iter_mut().zip(keys.chunks_exact(group.size)) {
        *score = dot::<FUSED>(q, key) * group.scale;
    }
    if group.softcap > 0.0 {
        for score in scores.iter_mut() {
            *score = group.softcap * (*score / group.softcap).tanh();
        }
    }
    if let Some(bias) = (group.bias)(head) {
        for (score, added) in scores.iter_mut().zip(&bias[start..]) {
            *score += added;
        }
    }
    scores.iter().fold(f32::NEG_INFINITY, |most, &score| if score > most { score } else { most })
}
