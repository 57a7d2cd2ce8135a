//! One run. What JavaScript feeds is copied or held, so that nothing it does meanwhile can matter; outputs either become
//! JavaScript's without a copy or stay behind a handle; a cache goes in and comes out as one buffer.
use crate::accounts::Accounts;
use crate::buffer::Buffer;
use crate::fault::{fault, guarded, Outcome};
use crate::handle::{Handle, Storage};
use crate::options::{RunControl, RunOptions};
use crate::session::{Live, Session};
use crate::value::{bytes_of, width, Tensor, Value};
use napi::bindgen_prelude::{AsyncTask, ClassInstance, Either, Uint8Array};
use napi::{Env, Task};
use napi_derive::napi;
use std::ptr::{null, null_mut};
use std::sync::Arc;

/// Outputs below this are copied, so that ONNX Runtime has its memory back at once.
const WORTH_KEEPING: usize = 1 << 16;

/// A cache that goes in and comes out in one buffer.
#[napi(object, object_to_js = false)]
pub struct SharedCache {
    /// Position among the feeds.
    pub feed: u32,
    /// Position among the outputs.
    pub output: u32,
    /// Tokens after the run.
    pub total: u32,
}

#[napi(object, object_from_js = false)]
pub struct Fetched {
    pub element: i32,
    pub dims: Vec<i64>,
    pub bytes: Option<Uint8Array>,
    pub handle: Option<Handle>,
}

enum Fed {
    /// Words, so that any element type is aligned.
    Copied { words: Vec<u64>, bytes: usize },
    Held(Storage),
}

struct Input {
    port: usize,
    element: i32,
    dims: Vec<i64>,
    fed: Fed,
}

struct Appended {
    input: usize,
    output: usize,
    buffer: Arc<Buffer>,
    /// Tokens before and after.
    from: usize,
    to: usize,
    /// Whether the tokens before lie elsewhere.
    moved: bool,
}

pub struct Run {
    live: Arc<Live>,
    accounts: Arc<Accounts>,
    inputs: Vec<Input>,
    outputs: Vec<(usize, bool)>,
    appended: Vec<Appended>,
    options: Option<Arc<RunOptions>>,
}

#[napi]
impl Session {
    /// Run with the inputs of these indices. `kept` says for each output whether it stays behind a handle.
    #[napi(catch_unwind)]
    #[allow(clippy::too_many_arguments)]
    pub fn run(
        &self,
        inputs: Vec<u32>,
        elements: Vec<i32>,
        dims: Vec<Vec<i64>>,
        data: Vec<Either<Uint8Array, ClassInstance<Handle>>>,
        outputs: Vec<u32>,
        kept: Vec<bool>,
        shared: Vec<SharedCache>,
        control: Option<ClassInstance<RunControl>>,
    ) -> napi::Result<AsyncTask<Run>> {
        let live = self.live()?;
        let given = [elements.len(), dims.len(), data.len()];
        if given.iter().any(|&count| count != inputs.len()) || outputs.len() != kept.len() {
            return Err(fault::<()>("NATIVE_TENSOR", "lists of different lengths").unwrap_err().into());
        }
        let ports = inputs.iter().zip(elements).zip(dims).zip(data);
        let inputs = ports
            .map(|(((&port, element), dims), data)| input(&live, port as usize, element, dims, data))
            .collect::<Outcome<Vec<_>>>()?;
        let count = live.outputs.len();
        if outputs.iter().any(|&port| port as usize >= count) {
            return Err(fault::<()>("NATIVE_TENSOR", "an output that is not there").unwrap_err().into());
        }
        let outputs = outputs.into_iter().map(|port| port as usize).zip(kept).collect::<Vec<_>>();
        let options = control.map(|control| control.options.clone());
        let accounts = self.accounts.clone();
        let mut run = Run { live, accounts, inputs, outputs, appended: vec![], options };
        for cache in shared {
            let appended = run.append(&cache);
            match appended {
                Ok(appended) => run.appended.push(appended),
                Err(error) => {
                    run.unclaim();
                    return Err(error.into());
                }
            }
        }
        Ok(AsyncTask::new(run))
    }
}

