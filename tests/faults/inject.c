#define _GNU_SOURCE
#include "inject.h"
#include "authgrant.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

/* ---- the table */

#define S(name) (UINT64_C(1) << AUTHGRANT_##name)

/* A file that is missing or cannot be read: a key store, a trust store, a model file, a data source. The store of shared tokens never
   costs a token. */
#define OF_FILES                                                                                                                           \
    (S(OK) | S(KEY_STORE_ERROR) | S(KEY_PASSWORD) | S(KEY_NOT_FOUND) | S(INVALID_OPTION) | S(DATA_SOURCE_NOT_FOUND) | S(MISSING_OPTION) |  \
     S(TLS))
/* A connection to a server, or the listener of a login. */
#define OF_NETWORK (S(OK) | S(NETWORK) | S(TLS) | S(TIMEOUT) | S(BAD_RESPONSE))
/* A request that was not sent has no response. */
#define OF_REQUESTS (OF_NETWORK & ~S(BAD_RESPONSE))
#define OF_DESCRIPTORS (OF_FILES | OF_NETWORK)
/* The browser. */
#define OF_PROCESSES (S(OK) | S(UNSUPPORTED) | S(TIMEOUT))
/* The standard streams of the browser are opened, too. */
#define OF_OPENS (OF_FILES | OF_PROCESSES)
#define OF_THREADS (S(OK) | S(NETWORK))
/* An allocation of AWS-LC: a signature, a handshake or a cipher is not possible. The crates above it panic in some places, and its random
   generator aborts: docs/limits.md. */
#define OF_CRYPTO (OF_FILES | OF_NETWORK | S(INTERNAL))

