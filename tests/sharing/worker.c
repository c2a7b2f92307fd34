/* One process of a fleet: reads a command per line and answers with a line of fields that are separated by tabs. Tests and benches start
   many of them. A failure of a command is an answer, too.

     policy ALLOW          authgrant_set_policy
     open COUNT STRING     opens COUNT equal connections
     set NAME VALUE        authgrant_set_option on all connections
     get [MILLISECONDS]    gets a token on all connections, from several threads: STATUS SQLSTATE TOKENS EXPIRES STARTED FINISHED MESSAGE.
                           TOKENS are the different ones, separated by commas; the times are nanoseconds of CLOCK_MONOTONIC, which all
                           processes of the machine share; status and message are those of the first failure.
     start [MILLISECONDS]  answers at once; `get` runs in the background, and `wait` has its answer
     fork                  STATUS PID of a forked child, which lives until it is killed and does nothing
     fork-get              the same, but the child answers as `get` does, with its PID as last field
     reject                rejects the token that the first connection has now
     logoff, close, clear  authgrant_logoff on the first connection, authgrant_close on all, authgrant_clear_caches
     warnings              the warnings of all connections, one per field
     log                   the log records up to info since the last `log`, one per field
     stats, explain        JSON

   The program ends with its standard input. */
#define _GNU_SOURCE
#include <authgrant.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_THREADS = 4, MAX_TOKENS = 8, MAX_TOKEN_LEN = 2048, MAX_CONNECTIONS = 100000, CHILD_TIMEOUT_SECS = 300, LOG_LEVEL = 3 };

static authgrant_connection *connections[MAX_CONNECTIONS];
static int connection_count;

/* The answer of one `get`. */
struct result {
    pthread_mutex_t mutex;
    int32_t timeout_ms;
    authgrant_status status;
    char sqlstate[8], message[4096];
    char tokens[MAX_TOKENS][MAX_TOKEN_LEN];
    int token_count;
    int64_t expires_at, started, finished;
};

/* The connections whose tokens one thread gets: first, first + step, ... */
struct share {
    struct result *result;
    int first, step;
};

static struct result background_result;
static pthread_t background_thread;

static char *log_text;
static size_t log_length;
static pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;

