/* Usage: curl_bearer URL. Sends a request with the token in CURLOPT_XOAUTH2_BEARER, as a program does that uses libcurl already.
 *
 * With http this sends "Authorization: Bearer ..."; with imap, pop3, smtp and ldap it is the token of SASL OAUTHBEARER or XOAUTH2,
 * and CURLOPT_USERNAME is the mailbox (AUTHGRANT_CURL_USER here). libcurl copies the token, and sends it to no other host after a
 * redirect. */
#include "authgrant.h"
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

static long get(CURL *curl, authgrant_connection *connection, authgrant_error **error) {
    long status = 0;
    for (int attempt = 0; attempt < 2; attempt++) {
        authgrant_token *token = NULL;
        if (authgrant_get_token(connection, &token, error) != AUTHGRANT_OK) return 0;
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, authgrant_token_value(token));
        CURLcode code = curl_easy_perform(curl);
        if (code != CURLE_OK) fprintf(stderr, "%s\n", curl_easy_strerror(code));
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        if (status == 401) authgrant_reject_token(connection, token, NULL);
        authgrant_token_free(token);
        if (status != 401) break;
    }
    return status;
}

int main(int argc, char **argv) {
    const char *string = getenv("AUTHGRANT_CONNECTION_STRING");
    authgrant_connection *connection = NULL;
    authgrant_error *error = NULL;
    long status = 0;

    if (argc != 2 || string == NULL) {
        fprintf(stderr, "usage: AUTHGRANT_CONNECTION_STRING='...' %s URL\n", argv[0]);
        return 2;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    CURL *curl = curl_easy_init();
    if (curl != NULL && authgrant_open(string, &connection, &error) == AUTHGRANT_OK) {
        curl_easy_setopt(curl, CURLOPT_URL, argv[1]);
        curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
        if (getenv("CURL_CA_BUNDLE") != NULL) curl_easy_setopt(curl, CURLOPT_CAINFO, getenv("CURL_CA_BUNDLE"));
        if (getenv("AUTHGRANT_CURL_USER") != NULL) curl_easy_setopt(curl, CURLOPT_USERNAME, getenv("AUTHGRANT_CURL_USER"));
        status = get(curl, connection, &error);
    }
    if (error != NULL) fprintf(stderr, "%s %s\n", authgrant_error_sqlstate(error), authgrant_error_message(error));
    authgrant_error_free(error);
    authgrant_close(connection);
    curl_easy_cleanup(curl);
    curl_global_cleanup();
    return status / 100 != 2;
}
