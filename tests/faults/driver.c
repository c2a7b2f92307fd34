/* Usage: driver [--seed N] [--sample N] [--jobs N] [--function NAME] SCENARIOS TOKENS
          driver --case SCENARIO:FUNCTION:FAILURE:NUMBER[+] SCENARIOS TOKENS

   Runs a call of the library again and again, and lets a different call of a function of the C library or of the kernel fail each time
   (inject.c). Each case is a child process, in which the library is new. It makes the call of the scenario with the failure, then without,
   and checks that

   * the call returned within its timeout, and the process lives,
   * the status is one that the table of inject.c allows for the function, and an error is complete,
   * the next call works, on the same connection if there is one,
   * no descriptor is left open, and when all is repeated, no memory.

   Each line of SCENARIOS is NAME, operation and connection string, separated by tabs. %D in the string is a new directory of the case, %U
   a text that no other case has. TOKENS is the file to which all received tokens are written, so that they can be compared with those that
   the server issued. Without --sample all cases run. The seed selects a sample: the cases of each function in each scenario are shuffled,
   and the first of all are taken, then the second, and so on. A case with + lets all later calls of the function fail, too.

   Prints `ok FUNCTION: …` or `not ok FUNCTION: …` for each function, after the cases that failed. */
#define _GNU_SOURCE
#include "authgrant.h"
#include "inject.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_SCENARIOS = 32,
    MAX_FUNCTIONS = 128,
    MAX_JOBS = 64,
    MAX_DESCRIPTORS = 256,
    /* LoginTimeout and ConsentTimeout of all scenarios, and what a busy machine may add. */
    CALL_TIMEOUT_SECS = 4,
    CALL_MARGIN_SECS = 10,
    /* After this time a case is ended, with the stack of its main thread. */
    CASE_TIMEOUT_SECS = 90,
    /* Repetitions of a case that has grown; memory is lost if it grows in each. */
    MAX_PASSES = 6,
    /* Exit status of a case that was aborted, by itself or because it hangs. */
    ABORTED = 99,
};

struct scenario {
    char *name, *operation, *string;
    long calls[MAX_FUNCTIONS]; /* without a failure */
};

struct fault_case {
    int scenario, function, failure;
    long number;
    bool persistent;
    long rank; /* within the cases of the function in the scenario, in random order */
};

/* What a case reports, in memory that parent and child share. */
struct report {
    bool finished, was_reached, has_aborted;
    long failed_calls; /* of the last pass */
    long calls[MAX_FUNCTIONS];
    authgrant_status status;
    char problem[1024];
};

static struct scenario scenarios[MAX_SCENARIOS];
static int scenario_count;
static struct fault_case *cases;
static size_t case_count;
static int token_file;
/* Whether to print errors of the library and memory in use, for one case. */
static bool is_verbose;

static void fail(const char *what) {
    fprintf(stderr, "faults: %s: %s\n", what, strerror(errno));
    exit(2);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* ---- the user of a login: requests the authorization URL, and then the URL to which that redirects */

static char user_url[4096];

/* Sends a GET request to a URL of 127.0.0.1 and reads the response; returns its length. */
static size_t http_get(const char *url, char *response, size_t capacity) {
    unsigned port = 0;
    int offset = 0;
    char request[4096];
    size_t length = 0;
    if (sscanf(url, "http://127.0.0.1:%u%n", &port, &offset) != 1) return 0;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval timeout = {.tv_sec = CALL_TIMEOUT_SECS};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    int written = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: close\r\n\r\n", url + offset,
                           port);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 && send(fd, request, (size_t)written, MSG_NOSIGNAL) == written) {
        for (ssize_t count = 1; count > 0 && length < capacity - 1; length += count > 0 ? (size_t)count : 0)
            count = recv(fd, response + length, capacity - 1 - length, 0);
    }
    close(fd);
    response[length] = 0;
    return length;
}

