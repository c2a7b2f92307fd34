//! Structs that begin with their size, because callers may have been built with another version of them.

use std::mem::MaybeUninit;
use std::ptr;

use crate::base::error::{ArgumentError, Error, Result};
use crate::ffi::panic::invalid_length_error;

/// Limit for the size of a struct, so that an uninitialized size is an error.
const MAX_STRUCT_SIZE: usize = 4096;

/// Copies a struct of the caller, which may know fewer members, which are then zero, or more, which must be zero.
/// `size` is its first member. `first_size` is the size of its first version; `name` is the argument.
///
/// # Safety
/// `object` has `size` bytes, and a `T` whose bytes are all zero is valid.
pub(super) unsafe fn copy<T>(name: &str, object: *const T, size: usize, first_size: usize) -> Result<T> {
    if size != first_size && !(size_of::<T>()..=MAX_STRUCT_SIZE).contains(&size) {
        return Err(invalid_length_error(&format!("{name}->size")));
    }
    let bytes = object.cast::<u8>();
    // SAFETY: guaranteed by the caller.
    if (size_of::<T>()..size).any(|offset| unsafe { bytes.add(offset).read() } != 0) {
        let text = format!("{name} has a non-zero member that this version of the library does not know");
        return Err(Error::new(ArgumentError::Invalid, "argument", text));
    }
    let mut copy = MaybeUninit::<T>::zeroed();
    // SAFETY: as above.
    unsafe {
        ptr::copy_nonoverlapping(bytes, copy.as_mut_ptr().cast(), size_of::<T>().min(size));
        Ok(copy.assume_init())
    }
}
