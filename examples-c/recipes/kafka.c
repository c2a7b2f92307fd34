/* Usage: kafka PROPERTY=VALUE... Connects librdkafka to a cluster by SASL OAUTHBEARER and prints its brokers and topics.
 *
 * The arguments are properties of librdkafka, such as bootstrap.servers=broker:9092. The connection string of authgrant is in
 * AUTHGRANT_CONNECTION_STRING. */
#include "authgrant.h"
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    TOKEN_TIMEOUT_MS = 20000,
    METADATA_TIMEOUT_MS = 10000,
    /* librdkafka asks again at 80 % of the remaining lifetime. Without a minimum it would get the cached token several times,
     * each time for a shorter time. A fifth of an hour fits tokens of an hour; authgrant caps it for shorter ones. */
    MIN_VALIDITY_S = 720,
    /* Lifetime passed on for a token without known expiry; librdkafka refuses 0. */
    UNKNOWN_LIFETIME_S = 300
};

/* Token refresh callback. Runs on a background thread of librdkafka. `opaque` is the one of rd_kafka_conf_set_opaque(). After a
 * failure librdkafka calls again 10 s later; authgrant returns the remembered error then, or asks the server again. */
static void refresh_token(rd_kafka_t *kafka, const char *config, void *opaque) {
    authgrant_call_options options = {
        .size = sizeof options, .timeout_ms = TOKEN_TIMEOUT_MS, .min_validity_s = MIN_VALIDITY_S};
    authgrant_token *token = NULL;
    authgrant_error *error = NULL;
    char reason[512] = "";
    (void)config;

    if (authgrant_get_token_with(opaque, &options, &token, &error) != AUTHGRANT_OK) {
        rd_kafka_oauthbearer_set_token_failure(kafka, authgrant_error_message(error));
    } else {
        int64_t expires_at = authgrant_token_expires_at(token);
        if (expires_at == 0) expires_at = (int64_t)time(NULL) + UNKNOWN_LIFETIME_S;
        /* The expiry is in milliseconds since 1970. The principal must not be NULL; it is not sent. */
        rd_kafka_resp_err_t refused = rd_kafka_oauthbearer_set_token(
            kafka, authgrant_token_value(token), expires_at * 1000, "", NULL, 0, reason, sizeof reason);
        if (refused) rd_kafka_oauthbearer_set_token_failure(kafka, reason);
    }
    authgrant_token_free(token);
    authgrant_error_free(error);
}

/* Prints errors of librdkafka, among them those of refresh_token(). Runs inside rd_kafka_poll(). */
static void print_error(rd_kafka_t *kafka, int code, const char *reason, void *opaque) {
    (void)kafka, (void)opaque;
    fprintf(stderr, "%s: %s\n", rd_kafka_err2name((rd_kafka_resp_err_t)code), reason);
}

static int set_property(rd_kafka_conf_t *conf, const char *name, const char *value) {
    char reason[512];
    if (rd_kafka_conf_set(conf, name, value, reason, sizeof reason) == RD_KAFKA_CONF_OK) return 1;
    fprintf(stderr, "%s\n", reason);
    return 0;
}

/* Sets the property of an argument NAME=VALUE. */
static int set_argument(rd_kafka_conf_t *conf, char *argument) {
    char *equals = strchr(argument, '=');
    if (equals == NULL) return 0;
    *equals = '\0';
    return set_property(conf, argument, equals + 1);
}

/* Creates a client whose tokens come from the connection; NULL on failure. The connection must outlive it. */
static rd_kafka_t *new_client(authgrant_connection *connection, int count, char **arguments) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char reason[512];
    int is_valid = set_property(conf, "security.protocol", "SASL_SSL") && set_property(conf, "sasl.mechanism", "OAUTHBEARER");
    for (int i = 0; i < count && is_valid; i++) is_valid = set_argument(conf, arguments[i]);
    rd_kafka_conf_set_oauthbearer_token_refresh_cb(conf, refresh_token);
    rd_kafka_conf_set_error_cb(conf, print_error);
    rd_kafka_conf_set_opaque(conf, connection);
    /* Otherwise the callback runs inside rd_kafka_poll() only, and nothing connects before the first call of it. */
    rd_kafka_conf_enable_sasl_queue(conf, 1);
    rd_kafka_t *kafka = is_valid ? rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason) : NULL;
    if (kafka == NULL) {
        if (is_valid) fprintf(stderr, "%s\n", reason);
        rd_kafka_conf_destroy(conf); /* rd_kafka_new() takes it only on success */
        return NULL;
    }
    rd_kafka_error_destroy(rd_kafka_sasl_background_callbacks_enable(kafka)); /* NULL on success */
    return kafka;
}

static int print_cluster(rd_kafka_t *kafka) {
    const struct rd_kafka_metadata *cluster = NULL;
    rd_kafka_resp_err_t failed = rd_kafka_metadata(kafka, 1, NULL, &cluster, METADATA_TIMEOUT_MS);
    rd_kafka_poll(kafka, 0);
    if (failed) {
        fprintf(stderr, "%s\n", rd_kafka_err2str(failed));
        return 1;
    }
    for (int i = 0; i < cluster->broker_cnt; i++) printf("broker %s:%d\n", cluster->brokers[i].host, cluster->brokers[i].port);
    for (int i = 0; i < cluster->topic_cnt; i++) printf("topic %s\n", cluster->topics[i].topic);
    rd_kafka_metadata_destroy(cluster);
    return 0;
}

int main(int argc, char **argv) {
    const char *string = getenv("AUTHGRANT_CONNECTION_STRING");
    authgrant_connection *connection = NULL;
    authgrant_error *error = NULL;
    int failed = 1;

    if (argc < 2 || string == NULL) {
        fprintf(stderr, "usage: AUTHGRANT_CONNECTION_STRING='...' %s PROPERTY=VALUE...\n", argv[0]);
        return 2;
    }
    if (authgrant_open(string, &connection, &error) == AUTHGRANT_OK) {
        rd_kafka_t *kafka = new_client(connection, argc - 1, argv + 1);
        if (kafka != NULL) {
            failed = print_cluster(kafka);
            rd_kafka_destroy(kafka);
        }
    } else {
        fprintf(stderr, "%s %s\n", authgrant_error_sqlstate(error), authgrant_error_message(error));
    }
    authgrant_error_free(error);
    authgrant_close(connection);
    return failed;
}