/* As a browser does, requests again what was not answered. */
static void *be_user(void *context) {
    (void)context;
    char response[16384], location[4096];
    if (http_get(user_url, response, sizeof response) == 0) return NULL;
    const char *header = strcasestr(response, "\r\nlocation: ");
    if (header == NULL || sscanf(header + 12, "%4095[^\r\n]", location) != 1) return NULL;
    if (http_get(location, response, sizeof response) == 0) http_get(location, response, sizeof response);
    return NULL;
}

static int32_t start_user(const char *url, void *context) {
    snprintf(user_url, sizeof user_url, "%s", url);
    return pthread_create(context, NULL, be_user, NULL);
}

/* ---- a case, in the child */

static struct report *report;

static void problem(const char *format, ...) {
    size_t used = strlen(report->problem);
    va_list arguments;
    va_start(arguments, format);
    if (used > 0 && used < sizeof report->problem - 2) {
        strcat(report->problem, "; ");
        used += 2;
    }
    if (used < sizeof report->problem) vsnprintf(report->problem + used, sizeof report->problem - used, format, arguments);
    va_end(arguments);
}

/* The parent sends SIGABRT to a child that hangs; a program that panics twice sends it to itself. */
static void print_stack(int number) {
    (void)number;
    void *frames[64];
    backtrace_symbols_fd(frames, backtrace(frames, 64), STDERR_FILENO);
    _exit(ABORTED);
}

static authgrant_status finish(authgrant_status status, authgrant_error *error) {
    if (status != AUTHGRANT_OK && (error == NULL || authgrant_error_status(error) != status))
        problem("status %s without its error", authgrant_status_name(status));
    if (status != AUTHGRANT_OK && is_verbose)
        fprintf(stderr, "    %s %s\n", authgrant_status_name(status), authgrant_error_message(error));
    authgrant_error_free(error);
    return status;
}

static authgrant_status open_connection(const char *string, authgrant_connection **connection) {
    authgrant_error *error = NULL;
    authgrant_status status = authgrant_open(string, connection, &error);
    return finish(status, error);
}

static authgrant_status log_in(authgrant_connection *connection, bool in_browser) {
    authgrant_error *error = NULL;
    pthread_t user = 0;
    authgrant_status status = authgrant_authorize(connection, in_browser ? NULL : start_user, in_browser ? NULL : &user, &error);
    if (user != 0) pthread_join(user, NULL);
    return finish(status, error);
}

static authgrant_status get_token(const struct scenario *scenario, authgrant_connection *connection, bool reject) {
    authgrant_error *error = NULL;
    authgrant_token *token = NULL;
    authgrant_status status = authgrant_get_token(connection, &token, &error);
    if (status == AUTHGRANT_OK && strcmp(scenario->operation, "sign") != 0) {
        char line[8192];
        int length = snprintf(line, sizeof line, "%s\n", authgrant_token_value(token));
        if (write(token_file, line, (size_t)length) != length) problem("a token was not written");
    }
    if (status == AUTHGRANT_OK && reject) status = authgrant_reject_token(connection, token, &error);
    authgrant_token_free(token);
    return finish(status, error);
}

/* The call of a scenario. */
static authgrant_status call(const struct scenario *scenario, authgrant_connection *connection) {
    authgrant_status status = AUTHGRANT_OK;
    bool in_browser = strcmp(scenario->operation, "browser") == 0;
    if (in_browser || strcmp(scenario->operation, "login") == 0) status = log_in(connection, in_browser);
    return status == AUTHGRANT_OK ? get_token(scenario, connection, false) : status;
}

/* What precedes the failure: a connection that has a token, which a `renew` rejects. */
static void prepare(const struct scenario *scenario, const char *string, authgrant_connection **connection) {
    bool renews = strcmp(scenario->operation, "renew") == 0;
    if (!renews && strcmp(scenario->operation, "cached") != 0) return;
    if (open_connection(string, connection) != AUTHGRANT_OK || get_token(scenario, *connection, renews) != AUTHGRANT_OK)
        problem("the preparation failed");
}

static authgrant_status open_and_call(const struct scenario *scenario, const char *string, authgrant_connection **connection) {
    authgrant_status status = *connection == NULL ? open_connection(string, connection) : AUTHGRANT_OK;
    return status == AUTHGRANT_OK ? call(scenario, *connection) : status;
}

