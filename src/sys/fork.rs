//! `fork()` handling: detection of a forked child, and closing of inherited sockets and lock files in the child.
//!
//! With an inherited socket, a child would keep the connection to the server open after the parent has closed
//! it, and could write into the parent's TLS stream. With an inherited lock file, it would keep the lock of a
//! parent that dies. The fork handler of the child therefore closes its copies, with plain `close`: a `shutdown`
//! would end the connection of the parent, too. The handler calls async-signal-safe functions only.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use once_cell::race::OnceBox;

use super::with_forks_blocked;

#[cfg(unix)]
use super::fork_gate;
#[cfg(unix)]
use std::os::fd::AsRawFd as Descriptor;

/// An object with a descriptor that can be registered. Windows has no fork, so nothing is registered there.
#[cfg(not(unix))]
pub trait Descriptor {}
#[cfg(not(unix))]
impl<T> Descriptor for T {}

const FREE_SLOT: i32 = -1;
const MAX_REGISTERED_DESCRIPTORS: usize = 1024;

static GENERATION: AtomicU64 = AtomicU64::new(0);
static HANDLERS_INSTALLED: AtomicBool = AtomicBool::new(false);
static REGISTERED_DESCRIPTORS: [AtomicI32; MAX_REGISTERED_DESCRIPTORS] =
    [const { AtomicI32::new(FREE_SLOT) }; MAX_REGISTERED_DESCRIPTORS];

/// The fork generation: larger in each child than in its parent. Code that finds a different value runs in a
/// forked child and must not use inherited state. Every fork after the return of this function is detected.
#[must_use]
pub fn generation() -> u64 {
    install_fork_handlers();
    GENERATION.load(Ordering::Acquire)
}

/// Installs the fork handlers. After the return of this function every fork changes [`generation`].
/// Idempotent and thread-safe.
///
/// Takes no lock, because a fork could leave it held in the child. Concurrent first calls may each register
/// the handlers, so the handlers must tolerate to run more than once for a fork.
pub fn install_fork_handlers() {
    if !HANDLERS_INSTALLED.load(Ordering::Acquire) && register_handlers() {
        HANDLERS_INSTALLED.store(true, Ordering::Release);
    }
}

#[cfg(unix)]
fn register_handlers() -> bool {
    // SAFETY: the handlers are plain functions in a library that is never unloaded (linked with -z nodelete).
    unsafe {
        libc::pthread_atfork(Some(before_fork), Some(after_fork_in_parent), Some(after_fork_in_child)) == 0
    }
}

#[cfg(not(unix))]
fn register_handlers() -> bool {
    true
}

static PREWARMED: AtomicBool = AtomicBool::new(false);
static PREWARM_FN: OnceBox<fn()> = OnceBox::new();

thread_local! {
    /// Whether this thread is running the prewarm function.
    static IS_PREWARMING: Cell<bool> = const { Cell::new(false) };
}

/// Runs `prewarm` before any other work in this process, and installs the fork handlers. Concurrent first
/// calls may each run it.
///
/// `prewarm` triggers the lazy initialization of libraries. They initialize under locks, which a child would
/// find held forever if its parent forked in the meantime. Forks wait for its end.
pub fn prewarm_before_fork(prewarm: fn()) {
    if PREWARMED.load(Ordering::Acquire) {
        return;
    }
    PREWARM_FN.get_or_init(|| Box::new(prewarm));
    install_fork_handlers();
    IS_PREWARMING.set(true);
    with_forks_blocked(prewarm);
    IS_PREWARMING.set(false);
    PREWARMED.store(true, Ordering::Release);
}

/// Prepares the forking thread, which is the only thread of the child. It gets its random generator here:
/// AWS-LC creates the generator of a thread at its first random number, under a lock that another thread may
/// hold during the fork.
#[cfg(unix)]
extern "C" fn before_fork() {
    // A signal handler of this thread forks: waiting for the prewarming would deadlock.
    if IS_PREWARMING.get() {
        return;
    }
    if let Some(prewarm) = PREWARM_FN.get().filter(|_| !PREWARMED.load(Ordering::Acquire)) {
        prewarm();
    }
    // A failure is not reported here but by the calls that need random numbers.
    if super::check_random().is_ok() {
        let _ = aws_lc_rs::rand::fill(&mut [0]);
    }
    fork_gate::close();
}

#[cfg(unix)]
extern "C" fn after_fork_in_parent() {
    fork_gate::open();
}

