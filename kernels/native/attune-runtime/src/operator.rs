//! The attention operator: a custom operator of ONNX Runtime that stands for the graph function of its name, whose body is the same
//! arithmetic in nodes. Every name that begins with one of NAMES has the same kernel; what differs is said by attributes and by
//! which inputs are there. Inputs and outputs are those of hooks' lowering (kernels/lowerings/native): their order is the version.
use crate::fault::{fault, Fault, Outcome};
use crate::library::Library;
use crate::operator_call::compute;
use ort_sys as ort;
use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr::{null, null_mut};

/// Beginnings of the names this addon has a kernel for.
pub const NAMES: [&str; 1] = ["GroupedAttention1"];
const DOMAIN: &CStr = c"attune";

use ort::ONNXTensorElementDataType::{
    ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT as FLOAT, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32 as INT32,
    ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 as INT64,
};
use ort::OrtCustomOpInputOutputCharacteristic::{
    INPUT_OUTPUT_OPTIONAL as OPTIONAL, INPUT_OUTPUT_REQUIRED as REQUIRED,
};

type Kind = (ort::ONNXTensorElementDataType, ort::OrtCustomOpInputOutputCharacteristic);

/// Positions of the inputs.
pub mod input {
    pub const Q: usize = 0;
    pub const K: usize = 1;
    pub const V: usize = 2;
    pub const PAST_K: usize = 3;
    pub const PAST_V: usize = 4;
    pub const TOTAL: usize = 5;
    pub const COS: usize = 6;
    pub const SIN: usize = 7;
    pub const POSITIONS: usize = 8;
    pub const BIAS: usize = 9;
    pub const HEAD_SINK: usize = 10;
    pub const KEYS: usize = 11;
    pub const BETA: usize = 12;
    pub const TAU: usize = 13;
    pub const ALPHA: usize = 14;
    pub const FIRST: usize = 15;
    pub const STATE: usize = 16;
    pub const COUNTS: usize = 17;
}

const INPUTS: [Kind; 18] = [
    (FLOAT, REQUIRED),
    (FLOAT, OPTIONAL),
    (FLOAT, OPTIONAL),
    (FLOAT, REQUIRED),
    (FLOAT, REQUIRED),
    (INT32, REQUIRED),
    (FLOAT, OPTIONAL),
    (FLOAT, OPTIONAL),
    (INT64, OPTIONAL),
    (FLOAT, OPTIONAL),
    (FLOAT, OPTIONAL),
    (INT64, OPTIONAL),
    (FLOAT, OPTIONAL),
    (FLOAT, OPTIONAL),
    (FLOAT, OPTIONAL),
    (INT64, OPTIONAL),
    (FLOAT, OPTIONAL),
    (FLOAT, OPTIONAL),
];
/// z, present keys and values, the state of a calibration.
const OUTPUTS: [Kind; 4] = [(FLOAT, REQUIRED), (FLOAT, REQUIRED), (FLOAT, REQUIRED), (FLOAT, OPTIONAL)];

/// What ONNX Runtime calls; the first field is what it knows of it.
#[repr(C)]
struct Operator {
    raw: ort::OrtCustomOp,
    name: CString,
    library: &'static Library,
    threads: usize,
}

/// The operators of one session, which must outlive it.
pub struct Operators {
    library: &'static Library,
    domain: *mut ort::OrtCustomOpDomain,
    /// Where they lie is known to ONNX Runtime.
    _operators: Vec<Box<Operator>>,
}

// Nothing is changed once it was made.
unsafe impl Send for Operators {}
unsafe impl Sync for Operators {}

impl Drop for Operators {
    fn drop(&mut self) {
        unsafe { (self.library.api.ReleaseCustomOpDomain)(self.domain) }
    }
}

impl Operators {
    /// Register names with the options of a session to come.
    pub fn register(
        library: &'static Library,
        names: &[String],
        threads: usize,
        options: *mut ort::OrtSessionOptions,
    ) -> Outcome<Option<Self>> {
        if names.is_empty() {
            return Ok(None);
        }
        let api = library.api;
        let mut domain = null_mut();
        library.check(unsafe { (api.CreateCustomOpDomain)(DOMAIN.as_ptr(), &mut domain) })?;
        let mut all = Self { library, domain, _operators: vec![] };
        for name in names {
            if !NAMES.iter().any(|known| name.strip_prefix(known).is_some_and(|rest| rest.starts_with('_'))) {
                return fault("NATIVE_OPERATOR", format!("{name}, where {} are known", NAMES.join(", ")));
            }
            let name = crate::library::c_string(name)?;
            let operator = Box::new(Operator { raw: table(), name, library, threads });
            library.check(unsafe { (api.CustomOpDomain_Add)(domain, &operator.raw) })?;
            all._operators.push(operator);
        }
        library.check(unsafe { (api.AddCustomOpDomain)(options, domain) })?;
        Ok(Some(all))
    }
}

fn table() -> ort::OrtCustomOp {
    ort::OrtCustomOp {
        version: ort::ORT_API_VERSION,
        CreateKernel: None,
        GetName: Some(name),
        GetExecutionProviderType: Some(provider),
        GetInputType: Some(input_type),
        GetInputTypeCount: Some(input_count),
        GetOutputType: Some(output_type),
        GetOutputTypeCount: Some(output_count),
        KernelCompute: None,
        KernelDestroy: Some(destroy),
        GetInputCharacteristic: Some(input_kind),
        GetOutputCharacteristic: Some(output_kind),
        GetInputMemoryType: Some(memory),
        GetVariadicInputMinArity: Some(one),
        GetVariadicInputHomogeneity: Some(one),
        GetVariadicOutputMinArity: Some(one),
        GetVariadicOutputHomogeneity: Some(one),
        CreateKernelV2: Some(create),
        KernelComputeV2: Some(run),
        InferOutputShapeFn: None,
        GetStartVersion: Some(one),
        GetEndVersion: Some(newest),
        GetMayInplace: None,
        ReleaseMayInplace: None,
        GetAliasMap: None,
        ReleaseAliasMap: None,
    }
}

