//! Sink calibration (arXiv 2406.15765): keys whose mean weight is above a limit, never the first, keep the share β of their weight;
//! the other keys of a row get the rest in proportion. The equations are those of kernels/edits/sink-calibration.
use crate::attention::Attention;
use crate::check::Misfit;
use std::ops::Range;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistics {
    /// Sums of columns over all calls, which the state holds.
    Running,
    /// Sinks of the first call, which the state holds from then on.
    Frozen,
    /// Each row by itself.
    Row,
}

/// A number for each batch row and head, or one for several: [B|1, H|1].
#[derive(Clone, Copy)]
pub struct Table<'a> {
    pub values: &'a [f32],
    pub batch: usize,
    pub heads: usize,
}

impl Table<'_> {
    #[inline(always)]
    pub fn at(&self, b: usize, h: usize) -> f32 {
        let b = if self.batch == 1 { 0 } else { b };
        self.values[b * self.heads + if self.heads == 1 { 0 } else { h }]
    }

    fn check(&self, batch: usize, heads: usize) -> Result<(), Misfit> {
        let fits = (self.batch == 1 || self.batch == batch) && (self.heads == 1 || self.heads == heads);
        match fits && Some(self.values.len()) == self.batch.checked_mul(self.heads) {
            true => Ok(()),
            false => Err(Misfit("a parameter of the calibration")),
        }
    }
}

#[derive(Clone, Copy)]
pub struct Calibration<'a> {
    pub statistics: Statistics,
    /// The key that is no sink: the first one found, else the first real one.
    pub first_detected: bool,
    pub beta: Table<'a>,
    pub tau: Table<'a>,
    pub alpha: Table<'a>,
    /// Column of the first real token, [B|1].
    pub first: &'a [i64],
    /// [B,H,state_keys]: column sums, or sinks; 0 keys at the start of a sequence.
    pub state: &'a [f32],
    pub state_keys: usize,
    /// Rows of earlier calls that saw each key: [B|1, count_keys].
    pub counts: &'a [f32],
    pub count_keys: usize,
}