fn input(
    live: &Live,
    port: usize,
    element: i32,
    dims: Vec<i64>,
    data: Either<Uint8Array, ClassInstance<Handle>>,
) -> Outcome<Input> {
    let Some(known) = live.inputs.get(port) else {
        return fault("NATIVE_TENSOR", format!("input {port} of {}", live.inputs.len()));
    };
    let name = &known.facts.name;
    let fed = match data {
        Either::A(bytes) => {
            if bytes_of(element, &dims) != Some(bytes.len()) {
                let found = format!("{} bytes for {name}, element type {element}, {dims:?}", bytes.len());
                return fault("NATIVE_TENSOR", found);
            }
            let mut words = vec![0u64; bytes.len().div_ceil(8).max(1)];
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), words.as_mut_ptr().cast(), bytes.len()) };
            Fed::Copied { words, bytes: bytes.len() }
        }
        Either::B(handle) => {
            if handle.element() != element || handle.dims() != dims {
                return fault("NATIVE_TENSOR", format!("a handle for {name} that is not of the tensor's shape"));
            }
            Fed::Held(handle.storage()?.clone())
        }
    };
    Ok(Input { port, element, dims, fed })
}

impl Run {
    /// Where the tokens of a cache go: behind those before, if these are the last of their buffer; else into a new one.
    fn append(&self, cache: &SharedCache) -> Outcome<Appended> {
        let (input, output, to) = (cache.feed as usize, cache.output as usize, cache.total as usize);
        let Some(Input { element, dims, fed, .. }) = self.inputs.get(input) else {
            return fault("NATIVE_TENSOR", format!("cache {input} of {} feeds", self.inputs.len()));
        };
        if self.appended.iter().any(|one| one.input == input || one.output == output) {
            return fault("NATIVE_TENSOR", format!("cache {input} is shared twice"));
        }
        let (Some(width), &[batch, heads, from, size]) = (width(*element), dims.as_slice()) else {
            return fault("NATIVE_TENSOR", format!("a cache of element type {element}, {dims:?}"));
        };
        let after = [batch, heads, to as i64, size];
        if output >= self.outputs.len() || bytes_of(*element, &after).is_none() || from < 0 || to < from as usize {
            return fault("NATIVE_TENSOR", format!("a cache {dims:?} that goes on to {to} tokens"));
        }
        let (outer, from, row) = ((batch * heads) as usize, from as usize, size as usize * width);
        let mut grown = false;
        if let Fed::Held(Storage::Rows { buffer, length }) = fed {
            if *length == from && buffer.outer == outer && buffer.row == row {
                if buffer.claim(from, to) {
                    let buffer = buffer.clone();
                    return Ok(Appended { input, output, buffer, from, to, moved: false });
                }
                grown = to > buffer.capacity;
            }
        }
        let buffer = Buffer::for_rows(outer, row, to, grown, &self.accounts)?;
        buffer.claim(0, to);
        Ok(Appended { input, output, buffer, from, to, moved: from > 0 })
    }

    fn unclaim(&self) {
        for Appended { buffer, from, to, .. } in &self.appended {
            buffer.unclaim(*from, *to);
        }
    }

    fn execute(&mut self) -> Outcome<Vec<Option<Value>>> {
        for Appended { input, buffer, from, moved, .. } in &self.appended {
            if *moved {
                unsafe { self.move_rows(&self.inputs[*input], buffer, *from) };
            }
        }
        let mut gathered = vec![];
        let fed = self.feed(&mut gathered)?;
        let mut preset: Vec<Option<Value>> = self.outputs.iter().map(|_| None).collect();
        for one in &self.appended {
            preset[one.output] = Some(self.cache_value(one)?);
        }
        let live = &*self.live;
        let name = |port: &crate::ports::Port| port.name.as_ptr();
        let input_names: Vec<_> = self.inputs.iter().map(|input| name(&live.inputs[input.port])).collect();
        let output_names: Vec<_> = self.outputs.iter().map(|(port, _)| name(&live.outputs[*port])).collect();
        let values: Vec<_> = fed.iter().map(|value| value.raw.cast_const()).collect();
        let mut raw: Vec<_> =
            preset.iter().map(|value| value.as_ref().map_or(null_mut(), |value| value.raw)).collect();
        let status = unsafe {
            (live.library.api.Run)(
                live.raw,
                self.options.as_ref().map_or(null(), |options| options.raw.cast_const()),
                input_names.as_ptr(),
                values.as_ptr(),
                values.len(),
                output_names.as_ptr(),
                output_names.len(),
                raw.as_mut_ptr(),
            )
        };
        // Whatever came out is owned from here on, also when the run failed half-way.
        let made = raw.iter().zip(&preset).map(|(&raw, preset)| match preset {
            None if !raw.is_null() => Some(Value::own(live.library, raw)),
            _ => None,
        });
        let made: Vec<_> = made.collect();
        live.library.check(status)?;
        Ok(made)
    }

