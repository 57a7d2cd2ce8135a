//! One call of the attention operator: tensors of ONNX Runtime as slices, and its threads.
use crate::fault::{fault, Outcome};
use crate::library::Library;
use crate::operator::{input, Kernel};
use attune_kernels as kernels;
use attune_kernels::{
    Attention, Bias, Calibration, Level, Outputs, Parallel, Past, Projected, Rotary, Statistics, Table,
};
use ort_sys as ort;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, Ordering};

struct Call<'a> {
    library: &'static Library,
    context: *mut ort::OrtKernelContext,
    life: PhantomData<&'a ()>,
}

/// A tensor of one call.
struct Tensor<'a, T> {
    values: &'a [T],
    dims: Vec<usize>,
}

impl<'a> Call<'a> {
    /// @returns None for an input that is not there
    unsafe fn input<T>(&self, index: usize) -> Outcome<Option<Tensor<'a, T>>> {
        let (api, library) = (self.library.api, self.library);
        let mut value: *const ort::OrtValue = null();
        library.check((api.KernelContext_GetInput)(self.context, index, &mut value))?;
        if value.is_null() {
            return Ok(None);
        }
        let dims = dims_of(library, value)?;
        let mut data: *mut c_void = null_mut();
        library.check((api.GetTensorMutableData)(value.cast_mut(), &mut data))?;
        let count = dims.iter().product::<usize>();
        let values = if count == 0 { &[] } else { std::slice::from_raw_parts(data.cast::<T>(), count) };
        Ok(Some(Tensor { values, dims }))
    }

    unsafe fn needed<T>(&self, index: usize) -> Outcome<Tensor<'a, T>> {
        match self.input(index)? {
            Some(tensor) => Ok(tensor),
            None => fault("NATIVE_OPERATOR", format!("no input {index}")),
        }
    }

    unsafe fn output(&self, index: usize, dims: &[usize]) -> Outcome<&'a mut [f32]> {
        let (api, library) = (self.library.api, self.library);
        let shape: Vec<i64> = dims.iter().map(|&dim| dim as i64).collect();
        let mut value: *mut ort::OrtValue = null_mut();
        library.check((api.KernelContext_GetOutput)(
            self.context,
            index,
            shape.as_ptr(),
            shape.len(),
            &mut value,
        ))?;
        if value.is_null() {
            return fault("NATIVE_OPERATOR", format!("no room for output {index}"));
        }
        let mut data: *mut c_void = null_mut();
        library.check((api.GetTensorMutableData)(value, &mut data))?;
        let count = dims.iter().product::<usize>();
        Ok(if count == 0 { &mut [] } else { std::slice::from_raw_parts_mut(data.cast::<f32>(), count) })
    }
}

unsafe fn dims_of(library: &Library, value: *const ort::OrtValue) -> Outcome<Vec<usize>> {
    let api = library.api;
    let mut info = null_mut();
    library.check((api.GetTensorTypeAndShape)(value, &mut info))?;
    let mut rank = 0;
    let counted = library.check((api.GetDimensionsCount)(info, &mut rank));
    let mut dims = vec![0i64; rank];
    let read = counted.and_then(|()| library.check((api.GetDimensions)(info, dims.as_mut_ptr(), rank)));
    (api.ReleaseTensorTypeAndShapeInfo)(info);
    read?;
    Ok(dims.into_iter().map(|dim| dim.max(0) as usize).collect())
}

/// ONNX Runtime's threads.
struct Pool<'a> {
    library: &'static Library,
    context: *mut ort::OrtKernelContext,
    threads: usize,
    failed: &'a AtomicBool,
}

type Work<'a> = &'a (dyn Fn(usize) + Sync);

struct Shared<'a> {
    work: Work<'a>,
    failed: &'a AtomicBool,
}

unsafe extern "system" fn step(shared: *mut c_void, index: usize) {
    let Shared { work, failed } = &*shared.cast::<Shared>();
    if catch_unwind(AssertUnwindSafe(|| work(index))).is_err() {
        failed.store(true, Ordering::Release);
    }
}

