//! From raw scores of one row to weights that are not divided yet.
use crate::attention::Attention;
use crate::exponential::exp;
use crate::lanes::sum;
use crate::loops::Loops;
use std::ops::Range;

/// What a row divides by: Σ e^(s − m) over its keys, and e^(sink − m).
#[derive(Clone, Copy)]
pub struct Divisor {
    pub highest: f32,
    pub mass: f32,
    /// Of it, what a learned sink takes.
    pub sink: f32,
}

impl Attention<'_> {
    /// Keys that row s sees by the order of the sequence.
    #[inline(always)]
    pub(crate) fn sees(&self, s: usize) -> Range<usize> {
        let end = self.total - self.rows + s + 1;
        end.saturating_sub(self.window.unwrap_or(end))..end
    }

    /// What is added to the scores of row s of a head.
    #[inline(always)]
    pub(crate) fn bias_of(&self, b: usize, h: usize, s: usize) -> Option<&[f32]> {
        let bias = self.bias?;
        let at = |index: usize, count: usize| if count == 1 { 0 } else { index };
        let row = (at(b, bias.batch) * bias.heads + at(h, bias.heads)) * bias.rows + at(s, bias.rows);
        Some(&bias.values[row * self.total..(row + 1) * self.total])
    }

    /// Scores to weights, in place.
    /// @param scores of the keys in `keys`, scaled, as products gave them
    pub(crate) fn weigh(
        &self,
        loops: &Loops,
        (b, h, s): (usize, usize, usize),
        keys: Range<usize>,
        scores: &mut [f32],
    ) -> Divisor {
        if self.softcap > 0.0 {
            for score in scores.iter_mut() {
                *score = self.softcap * (*score / self.softcap).tanh();
            }
        }
        if let Some(bias) = self.bias_of(b, h, s) {
            for (score, &added) in scores.iter_mut().zip(&bias[keys.clone()]) {
                *score += added;
            }
        }
        if let Some(real) = self.keys {
            let real = &real[b * self.total..(b + 1) * self.total];
            for (score, &real) in scores.iter_mut().zip(&real[keys.clone()]) {
                *score = if real == 0 { f32::NEG_INFINITY } else { *score };
            }
        }
        let sink = self.head_sink.map(|sinks| sinks[h]);
        let most = (loops.highest)(scores, sink.unwrap_or(f32::NEG_INFINITY));
        if most == f32::NEG_INFINITY {
            scores.fill(0.0);
            return Divisor { highest: 0.0, mass: 0.0, sink: 0.0 };
        }
        let mass = (loops.raise)(scores, most);
        let taken = sink.map_or(0.0, |sink| (sink - most).exp());
        Divisor { highest: most, mass: mass + taken, sink: taken }
    }
}

/// s to e^(s − m). @returns their sum
pub fn raise(scores: &mut [f32], most: f32) -> f32 {
    for score in scores.iter_mut() {
        *score = exp::<false>(*score - most);
    }
    sum(scores)
}
