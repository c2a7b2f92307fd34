//! `authgrant_call_options`: read by its size, because callers may have been built with another version of it.

use std::mem::offset_of;
use std::sync::Arc;
use std::time::Duration;

use crate::base::call::{CancelToken, SharedCancelToken};
use crate::base::error::{ArgumentError, Error, Result};
use crate::connection::CallOptions;
use crate::ffi::panic::{ArgumentChecker, invalid_length_error};
use crate::ffi::sized_struct;
use crate::ffi::status::{AUTHGRANT_NO_NETWORK, AUTHGRANT_NO_PROMPT};

/// Per-call options for authgrant_get_token_with() and other functions. Zero-initialize, then set `size`.
#[repr(C)]
pub struct RawCallOptions {
    /// sizeof(authgrant_call_options).
    pub size: usize,
    /// Timeout of the whole call in milliseconds; 0 for LoginTimeout.
    pub timeout_ms: i32,
    /// Minimum remaining lifetime in seconds, capped at 90 % of the token's lifetime; 0 for no minimum.
    pub min_validity_s: i32,
    /// 0, AUTHGRANT_NO_PROMPT, AUTHGRANT_NO_NETWORK, or both.
    pub flags: u32,
    /// Cancels this call, but no other call on the connection; NULL for none. Read only at the beginning of the
    /// call. The first version of this struct ends before this member.
    pub cancel_token: *mut SharedCancelToken,
}

/// Size of the first version of the options, which ends with `flags` and its padding.
const FIRST_CALL_OPTIONS_SIZE: usize = offset_of!(RawCallOptions, cancel_token);

/// Size of the options of this version.
const KNOWN_CALL_OPTIONS_SIZE: usize = size_of::<RawCallOptions>();

/// The flags of this version.
const KNOWN_FLAGS: u32 = AUTHGRANT_NO_PROMPT | AUTHGRANT_NO_NETWORK;

/// Whether the options are valid and do not restrict a read of the last token.
pub(super) fn can_use_fast_path(options: *const RawCallOptions) -> bool {
    // SAFETY: the header requires NULL or options, which begin with their size.
    let size = unsafe { options.cast::<usize>().as_ref() }.copied().unwrap_or_default();
    let has_cancel_token = match size {
        FIRST_CALL_OPTIONS_SIZE => false,
        // SAFETY: the options have this member.
        KNOWN_CALL_OPTIONS_SIZE => !unsafe { (&raw const (*options).cancel_token).read() }.is_null(),
        _ => return false,
    };
    // SAFETY: the options have the members of the first version.
    let (timeout_ms, min_validity_s, flags) = unsafe {
        let timeout_ms = (&raw const (*options).timeout_ms).read();
        let min_validity_s = (&raw const (*options).min_validity_s).read();
        (timeout_ms, min_validity_s, (&raw const (*options).flags).read())
    };
    !has_cancel_token && timeout_ms >= 0 && min_validity_s == 0 && flags & !KNOWN_FLAGS == 0
}

/// Copies the options of a caller that was built with any version of them. `size` is their first member.
fn copy(options: *const RawCallOptions, size: usize) -> Result<RawCallOptions> {
    // SAFETY: the header requires that the options have `size` bytes. All members may be zero.
    unsafe { sized_struct::copy("options", options, size, FIRST_CALL_OPTIONS_SIZE) }
}

/// Runs a call with the options of the caller, which must not be NULL.
pub(super) fn run<T>(
    args: &mut ArgumentChecker,
    options: *const RawCallOptions,
    call: impl FnOnce(CallOptions<'_>) -> Result<T>,
) -> Result<T> {
    let size = *args.handle("options", options.cast::<usize>())?;
    let options = copy(options, size)?;
    // SAFETY: the header requires NULL or a cancel token that was not released.
    let cancel_token = unsafe { options.cancel_token.as_ref() };
    let cancel = cancel_token.map(SharedCancelToken::begin_call);
    call(parse(&options, cancel.as_ref())?)
}

/// Checks the values. `cancel` is the call of `options.cancel_token`.
fn parse<'a>(options: &RawCallOptions, cancel: Option<&'a Arc<CancelToken>>) -> Result<CallOptions<'a>> {
    if options.flags & !KNOWN_FLAGS != 0 {
        let text = format!(
            "unknown flags in options->flags: {}; expected AUTHGRANT_NO_PROMPT and AUTHGRANT_NO_NETWORK",
            options.flags
        );
        return Err(Error::new(ArgumentError::Invalid, "argument", text));
    }
    let timeout =
        u64::try_from(options.timeout_ms).map_err(|_| invalid_length_error("options->timeout_ms"))?;
    let min_validity =
        u32::try_from(options.min_validity_s).map_err(|_| invalid_length_error("options->min_validity_s"))?;
    Ok(CallOptions {
        timeout: (timeout > 0).then(|| Duration::from_millis(timeout)),
        min_remaining: i64::from(min_validity),
        no_network: options.flags & AUTHGRANT_NO_NETWORK != 0,
        no_prompt: options.flags & AUTHGRANT_NO_PROMPT != 0,
        bypass_negative_cache: false,
        cancel,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_options_fields_are_independent() {
        let parse = |timeout_ms, min_validity_s, flags| {
            let size = size_of::<RawCallOptions>();
            let cancel_token = std::ptr::null_mut();
            let options = RawCallOptions { size, timeout_ms, min_validity_s, flags, cancel_token };
            let options = super::parse(&options, None).unwrap();
            (options.timeout, options.min_remaining, options.no_network)
        };
        assert_eq!(parse(0, 0, 0), (None, 0, false));
        assert_eq!(parse(1, 0, 0), (Some(Duration::from_millis(1)), 0, false));
        assert_eq!(parse(0, i32::MAX, 0), (None, i64::from(i32::MAX), false));
        assert_eq!(parse(0, 0, AUTHGRANT_NO_PROMPT), (None, 0, false));
        assert_eq!(parse(0, 0, AUTHGRANT_NO_NETWORK), (None, 0, true));
    }
}