static authgrant_status faulty_call(const struct scenario *scenario, const char *string, authgrant_connection **connection) {
    /* A cached token is read on a second connection. */
    if (strcmp(scenario->operation, "cached") == 0) {
        authgrant_close(*connection);
        *connection = NULL;
    }
    return open_and_call(scenario, string, connection);
}

static void check_next_call(const struct scenario *scenario, const char *string, authgrant_connection **connection) {
    /* Errors of the network are remembered. */
    authgrant_clear_caches();
    authgrant_status status = open_and_call(scenario, string, connection);
    if (status == AUTHGRANT_INVALID_OPTION || status == AUTHGRANT_MISSING_OPTION) {
        /* A connection keeps the data source and the model file as it read them when it was opened. */
        authgrant_close(*connection);
        *connection = NULL;
        status = open_and_call(scenario, string, connection);
    }
    if (status != AUTHGRANT_OK) problem("the next call returned %s", authgrant_status_name(status));
}

/* AWS-LC keeps /dev/urandom open if the kernel has no getrandom(). */
static bool is_kept_open(const char *target) { return strcmp(target, "/dev/urandom") == 0; }

/* Waits for threads of the library, which may outlive their call; at most a second. */
static void wait_for_threads(void) {
    struct stat tasks;
    for (int i = 0; i < 1000 && stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink > 3; i++) usleep(1000);
}

static void find_descriptors(bool open_descriptors[MAX_DESCRIPTORS]) {
    for (int fd = 0; fd < MAX_DESCRIPTORS; fd++) open_descriptors[fd] = fcntl(fd, F_GETFD) >= 0;
}

static void check_descriptors(const bool before[MAX_DESCRIPTORS]) {
    bool after[MAX_DESCRIPTORS];
    find_descriptors(after);
    for (int fd = 0; fd < MAX_DESCRIPTORS; fd++) {
        char link[64], target[256];
        if (!after[fd] || before[fd]) continue;
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, target, sizeof target - 1);
        target[length > 0 ? length : 0] = 0;
        if (!is_kept_open(target)) problem("descriptor %d (%s) is left open", fd, target);
    }
}

static void run_pass(const struct scenario *scenario, const struct fault_case *fault, const char *string, bool is_first) {
    authgrant_connection *connection = NULL;
    prepare(scenario, string, &connection);
    double start = now();
    inject_arm(fault->function, fault->failure, fault->number, fault->persistent);
    authgrant_status status = faulty_call(scenario, string, &connection);
    inject_disarm();
    double took = now() - start;
    if (is_first) {
        report->status = status;
        report->was_reached = report->failed_calls > 0;
        for (int i = 0; i < injected_function_count; i++) report->calls[i] = inject_calls(i);
    }
    uint64_t allowed = report->failed_calls > 0 ? injected_functions[fault->function].statuses : 1;
    if ((allowed >> status & 1) == 0) problem("status %s", authgrant_status_name(status));
    if (took > CALL_TIMEOUT_SECS + CALL_MARGIN_SECS) problem("it took %.1f s", took);
    check_next_call(scenario, string, &connection);
    authgrant_close(connection);
    authgrant_clear_caches();
    wait_for_threads();
}

/* Repeats a case. What the first passes allocate for the life of the process is not lost. */
static void run_passes(const struct scenario *scenario, const struct fault_case *fault, const char *string) {
    bool descriptors[MAX_DESCRIPTORS];
    size_t used = 0;
    find_descriptors(descriptors);
    for (int pass = 0; pass < MAX_PASSES; pass++) {
        run_pass(scenario, fault, string, pass == 0);
        size_t uses = mallinfo2().uordblks;
        if (is_verbose) fprintf(stderr, "    pass %d uses %zu bytes\n", pass, uses);
        check_descriptors(descriptors);
        if (report->problem[0] != 0) return;
        if (pass > 0 && uses <= used) return;
        used = uses;
    }
    problem("memory grows each time");
}