static void fail(const char *what) {
    fprintf(stderr, "worker: %s: %s\n", what, strerror(errno));
    exit(2);
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The name of a status without the prefix. */
static const char *status_text(authgrant_status status) {
    return authgrant_status_name(status) + strlen("AUTHGRANT_");
}

/* Prints text as one field. */
static void print_field(const char *text) {
    for (; text != NULL && *text != 0; text++)
        putchar(*text == '\t' || *text == '\n' ? ' ' : *text);
}

static void answer_status(authgrant_status status, authgrant_error *error) {
    const char *sqlstate = authgrant_error_sqlstate(error);
    printf("%s\t%s\t", status_text(status), sqlstate == NULL ? "" : sqlstate);
    print_field(authgrant_error_message(error));
    putchar('\n');
    authgrant_error_free(error);
}

/* ---- tokens */

static void add_token(struct result *result, const authgrant_token *token) {
    const char *value = authgrant_token_value(token);
    for (int i = 0; i < result->token_count; i++) {
        if (strcmp(result->tokens[i], value) == 0)
            return;
    }
    if (result->token_count == MAX_TOKENS || strlen(value) >= MAX_TOKEN_LEN)
        fail("too many or too long tokens");
    strcpy(result->tokens[result->token_count++], value);
    result->expires_at = authgrant_token_expires_at(token);
}

static void get_one(struct result *result, authgrant_connection *connection) {
    authgrant_call_options options = {.size = sizeof options, .timeout_ms = result->timeout_ms};
    authgrant_token *token = NULL;
    authgrant_error *error = NULL;
    authgrant_status status = authgrant_get_token_with(connection, &options, &token, &error);
    pthread_mutex_lock(&result->mutex);
    if (status == AUTHGRANT_OK) {
        add_token(result, token);
    } else if (result->status == AUTHGRANT_OK) {
        result->status = status;
        snprintf(result->sqlstate, sizeof result->sqlstate, "%s", authgrant_error_sqlstate(error));
        snprintf(result->message, sizeof result->message, "%s", authgrant_error_message(error));
    }
    pthread_mutex_unlock(&result->mutex);
    authgrant_error_free(error);
    authgrant_token_free(token);
}

static void *get_share(void *argument) {
    struct share *share = argument;
    for (int i = share->first; i < connection_count; i += share->step)
        get_one(share->result, connections[i]);
    return NULL;
}

static void *get_all(void *argument) {
    struct result *result = argument;
    pthread_t threads[MAX_THREADS];
    struct share shares[MAX_THREADS];
    int count = connection_count < MAX_THREADS ? connection_count : MAX_THREADS;
    result->started = now_ns();
    for (int i = 0; i < count; i++) {
        shares[i] = (struct share){result, i, count};
        if (pthread_create(&threads[i], NULL, get_share, &shares[i]) != 0)
            fail("pthread_create");
    }
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    result->finished = now_ns();
    return NULL;
}

static void init_result(struct result *result, const char *timeout) {
    memset(result, 0, sizeof *result);
    pthread_mutex_init(&result->mutex, NULL);
    result->timeout_ms = (int32_t)strtol(timeout, NULL, 10);
}

static void print_result(const struct result *result) {
    printf("%s\t%s\t", status_text(result->status), result->sqlstate);
    for (int i = 0; i < result->token_count; i++)
        printf("%s%s", i == 0 ? "" : ",", result->tokens[i]);
    printf("\t%lld\t%lld\t%lld\t", (long long)result->expires_at, (long long)result->started, (long long)result->finished);
    print_field(result->message);
}

static void get(const char *timeout) {
    static struct result result;
    init_result(&result, timeout);
    get_all(&result);
    print_result(&result);
    putchar('\n');
}

static void start(const char *timeout) {
    init_result(&background_result, timeout);
    if (pthread_create(&background_thread, NULL, get_all, &background_result) != 0)
        fail("pthread_create");
    puts("OK");
}

static void wait_for_background(void) {
    pthread_join(background_thread, NULL);
    print_result(&background_result);
    putchar('\n');
}

/* The alarm ends a child that the test has forgotten. */
static void fork_child(int gets_token) {
    static struct result result;
    pid_t child = fork();
    if (child < 0)
        fail("fork");
    if (child > 0) {
        if (!gets_token)
            printf("OK\t%ld\n", (long)child);
        return;
    }
    alarm(CHILD_TIMEOUT_SECS);
    if (gets_token) {
        init_result(&result, "0");
        get_all(&result);
        print_result(&result);
        printf("\t%ld\n", (long)getpid());
        fflush(stdout);
    }
    for (;;)
        pause();
}

static void reject(void) {
    authgrant_token *token = NULL;
    authgrant_error *error = NULL;
    authgrant_status status = authgrant_get_token(connections[0], &token, &error);
    if (status == AUTHGRANT_OK)
        status = authgrant_reject_token(connections[0], token, &error);
    authgrant_token_free(token);
    answer_status(status, error);
}

/* ---- connections */

static void record_log(int32_t level, const char *message, void *context) {
    (void)level, (void)context;
    pthread_mutex_lock(&log_mutex);
    size_t length = strlen(message);
    log_text = realloc(log_text, log_length + length + 2);
    if (log_text == NULL)
        fail("realloc");
    memcpy(log_text + log_length, message, length);
    log_length += length;
    log_text[log_length++] = '\n';
    log_text[log_length] = 0;
    pthread_mutex_unlock(&log_mutex);
}

static void open_connections(char *arguments) {
    char *string = strchr(arguments, ' ');
    int count = (int)strtol(arguments, NULL, 10);
    authgrant_status status = AUTHGRANT_OK;
    authgrant_error *error = NULL;
    if (string == NULL || count < 1 || count > MAX_CONNECTIONS)
        fail("open COUNT STRING");
    for (connection_count = 0; connection_count < count && status == AUTHGRANT_OK; connection_count++) {
        authgrant_connection **connection = &connections[connection_count];
        status = authgrant_open(string + 1, connection, &error);
        if (status == AUTHGRANT_OK)
            status = authgrant_set_log(*connection, record_log, NULL, LOG_LEVEL, &error);
    }
    answer_status(status, error);
}

static void set_option(char *arguments) {
    char *value = strchr(arguments, ' ');
    authgrant_status status = AUTHGRANT_OK;
    authgrant_error *error = NULL;
    if (value == NULL)
        fail("set NAME VALUE");
    *value++ = 0;
    for (int i = 0; i < connection_count && status == AUTHGRANT_OK; i++)
        status = authgrant_set_option(connections[i], arguments, value, &error);
    answer_status(status, error);
}

static void close_connections(void) {
    for (int i = 0; i < connection_count; i++)
        authgrant_close(connections[i]);
    connection_count = 0;
    puts("OK");
}

static void answer_warnings(void) {
    printf("OK");
    for (int i = 0; i < connection_count; i++) {
        authgrant_error *first = NULL;
        if (authgrant_get_warnings(connections[i], &first, NULL) != AUTHGRANT_OK)
            fail("authgrant_get_warnings");
        for (const authgrant_error *warning = first; warning != NULL; warning = authgrant_error_next(warning)) {
            putchar('\t');
            print_field(authgrant_error_message(warning));
        }
        authgrant_error_free(first);
    }
    putchar('\n');
}

static void answer_log(void) {
    pthread_mutex_lock(&log_mutex);
    printf("OK");
    for (char *rest = log_text, *line; log_length > 0 && (line = strsep(&rest, "\n")) != NULL && rest != NULL;) {
        putchar('\t');
        print_field(line);
    }
    putchar('\n');
    log_length = 0;
    pthread_mutex_unlock(&log_mutex);
}

static void answer_text(authgrant_status status, char *text, authgrant_error *error) {
    if (status != AUTHGRANT_OK) {
        answer_status(status, error);
        return;
    }
    printf("OK\t");
    print_field(text);
    putchar('\n');
    authgrant_string_free(text);
}

/* ---- commands */

static void run(char *line) {
    char *arguments = strchr(line, ' ');
    char *text = NULL;
    authgrant_error *error = NULL;
    if (arguments == NULL)
        arguments = line + strlen(line);
    else
        *arguments++ = 0;
    authgrant_status status;
    if (strcmp(line, "policy") == 0) {
        status = authgrant_set_policy((uint32_t)strtoul(arguments, NULL, 10), 0, &error);
        answer_status(status, error);
    } else if (strcmp(line, "open") == 0) {
        open_connections(arguments);
    } else if (strcmp(line, "set") == 0) {
        set_option(arguments);
    } else if (strcmp(line, "get") == 0) {
        get(arguments);
    } else if (strcmp(line, "start") == 0) {
        start(arguments);
    } else if (strcmp(line, "wait") == 0) {
        wait_for_background();
    } else if (strcmp(line, "fork") == 0) {
        fork_child(0);
    } else if (strcmp(line, "fork-get") == 0) {
        fork_child(1);
    } else if (strcmp(line, "reject") == 0) {
        reject();
    } else if (strcmp(line, "logoff") == 0) {
        status = authgrant_logoff(connections[0], &error);
        answer_status(status, error);
    } else if (strcmp(line, "close") == 0) {
        close_connections();
    } else if (strcmp(line, "clear") == 0) {
        authgrant_clear_caches();
        puts("OK");
    } else if (strcmp(line, "warnings") == 0) {
        answer_warnings();
    } else if (strcmp(line, "log") == 0) {
        answer_log();
    } else if (strcmp(line, "stats") == 0) {
        status = authgrant_get_stats(&text, &error);
        answer_text(status, text, error);
    } else if (strcmp(line, "explain") == 0) {
        status = authgrant_explain(connections[0], &text, &error);
        answer_text(status, text, error);
    } else {
        errno = EINVAL;
        fail(line);
    }
}

int main(void) {
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    while ((length = getline(&line, &capacity, stdin)) > 0) {
        line[length - 1] = 0;
        run(line);
        fflush(stdout);
    }
    free(line);
    return 0;
}
