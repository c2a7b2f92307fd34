/* Usage: rest_client URL. Sends a GET request with libcurl to an API and prints the body of the response.
 *
 * The connection string is in AUTHGRANT_CONNECTION_STRING, because ps shows arguments. The request has all headers of
 * authgrant_get_headers(). If the API answers 401, the token is rejected and the request repeated once with a new one.
 * Redirects are not followed: the headers are for the host of the URL, and libcurl repeats headers of a list at every host,
 * except Authorization and Cookie. CURL_CA_BUNDLE names a file of CA certificates, as for the program curl. */
#include "authgrant.h"
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BODY_LEN = 16 * 1024 * 1024 };

typedef struct {
    long status;
    char *body;
    size_t length;
} response;

/* Prints a chain of errors, and the URL at which a user gives consent. */
static void print_errors(const authgrant_error *error) {
    for (; error != NULL; error = authgrant_error_next(error)) {
        fprintf(stderr, "SQLSTATE %s: %s\n", authgrant_error_sqlstate(error), authgrant_error_message(error));
        if (authgrant_error_consent_url(error) != NULL) {
            fprintf(stderr, "consent: open %s\n", authgrant_error_consent_url(error));
        }
    }
}

/* Write callback of libcurl: appends to the body. Another return value than the size ends the transfer with an error. */
static size_t append_body(char *data, size_t size, size_t count, void *context) {
    response *answer = context;
    size_t length = size * count;
    if (length > MAX_BODY_LEN - answer->length) return 0;
    char *body = realloc(answer->body, answer->length + length + 1);
    if (body == NULL) return 0;
    memcpy(body + answer->length, data, length);
    answer->body = body;
    answer->length += length;
    return length;
}

/* Appends one header to the list; 0 if memory is exhausted. libcurl copies the text. */
static int append_header(struct curl_slist **list, const char *name, const char *value) {
    size_t capacity = strlen(name) + strlen(value) + 3;
    char *line = malloc(capacity);
    if (line == NULL) return 0;
    /* "Name:" would remove the header; "Name;" sends it without a value. */
    if (value[0] == '\0') snprintf(line, capacity, "%s;", name);
    else snprintf(line, capacity, "%s: %s", name, value);
    struct curl_slist *longer = curl_slist_append(*list, line);
    free(line);
    if (longer != NULL) *list = longer;
    return longer != NULL;
}

static struct curl_slist *to_list(const authgrant_headers *headers) {
    struct curl_slist *list = NULL;
    for (size_t i = 0; i < authgrant_headers_count(headers); i++) {
        if (!append_header(&list, authgrant_headers_name(headers, i), authgrant_headers_value(headers, i))) {
            curl_slist_free_all(list);
            return NULL;
        }
    }
    return list;
}

/* Sends one request. Returns 0 if there is a response, whatever its status. */
static int send_request(CURL *curl, const authgrant_headers *headers, response *answer) {
    struct curl_slist *list = to_list(headers);
    if (list == NULL && authgrant_headers_count(headers) > 0) return fprintf(stderr, "out of memory\n");
    answer->length = 0;
    answer->status = 0;
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(list);
    if (code != CURLE_OK) fprintf(stderr, "%s\n", curl_easy_strerror(code));
    return code != CURLE_OK;
}

/* Sends the request, and once more with a new token if the API refuses the first one. */
static int call_api(CURL *curl, authgrant_connection *connection, response *answer) {
    int failed = 1;
    for (int attempt = 0; attempt < 2; attempt++) {
        authgrant_error *error = NULL;
        authgrant_headers *headers = NULL;
        if (authgrant_get_headers(connection, &headers, &error) != AUTHGRANT_OK) {
            print_errors(error);
            authgrant_error_free(error);
            return 1;
        }
        failed = send_request(curl, headers, answer);
        const authgrant_token *token = authgrant_headers_token(headers);
        int rejected = !failed && answer->status == 401 && token != NULL;
        if (rejected) authgrant_reject_token(connection, token, NULL);
        authgrant_headers_free(headers);
        if (!rejected) break;
    }
    return failed;
}

static CURL *new_request(const char *url, response *answer) {
    CURL *curl = curl_easy_init();
    if (curl == NULL) return NULL;
    curl_easy_setopt(curl, CURLOPT_URL, url);
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https"); /* no token over plain http */
#else
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS, (long)CURLPROTO_HTTPS);
#endif
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 60L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    if (getenv("CURL_CA_BUNDLE") != NULL) curl_easy_setopt(curl, CURLOPT_CAINFO, getenv("CURL_CA_BUNDLE"));
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, append_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    return curl;
}

/* Prints the response; 0 if its status is 2xx. */
static int print_response(CURL *curl, const response *answer) {
    char *location = NULL;
    fwrite(answer->body != NULL ? answer->body : "", 1, answer->length, stdout);
    if (answer->status / 100 == 2) return 0;
    curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &location);
    fprintf(stderr, "HTTP %ld%s%s\n", answer->status, location != NULL ? ", redirect not followed: " : "",
            location != NULL ? location : "");
    return 1;
}

int main(int argc, char **argv) {
    const char *string = getenv("AUTHGRANT_CONNECTION_STRING");
    authgrant_connection *connection = NULL;
    authgrant_error *error = NULL;
    response answer = {0, NULL, 0};
    int failed = 1;

    if (argc != 2 || string == NULL) {
        fprintf(stderr, "usage: AUTHGRANT_CONNECTION_STRING='...' %s URL\n", argv[0]);
        return 2;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    CURL *curl = new_request(argv[1], &answer);
    if (curl != NULL && authgrant_open(string, &connection, &error) == AUTHGRANT_OK) {
        failed = call_api(curl, connection, &answer) || print_response(curl, &answer);
    }
    print_errors(error);
    authgrant_error_free(error);
    authgrant_close(connection);
    curl_easy_cleanup(curl);
    curl_global_cleanup();
    free(answer.body);
    return failed;
}