/* The text with its placeholders replaced; to be released with free(). */
static char *replace(const char *text, const char *directory) {
    char *result = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&result, &length);
    if (stream == NULL) fail("open_memstream");
    for (; *text != 0; text++) {
        const char *value = strncmp(text, "%D", 2) == 0 ? directory : strncmp(text, "%U", 2) == 0 ? strrchr(directory, '/') + 1 : NULL;
        if (value == NULL) {
            fputc(*text, stream);
        } else {
            fputs(value, stream);
            text++;
        }
    }
    fclose(stream);
    return result;
}

static void remove_directory(const char *path) {
    DIR *directory = opendir(path);
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (unlink(name) != 0) remove_directory(name);
    }
    if (directory != NULL) closedir(directory);
    rmdir(path);
}

/* Policy of the process. A `confined` scenario may name files below one directory only. */
static void set_policy(const struct scenario *scenario, const char *directory) {
    bool is_confined = strcmp(scenario->operation, "confined") == 0;
    authgrant_error *error = NULL;
    authgrant_status status = authgrant_set_policy(AUTHGRANT_ALLOW_TOKEN_CACHE, is_confined ? AUTHGRANT_FORBID_FILE_PATHS : 0, &error);
    if (status == AUTHGRANT_OK && is_confined) status = authgrant_allow_directory(directory, &error);
    if (finish(status, error) != AUTHGRANT_OK) problem("the policy was not set");
}

static void run_case(const struct fault_case *fault) {
    const struct scenario *scenario = &scenarios[fault->scenario];
    const char *parent = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";
    char directory[4096];
    snprintf(directory, sizeof directory, "%s/case.XXXXXX", parent);
    if (mkdtemp(directory) == NULL) fail(directory);
    char *string = replace(scenario->string, directory);
    signal(SIGABRT, print_stack);
    inject_count_failed_calls_in(&report->failed_calls);
    /* mallinfo2() counts one arena only. */
    mallopt(M_ARENA_MAX, 1);
    set_policy(scenario, parent);
    /* The filter would be inherited by the browser, in which other code may be at the addresses of the library. */
    if (strcmp(scenario->operation, "browser") != 0) inject_trap_system_calls();
    run_passes(scenario, fault, string);
    free(string);
    remove_directory(directory);
    report->finished = true;
}

/* ---- cases, in the parent */

struct job {
    pid_t child;
    size_t number;
    double start;
    bool was_ended;
    struct report *report;
};

static void start_job(struct job *job, const struct fault_case *fault) {
    memset(job->report, 0, sizeof *job->report);
    job->was_ended = false;
    job->start = now();
    fflush(stdout);
    job->child = fork();
    if (job->child < 0) fail("fork");
    if (job->child > 0) return;
    report = job->report;
    run_case(fault);
    /* No exit handlers: those of the parent are not for this process. */
    _exit(0);
}

/* Waits until one of the children ends, and ends those that hang. */
static struct job *wait_for_job(struct job *jobs, int count) {
    for (;;) {
        int status = 0;
        pid_t child = waitpid(-1, &status, WNOHANG);
        for (int i = 0; i < count; i++) {
            if (jobs[i].child == 0) continue;
            if (jobs[i].child == child) {
                struct report *one = jobs[i].report;
                report = one;
                one->has_aborted = !jobs[i].was_ended && WIFEXITED(status) && WEXITSTATUS(status) == ABORTED;
                if (jobs[i].was_ended)
                    problem("it hangs");
                else if (!one->finished)
                    problem("the process ended (wait status %d)", status);
                jobs[i].child = 0;
                return &jobs[i];
            }
            if (!jobs[i].was_ended && now() - jobs[i].start > CASE_TIMEOUT_SECS) {
                jobs[i].was_ended = true;
                syscall(SYS_tgkill, jobs[i].child, jobs[i].child, SIGABRT);
            }
        }
        if (child < 0) fail("waitpid");
        if (child == 0) usleep(500);
    }
}