impl Calibration<'_> {
    pub fn check(&self, batch: usize, heads: usize, total: usize) -> Result<(), Misfit> {
        for table in [self.beta, self.tau, self.alpha] {
            table.check(batch, heads)?;
        }
        if self.first.len() != 1 && self.first.len() != batch {
            return Err(Misfit("first"));
        }
        if self.state_keys > total
            || Some(self.state.len())
                != [batch, heads].iter().try_fold(self.state_keys, |all, &dim| all.checked_mul(dim))
        {
            return Err(Misfit("the state of the calibration"));
        }
        let rows = self.counts.len().checked_div(self.count_keys).unwrap_or(1);
        let whole = rows * self.count_keys == self.counts.len() && (rows == 1 || rows == batch);
        match whole && self.count_keys <= total {
            true => Ok(()),
            false => Err(Misfit("counts of rows")),
        }
    }

    #[inline(always)]
    fn first(&self, b: usize) -> usize {
        self.first[if self.first.len() == 1 { 0 } else { b }].max(0) as usize
    }

    /// State of a head, as the call before left it.
    #[inline(always)]
    pub fn state_of(&self, b: usize, h: usize, heads: usize) -> &[f32] {
        let at = (b * heads + h) * self.state_keys;
        &self.state[at..at + self.state_keys]
    }

    /// Whether the next call is given something.
    pub fn keeps(&self) -> bool {
        self.statistics != Statistics::Row
    }

    /// Whether sinks are found from the rows of this call.
    #[inline(always)]
    pub fn finds(&self) -> bool {
        match self.statistics {
            Statistics::Running => true,
            Statistics::Frozen => self.state_keys == 0,
            Statistics::Row => false,
        }
    }

    /// 1 at the sinks of a head, from sums of its columns.
    pub fn sinks(&self, (b, h): (usize, usize), sums: &[f32], seen: &Seen, marks: &mut [f32]) {
        let limit = self.tau.at(b, h) + self.alpha.at(b, h) / seen.real;
        for ((mark, &sum), &count) in marks.iter_mut().zip(sums).zip(&seen.counts) {
            let hit = count > 0.0 && sum / count.max(1.0) > limit;
            *mark = if hit { 1.0 } else { 0.0 };
        }
        self.spare(b, 0, marks);
    }

    /// Of one row: `weights` of the keys from `start` on, that add up to `mass` with what a learned sink takes.
    #[inline(always)]
    pub fn row_sinks(
        &self,
        (b, h): (usize, usize),
        weights: &[f32],
        mass: f32,
        start: usize,
        seen: f32,
        marks: &mut [f32],
    ) {
        let limit = (self.tau.at(b, h) + self.alpha.at(b, h) / seen) * mass;
        for (mark, &weight) in marks.iter_mut().zip(weights) {
            *mark = if weight > limit { 1.0 } else { 0.0 };
        }
        self.spare(b, start, marks);
    }

    #[inline(always)]
    fn spare(&self, b: usize, start: usize, marks: &mut [f32]) {
        let spared = match self.first_detected {
            true => marks.iter().position(|&mark| mark > 0.0),
            false => self.first(b).checked_sub(start),
        };
        if let Some(mark) = spared.and_then(|at| marks.get_mut(at)) {
            *mark = 0.0;
        }
    }

    /// κ for sinks, λ for the rest, from a row's weight on each.
    #[inline(always)]
    pub fn factors(&self, beta: f32, on_sinks: f32, on_rest: f32) -> (f32, f32) {
        let share = if on_rest > 0.0 { beta } else { 1.0 };
        (share, 1.0 + (1.0 - beta) * (on_sinks / on_rest.max(1e-30)))
    }

    /// Weights of a row, moved. They need not be divided: only their ratio counts.
    #[inline(always)]
    pub fn transfer(&self, beta: f32, weights: &mut [f32], marks: &[f32]) {
        let mut lanes = [0f32; crate::lanes::WIDTH];
        let mut rest = 0.0;
        let whole = weights.len() / lanes.len() * lanes.len();
        for at in (0..whole).step_by(lanes.len()) {
            for lane in 0..lanes.len() {
                lanes[lane] += weights[at + lane] * marks[at + lane];
            }
        }
        for at in whole..weights.len() {
            rest += weights[at] * marks[at];
        }
        let on_sinks = crate::lanes::total(lanes) + rest;
        if on_sinks == 0.0 {
            return;
        }
        // Not total less sinks, which is rounding where sinks take nearly all.
        let mut others = 0f32;
        let mut lanes = [0f32; crate::lanes::WIDTH];
        for at in (0..whole).step_by(lanes.len()) {
            for lane in 0..lanes.len() {
                lanes[lane] += weights[at + lane] * (1.0 - marks[at + lane]);
            }
        }
        for at in whole..weights.len() {
            others += weights[at] * (1.0 - marks[at]);
        }
        let (kept, grown) = self.factors(beta, on_sinks, crate::lanes::total(lanes) + others);
        for (weight, &mark) in weights.iter_mut().zip(marks) {
            *weight *= if mark > 0.0 { kept } else { grown };
        }
    }
}

/// How often the keys of a batch row were seen, with this call's rows.
pub struct Seen {
    /// [T]; 0 at padding.
    pub counts: Vec<f32>,
    /// Number of real keys.
    pub real: f32,
}

impl Attention<'_> {
    pub(crate) fn is_real(&self, b: usize, t: usize) -> bool {
        self.keys.is_none_or(|keys| keys[b * self.total + t] != 0)
    }

    /// Real keys among some.
    pub(crate) fn real_keys(&self, b: usize, keys: Range<usize>) -> f32 {
        match self.keys {
            None => keys.len() as f32,
            Some(real) => {
                let own = &real[b * self.total..(b + 1) * self.total];
                own[keys].iter().filter(|&&real| real != 0).count() as f32
            }
        }
    }

    pub(crate) fn seen(&self, calibration: &Calibration, b: usize) -> Seen {
        let (total, past) = (self.total, self.total - self.rows);
        // Real rows of this call from each position on.
        let mut later = vec![0f32; total + 1];
        for t in (0..total).rev() {
            later[t] = later[t + 1] + if t >= past && self.is_real(b, t) { 1.0 } else { 0.0 };
        }
        let known = calibration.count_keys;
        let before = match calibration.counts.len() == known {
            true => calibration.counts,
            false => &calibration.counts[b * known..(b + 1) * known],
        };
        let counts = (0..total).map(|t| {
            let gone = self.window.map_or(0.0, |window| later[(t + window).min(total)]);
            let now = if self.is_real(b, t) { later[t] - gone } else { 0.0 };
            now + before.get(t).copied().unwrap_or(0.0)
        });
        let counts = counts.collect();
        Seen { counts, real: self.real_keys(b, 0..total) }
    }
}