/* FUNCTION(name, statuses, may_abort, failures...): one row of the table for each function. */
#define FUNCTIONS                                                                                                                          \
    FUNCTION(open, OF_OPENS, false, EACCES, EINTR, EIO, ELOOP, EMFILE, ENFILE, ENOENT, ENOMEM, ENOSPC, EROFS)                              \
    FUNCTION(open64, OF_OPENS, false, EACCES, EINTR, EIO, ELOOP, EMFILE, ENFILE, ENOENT, ENOMEM, ENOSPC, EROFS)                            \
    FUNCTION(read, OF_DESCRIPTORS, false, EINTR, EIO, EISDIR, FAILURE_SHORT, FAILURE_END)                                                  \
    FUNCTION(pread64, OF_FILES, false, EINTR, EIO, FAILURE_SHORT, FAILURE_END)                                                             \
    FUNCTION(readv, OF_DESCRIPTORS, false, EINTR, EIO, FAILURE_SHORT, FAILURE_END)                                                         \
    FUNCTION(write, OF_DESCRIPTORS, false, EDQUOT, EFBIG, EINTR, EIO, ENOSPC, FAILURE_SHORT, FAILURE_END)                                  \
    FUNCTION(pwrite64, OF_FILES, false, EDQUOT, EINTR, EIO, ENOSPC, FAILURE_SHORT, FAILURE_END)                                            \
    FUNCTION(writev, OF_DESCRIPTORS, false, EINTR, EIO, ENOSPC, FAILURE_SHORT)                                                             \
    FUNCTION(fsync, OF_FILES, false, EDQUOT, EINTR, EIO, ENOSPC, EROFS)                                                                    \
    FUNCTION(close, OF_DESCRIPTORS, false, EINTR, EIO)                                                                                     \
    FUNCTION(stat, OF_FILES, false, EACCES, EIO, ELOOP, ENOENT, ENOMEM)                                                                    \
    FUNCTION(stat64, OF_FILES, false, EACCES, EIO, ELOOP, ENOENT, ENOMEM)                                                                  \
    FUNCTION(lstat64, OF_FILES, false, EACCES, EIO, ELOOP, ENOENT, ENOMEM)                                                                 \
    FUNCTION(fstat64, OF_DESCRIPTORS, false, EIO, ENOMEM, EOVERFLOW)                                                                       \
    FUNCTION(statx, OF_FILES, false, EACCES, EIO, ELOOP, ENOENT, ENOMEM, ENOSYS, EPERM)                                                    \
    FUNCTION(lseek64, OF_FILES, false, EIO, ESPIPE)                                                                                        \
    FUNCTION(fcntl, OF_DESCRIPTORS, false, EINTR, EINVAL, EMFILE, ENOLCK)                                                                  \
    FUNCTION(ioctl, OF_DESCRIPTORS, false, EIO, ENOTTY)                                                                                    \
    FUNCTION(opendir, OF_FILES, false, EACCES, EIO, EMFILE, ENFILE, ENOENT, ENOMEM)                                                        \
    FUNCTION(readdir64, OF_FILES, false, EIO, FAILURE_END)                                                                                 \
    FUNCTION(closedir, OF_FILES, false, EINTR)                                                                                             \
    FUNCTION(mkdir, OF_FILES, false, EACCES, EEXIST, EIO, ENOENT, ENOSPC, EROFS)                                                           \
    FUNCTION(readlink, OF_FILES, false, EACCES, EINVAL, EIO, ENOENT)                                                                       \
    FUNCTION(realpath, OF_FILES, false, EACCES, EIO, ELOOP, ENOENT, ENOMEM)                                                                \
    FUNCTION(getcwd, OF_FILES, false, EACCES, ENOENT, ENOMEM)                                                                              \
    FUNCTION(getpwuid_r, OF_FILES, false, EINTR, EIO, EMFILE, ENOMEM)                                                                      \
    FUNCTION(gethostname, S(OK), false, ENAMETOOLONG, EPERM)                                                                               \
    FUNCTION(socket, OF_NETWORK, false, EACCES, EAFNOSUPPORT, EMFILE, ENFILE, ENOBUFS, ENOMEM)                                             \
    FUNCTION(socketpair, OF_NETWORK, false, EMFILE, ENFILE, ENOMEM)                                                                        \
    FUNCTION(connect, OF_NETWORK, false, EACCES, EADDRNOTAVAIL, EAGAIN, ECONNREFUSED, EHOSTUNREACH, EINTR, ENETUNREACH, EPERM, ETIMEDOUT)  \
    FUNCTION(bind, OF_NETWORK, false, EACCES, EADDRINUSE, EADDRNOTAVAIL, ENOMEM)                                                           \
    FUNCTION(listen, OF_NETWORK, false, EADDRINUSE, ENOMEM)                                                                                \
    FUNCTION(accept4, OF_NETWORK, false, EAGAIN, ECONNABORTED, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM)                              \
    FUNCTION(getsockname, OF_NETWORK, false, ENOBUFS)                                                                                      \
    FUNCTION(getpeername, OF_NETWORK, false, ENOBUFS, ENOTCONN)                                                                            \
    FUNCTION(getsockopt, OF_NETWORK, false, ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ENOPROTOOPT, ETIMEDOUT)                               \
    FUNCTION(setsockopt, OF_NETWORK, false, EINVAL, ENOBUFS, ENOMEM, ENOPROTOOPT)                                                          \
    FUNCTION(send, OF_REQUESTS, false, EAGAIN, ECONNRESET, EINTR, ENOBUFS, ENOMEM, EPIPE, ETIMEDOUT, FAILURE_SHORT)                        \
    FUNCTION(sendmsg, OF_REQUESTS, false, EAGAIN, ECONNRESET, EINTR, ENOBUFS, ENOMEM, EPIPE, FAILURE_SHORT)                                \
    FUNCTION(recv, OF_NETWORK, false, EAGAIN, ECONNREFUSED, ECONNRESET, EINTR, ENOMEM, ETIMEDOUT, FAILURE_SHORT, FAILURE_END)              \
    FUNCTION(recvmsg, OF_NETWORK, false, EAGAIN, ECONNRESET, EINTR, ENOMEM, ETIMEDOUT, FAILURE_END)                                        \
    FUNCTION(poll, OF_NETWORK, false, EINTR, ENOMEM)                                                                                       \
    FUNCTION(shutdown, OF_NETWORK, false, ENOBUFS, ENOTCONN)                                                                               \
    FUNCTION(getaddrinfo, OF_NETWORK, false, EAI_AGAIN, EAI_FAIL, EAI_MEMORY, EAI_NONAME, EAI_SYSTEM)                                      \
    FUNCTION(pipe2, OF_DESCRIPTORS | OF_PROCESSES, false, EMFILE, ENFILE)                                                                  \
    FUNCTION(fork, OF_PROCESSES, false, EAGAIN, ENOMEM)                                                                                    \
    FUNCTION(posix_spawnp, OF_PROCESSES, false, EACCES, EAGAIN, ENOENT, ENOEXEC, ENOMEM)                                                   \
    FUNCTION(posix_spawnattr_init, OF_PROCESSES, false, ENOMEM)                                                                            \
    FUNCTION(posix_spawn_file_actions_init, OF_PROCESSES, false, ENOMEM)                                                                   \
    FUNCTION(posix_spawn_file_actions_adddup2, OF_PROCESSES, false, EBADF, ENOMEM)                                                         \
    FUNCTION(waitpid, OF_PROCESSES, false, ECHILD, EINTR)                                                                                  \
    FUNCTION(waitid, OF_PROCESSES, false, ECHILD, EINTR)                                                                                   \
    FUNCTION(pthread_create, OF_THREADS, false, EAGAIN, EPERM)                                                                             \
    FUNCTION(pthread_attr_setstacksize, OF_THREADS, false, EINVAL)                                                                         \
    FUNCTION(pthread_key_create, OF_NETWORK, true, EAGAIN, ENOMEM)                                                                         \
    FUNCTION(pthread_sigmask, OF_THREADS, false, EINVAL)                                                                                   \
    FUNCTION(__register_atfork, OF_NETWORK, false, ENOMEM)                                                                                 \
    FUNCTION(sigaltstack, OF_THREADS, false, ENOMEM)                                                                                       \
    FUNCTION(mmap, OF_DESCRIPTORS, false, EACCES, EAGAIN, ENFILE, ENOMEM)                                                                  \
    FUNCTION(mmap64, OF_DESCRIPTORS, false, EACCES, EAGAIN, ENFILE, ENOMEM)                                                                \
    FUNCTION(munmap, OF_DESCRIPTORS, false, ENOMEM)                                                                                        \
    FUNCTION(madvise, OF_DESCRIPTORS, false, EAGAIN, EINVAL, ENOMEM)                                                                       \
    FUNCTION(mprotect, OF_DESCRIPTORS, false, EACCES, ENOMEM)                                                                              \
    FUNCTION(OPENSSL_memory_alloc, OF_CRYPTO, true, ENOMEM)                                                                                \
    FUNCTION(OPENSSL_memory_realloc, OF_CRYPTO, true, ENOMEM)                                                                              \
    FUNCTION(clock_gettime, S(OK), false, EINVAL, EPERM)                                                                                   \
    FUNCTION(clock_gettime_std, OF_NETWORK | S(INTERNAL), true, EINVAL)                                                                    \
    FUNCTION(nanosleep, OF_NETWORK, false, EINTR)                                                                                          \
    FUNCTION(clock_nanosleep, OF_NETWORK, false, EINTR)                                                                                    \
    FUNCTION(sysconf, OF_NETWORK, false, EINVAL)                                                                                           \
    FUNCTION(sched_getaffinity, OF_NETWORK, false, EPERM)                                                                                  \
    FUNCTION(getrandom, OF_NETWORK | S(INTERNAL), true, EAGAIN, EINTR, EIO, ENOSYS, EPERM)                                                 \
    FUNCTION(sys_openat2, OF_FILES, false, EACCES, EAGAIN, EINTR, EIO, ELOOP, EMFILE, ENOENT, ENOSYS, EPERM, EXDEV)                        \
    FUNCTION(sys_fcntl, S(OK), false, EAGAIN, EINTR, EINVAL, EIO, ENOLCK)                                                                  \
    FUNCTION(sys_futex, OF_NETWORK, false, EAGAIN, EINTR)                                                                                  \
    FUNCTION(sys_getrandom, OF_NETWORK | S(INTERNAL), true, EAGAIN, EINTR, EIO, ENOSYS, EPERM)                                             \
    FUNCTION(sys_openat, S(OK), false, EACCES, EINTR, EIO, ELOOP, EMFILE, ENFILE, ENOENT, ENOSPC, EROFS, ESTALE)                           \
    FUNCTION(sys_renameat, S(OK), false, EACCES, EDQUOT, EINTR, EIO, ENOENT, ENOSPC, EROFS, ESTALE)                                        \
    FUNCTION(sys_unlinkat, S(OK), false, EACCES, EBUSY, EINTR, EIO, ENOENT, EROFS)                                                         \
    FUNCTION(sys_fstat, S(OK), false, EIO, ESTALE)                                                                                         \
    FUNCTION(sys_newfstatat, S(OK), false, EACCES, EIO, ENOENT, ESTALE)                                                                    \
    FUNCTION(sys_getdents64, S(OK), false, EIO, ENOENT, FAILURE_END)                                                                       \
    FUNCTION(sys_other, OF_FILES, false, EIO)

