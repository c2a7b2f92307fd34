//! Signal masks: threads of this library are started with all signals blocked, so that they do not receive
//! the signals of the caller.

/// Runs `work` with all signals blocked in this thread, and then restores the mask. Threads started by `work`
/// inherit the blocked mask permanently.
pub fn with_signals_blocked<T>(work: impl FnOnce() -> T) -> T {
    #[cfg(unix)]
    let _guard = SignalMaskGuard::block_all();
    work()
}

#[cfg(unix)]
struct SignalMaskGuard(Option<libc::sigset_t>);

#[cfg(unix)]
impl SignalMaskGuard {
    fn block_all() -> Self {
        let mut all = std::mem::MaybeUninit::uninit();
        let mut before = std::mem::MaybeUninit::uninit();
        // SAFETY: sigfillset initializes `all`; pthread_sigmask reads it, and initializes `before` if it
        // returns 0. `before` is only assumed to be initialized in that case.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            let failed = libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) != 0;
            Self((!failed).then(|| before.assume_init()))
        }
    }
}

#[cfg(unix)]
impl Drop for SignalMaskGuard {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // SAFETY: `before` is a mask that pthread_sigmask returned.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, std::ptr::null_mut()) };
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn is_blocked(signal: i32) -> bool {
        let mut mask = std::mem::MaybeUninit::uninit();
        // SAFETY: without a new mask, pthread_sigmask only writes the current mask; sigismember reads it.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, std::ptr::null(), mask.as_mut_ptr());
            libc::sigismember(mask.as_ptr(), signal) == 1
        }
    }

    #[test]
    fn signals_are_blocked_only_in_spawned_thread() {
        let thread = with_signals_blocked(|| std::thread::spawn(|| is_blocked(libc::SIGTERM)));
        assert!(thread.join().unwrap());
        assert!(!is_blocked(libc::SIGTERM));
    }
}