/// Closes inherited descriptors and increments the generation. Idempotent: in a second run the list is empty, and
/// another increment is harmless.
#[cfg(unix)]
extern "C" fn after_fork_in_child() {
    fork_gate::reset();
    for slot in &REGISTERED_DESCRIPTORS {
        let descriptor = slot.swap(FREE_SLOT, Ordering::AcqRel);
        if descriptor != FREE_SLOT {
            // SAFETY: close is async-signal-safe. The descriptor is the child's copy of one that was open in the
            // parent at the fork, because a descriptor is unregistered before it is closed.
            unsafe { libc::close(descriptor) };
        }
    }
    GENERATION.fetch_add(1, Ordering::AcqRel);
    // The handlers are evidently registered, even if the registering thread had not set the flag before the
    // fork. So the child need not call pthread_atfork, which takes a lock.
    HANDLERS_INSTALLED.store(true, Ordering::Release);
}

/// The registration of a descriptor, which forked children close. Must be dropped before the descriptor is
/// closed.
#[derive(Debug)]
pub struct DescriptorRegistration {
    slot: Option<usize>,
    generation: u64,
}

impl DescriptorRegistration {
    /// Registers a socket or a file. If the list is full, a child keeps its copy, which only keeps the connection
    /// open, or a lock until the parent releases it.
    pub fn register<D: Descriptor>(object: &D) -> Self {
        // `generation` comes first: it installs the handlers that close registered descriptors.
        let generation = generation();
        Self { slot: claim_slot(object), generation }
    }

    /// Whether this process created the registration.
    #[must_use]
    pub fn is_current_process(&self) -> bool {
        self.generation == generation()
    }
}