impl Parallel for Pool<'_> {
    fn run(&self, count: usize, work: Work) {
        let mut shared = Shared { work, failed: self.failed };
        let data = (&mut shared as *mut Shared).cast();
        if self.threads < 2 || count < 2 {
            (0..count).for_each(|index| unsafe { step(data, index) });
            return;
        }
        // A batch for each: blocks of a prompt differ in length.
        let api = self.library.api;
        let status = unsafe { (api.KernelContext_ParallelFor)(self.context, step, count, count, data) };
        if self.library.check(status).is_err() {
            self.failed.store(true, Ordering::Release);
        }
    }

    fn threads(&self) -> usize {
        self.threads
    }
}

fn four(dims: &[usize], what: &str) -> Outcome<[usize; 4]> {
    match *dims {
        [a, b, c, d] => Ok([a, b, c, d]),
        _ => fault("NATIVE_OPERATOR", format!("{what} of rank {}", dims.len())),
    }
}

/// Keys or values in a tensor of their own, or packed with the queries.
fn own<'a>(tensor: &Option<Tensor<'a, f32>>, packed: Projected<'a>) -> Projected<'a> {
    match tensor {
        Some(Tensor { values, dims }) => {
            Projected { values, width: dims.last().copied().unwrap_or(0), from: 0 }
        }
        None => packed,
    }
}

/// [B|1, H|1]
fn table<'a>(tensor: &Tensor<'a, f32>) -> Table<'a> {
    let (batch, heads) = match *tensor.dims {
        [batch, heads] => (batch, heads),
        // Refused by the kernel's own check.
        _ => (0, 0),
    };
    Table { values: tensor.values, batch, heads }
}

/// # Safety
/// Called by ONNX Runtime with a context of a node of this operator.
pub unsafe fn compute(kernel: &Kernel, context: *mut ort::OrtKernelContext) -> Outcome<()> {
    let library = kernel.library;
    let call = Call { library, context, life: PhantomData };
    let q: Tensor<f32> = call.needed(input::Q)?;
    let (own_k, own_v): (Option<Tensor<f32>>, Option<Tensor<f32>>) =
        (call.input(input::K)?, call.input(input::V)?);
    let (past_k, past_v): (Tensor<f32>, Tensor<f32>) =
        (call.needed(input::PAST_K)?, call.needed(input::PAST_V)?);
    let total: Tensor<i32> = call.needed(input::TOTAL)?;
    let [batch, kv_heads, room, size] = four(&past_k.dims, "past keys")?;
    let [b, rows, width] = match *q.dims {
        [b, rows, width] => [b, rows, width],
        _ => return fault("NATIVE_OPERATOR", format!("queries of rank {}", q.dims.len())),
    };
    let total = total.values.first().map_or(0, |&total| total.max(0) as usize);
    let heads = kernel.heads;
    if b != batch || kv_heads != kernel.kv_heads || past_v.dims != past_k.dims || total < rows {
        return fault(
            "NATIVE_OPERATOR",
            format!("queries {:?}, past keys {:?}, {total} keys", q.dims, past_k.dims),
        );
    }
    if room != total - rows && room < total {
        return fault("NATIVE_OPERATOR", format!("a past of {room} tokens for {rows} new ones of {total}"));
    }
    let capacity = room.max(total);
    let z = call.output(0, &[batch, rows, heads.saturating_mul(size)])?;
    let k = call.output(1, &[batch, kv_heads, capacity, size])?;
    let v = call.output(2, &[batch, kv_heads, capacity, size])?;
    let at = |values: &[f32]| values.as_ptr();
    let (same_k, same_v) = (at(k) == at(past_k.values), at(v) == at(past_v.values));
    if same_k != same_v {
        return fault("NATIVE_OPERATOR", "keys that share a buffer with their past, and values that do not");
    }
    let past = (!same_k).then_some(Past { k: past_k.values, v: past_v.values, capacity: room });
    let part = |values, width, from| Projected { values, width, from };
    let packed = |index: usize| part(q.values, width, (heads + index * kv_heads) * size);
    let (cos, sin): (Option<Tensor<f32>>, Option<Tensor<f32>>) =
        (call.input(input::COS)?, call.input(input::SIN)?);
    let positions: Option<Tensor<i64>> = call.input(input::POSITIONS)?;
    let rotary = match (&cos, &sin, &positions) {
        (Some(cos), Some(sin), Some(positions)) => Some(Rotary {
            cos: cos.values,
            sin: sin.values,
            pairs: cos.dims.last().copied().unwrap_or(0),
            positions: positions.values,
            interleaved: kernel.interleaved,
        }),
        _ => None,
    };
    let bias: Option<Tensor<f32>> = call.input(input::BIAS)?;
    let bias = match &bias {
        Some(Tensor { values, dims }) => {
            let [batch, heads, rows, _] = four(dims, "bias")?;
            Some(Bias { values, batch, heads, rows })
        }
        None => None,
    };
    let head_sink: Option<Tensor<f32>> = call.input(input::HEAD_SINK)?;
    let keys: Option<Tensor<i64>> = call.input(input::KEYS)?;
    // Nothing hidden is nothing to look at.
    let keys = keys.map(|keys| keys.values).filter(|keys| keys.contains(&0));
    let operands = Operands::read(kernel, &call)?;
    let state = match kernel.statistics {
        1 | 2 => Some(call.output(3, &[batch, heads, total])?),
        _ => None,
    };
    let problem = Attention {
        batch,
        heads,
        kv_heads,
        size,
        rows,
        total,
        q: part(q.values, width, 0),
        k: own(&own_k, packed(0)),
        v: own(&own_v, packed(1)),
        past,
        rotary,
        scale: kernel.scale,
        softcap: kernel.softcap,
        window: (kernel.window > 0).then_some(kernel.window),
        bias,
        head_sink: head_sink.map(|sinks| sinks.values),
        keys,
        calibration: operands.as_ref().map(Operands::calibration),
    };
    let failed = AtomicBool::new(false);
    let pool = Pool { library, context, threads: kernel.threads, failed: &failed };
    let mut out = Outputs { z, k, v, capacity, state };
    if let Err(kernels::Misfit(what)) = kernels::attend(&problem, &mut out, &pool, Level::best()) {
        return fault("NATIVE_OPERATOR", format!("the attention operator was given {what} that do not fit"));
    }
    match failed.load(Ordering::Acquire) {
        true => fault("NATIVE_OPERATOR", "a part of the attention operator panicked"),
        false => Ok(()),
    }
}

