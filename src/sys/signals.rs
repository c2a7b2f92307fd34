//! A thread of ours must not take the host's signals: it is started with all of them blocked.

/// Runs `work` with every signal blocked in this thread, and puts the mask back. A thread started by `work` has them
/// blocked for good.
pub fn with_signals_blocked<T>(work: impl FnOnce() -> T) -> T {
    #[cfg(unix)]
    let _restored = SignalMaskGuard::block_all();
    work()
}

#[cfg(unix)]
struct SignalMaskGuard(Option<libc::sigset_t>);

#[cfg(unix)]
impl SignalMaskGuard {
    fn block_all() -> Self {
        let mut all = std::mem::MaybeUninit::uninit();
        let mut before = std::mem::MaybeUninit::uninit();
        // SAFETY: sigfillset writes the whole of `all`; pthread_sigmask reads it, and writes the whole of `before`
        // where it returns 0, which alone is when it is taken as written.
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
            // SAFETY: `before` is a mask that pthread_sigmask itself filled in.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, std::ptr::null_mut()) };
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn is_blocked(signal: i32) -> bool {
        let mut mask = std::mem::MaybeUninit::uninit();
        // SAFETY: with no new mask, pthread_sigmask only writes the present one, and sigismember reads it.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, std::ptr::null(), mask.as_mut_ptr());
            libc::sigismember(mask.as_ptr(), signal) == 1
        }
    }

    #[test]
    fn signals_are_blocked_only_in_spawned_thread() {
        let inside = with_signals_blocked(|| std::thread::spawn(|| is_blocked(libc::SIGTERM)));
        assert!(inside.join().unwrap());
        assert!(!is_blocked(libc::SIGTERM));
    }
}
