/* Requests to the REST endpoints: libcurl sends them, jansson reads the JSON. */
#include "driver.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_BODY_BYTES = 256 * 1024 * 1024, MAX_POLL_MS = 60 * 1000 };

typedef struct response {
    long status;
    char *body;
    size_t length;
} response;

/* ---- time */

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int32_t remaining_ms(const deadline *d) {
    int64_t left = d->at_ms == INT64_MAX ? INT32_MAX : d->at_ms - now_ms();
    return left < 1 ? 1 : left > INT32_MAX ? INT32_MAX : (int32_t)left;
}

/* The earlier of SQL_ATTR_QUERY_TIMEOUT (HYT00) and SQL_ATTR_CONNECTION_TIMEOUT (HYT01). */
deadline statement_deadline(const statement *s) {
    deadline end = {INT64_MAX, "HYT00"};
    pthread_mutex_lock(&s->dbc->base.lock);
    long timeout = s->dbc->timeout;
    pthread_mutex_unlock(&s->dbc->base.lock);
    if (s->query_timeout > 0) end.at_ms = now_ms() + (int64_t)s->query_timeout * 1000;
    if (timeout > 0 && (s->query_timeout == 0 || (SQLULEN)timeout < s->query_timeout)) {
        end = (deadline){now_ms() + (int64_t)timeout * 1000, "HYT01"};
    }
    return end;
}

/* ---- one request */

/* Write callback of libcurl. */
static size_t append_body(char *data, size_t size, size_t count, void *context) {
    response *answer = context;
    size_t length = size * count;
    if (length > MAX_BODY_BYTES - answer->length) return 0;
    char *body = realloc(answer->body, answer->length + length + 1);
    if (body == NULL) return 0;
    memcpy(body + answer->length, data, length);
    answer->body = body;
    answer->length += length;
    return length;
}

static struct curl_slist *header_list(const authgrant_headers *headers) {
    struct curl_slist *list = NULL;
    for (size_t i = 0; i < authgrant_headers_count(headers); i++) {
        const char *value = authgrant_headers_value(headers, i);
        /* "Name:" would remove the header; "Name;" sends it without a value. */
        char *line = format_text(value[0] == '\0' ? "%s;" : "%s: %s", authgrant_headers_name(headers, i), value);
        struct curl_slist *longer = line != NULL ? curl_slist_append(list, line) : NULL;
        free(line);
        if (longer == NULL) {
            curl_slist_free_all(list);
            return NULL;
        }
        list = longer;
    }
    return list;
}

/* The token is sent by https, or to this machine. Redirects are not followed: libcurl would send the headers to the other host, too. */
static int is_allowed_url(const char *url) {
    char *scheme = NULL, *host = NULL;
    CURLU *parsed = curl_url();
    int is_url = parsed != NULL && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK
                 && curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK
                 && curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK;
    int is_local = is_url && (strcmp(host, "127.0.0.1") == 0 || strcmp(host, "localhost") == 0);
    int is_allowed = is_url && (strcmp(scheme, "https") == 0 || (strcmp(scheme, "http") == 0 && is_local));
    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(parsed);
    return is_allowed;
}

static void set_request(statement *s, const char *url, struct curl_slist *headers, response *answer) {
    CURL *curl = s->curl;
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, append_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    if (s->dbc->trust_store != NULL) curl_easy_setopt(curl, CURLOPT_CAINFO, s->dbc->trust_store);
}

/* Runs the transfer. Returns 0 when it has ended, and its error in `code`; -1 if it is cancelled or late. */
static int run_transfer(statement *s, const deadline *end, CURLcode *code) {
    for (;;) {
        int running = 0, messages = 0;
        if (curl_multi_perform(s->transfers, &running) != CURLM_OK) *code = CURLE_FAILED_INIT;
        for (CURLMsg *message; (message = curl_multi_info_read(s->transfers, &messages)) != NULL;) *code = message->data.result;
        if (running == 0) return 0;
        if (canceller_is_cancelled(&s->canceller) || (end->at_ms != INT64_MAX && now_ms() >= end->at_ms)) return -1;
        int32_t wait = remaining_ms(end);
        curl_multi_poll(s->transfers, NULL, 0, wait < MAX_POLL_MS ? wait : MAX_POLL_MS, NULL);
    }
}

