//! A tensor of ONNX Runtime that frees itself.
use crate::accounts::Accounts;
use crate::fault::{fault, Outcome};
use crate::library::Library;
use ort_sys as ort;
use std::ptr::null_mut;
use std::sync::Arc;

pub struct Value {
    library: &'static Library,
    pub raw: *mut ort::OrtValue,
    counted: Option<(Arc<Accounts>, i64)>,
}

// A value is read only once it was made, and freed by whoever holds it last.
unsafe impl Send for Value {}
unsafe impl Sync for Value {}

pub struct Tensor {
    pub element: i32,
    pub dims: Vec<i64>,
    pub data: *mut u8,
    /// Bytes.
    pub length: usize,
}

impl Drop for Value {
    fn drop(&mut self) {
        unsafe { (self.library.api.ReleaseValue)(self.raw) };
        if let Some((accounts, bytes)) = &self.counted {
            accounts.change(-bytes);
        }
    }
}

impl Value {
    /// Take over a value that a run returned.
    pub fn own(library: &'static Library, raw: *mut ort::OrtValue) -> Self {
        Self { library, raw, counted: None }
    }

    /// From now on the memory is held by JavaScript.
    pub fn counted(mut self, accounts: &Arc<Accounts>, bytes: usize) -> Self {
        accounts.change(bytes as i64);
        self.counted = Some((accounts.clone(), bytes as i64));
        self
    }

    /// A tensor over memory that must outlive it.
    ///
    /// # Safety
    /// `data` points to `length` bytes that stay where they are, and that nobody else writes while ONNX Runtime runs.
    pub unsafe fn over(
        library: &'static Library,
        element: i32,
        dims: &[i64],
        data: *mut u8,
        length: usize,
    ) -> Outcome<Self> {
        let Some(kind) = element_type(element) else {
            return fault("NATIVE_TENSOR", format!("element type {element} cannot be fed natively"));
        };
        let mut raw = null_mut();
        let (shape, rank) = (dims.as_ptr(), dims.len());
        let status = (library.api.CreateTensorWithDataAsOrtValue)(
            library.memory,
            data.cast(),
            length,
            shape,
            rank,
            kind,
            &mut raw,
        );
        library.check(status)?;
        Ok(Self::own(library, raw))
    }

    pub fn tensor(&self) -> Outcome<Tensor> {
        let Self { library, raw, .. } = *self;
        let api = library.api;
        let mut is_tensor = 0;
        library.check(unsafe { (api.IsTensor)(raw, &mut is_tensor) })?;
        if is_tensor == 0 {
            return fault("NATIVE_TENSOR", "an output that is no tensor");
        }
        let mut info = null_mut();
        library.check(unsafe { (api.GetTensorTypeAndShape)(raw, &mut info) })?;
        let read = unsafe { shape_of(library, info) };
        unsafe { (api.ReleaseTensorTypeAndShapeInfo)(info) };
        let (element, dims) = read?;
        let Some(length) = bytes_of(element, &dims) else {
            return fault("NATIVE_TENSOR", format!("an output of element type {element}"));
        };
        let mut data = null_mut();
        library.check(unsafe { (api.GetTensorMutableData)(raw, &mut data) })?;
        Ok(Tensor { element, dims, data: data.cast(), length })
    }
}

unsafe fn shape_of(library: &Library, info: *mut ort::OrtTensorTypeAndShapeInfo) -> Outcome<(i32, Vec<i64>)> {
    let (mut element, mut rank) = (0i32, 0);
    library.check((library.api.GetTensorElementType)(info, (&mut element as *mut i32).cast()))?;
    library.check((library.api.GetDimensionsCount)(info, &mut rank))?;
    let mut dims = vec![0i64; rank];
    library.check((library.api.GetDimensions)(info, dims.as_mut_ptr(), rank))?;
    Ok((element, dims))
}

fn element_type(element: i32) -> Option<ort::ONNXTensorElementDataType> {
    use ort::ONNXTensorElementDataType::*;
    Some(match element {
        1 => ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
        2 => ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
        3 => ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8,
        4 => ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16,
        5 => ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16,
        6 => ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,
        7 => ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
        9 => ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL,
        10 => ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16,
        11 => ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE,
        12 => ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32,
        13 => ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64,
        _ => return None,
    })
}

/// Bytes of one element; of those that whole bytes hold.
pub fn width(element: i32) -> Option<usize> {
    Some(match element {
        2 | 3 | 9 => 1,
        4 | 5 | 10 => 2,
        1 | 6 | 12 => 4,
        7 | 11 | 13 => 8,
        _ => return None,
    })
}

/// Bytes of a tensor; undefined for negative dimensions and for what no memory holds.
pub fn bytes_of(element: i32, dims: &[i64]) -> Option<usize> {
    dims.iter().try_fold(width(element)?, |bytes, &dim| bytes.checked_mul(usize::try_from(dim).ok()?))
}
