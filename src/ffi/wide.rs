//! Text of the caller with a length, in units of 1 (UTF-8), 2 (UTF-16) or 4 (UTF-32) bytes.

use std::ffi::c_void;

use zeroize::{Zeroize, Zeroizing};

use crate::base::error::{ArgumentError, Error, Result};
use crate::ffi::panic::{fits_in_memory, invalid_length_error, null_error};

/// Lengths that mean NUL-terminated text: -1 and ODBC's SQL_NTS.
const NUL_TERMINATED: [isize; 2] = [-1, -3];

/// Copies the argument `name`, wide text with units of `unit_size` bytes, as UTF-8.
pub(super) fn decode(
    name: &str,
    text: *const c_void,
    length: isize,
    unit_size: usize,
) -> Result<Zeroizing<String>> {
    match unit_size {
        _ if text.is_null() => Err(null_error(name)),
        2 => from_utf16(name, &copy_units::<u16>(name, text, length)?),
        4 => from_utf32(name, &copy_units::<u32>(name, text, length)?),
        _ => Err(invalid_length_error("unit_size")),
    }
}

/// Copies the argument `name`, text in UTF-8.
pub(super) fn copy_utf8(name: &str, text: *const c_void, length: isize) -> Result<Zeroizing<String>> {
    if text.is_null() {
        return Err(null_error(name));
    }
    let bytes = copy_units::<u8>(name, text, length)?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        encoding_error::<u8>(name, &format!("invalid byte at offset {}", error.valid_up_to()))
    })?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Copies the units of a text, which may be unaligned.
fn copy_units<T: Copy + Default + PartialEq + Zeroize>(
    name: &str,
    text: *const c_void,
    length: isize,
) -> Result<Zeroizing<Vec<T>>> {
    let text: *const T = text.cast();
    // SAFETY: the header requires `length` units, or units up to a NUL.
    let unit = |index: usize| unsafe { text.add(index).read_unaligned() };
    let length = match usize::try_from(length) {
        Ok(length) if fits_in_memory::<T>(length) => length,
        Err(_) if NUL_TERMINATED.contains(&length) => {
            (0..).take_while(|index| unit(*index) != T::default()).count()
        }
        _ => return Err(invalid_length_error("length")),
    };
    let units = Zeroizing::new((0..length).map(unit).collect::<Vec<T>>());
    if units.contains(&T::default()) {
        return Err(encoding_error::<T>(name, "embedded NUL"));
    }
    Ok(units)
}

fn from_utf16(name: &str, units: &[u16]) -> Result<Zeroizing<String>> {
    let text = char::decode_utf16(units.iter().copied()).collect::<std::result::Result<String, _>>();
    text.map(Zeroizing::new).map_err(|_| encoding_error::<u16>(name, "unpaired surrogate"))
}

fn from_utf32(name: &str, units: &[u32]) -> Result<Zeroizing<String>> {
    let text = units.iter().map(|unit| char::from_u32(*unit)).collect::<Option<String>>();
    text.map(Zeroizing::new)
        .ok_or_else(|| encoding_error::<u32>(name, "a unit is not a character of Unicode"))
}

/// The error of a text with units of type `T`.
fn encoding_error<T>(name: &str, reason: &str) -> Error {
    let encoding = match size_of::<T>() {
        1 => "UTF-8",
        2 => "UTF-16",
        _ => "UTF-32",
    };
    let text = format!("{name} is not valid {encoding}: {reason}");
    Error::new(ArgumentError::Invalid, "argument", text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Status;

    #[test]
    fn negative_length_is_nul_terminated_only_for_odbc_nts() {
        let text = [0x41_u16, 0x3d, 0, 0x42];
        for length in [-1, -3] {
            let units = copy_units::<u16>("text", text.as_ptr().cast(), length).unwrap();
            assert_eq!(*units, text[..2], "{length}");
        }
        for length in [-2, -4, isize::MIN] {
            let error = copy_units::<u16>("text", text.as_ptr().cast(), length).unwrap_err();
            assert_eq!((error.status(), error.sqlstate()), (Status::InvalidArgument, "HY090"), "{length}");
        }
    }
}