static void describe(const struct fault_case *fault, char *text, size_t capacity) {
    snprintf(text, capacity, "%s:%s:%s:%ld%s", scenarios[fault->scenario].name, injected_functions[fault->function].name,
             failure_name(fault->function, fault->failure), fault->number, fault->persistent ? "+" : "");
}

/* Whether the documentation says that the process aborts with this failure. */
static bool is_documented_abort(const struct fault_case *fault, const struct report *one) {
    return injected_functions[fault->function].may_abort && one->failed_calls > 0 && one->has_aborted;
}

struct totals {
    long cases, failed, unreached, aborted, by_status[64];
    bool in_scenario[MAX_SCENARIOS];
};

static void count_result(struct totals *totals, const struct fault_case *fault, const struct report *one) {
    char name[256];
    struct totals *sum = &totals[fault->function];
    describe(fault, name, sizeof name);
    sum->cases++;
    sum->unreached += !one->was_reached && one->finished;
    sum->in_scenario[fault->scenario] = true;
    if (one->finished && one->status < 64) sum->by_status[one->status]++;
    sum->aborted += is_documented_abort(fault, one);
    if (one->problem[0] == 0 || is_documented_abort(fault, one)) return;
    sum->failed++;
    printf("    %s: %s\n", name, one->problem);
}

static void run_cases(const struct fault_case *list, size_t count, int job_count, struct job *jobs, struct totals *totals) {
    size_t next = 0, running = 0;
    while (next < count || running > 0) {
        for (int i = 0; i < job_count && next < count; i++) {
            if (jobs[i].child != 0) continue;
            jobs[i].number = next;
            start_job(&jobs[i], &list[next++]);
            running++;
        }
        struct job *done = wait_for_job(jobs, job_count);
        running--;
        count_result(totals, &list[done->number], done->report);
    }
}

/* Counts the calls of a scenario without a failure. */
static void count_calls(int scenario, struct job *job) {
    struct fault_case none = {.scenario = scenario};
    start_job(job, &none);
    wait_for_job(job, 1);
    if (job->report->problem[0] != 0) {
        fprintf(stderr, "faults: %s without a failure: %s\n", scenarios[scenario].name, job->report->problem);
        exit(1);
    }
    memcpy(scenarios[scenario].calls, job->report->calls, sizeof job->report->calls);
}