unsafe extern "system" fn name(op: *const ort::OrtCustomOp) -> *const c_char {
    (*op.cast::<Operator>()).name.as_ptr()
}
/// The CPU's.
unsafe extern "system" fn provider(_: *const ort::OrtCustomOp) -> *const c_char {
    null()
}
unsafe extern "system" fn input_count(_: *const ort::OrtCustomOp) -> usize {
    INPUTS.len()
}
unsafe extern "system" fn output_count(_: *const ort::OrtCustomOp) -> usize {
    OUTPUTS.len()
}
unsafe extern "system" fn input_type(
    _: *const ort::OrtCustomOp,
    index: usize,
) -> ort::ONNXTensorElementDataType {
    INPUTS.get(index).map_or(FLOAT, |kind| kind.0)
}
unsafe extern "system" fn output_type(
    _: *const ort::OrtCustomOp,
    index: usize,
) -> ort::ONNXTensorElementDataType {
    OUTPUTS.get(index).map_or(FLOAT, |kind| kind.0)
}
unsafe extern "system" fn input_kind(
    _: *const ort::OrtCustomOp,
    index: usize,
) -> ort::OrtCustomOpInputOutputCharacteristic {
    INPUTS.get(index).map_or(OPTIONAL, |kind| kind.1)
}
unsafe extern "system" fn output_kind(
    _: *const ort::OrtCustomOp,
    index: usize,
) -> ort::OrtCustomOpInputOutputCharacteristic {
    OUTPUTS.get(index).map_or(OPTIONAL, |kind| kind.1)
}
unsafe extern "system" fn memory(_: *const ort::OrtCustomOp, _: usize) -> ort::OrtMemType {
    ort::OrtMemType::OrtMemTypeDefault
}
unsafe extern "system" fn one(_: *const ort::OrtCustomOp) -> c_int {
    1
}
unsafe extern "system" fn newest(_: *const ort::OrtCustomOp) -> c_int {
    c_int::MAX
}

/// What the attributes of a node say.
pub struct Kernel {
    pub library: &'static Library,
    pub threads: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub scale: f32,
    pub softcap: f32,
    /// 0 where there is none.
    pub window: usize,
    pub interleaved: bool,
    /// 0 none, 1 running, 2 frozen, 3 row.
    pub statistics: usize,
    pub first_detected: bool,
}

unsafe extern "system" fn create(
    op: *const ort::OrtCustomOp,
    _: *const ort::OrtApi,
    info: *const ort::OrtKernelInfo,
    kernel: *mut *mut c_void,
) -> ort::OrtStatusPtr {
    let Operator { library, threads, .. } = &*op.cast::<Operator>();
    status(library, || {
        *kernel = Box::into_raw(Box::new(Kernel::read(library, *threads, info)?)).cast();
        Ok(())
    })
}

impl Kernel {
    unsafe fn read(
        library: &'static Library,
        threads: usize,
        info: *const ort::OrtKernelInfo,
    ) -> Outcome<Self> {
        let whole = |name: &CStr| {
            let mut value = 0i64;
            library.check((library.api.KernelInfoGetAttribute_int64)(info, name.as_ptr(), &mut value))?;
            usize::try_from(value).or_else(|_| fault("NATIVE_OPERATOR", format!("{name:?} is {value}")))
        };
        let number = |name: &CStr| {
            let mut value = 0f32;
            library.check((library.api.KernelInfoGetAttribute_float)(info, name.as_ptr(), &mut value))?;
            Ok::<f32, Fault>(value)
        };
        Ok(Self {
            library,
            threads,
            heads: whole(c"num_heads")?,
            kv_heads: whole(c"kv_num_heads")?,
            scale: number(c"scale")?,
            softcap: number(c"softcap")?,
            window: whole(c"window")?,
            interleaved: whole(c"interleaved")? != 0,
            statistics: whole(c"statistics")?,
            first_detected: whole(c"first_detected")? != 0,
        })
    }
}

unsafe extern "system" fn run(kernel: *mut c_void, context: *mut ort::OrtKernelContext) -> ort::OrtStatusPtr {
    let kernel = &*kernel.cast::<Kernel>();
    status(kernel.library, || compute(kernel, context))
}

unsafe extern "system" fn destroy(kernel: *mut c_void) {
    drop(Box::from_raw(kernel.cast::<Kernel>()));
}

/// An outcome in the form ONNX Runtime takes; a panic ends the run, not the process.
fn status(library: &Library, work: impl FnOnce() -> Outcome<()>) -> ort::OrtStatusPtr {
    let done = catch_unwind(AssertUnwindSafe(work));
    let message = match done {
        Ok(Ok(())) => return ort::OrtStatusPtr(null_mut()),
        Ok(Err(fault)) => fault.message,
        Err(_) => "the attention operator panicked".to_string(),
    };
    let text = CString::new(message.replace('\0', " ")).unwrap_or_default();
    unsafe { (library.api.CreateStatus)(ort::OrtErrorCode::ORT_INVALID_ARGUMENT, text.as_ptr()) }
}
