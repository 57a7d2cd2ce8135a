//! Rotary positions inside: pairs of channels turned by an angle that tables hold.
use crate::check::Misfit;

#[derive(Clone, Copy)]
pub struct Rotary<'a> {
    /// [M, R/2] each: one row for a position, one number for a pair.
    pub cos: &'a [f32],
    pub sin: &'a [f32],
    /// R/2; channels from R on are left alone.
    pub pairs: usize,
    /// [B,S], or [1,S] for all.
    pub positions: &'a [i64],
    /// Pairs are neighbours; else one of each half.
    pub interleaved: bool,
}

impl Rotary<'_> {
    pub fn check(&self, batch: usize, rows: usize, size: usize) -> Result<(), Misfit> {
        let Self { cos, sin, pairs, positions, .. } = self;
        if *pairs == 0 || pairs * 2 > size || cos.len() != sin.len() || cos.len() % pairs != 0 {
            return Err(Misfit("rotary tables that do not fit the head size"));
        }
        if positions.len() != rows && positions.len() != batch * rows {
            return Err(Misfit("as many positions as rows"));
        }
        let known = (cos.len() / pairs) as i64;
        match positions.iter().all(|&position| (0..known).contains(&position)) {
            true => Ok(()),
            false => Err(Misfit("a position beyond the rotary tables")),
        }
    }

    /// One head of one row.
    #[inline(always)]
    pub fn turn(&self, row: usize, from: &[f32], to: &mut [f32]) {
        let (pairs, at) = (self.pairs, self.positions[row % self.positions.len()] as usize * self.pairs);
        let (cos, sin) = (&self.cos[at..at + pairs], &self.sin[at..at + pairs]);
        to.copy_from_slice(from);
        for i in 0..pairs {
            let (a, b) = if self.interleaved { (2 * i, 2 * i + 1) } else { (i, pairs + i) };
            to[a] = from[a] * cos[i] - from[b] * sin[i];
            to[b] = from[b] * cos[i] + from[a] * sin[i];
        }
    }
}