static void add_case(struct fault_case fault) {
    static size_t capacity;
    if (case_count == capacity) {
        capacity = capacity == 0 ? 4096 : capacity * 2;
        cases = realloc(cases, capacity * sizeof *cases);
        if (cases == NULL) fail("realloc");
    }
    cases[case_count++] = fault;
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* The cases of one function in one scenario, with ranks in random order. */
static void add_cases(int scenario, int function, uint64_t *random) {
    size_t first = case_count;
    for (long number = 1; number <= scenarios[scenario].calls[function]; number++) {
        for (const int *failure = injected_functions[function].failures; *failure != 0; failure++) {
            add_case((struct fault_case){scenario, function, *failure, number, false, 0});
            if (failure_can_persist(*failure)) add_case((struct fault_case){scenario, function, *failure, number, true, 0});
        }
    }
    for (size_t i = case_count; i > first; i--) {
        size_t other = first + next_random(random) % (i - first);
        struct fault_case chosen = cases[other];
        cases[other] = cases[i - 1];
        cases[i - 1] = chosen;
        cases[i - 1].rank = (long)(i - 1 - first);
    }
}

static int by_rank(const void *left, const void *right) {
    const struct fault_case *a = left, *b = right;
    if (a->rank != b->rank) return a->rank < b->rank ? -1 : 1;
    if (a->scenario != b->scenario) return a->scenario - b->scenario;
    return a->function - b->function;
}

static void read_scenarios(const char *path) {
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    if (file == NULL) fail(path);
    while ((length = getline(&line, &capacity, file)) > 0 && scenario_count < MAX_SCENARIOS) {
        struct scenario *scenario = &scenarios[scenario_count++];
        char *rest = line;
        line[length - 1] = 0;
        scenario->name = strdup(strsep(&rest, "\t"));
        scenario->operation = rest == NULL ? NULL : strdup(strsep(&rest, "\t"));
        scenario->string = rest == NULL ? NULL : strdup(rest);
        if (scenario->string == NULL) fail("NAME, operation and connection string, separated by tabs");
    }
    free(line);
    fclose(file);
}

/* Finds the case with the name that describe() gives. */
static struct fault_case parse_case(const char *text) {
    char name[256];
    for (size_t i = 0; i < case_count; i++) {
        describe(&cases[i], name, sizeof name);
        if (strcmp(name, text) == 0) return cases[i];
    }
    fprintf(stderr, "faults: there is no case %s\n", text);
    exit(2);
}

static int print_totals(const struct totals *totals) {
    long count = 0, failed = 0;
    for (int function = 0; function < injected_function_count; function++) {
        const struct totals *sum = &totals[function];
        int in_scenarios = 0;
        if (sum->cases == 0) continue;
        for (int i = 0; i < scenario_count; i++) in_scenarios += sum->in_scenario[i];
        printf("%s %s: %ld cases in %d scenarios", sum->failed == 0 ? "ok" : "not ok", injected_functions[function].name, sum->cases,
               in_scenarios);
        if (sum->failed > 0) printf(", %ld failed", sum->failed);
        if (sum->unreached > 0) printf(", %ld not reached", sum->unreached);
        if (sum->aborted > 0) printf(", %ld aborted", sum->aborted);
        for (int status = 0; status < 64; status++) {
            if (sum->by_status[status] > 0)
                printf(", %ld %s", sum->by_status[status], authgrant_status_name(status) + strlen("AUTHGRANT_"));
        }
        putchar('\n');
        count += sum->cases;
        failed += sum->failed;
    }
    printf("%ld cases, %ld failed\n", count, failed);
    return failed > 0;
}

int main(int argc, char **argv) {
    uint64_t seed = 1;
    size_t sample = SIZE_MAX;
    int job_count = 2, next = 1;
    const char *one_case = NULL, *one_function = NULL;
    for (; next + 1 < argc && strncmp(argv[next], "--", 2) == 0; next += 2) {
        const char *value = argv[next + 1];
        if (strcmp(argv[next], "--seed") == 0) seed = strtoull(value, NULL, 10);
        if (strcmp(argv[next], "--sample") == 0) sample = strtoull(value, NULL, 10);
        if (strcmp(argv[next], "--jobs") == 0) job_count = atoi(value);
        if (strcmp(argv[next], "--case") == 0) one_case = value;
        if (strcmp(argv[next], "--function") == 0) one_function = value;
    }
    if (argc - next != 2 || job_count < 1 || job_count > MAX_JOBS || injected_function_count > MAX_FUNCTIONS) return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    inject_init();
    read_scenarios(argv[next]);
    token_file = open(argv[next + 1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (token_file < 0) fail(argv[next + 1]);

    static struct job jobs[MAX_JOBS];
    static struct totals totals[MAX_FUNCTIONS];
    struct report *reports = mmap(NULL, MAX_JOBS * sizeof *reports, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (reports == MAP_FAILED) fail("mmap");
    for (int i = 0; i < MAX_JOBS; i++) jobs[i].report = &reports[i];

    uint64_t random = seed;
    for (int scenario = 0; scenario < scenario_count; scenario++) {
        count_calls(scenario, &jobs[0]);
        for (int function = 0; function < injected_function_count; function++) {
            bool is_chosen = one_function == NULL || strcmp(injected_functions[function].name, one_function) == 0;
            if (is_chosen) add_cases(scenario, function, &random);
        }
    }
    qsort(cases, case_count, sizeof *cases, by_rank);
    printf("%zu cases in %d scenarios, seed %llu\n", case_count, scenario_count, (unsigned long long)seed);
    if (one_case != NULL) {
        cases[0] = parse_case(one_case);
        case_count = 1;
        is_verbose = true;
    }
    run_cases(cases, case_count < sample ? case_count : sample, job_count, jobs, totals);
    return print_totals(totals);
}
