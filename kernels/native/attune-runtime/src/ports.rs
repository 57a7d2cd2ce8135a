//! Inputs and outputs of a session: names, element types and shapes.
use crate::fault::Outcome;
use crate::library::Library;
use napi_derive::napi;
use ort_sys as ort;
use std::ffi::{CStr, CString};
use std::ptr::{null, null_mut};

pub struct Port {
    pub name: CString,
    pub facts: PortFacts,
}

#[napi(object, object_from_js = false)]
#[derive(Clone)]
pub struct PortFacts {
    pub name: String,
    pub is_tensor: bool,
    /// TensorProto.DataType; 0 where it is no tensor.
    pub element: i32,
    /// -1 where a dimension has a name.
    pub dims: Vec<i64>,
    pub symbols: Vec<String>,
}

type NameOf = unsafe extern "system" fn(
    *const ort::OrtSession,
    usize,
    *mut ort::OrtAllocator,
    *mut *mut std::ffi::c_char,
) -> ort::OrtStatusPtr;
type TypeOf =
    unsafe extern "system" fn(*const ort::OrtSession, usize, *mut *mut ort::OrtTypeInfo) -> ort::OrtStatusPtr;

pub fn inputs(library: &Library, session: *mut ort::OrtSession) -> Outcome<Vec<Port>> {
    let mut count = 0;
    library.check(unsafe { (library.api.SessionGetInputCount)(session, &mut count) })?;
    let (name, kind) = (library.api.SessionGetInputName, library.api.SessionGetInputTypeInfo);
    (0..count).map(|index| port(library, session, index, name, kind)).collect()
}

pub fn outputs(library: &Library, session: *mut ort::OrtSession) -> Outcome<Vec<Port>> {
    let mut count = 0;
    library.check(unsafe { (library.api.SessionGetOutputCount)(session, &mut count) })?;
    let (name, kind) = (library.api.SessionGetOutputName, library.api.SessionGetOutputTypeInfo);
    (0..count).map(|index| port(library, session, index, name, kind)).collect()
}

fn port(
    library: &Library,
    session: *mut ort::OrtSession,
    index: usize,
    name_of: NameOf,
    type_of: TypeOf,
) -> Outcome<Port> {
    let mut text = null_mut();
    library.check(unsafe { name_of(session, index, library.allocator, &mut text) })?;
    let name = library.taken(text);
    let mut info = null_mut();
    library.check(unsafe { type_of(session, index, &mut info) })?;
    let read = unsafe { facts(library, info, &name) };
    unsafe { (library.api.ReleaseTypeInfo)(info) };
    Ok(Port { facts: read?, name })
}

unsafe fn facts(library: &Library, info: *mut ort::OrtTypeInfo, name: &CStr) -> Outcome<PortFacts> {
    let api = library.api;
    let mut tensor: *const ort::OrtTensorTypeAndShapeInfo = null();
    library.check((api.CastTypeInfoToTensorInfo)(info, &mut tensor))?;
    let name = name.to_string_lossy().into_owned();
    if tensor.is_null() {
        return Ok(PortFacts { name, is_tensor: false, element: 0, dims: vec![], symbols: vec![] });
    }
    let mut element = 0i32;
    // The enumeration grows with ONNX Runtime: read it as a number.
    library.check((api.GetTensorElementType)(tensor, (&mut element as *mut i32).cast()))?;
    let mut rank = 0;
    library.check((api.GetDimensionsCount)(tensor, &mut rank))?;
    let mut dims = vec![0i64; rank];
    library.check((api.GetDimensions)(tensor, dims.as_mut_ptr(), rank))?;
    let mut names = vec![null(); rank];
    library.check((api.GetSymbolicDimensions)(tensor, names.as_mut_ptr(), rank))?;
    let text = |at: &*const std::ffi::c_char| match at.is_null() {
        true => String::new(),
        false => CStr::from_ptr(*at).to_string_lossy().into_owned(),
    };
    Ok(PortFacts { name, is_tensor: true, element, dims, symbols: names.iter().map(text).collect() })
}
