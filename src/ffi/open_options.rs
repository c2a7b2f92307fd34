//! `authgrant_open_options`: read by its size, because callers may have been built with another version of it.

use std::ffi::{c_char, c_void};

use zeroize::Zeroizing;

use crate::base::error::Result;
use crate::ffi::panic::ArgumentChecker;
use crate::ffi::{sized_struct, wide};
use crate::options::DriverKeywords;

/// Arguments of authgrant_open_with(). Zero-initialize, then set `size`.
#[repr(C)]
pub struct RawOpenOptions {
    /// sizeof(authgrant_open_options).
    pub size: usize,
    /// The connection string, in the encoding that `unit_size` states. It need not be aligned.
    pub connection_string: *const c_void,
    /// Length of the connection string in units; -1 or SQL_NTS (-3) if it is NUL-terminated. Ignored if `unit_size` is 0.
    pub length: isize,
    /// 0 for NUL-terminated UTF-8, 1 for UTF-8 with a length; sizeof(SQLWCHAR) for the text of an ODBC driver manager: 2
    /// for UTF-16, 4 for UTF-32 (iODBC).
    pub unit_size: usize,
    /// The keywords of the driver, each a name, if necessary with aliases after ";": "Schema", "Table;T". Names are
    /// compared case-insensitively. NULL if `driver_keyword_count` is 0.
    pub driver_keywords: *const *const c_char,
    /// Number of elements of `driver_keywords`.
    pub driver_keyword_count: usize,
}

/// Copies the options of a caller that was built with any version of them. `size` is their first member.
pub(super) fn copy(options: *const RawOpenOptions, size: usize) -> Result<RawOpenOptions> {
    // SAFETY: the header requires that the options have `size` bytes. All members may be zero.
    unsafe { sized_struct::copy("options", options, size, size_of::<RawOpenOptions>()) }
}

impl RawOpenOptions {
    pub(super) fn connection_string(&self, args: &mut ArgumentChecker) -> Result<Zeroizing<String>> {
        const NAME: &str = "options->connection_string";
        match self.unit_size {
            0 => {
                let text = args.text(NAME, self.connection_string.cast())?;
                Ok(Zeroizing::new(text.to_owned()))
            }
            1 => wide::copy_utf8(NAME, self.connection_string, self.length),
            _ => wide::decode(NAME, self.connection_string, self.length, self.unit_size),
        }
    }

    pub(super) fn driver_keywords(&self, args: &mut ArgumentChecker) -> Result<DriverKeywords> {
        const NAME: &str = "options->driver_keywords";
        let declarations = args.array(NAME, self.driver_keywords, self.driver_keyword_count)?;
        let declarations = declarations.iter().map(|keyword| args.text(NAME, *keyword));
        DriverKeywords::parse(&declarations.collect::<Result<Vec<_>>>()?)
    }
}