enum {
#define FUNCTION(name, ...) FUNCTION_##name,
    FUNCTIONS
#undef FUNCTION
        FUNCTION_COUNT
};

const struct injected_function injected_functions[] = {
#define FUNCTION(name, statuses, may_abort, ...) {#name, {__VA_ARGS__, 0}, statuses, may_abort},
    FUNCTIONS
#undef FUNCTION
};
const int injected_function_count = FUNCTION_COUNT;

const char *failure_name(int function, int failure) {
    if (function == FUNCTION_getaddrinfo) {
        switch (failure) {
        case EAI_AGAIN: return "EAI_AGAIN";
        case EAI_FAIL: return "EAI_FAIL";
        case EAI_MEMORY: return "EAI_MEMORY";
        case EAI_NONAME: return "EAI_NONAME";
        case EAI_SYSTEM: return "EAI_SYSTEM";
        }
    }
    return failure == FAILURE_SHORT ? "SHORT" : failure == FAILURE_END ? "END" : strerrorname_np(failure);
}

bool failure_can_persist(int failure) { return failure != EINTR && failure != EAGAIN && failure != ENOTCONN; }

/* ---- the failure to inject */

static uintptr_t library_begin, library_end;
static bool armed, is_persistent;
static int armed_function, armed_failure;
static long armed_number;
static long no_failed_calls, *failed_calls = &no_failed_calls;
static long calls[FUNCTION_COUNT];

