//! `fork()`: a child learns that it is one, and loses the sockets that it inherited.
//!
//! A child that kept a copy of our socket would hold the server's connection open after the parent closed it, and
//! could write into the parent's TLS stream. The child's handler closes its copies with plain `close`: a `shutdown`
//! would end the connection for the parent too. Only async-signal-safe things happen there.

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

/// What can be registered; on Windows nothing needs to be.
#[cfg(not(unix))]
pub trait Descriptor {}
#[cfg(not(unix))]
impl<T> Descriptor for T {}

const FREE_SLOT: i32 = -1;
const MAX_REGISTERED_SOCKETS: usize = 1024;

static GENERATION: AtomicU64 = AtomicU64::new(0);
static HANDLERS_INSTALLED: AtomicBool = AtomicBool::new(false);
static REGISTERED_SOCKETS: [AtomicI32; MAX_REGISTERED_SOCKETS] =
    [const { AtomicI32::new(FREE_SLOT) }; MAX_REGISTERED_SOCKETS];

/// A number that no ancestor of this process has seen, larger in each child. Whoever sees it changed is a child, and
/// leaves alone all that it inherited. From when this returns every fork is noticed.
#[must_use]
pub fn generation() -> u64 {
    install_fork_handlers();
    GENERATION.load(Ordering::Acquire)
}

/// Makes [`generation`] change with each fork, from when this returns; any number of times, by any thread.
///
/// There is no lock, which a fork could leave held in its child. Threads that come first together each register the
/// handler, so it may run more than once in a child, and must bear that.
pub fn install_fork_handlers() {
    if !HANDLERS_INSTALLED.load(Ordering::Acquire) && register_handlers() {
        HANDLERS_INSTALLED.store(true, Ordering::Release);
    }
}

#[cfg(unix)]
fn register_handlers() -> bool {
    // SAFETY: the handlers are plain functions that live as long as the library (linked with -z nodelete).
    unsafe { libc::pthread_atfork(Some(before_fork), Some(in_parent), Some(in_child)) == 0 }
}

#[cfg(not(unix))]
fn register_handlers() -> bool {
    true
}

static PREWARMED: AtomicBool = AtomicBool::new(false);
static PREWARM_FN: OnceBox<fn()> = OnceBox::new();

thread_local! {
    /// Whether this thread is making ready.
    static IS_PREWARMING: Cell<bool> = const { Cell::new(false) };
}

/// Runs `make_ready` before anything else is done in this process: it has libraries make ready what they would at their
/// first use, under locks that a child would find held for ever, had its parent forked meanwhile. Forks are watched, and
/// wait for its end.
pub fn prewarm_before_fork(make_ready: fn()) {
    if PREWARMED.load(Ordering::Acquire) {
        return;
    }
    PREWARM_FN.get_or_init(|| Box::new(make_ready));
    install_fork_handlers();
    IS_PREWARMING.set(true);
    with_forks_blocked(make_ready);
    IS_PREWARMING.set(false);
    PREWARMED.store(true, Ordering::Release);
}

/// The thread that forks is its child's only one. It has its random generator from now on: AWS-LC gives a thread one at its
/// first random number, under a lock that another thread may hold at the fork.
#[cfg(unix)]
extern "C" fn before_fork() {
    // It would wait for itself, where its own signal handler forks.
    if IS_PREWARMING.get() {
        return;
    }
    if let Some(make_ready) = PREWARM_FN.get().filter(|_| !PREWARMED.load(Ordering::Acquire)) {
        make_ready();
    }
    // Whoever needs a random number is told if there is none.
    if super::check_random().is_ok() {
        let _ = aws_lc_rs::rand::fill(&mut [0]);
    }
    fork_gate::close();
}

#[cfg(unix)]
extern "C" fn in_parent() {
    fork_gate::open();
}

/// Once more does no harm: the list is empty then, and the generation just another new number.
#[cfg(unix)]
extern "C" fn in_child() {
    fork_gate::reset();
    for slot in &REGISTERED_SOCKETS {
        let descriptor = slot.swap(FREE_SLOT, Ordering::AcqRel);
        if descriptor != FREE_SLOT {
            // SAFETY: close is async-signal-safe; the number is this child's copy of a socket that the parent had
            // open at the fork, since a guard leaves the list before its socket is closed.
            unsafe { libc::close(descriptor) };
        }
    }
    GENERATION.fetch_add(1, Ordering::AcqRel);
    // It runs, so it is registered, even if the thread that did so had not come to say it: no child needs the lock
    // within pthread_atfork for that.
    HANDLERS_INSTALLED.store(true, Ordering::Release);
}

/// A descriptor that a child closes for as long as this lives. Must be dropped before the descriptor is closed.
#[derive(Debug)]
pub struct SocketRegistration {
    slot: Option<usize>,
    generation: u64,
}

impl SocketRegistration {
    /// Puts `socket` on the list. Where the list is full the child keeps its copy, which does no more than hold a
    /// connection open.
    pub fn register<S: Descriptor>(socket: &S) -> Self {
        // First the generation: that makes sure that the list is looked at by a child.
        let generation = generation();
        Self { slot: claim_slot(socket), generation }
    }