/// What a calibration is given.
struct Operands<'a> {
    statistics: Statistics,
    first_detected: bool,
    beta: Tensor<'a, f32>,
    tau: Option<Tensor<'a, f32>>,
    alpha: Option<Tensor<'a, f32>>,
    first: Option<Tensor<'a, i64>>,
    state: Option<Tensor<'a, f32>>,
    counts: Option<Tensor<'a, f32>>,
}

impl<'a> Operands<'a> {
    unsafe fn read(kernel: &Kernel, call: &Call<'a>) -> Outcome<Option<Self>> {
        let statistics = match kernel.statistics {
            0 => return Ok(None),
            1 => Statistics::Running,
            2 => Statistics::Frozen,
            3 => Statistics::Row,
            other => return fault("NATIVE_OPERATOR", format!("statistics {other}")),
        };
        Ok(Some(Self {
            statistics,
            first_detected: kernel.first_detected,
            beta: call.needed(input::BETA)?,
            tau: call.input(input::TAU)?,
            alpha: call.input(input::ALPHA)?,
            first: call.input(input::FIRST)?,
            state: call.input(input::STATE)?,
            counts: call.input(input::COUNTS)?,
        }))
    }

    fn calibration(&self) -> Calibration<'_> {
        const NONE: Table = Table { values: &[0.0], batch: 1, heads: 1 };
        let last = |tensor: &Option<Tensor<f32>>| {
            tensor.as_ref().and_then(|tensor| tensor.dims.last().copied()).unwrap_or(0)
        };
        let values =
            |tensor: &Option<Tensor<'a, f32>>| tensor.as_ref().map_or(&[][..], |tensor| tensor.values);
        Calibration {
            statistics: self.statistics,
            first_detected: self.first_detected,
            beta: table(&self.beta),
            tau: self.tau.as_ref().map_or(NONE, table),
            alpha: self.alpha.as_ref().map_or(NONE, table),
            first: self.first.as_ref().map_or(&[0], |first| first.values),
            state: values(&self.state),
            state_keys: last(&self.state),
            counts: values(&self.counts),
            count_keys: last(&self.counts),
        }
    }
}