    /// # Safety
    /// The buffer's first `rows` rows are this run's.
    unsafe fn move_rows(&self, input: &Input, buffer: &Buffer, rows: usize) {
        match &input.fed {
            Fed::Copied { words, .. } => buffer.fill(words.as_ptr().cast(), rows, rows),
            Fed::Held(Storage::Rows { buffer: from, .. }) => buffer.fill(from.data(), from.capacity, rows),
            Fed::Held(Storage::Whole { data, .. }) => buffer.fill(*data, rows, rows),
        }
    }

    fn feed(&self, gathered: &mut Vec<Vec<u64>>) -> Outcome<Vec<Value>> {
        let library = self.live.library;
        let over = |input: &Input, data: *mut u8, bytes: usize| unsafe {
            Value::over(library, input.element, &input.dims, data, bytes)
        };
        let one = |(index, input): (usize, &Input)| {
            if let Some(appended) = self.appended.iter().find(|appended| appended.input == index) {
                return self.cache_value(appended);
            }
            match &input.fed {
                Fed::Copied { words, bytes } => over(input, words.as_ptr().cast_mut().cast(), *bytes),
                Fed::Held(Storage::Whole { data, bytes, .. }) => over(input, *data, *bytes),
                Fed::Held(Storage::Rows { buffer, length }) => {
                    gathered.push(buffer.gathered(*length));
                    let words = gathered.last().expect("just pushed");
                    let bytes = buffer.outer * length * buffer.row;
                    over(input, words.as_ptr().cast_mut().cast(), bytes)
                }
            }
        };
        self.inputs.iter().enumerate().map(one).collect()
    }

    /// [B,K,C,D]
    fn cache_value(&self, appended: &Appended) -> Outcome<Value> {
        let Input { element, dims, .. } = &self.inputs[appended.input];
        let buffer = &appended.buffer;
        let whole = [dims[0], dims[1], buffer.capacity as i64, dims[3]];
        unsafe { Value::over(self.live.library, *element, &whole, buffer.data(), buffer.bytes()) }
    }

    fn result(&self, output: usize, value: Option<Value>) -> Outcome<Fetched> {
        if let Some(one) = self.appended.iter().find(|appended| appended.output == output) {
            let Input { element, dims, .. } = &self.inputs[one.input];
            let dims = vec![dims[0], dims[1], one.to as i64, dims[3]];
            let storage = Storage::Rows { buffer: one.buffer.clone(), length: one.to };
            let handle = Handle::new(storage, *element, dims.clone(), self.accounts.clone());
            return Ok(Fetched { element: *element, dims, bytes: None, handle: Some(handle) });
        }
        let Some(value) = value else {
            return fault("ORT", "an output did not come");
        };
        let Tensor { element, dims, data, length } = value.tensor()?;
        if self.outputs[output].1 {
            let owner = Arc::new(value.counted(&self.accounts, length));
            let storage = Storage::Whole { owner, data, bytes: length };
            let handle = Handle::new(storage, element, dims.clone(), self.accounts.clone());
            return Ok(Fetched { element, dims, bytes: None, handle: Some(handle) });
        }
        let bytes = if length < WORTH_KEEPING {
            let seen = if length == 0 { &[][..] } else { unsafe { std::slice::from_raw_parts(data, length) } };
            Uint8Array::new(seen.to_vec())
        } else {
            // The memory is V8's to count: it does so for every array buffer.
            unsafe { Uint8Array::with_external_data(data, length, move |_, _| drop(value)) }
        };
        Ok(Fetched { element, dims, bytes: Some(bytes), handle: None })
    }
}

impl Task for Run {
    type Output = Vec<Option<Value>>;
    type JsValue = Vec<Fetched>;

    fn compute(&mut self) -> napi::Result<Self::Output> {
        let done = guarded(|| self.execute());
        if done.is_err() {
            self.unclaim();
        }
        Ok(done?)
    }

    fn resolve(&mut self, env: Env, values: Self::Output) -> napi::Result<Self::JsValue> {
        let results = values.into_iter().enumerate().map(|(output, value)| self.result(output, value));
        let results = results.collect::<Outcome<Vec<_>>>();
        self.accounts.report(&env);
        Ok(results?)
    }
}