#[cfg(unix)]
fn claim_slot<D: Descriptor>(object: &D) -> Option<usize> {
    let descriptor = object.as_raw_fd();
    REGISTERED_DESCRIPTORS.iter().position(|slot| {
        slot.compare_exchange(FREE_SLOT, descriptor, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    })
}

#[cfg(not(unix))]
fn claim_slot<D: Descriptor>(_: &D) -> Option<usize> {
    None
}

impl Drop for DescriptorRegistration {
    fn drop(&mut self) {
        // In a child the slot is already free and may have been reused for a descriptor of the child.
        if let Some(slot) = self.slot.and_then(|slot| REGISTERED_DESCRIPTORS.get(slot))
            && self.is_current_process()
        {
            slot.store(FREE_SLOT, Ordering::Release);
        }
    }
}

/// A socket or a file with its [`DescriptorRegistration`]. On drop it is first unregistered and then closed. In
/// a child it is not closed: the fork handler has already closed the descriptor, and its number may have been
/// reused for another file.
#[derive(Debug)]
pub struct ForkSafe<D> {
    registration: DescriptorRegistration,
    object: ManuallyDrop<D>,
}

impl<D: Descriptor> ForkSafe<D> {
    /// Takes ownership of `object` and registers it.
    pub fn new(object: D) -> Self {
        Self { registration: DescriptorRegistration::register(&object), object: ManuallyDrop::new(object) }
    }
}

impl<D> ForkSafe<D> {
    /// Whether this process opened it.
    #[must_use]
    pub fn is_current_process(&self) -> bool {
        self.registration.is_current_process()
    }
}

impl<D> Deref for ForkSafe<D> {
    type Target = D;

    fn deref(&self) -> &D {
        &self.object
    }
}

impl<D> Drop for ForkSafe<D> {
    fn drop(&mut self) {
        if !self.is_current_process() {
            return;
        }
        if let Some(slot) = self.registration.slot.take().and_then(|slot| REGISTERED_DESCRIPTORS.get(slot)) {
            slot.store(FREE_SLOT, Ordering::Release);
        }
        // SAFETY: the object is dropped only here, and `drop` runs once.
        unsafe { ManuallyDrop::drop(&mut self.object) };
    }
}

/// For tests: runs `work` in this process while a forked child is alive, which does nothing.
#[cfg(all(test, unix))]
pub(crate) fn with_live_child<T>(work: impl FnOnce() -> T) -> T {
    let mut pipe = [0; 2];
    // SAFETY: `pipe` is valid for writes. The child only reads from the pipe until the parent closes it, and
    // ends with _exit. The parent closes both ends and waits for its child.
    unsafe {
        assert_eq!(libc::pipe(pipe.as_mut_ptr()), 0);
        let child = libc::fork();
        if child == 0 {
            libc::close(pipe[1]);
            libc::read(pipe[0], [0_u8; 1].as_mut_ptr().cast(), 1);
            libc::_exit(0);
        }
        libc::close(pipe[0]);
        let result = work();
        libc::close(pipe[1]);
        libc::waitpid(child, std::ptr::null_mut(), 0);
        result
    }
}

/// For tests: returns the result of `check` in a forked child. `check` may take no lock that another thread
/// may have held during the fork, except that of malloc.
#[cfg(all(test, unix))]
pub(crate) fn check_in_child(check: impl FnOnce() -> bool) -> bool {
    // SAFETY: `check` uses nothing of other threads, and the child ends with _exit.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // An unwinding child would continue as a copy of the test runner.
        let is_passed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).unwrap_or(false);
        let status = i32::from(!is_passed);
        // SAFETY: ends the child without the exit handlers of the parent.
        unsafe { libc::_exit(status) };
    }
    let mut status = 1;
    // SAFETY: `child` is a child of this process, and `status` is valid for writes.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    status == 0
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn is_descriptor_open(descriptor: i32) -> bool {
        // SAFETY: F_GETFD accepts any number.
        unsafe { libc::fcntl(descriptor, libc::F_GETFD) != -1 }
    }

    #[test]
    fn fork_changes_generation_in_child_only() {
        install_fork_handlers();
        install_fork_handlers();
        let before = generation();
        assert!(check_in_child(|| generation() != before));
        assert_eq!(generation(), before);
    }

    /// Runs the ignored test `name` in its own process, where the handlers are not installed yet.
    fn passes_in_own_process(name: &str) -> bool {
        let name = format!("sys::fork::tests::{name}");
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", &name])
            .output()
            .is_ok_and(|output| {
                output.status.success() && String::from_utf8_lossy(&output.stdout).contains("1 passed")
            })
    }

    #[test]
    #[ignore = "needs a process of its own"]
    fn isolated_concurrent_first_calls_see_forks() {
        let barrier = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    barrier.wait();
                    let before = generation();
                    assert!(check_in_child(|| generation() != before));
                });
            }
        });
    }

    #[test]
    fn concurrent_first_calls_each_see_their_fork() {
        assert!(passes_in_own_process("isolated_concurrent_first_calls_see_forks"));
    }

    #[test]
    fn child_fork_handler_is_idempotent() {
        install_fork_handlers();
        let (socket, peer) = UnixStream::pair().unwrap();
        let socket = ForkSafe::new(socket);
        let (descriptor, spare) = (socket.as_raw_fd(), peer.as_raw_fd());
        assert!(check_in_child(|| {
            // SAFETY: the descriptor is closed in the child, so its number is free.
            let reused = unsafe { libc::dup2(spare, descriptor) } == descriptor;
            after_fork_in_child();
            reused && is_descriptor_open(descriptor) && !socket.is_current_process()
        }));
        assert!(socket.is_current_process());
    }

    #[test]
    fn registered_socket_is_closed_in_child_only() {
        install_fork_handlers();
        let (socket, mut peer) = UnixStream::pair().unwrap();
        let socket = ForkSafe::new(socket);
        let descriptor = socket.as_raw_fd();
        assert!(check_in_child(|| !is_descriptor_open(descriptor)));
        (&*socket).write_all(b"still open").unwrap();
        let mut received = [0; 10];
        peer.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"still open");
    }

    #[test]
    fn unregistered_socket_stays_open_in_child() {
        install_fork_handlers();
        let (socket, _peer) = UnixStream::pair().unwrap();
        drop(DescriptorRegistration::register(&socket));
        let descriptor = socket.as_raw_fd();
        assert!(check_in_child(|| is_descriptor_open(descriptor)));
    }

    #[test]
    fn inherited_socket_drop_spares_reused_descriptor() {
        install_fork_handlers();
        let (socket, peer) = UnixStream::pair().unwrap();
        let socket = ForkSafe::new(socket);
        let (descriptor, spare) = (socket.as_raw_fd(), peer.as_raw_fd());
        assert!(check_in_child(move || {
            // SAFETY: the number is free in the child; the duplicate simulates a file that is opened after
            // the fork.
            let reused = unsafe { libc::dup2(spare, descriptor) } == descriptor;
            drop(socket);
            reused && is_descriptor_open(descriptor)
        }));
    }
}