static int find_library(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size, (void)context;
    if (strstr(info->dlpi_name, "libauthgrant") == NULL) return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type != PT_LOAD || !(header->p_flags & PF_X)) continue;
        library_begin = info->dlpi_addr + header->p_vaddr;
        library_end = library_begin + header->p_memsz;
    }
    return 1;
}

void inject_init(void) {
    dl_iterate_phdr(find_library, NULL);
    if (library_begin == 0) {
        fprintf(stderr, "faults: libauthgrant is not loaded\n");
        exit(2);
    }
}

void inject_arm(int function, int failure, long number, bool persistent) {
    memset(calls, 0, sizeof calls);
    armed_function = function;
    armed_failure = failure;
    armed_number = number;
    is_persistent = persistent;
    __atomic_store_n(failed_calls, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&armed, true, __ATOMIC_SEQ_CST);
}

void inject_disarm(void) { __atomic_store_n(&armed, false, __ATOMIC_SEQ_CST); }
long inject_calls(int function) { return __atomic_load_n(&calls[function], __ATOMIC_SEQ_CST); }
void inject_count_failed_calls_in(long *counter) { failed_calls = counter; }

/* The failure of this call, or 0. */
static int next_failure(int function, const void *caller) {
    if ((uintptr_t)caller < library_begin || (uintptr_t)caller >= library_end) return 0;
    if (!__atomic_load_n(&armed, __ATOMIC_SEQ_CST)) return 0;
    long number = __atomic_add_fetch(&calls[function], 1, __ATOMIC_SEQ_CST);
    if (function != armed_function || armed_number == 0) return 0;
    if (number != armed_number && !(is_persistent && number > armed_number)) return 0;
    __atomic_add_fetch(failed_calls, 1, __ATOMIC_SEQ_CST);
    return armed_failure;
}

/* ---- functions of the C library */