    /// Whether this process is the one that made it.
    #[must_use]
    pub fn is_current_process(&self) -> bool {
        self.generation == generation()
    }
}

#[cfg(unix)]
fn claim_slot<S: Descriptor>(socket: &S) -> Option<usize> {
    let descriptor = socket.as_raw_fd();
    REGISTERED_SOCKETS.iter().position(|slot| {
        slot.compare_exchange(FREE_SLOT, descriptor, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    })
}

#[cfg(not(unix))]
fn claim_slot<S: Descriptor>(_: &S) -> Option<usize> {
    None
}

impl Drop for SocketRegistration {
    fn drop(&mut self) {
        // In a child the slot is free already, and may belong to a socket of the child's own.
        if let Some(slot) = self.slot.and_then(|slot| REGISTERED_SOCKETS.get(slot))
            && self.is_current_process()
        {
            slot.store(FREE_SLOT, Ordering::Release);
        }
    }
}

/// A socket with its [`Inherited`] guard, in the right order: off the list first, closed then. In a child it is not
/// closed at all: the number is closed already, and may be some other file of the host by now.
#[derive(Debug)]
pub struct ForkSafeSocket<S> {
    registration: SocketRegistration,
    socket: ManuallyDrop<S>,
}

impl<S: Descriptor> ForkSafeSocket<S> {
    /// Takes over `socket`.
    pub fn new(socket: S) -> Self {
        Self { registration: SocketRegistration::register(&socket), socket: ManuallyDrop::new(socket) }
    }
}

impl<S> ForkSafeSocket<S> {
    /// Whether this process is the one that opened it.
    #[must_use]
    pub fn is_current_process(&self) -> bool {
        self.registration.is_current_process()
    }
}

impl<S> Deref for ForkSafeSocket<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.socket
    }
}

impl<S> Drop for ForkSafeSocket<S> {
    fn drop(&mut self) {
        if !self.is_current_process() {
            return;
        }
        if let Some(slot) = self.registration.slot.take().and_then(|slot| REGISTERED_SOCKETS.get(slot)) {
            slot.store(FREE_SLOT, Ordering::Release);
        }
        // SAFETY: this is the only place that drops it, and drop runs once.
        unsafe { ManuallyDrop::drop(&mut self.socket) };
    }
}

/// For tests: runs `work` here while a forked child, which does nothing, is alive.
#[cfg(all(test, unix))]
pub(crate) fn with_live_child<T>(work: impl FnOnce() -> T) -> T {
    let mut pipe = [0; 2];
    // SAFETY: makes a pipe into a local; the child only reads from it, until the parent closes its end, and ends with
    // _exit; the parent closes both ends and waits for the child that it made.
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

#[cfg(all(test, unix))]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    /// Runs `check` in a real child; it may only do what is safe there, and says yes or no.
    fn check_in_child(check: impl FnOnce() -> bool) -> bool {
        // SAFETY: the child does nothing but system calls and loads, and ends with _exit.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let status = i32::from(!check());
            // SAFETY: ends the child without running anything that belongs to the parent.
            unsafe { libc::_exit(status) };
        }
        let mut status = 1;
        // SAFETY: waits for the child made above, into a local.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        status == 0
    }

    fn is_descriptor_open(descriptor: i32) -> bool {
        // SAFETY: asks about a number; any number may be asked about.
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

    /// Runs the ignored test `name` in a process of its own, where nobody has watched yet.
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
        let together = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    together.wait();
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
        let (ours, other) = UnixStream::pair().unwrap();
        let guarded = ForkSafeSocket::new(ours);
        let (number, spare) = (guarded.as_raw_fd(), other.as_raw_fd());
        assert!(check_in_child(|| {
            // SAFETY: as in the test above: the number is free here.
            let reused = unsafe { libc::dup2(spare, number) } == number;
            in_child();
            reused && is_descriptor_open(number) && !guarded.is_current_process()
        }));
        assert!(guarded.is_current_process());
    }

    #[test]
    fn registered_socket_is_closed_in_child_only() {
        install_fork_handlers();
        let (ours, mut other) = UnixStream::pair().unwrap();
        let guarded = ForkSafeSocket::new(ours);
        let descriptor = guarded.as_raw_fd();
        assert!(check_in_child(|| !is_descriptor_open(descriptor)));
        (&*guarded).write_all(b"still here").unwrap();
        let mut heard = [0; 10];
        other.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"still here");
    }

    #[test]
    fn unregistered_socket_stays_open_in_child() {
        install_fork_handlers();
        let (ours, _other) = UnixStream::pair().unwrap();
        drop(SocketRegistration::register(&ours));
        let descriptor = ours.as_raw_fd();
        assert!(check_in_child(|| is_descriptor_open(descriptor)));
    }

    #[test]
    fn inherited_socket_drop_spares_reused_descriptor() {
        install_fork_handlers();
        let (ours, other) = UnixStream::pair().unwrap();
        let guarded = ForkSafeSocket::new(ours);
        let (number, spare) = (guarded.as_raw_fd(), other.as_raw_fd());
        assert!(check_in_child(move || {
            // SAFETY: the number is free here; the copy stands for a file that the host opened since.
            let reused = unsafe { libc::dup2(spare, number) } == number;
            drop(guarded);
            reused && is_descriptor_open(number)
        }));
    }
}