static SQLRETURN post_interrupted(statement *s, const char *url, const deadline *end) {
    if (canceller_is_cancelled(&s->canceller)) return post(&s->base, "HY008", "the function was cancelled");
    return post(&s->base, end->state, "%s did not answer in time", url);
}

/* Sends one request. A failure of the network marks the connection as dead, so that a pool does not use it again. */
static SQLRETURN send_request(statement *s, const char *url, const authgrant_headers *headers, const deadline *end, response *answer) {
    struct curl_slist *list = header_list(headers);
    CURLcode code = CURLE_OUT_OF_MEMORY;
    int interrupted = 0;
    if (list != NULL || authgrant_headers_count(headers) == 0) {
        set_request(s, url, list, answer);
        curl_multi_add_handle(s->transfers, s->curl);
        canceller_set_transfer(&s->canceller, s->transfers);
        interrupted = run_transfer(s, end, &code);
        canceller_set_transfer(&s->canceller, NULL);
        curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &answer->status);
        curl_multi_remove_handle(s->transfers, s->curl);
        curl_easy_setopt(s->curl, CURLOPT_HTTPHEADER, NULL);
    }
    curl_slist_free_all(list);
    if (interrupted) return post_interrupted(s, url, end);
    connection_set_dead(s->dbc, code != CURLE_OK);
    if (code == CURLE_OK) return SQL_SUCCESS;
    return post(&s->base, "08S01", "the request to %s failed: %s", url, curl_easy_strerror(code));
}

/* ---- the response */

static SQLRETURN post_status(statement *s, const char *url, long status) {
    const char *state = status == 401 ? "28000" : status == 403 ? "42000" : status == 404 ? "42S02" : status >= 500 ? "08S01" : "HY000";
    char *message = format_text("[authgrant][rest driver] %s answered HTTP %ld%s", url, status,
                                status == 401 ? " to a new token, too" : "");
    post_native(&s->base, state, (SQLINTEGER)status, message != NULL ? message : "");
    free(message);
    return SQL_ERROR;
}

static SQLRETURN parse_rows(statement *s, const char *url, const response *answer, json_t **rows) {
    json_error_t error;
    json_t *body = json_loadb(answer->body != NULL ? answer->body : "", answer->length, 0, &error);
    if (body == NULL) return post(&s->base, "HY000", "the response of %s is not JSON: %s (line %d)", url, error.text, error.line);
    size_t index;
    json_t *row;
    int is_table = json_is_array(body);
    json_array_foreach(body, index, row) is_table = is_table && json_is_object(row);
    if (!is_table) {
        json_decref(body);
        return post(&s->base, "HY000", "the response of %s is not a JSON array of objects", url);
    }
    *rows = body;
    return SQL_SUCCESS;
}

/* One attempt: a token, and a request with it. */
static SQLRETURN attempt(statement *s, const char *url, const deadline *end, response *answer) {
    authgrant_headers *headers = NULL;
    answer->length = 0;
    answer->status = 0;
    SQLRETURN result = grant_headers(s, url, end, &headers);
    if (result == SQL_SUCCESS) result = send_request(s, url, headers, end, answer);
    if (result == SQL_SUCCESS && answer->status == 401) grant_reject(s->dbc, headers);
    authgrant_headers_free(headers);
    return result;
}

SQLRETURN rest_get(statement *s, const char *url, json_t **rows) {
    response answer = {0, NULL, 0};
    deadline end = statement_deadline(s);
    if (!is_allowed_url(url)) return post(&s->base, "HY024", KEYWORD_REST_URL " must be an https URL: the token is sent to it");
    SQLRETURN result = attempt(s, url, &end, &answer);
    /* The API does not accept the token, although it has not expired: authgrant gets another one, once. */
    if (result == SQL_SUCCESS && answer.status == 401) result = attempt(s, url, &end, &answer);
    if (result == SQL_SUCCESS) result = answer.status == 200 ? parse_rows(s, url, &answer, rows) : post_status(s, url, answer.status);
    free(answer.body);
    return result;
}