#define CALLER __builtin_return_address(0)
#define REAL(type, name, parameters)                                                                                                       \
    static type(*real) parameters;                                                                                                         \
    if (real == NULL) real = (type(*) parameters)dlsym(RTLD_NEXT, #name)

/* A function that returns `failed` and sets errno. */
#define SETS_ERRNO(type, failed, name, parameters, arguments)                                                                              \
    type name parameters {                                                                                                                 \
        REAL(type, name, parameters);                                                                                                      \
        int failure = next_failure(FUNCTION_##name, CALLER);                                                                               \
        if (failure != 0) return errno = failure, failed;                                                                                  \
        return real arguments;                                                                                                             \
    }

/* A function that returns an error number. */
#define RETURNS_ERROR(name, parameters, arguments)                                                                                         \
    int name parameters {                                                                                                                  \
        REAL(int, name, parameters);                                                                                                       \
        int failure = next_failure(FUNCTION_##name, CALLER);                                                                               \
        return failure != 0 ? failure : real arguments;                                                                                    \
    }

/* A function that transfers `length` bytes, perhaps fewer. */
#define TRANSFERS(name, parameters, length, arguments)                                                                                     \
    ssize_t name parameters {                                                                                                              \
        REAL(ssize_t, name, parameters);                                                                                                   \
        int failure = next_failure(FUNCTION_##name, CALLER);                                                                               \
        if (failure == FAILURE_END) return 0;                                                                                              \
        if (failure == FAILURE_SHORT && length > 1) length = 1;                                                                            \
        if (failure > 0) return errno = failure, -1;                                                                                       \
        return real arguments;                                                                                                             \
    }

TRANSFERS(read, (int fd, void *buffer, size_t length), length, (fd, buffer, length))
TRANSFERS(pread64, (int fd, void *buffer, size_t length, off64_t offset), length, (fd, buffer, length, offset))
TRANSFERS(readv, (int fd, const struct iovec *parts, int count), count, (fd, parts, count))
TRANSFERS(write, (int fd, const void *buffer, size_t length), length, (fd, buffer, length))
TRANSFERS(pwrite64, (int fd, const void *buffer, size_t length, off64_t offset), length, (fd, buffer, length, offset))
TRANSFERS(writev, (int fd, const struct iovec *parts, int count), count, (fd, parts, count))

/* With these failures the connection has ended, and so it does here. */
static void end_connection(int fd, int failure) {
    if (failure == FAILURE_END || failure == ECONNREFUSED || failure == ECONNRESET || failure == EPIPE || failure == ETIMEDOUT) {
        REAL(int, shutdown, (int, int));
        real(fd, SHUT_RDWR);
    }
}

ssize_t send(int fd, const void *buffer, size_t length, int flags) {
    REAL(ssize_t, send, (int, const void *, size_t, int));
    int failure = next_failure(FUNCTION_send, CALLER);
    end_connection(fd, failure);
    if (failure > 0) return errno = failure, -1;
    return real(fd, buffer, failure == FAILURE_SHORT && length > 1 ? 1 : length, flags);
}

ssize_t recv(int fd, void *buffer, size_t length, int flags) {
    REAL(ssize_t, recv, (int, void *, size_t, int));
    int failure = next_failure(FUNCTION_recv, CALLER);
    end_connection(fd, failure);
    if (failure == FAILURE_END) return 0;
    if (failure > 0) return errno = failure, -1;
    return real(fd, buffer, failure == FAILURE_SHORT && length > 1 ? 1 : length, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    REAL(ssize_t, sendmsg, (int, const struct msghdr *, int));
    int failure = next_failure(FUNCTION_sendmsg, CALLER);
    end_connection(fd, failure);
    struct msghdr shorter = *message;
    if (failure == FAILURE_SHORT && shorter.msg_iovlen > 1) shorter.msg_iovlen = 1;
    if (failure > 0) return errno = failure, -1;
    return real(fd, &shorter, flags);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
    REAL(ssize_t, recvmsg, (int, struct msghdr *, int));
    int failure = next_failure(FUNCTION_recvmsg, CALLER);
    end_connection(fd, failure);
    if (failure == FAILURE_END) return 0;
    if (failure > 0) return errno = failure, -1;
    return real(fd, message, flags);
}

#define OPENS(name)                                                                                                                        \
    int name(const char *path, int flags, ...) {                                                                                           \
        va_list arguments;                                                                                                                 \
        va_start(arguments, flags);                                                                                                        \
        int mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(arguments, int) : 0;                                                    \
        va_end(arguments);                                                                                                                 \
        REAL(int, name, (const char *, int, int));                                                                                         \
        int failure = next_failure(FUNCTION_##name, CALLER);                                                                               \
        if (failure != 0) return errno = failure, -1;                                                                                      \
        return real(path, flags, mode);                                                                                                    \
    }
OPENS(open)
OPENS(open64)

#define HAS_ONE_ARGUMENT(name, type)                                                                                                       \
    int name(int fd, type request, ...) {                                                                                                  \
        va_list arguments;                                                                                                                 \
        va_start(arguments, request);                                                                                                      \
        long argument = va_arg(arguments, long);                                                                                           \
        va_end(arguments);                                                                                                                 \
        REAL(int, name, (int, type, long));                                                                                                \
        int failure = next_failure(FUNCTION_##name, CALLER);                                                                               \
        if (failure != 0) return errno = failure, -1;                                                                                      \
        return real(fd, request, argument);                                                                                                \
    }
HAS_ONE_ARGUMENT(fcntl, int)
HAS_ONE_ARGUMENT(ioctl, unsigned long)

/* Linux closes the descriptor even if close fails. std panics if closedir has another error than EINTR, which Linux does not return. */
int close(int fd) {
    REAL(int, close, (int));
    int failure = next_failure(FUNCTION_close, CALLER);
    int result = real(fd);
    return failure != 0 ? (errno = failure, -1) : result;
}

int closedir(DIR *directory) {
    REAL(int, closedir, (DIR *));
    int failure = next_failure(FUNCTION_closedir, CALLER);
    int result = real(directory);
    return failure != 0 ? (errno = failure, -1) : result;
}

struct dirent64 *readdir64(DIR *directory) {
    REAL(struct dirent64 *, readdir64, (DIR *));
    int failure = next_failure(FUNCTION_readdir64, CALLER);
    if (failure > 0) errno = failure;
    return failure != 0 ? NULL : real(directory);
}

SETS_ERRNO(int, -1, fsync, (int fd), (fd))
SETS_ERRNO(int, -1, stat, (const char *path, struct stat *found), (path, found))
SETS_ERRNO(int, -1, stat64, (const char *path, struct stat64 *found), (path, found))
SETS_ERRNO(int, -1, lstat64, (const char *path, struct stat64 *found), (path, found))
SETS_ERRNO(int, -1, fstat64, (int fd, struct stat64 *found), (fd, found))
SETS_ERRNO(int, -1, statx, (int fd, const char *path, int flags, unsigned mask, struct statx *found), (fd, path, flags, mask, found))
SETS_ERRNO(off64_t, -1, lseek64, (int fd, off64_t offset, int from), (fd, offset, from))
SETS_ERRNO(DIR *, NULL, opendir, (const char *path), (path))
SETS_ERRNO(int, -1, mkdir, (const char *path, mode_t mode), (path, mode))
SETS_ERRNO(ssize_t, -1, readlink, (const char *path, char *buffer, size_t length), (path, buffer, length))
SETS_ERRNO(char *, NULL, realpath, (const char *path, char *resolved), (path, resolved))
SETS_ERRNO(char *, NULL, getcwd, (char *buffer, size_t length), (buffer, length))
SETS_ERRNO(int, -1, gethostname, (char *buffer, size_t length), (buffer, length))
SETS_ERRNO(int, -1, socket, (int domain, int type, int protocol), (domain, type, protocol))
SETS_ERRNO(int, -1, socketpair, (int domain, int type, int protocol, int fds[2]), (domain, type, protocol, fds))
SETS_ERRNO(int, -1, bind, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length))
SETS_ERRNO(int, -1, listen, (int fd, int backlog), (fd, backlog))
SETS_ERRNO(int, -1, accept4, (int fd, struct sockaddr *address, socklen_t *length, int flags), (fd, address, length, flags))
SETS_ERRNO(int, -1, getsockname, (int fd, struct sockaddr *address, socklen_t *length), (fd, address, length))
SETS_ERRNO(int, -1, getpeername, (int fd, struct sockaddr *address, socklen_t *length), (fd, address, length))
SETS_ERRNO(int, -1, setsockopt, (int fd, int level, int name, const void *value, socklen_t length), (fd, level, name, value, length))
SETS_ERRNO(int, -1, poll, (struct pollfd * fds, nfds_t count, int timeout), (fds, count, timeout))
SETS_ERRNO(int, -1, shutdown, (int fd, int how), (fd, how))
SETS_ERRNO(int, -1, pipe2, (int fds[2], int flags), (fds, flags))
SETS_ERRNO(pid_t, -1, fork, (void), ())
SETS_ERRNO(pid_t, -1, waitpid, (pid_t child, int *status, int options), (child, status, options))
SETS_ERRNO(int, -1, waitid, (idtype_t type, id_t id, siginfo_t *info, int options), (type, id, info, options))
SETS_ERRNO(int, -1, sigaltstack, (const stack_t *stack, stack_t *before), (stack, before))
SETS_ERRNO(void *, MAP_FAILED, mmap, (void *at, size_t length, int protection, int flags, int fd, off_t offset),
           (at, length, protection, flags, fd, offset))
SETS_ERRNO(void *, MAP_FAILED, mmap64, (void *at, size_t length, int protection, int flags, int fd, off64_t offset),
           (at, length, protection, flags, fd, offset))
SETS_ERRNO(int, -1, munmap, (void *at, size_t length), (at, length))
SETS_ERRNO(int, -1, madvise, (void *at, size_t length, int advice), (at, length, advice))
SETS_ERRNO(int, -1, mprotect, (void *at, size_t length, int protection), (at, length, protection))
SETS_ERRNO(int, -1, nanosleep, (const struct timespec *time, struct timespec *left), (time, left))
SETS_ERRNO(long, -1, sysconf, (int name), (name))
SETS_ERRNO(int, -1, sched_getaffinity, (pid_t process, size_t size, cpu_set_t *set), (process, size, set))
SETS_ERRNO(ssize_t, -1, getrandom, (void *buffer, size_t length, unsigned flags), (buffer, length, flags))

RETURNS_ERROR(clock_nanosleep, (clockid_t clock, int flags, const struct timespec *time, struct timespec *left), (clock, flags, time, left))
RETURNS_ERROR(getpwuid_r, (uid_t user, struct passwd *entry, char *buffer, size_t length, struct passwd **found),
              (user, entry, buffer, length, found))
RETURNS_ERROR(posix_spawnp, (pid_t * child, const char *file, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                             char *const arguments[], char *const environment[]),
              (child, file, actions, attributes, arguments, environment))
RETURNS_ERROR(posix_spawnattr_init, (posix_spawnattr_t * attributes), (attributes))
RETURNS_ERROR(posix_spawn_file_actions_init, (posix_spawn_file_actions_t * actions), (actions))
RETURNS_ERROR(posix_spawn_file_actions_adddup2, (posix_spawn_file_actions_t * actions, int from, int to), (actions, from, to))
RETURNS_ERROR(pthread_create, (pthread_t * thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument),
              (thread, attributes, start, argument))
RETURNS_ERROR(pthread_attr_setstacksize, (pthread_attr_t * attributes, size_t size), (attributes, size))
RETURNS_ERROR(pthread_key_create, (pthread_key_t * key, void (*destructor)(void *)), (key, destructor))
int __register_atfork(void (*before)(void), void (*parent)(void), void (*child)(void), void *handle);
RETURNS_ERROR(__register_atfork, (void (*before)(void), void (*parent)(void), void (*child)(void), void *handle),
              (before, parent, child, handle))

/* An interrupted connect goes on. */
int connect(int fd, const struct sockaddr *address, socklen_t length) {
    REAL(int, connect, (int, const struct sockaddr *, socklen_t));
    int failure = next_failure(FUNCTION_connect, CALLER);
    if (failure == EINTR) real(fd, address, length);
    if (failure != 0) return errno = failure, -1;
    return real(fd, address, length);
}

/* Linux has these clocks since 2.6.32 and 2.6.39; emulations of it may not. The others are clock_gettime_std, which cannot fail. */
int clock_gettime(clockid_t clock, struct timespec *time) {
    REAL(int, clock_gettime, (clockid_t, struct timespec *));
    bool is_optional = clock == CLOCK_BOOTTIME || clock == CLOCK_REALTIME_COARSE;
    int failure = next_failure(is_optional ? FUNCTION_clock_gettime : FUNCTION_clock_gettime_std, CALLER);
    if (failure != 0) return errno = failure, -1;
    return real(clock, time);
}

/* The trap of system calls is a signal, which must not be blocked. */
int pthread_sigmask(int how, const sigset_t *set, sigset_t *before) {
    REAL(int, pthread_sigmask, (int, const sigset_t *, sigset_t *));
    int failure = next_failure(FUNCTION_pthread_sigmask, CALLER);
    if (failure != 0) return failure;
    if (set == NULL || how == SIG_UNBLOCK) return real(how, set, before);
    sigset_t without_trap = *set;
    sigdelset(&without_trap, SIGSYS);
    return real(how, &without_trap, before);
}

/* With ENOPROTOOPT the call fails; any other error is the pending error of the socket. */
int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict length) {
    REAL(int, getsockopt, (int, int, int, void *, socklen_t *));
    int failure = next_failure(FUNCTION_getsockopt, CALLER);
    if (failure == ENOPROTOOPT) return errno = failure, -1;
    int result = real(fd, level, name, value, length);
    if (failure != 0 && result == 0 && level == SOL_SOCKET && name == SO_ERROR) memcpy(value, &failure, sizeof failure);
    return result;
}

/* The name of the scenario with a DNS lookup is this machine. */
int getaddrinfo(const char *restrict name, const char *restrict service, const struct addrinfo *restrict hints,
                struct addrinfo **restrict found) {
    REAL(int, getaddrinfo, (const char *, const char *, const struct addrinfo *, struct addrinfo **));
    int failure = next_failure(FUNCTION_getaddrinfo, CALLER);
    if (failure == EAI_SYSTEM) errno = EIO;
    if (failure != 0) return failure;
    return real(name != NULL && strcmp(name, "server.test") == 0 ? "127.0.0.1" : name, service, hints, found);
}

/* ---- allocations of AWS-LC

   AWS-LC calls these functions if the program defines them. Rust's allocations are not injected: the process then ends, as
   docs/limits.md says. */

enum { HEADER_LEN = 16 };

void *OPENSSL_memory_alloc(size_t size);
void OPENSSL_memory_free(void *memory);
size_t OPENSSL_memory_get_size(void *memory);
void *OPENSSL_memory_realloc(void *memory, size_t size);

static void *allocate(size_t size) {
    char *block = malloc(size + HEADER_LEN);
    if (block == NULL) return NULL;
    memcpy(block, &size, sizeof size);
    return block + HEADER_LEN;
}

void *OPENSSL_memory_alloc(size_t size) {
    return next_failure(FUNCTION_OPENSSL_memory_alloc, CALLER) != 0 ? NULL : allocate(size);
}

void OPENSSL_memory_free(void *memory) {
    if (memory == NULL) return;
    explicit_bzero(memory, OPENSSL_memory_get_size(memory));
    free((char *)memory - HEADER_LEN);
}

size_t OPENSSL_memory_get_size(void *memory) {
    size_t size = 0;
    if (memory != NULL) memcpy(&size, (char *)memory - HEADER_LEN, sizeof size);
    return size;
}

void *OPENSSL_memory_realloc(void *memory, size_t size) {
    if (next_failure(FUNCTION_OPENSSL_memory_realloc, CALLER) != 0) return NULL;
    void *larger = allocate(size);
    size_t before = OPENSSL_memory_get_size(memory);
    if (larger == NULL) return NULL;
    if (memory != NULL) memcpy(larger, memory, before < size ? before : size);
    OPENSSL_memory_free(memory);
    return larger;
}

/* ---- system calls by number: by syscall(), and by instructions of the library (rustix), which are trapped */

typedef long system_call(long, long, long, long, long, long, long);

static system_call *real_syscall(void) {
    static system_call *real;
    if (real == NULL) real = (system_call *)dlsym(RTLD_NEXT, "syscall");
    return real;
}

static int function_of(long number) {
    switch (number) {
    case SYS_openat2: return FUNCTION_sys_openat2;
    case SYS_fcntl: return FUNCTION_sys_fcntl;
    case SYS_futex: return FUNCTION_sys_futex;
    case SYS_getrandom: return FUNCTION_sys_getrandom;
    case SYS_open:
    case SYS_openat: return FUNCTION_sys_openat;
    case SYS_renameat: return FUNCTION_sys_renameat;
    case SYS_unlinkat: return FUNCTION_sys_unlinkat;
    case SYS_fstat: return FUNCTION_sys_fstat;
    case SYS_newfstatat: return FUNCTION_sys_newfstatat;
    case SYS_getdents64: return FUNCTION_sys_getdents64;
    default: return FUNCTION_sys_other;
    }
}

long syscall(long number, ...) {
    va_list list;
    long a[6];
    va_start(list, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
    va_end(list);
    /* A failed wake-up would be a lost one, which does not occur. */
    bool wakes = number == SYS_futex && (a[1] & FUTEX_CMD_MASK) != FUTEX_WAIT && (a[1] & FUTEX_CMD_MASK) != FUTEX_WAIT_BITSET;
    int failure = wakes ? 0 : next_failure(function_of(number), CALLER);
    if (failure == FAILURE_END) return 0;
    if (failure != 0) return errno = failure, -1;
    return real_syscall()(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static void on_trap(int signal, siginfo_t *info, void *context) {
    (void)signal;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    int before = errno;
    int failure = next_failure(function_of(info->si_syscall), info->si_call_addr);
    if (failure == 0) {
        long result = real_syscall()(info->si_syscall, registers[REG_RDI], registers[REG_RSI], registers[REG_RDX], registers[REG_R10],
                                     registers[REG_R8], registers[REG_R9]);
        registers[REG_RAX] = result == -1 ? -errno : result;
    } else {
        registers[REG_RAX] = failure == FAILURE_END ? 0 : -failure;
    }
    errno = before;
}

#define LOW(address) ((uint32_t)(address))
#define HIGH(address) ((uint32_t)((uint64_t)(address) >> 32))

/* The library may cross one boundary of 4 GiB. */
void inject_trap_system_calls(void) {
    uint32_t low_end = HIGH(library_begin) == HIGH(library_end) ? LOW(library_end) : UINT32_MAX;
    uint32_t next_end = HIGH(library_begin) == HIGH(library_end) ? 0 : LOW(library_end);
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, HIGH(library_begin), 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, LOW(library_begin), 0, 5),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, low_end, 4, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, HIGH(library_end), 0, 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, next_end, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGSYS, &action, NULL);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        perror("faults: seccomp");
        _exit(2);
    }
}
