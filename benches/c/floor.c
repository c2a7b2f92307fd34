/*
 * The floor: a minimal implementation with OpenSSL and libcurl as lower bound. It parses the key once, reuses the connection
 * and searches the response for the token; it has no cache, deadline, cancellation or error reports. `floor first STORE`
 * opens the store, fetches one token and prints the time since the start of main; without arguments it reads commands
 * (bench.h).
 */
#define _GNU_SOURCE
#include "bench.h"
#include "store.h"

#include <curl/curl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- baseline of a cached read: a clock and two atomic adds */

static void tick(void *counter, int steps) {
    atomic_long *count = counter;
    struct timespec now;

    for (int i = 0; i < steps; i++) {
        clock_gettime(CLOCK_REALTIME, &now);
        atomic_fetch_add(count, 1);
        atomic_fetch_add(count, -1);
    }
}

/* One counter for all threads, or one per thread in separate cache lines. */
static void run_ticks(int threads, int equal, int milliseconds) {
    void **contexts = calloc((size_t)threads, sizeof *contexts);
    char *counters = aligned_alloc(128, (size_t)threads * 128);
    struct load load = {tick, contexts, threads, milliseconds};

    memset(counters, 0, (size_t)threads * 128);
    for (int i = 0; i < threads; i++) contexts[i] = counters + (equal ? i * 128 : 0);
    run_load(&load);
    free(counters);
    free(contexts);
}

/* ---- a signed assertion with the same claims as authgrant */

struct fetcher {
    EVP_PKEY_CTX *signer;
    CURL *curl;
    const char *url;
    char subject[32];
    char response[8192];
    size_t received;
};

static size_t encode(const unsigned char *bytes, size_t length, char *text) {
    int written = EVP_EncodeBlock((unsigned char *)text, bytes, (int)length);

    for (int i = 0; i < written; i++) {
        if (text[i] == '+') text[i] = '-';
        if (text[i] == '/') text[i] = '_';
    }
    while (written > 0 && text[written - 1] == '=') written--;
    return (size_t)written;
}

static EVP_PKEY_CTX *create_signer(EVP_PKEY *key) {
    EVP_PKEY_CTX *signer = EVP_PKEY_CTX_new(key, NULL);

    if (signer == NULL || EVP_PKEY_sign_init(signer) <= 0 || EVP_PKEY_CTX_set_rsa_padding(signer, RSA_PKCS1_PADDING) <= 0 ||
        EVP_PKEY_CTX_set_signature_md(signer, EVP_sha256()) <= 0)
        die("the key cannot sign");
    return signer;
}

static size_t make_assertion(struct fetcher *fetcher, char *text) {
    static const char header[] = "{\"alg\":\"RS256\",\"typ\":\"JWT\"}";
    unsigned char random[16], digest[32], signature[512];
    size_t length, signed_length = sizeof signature;
    char claims[1024], id[32];
    long now = (long)time(NULL);

    RAND_bytes(random, sizeof random);
    id[encode(random, sizeof random, id)] = 0;
    snprintf(claims, sizeof claims,
             "{\"iss\":\"1a2b3c4d5e_6f7g8h9g\",\"sub\":\"%s\",\"aud\":\"%s\",\"scope\":\"signature impersonation\","
             "\"iat\":%ld,\"exp\":%ld,\"jti\":\"%s\"}",
             fetcher->subject, fetcher->url, now - 5, now + 295, id);
    length = encode((const unsigned char *)header, sizeof header - 1, text);
    text[length++] = '.';
    length += encode((const unsigned char *)claims, strlen(claims), text + length);
    SHA256((const unsigned char *)text, length, digest);
    if (EVP_PKEY_sign(fetcher->signer, signature, &signed_length, digest, sizeof digest) <= 0) die("sign");
    text[length++] = '.';
    length += encode(signature, signed_length, text + length);
    text[length] = 0;
    return length;
}

/* ---- token request */

static size_t receive(char *bytes, size_t size, size_t count, void *context) {
    struct fetcher *fetcher = context;
    size_t length = size * count;

    if (fetcher->received + length >= sizeof fetcher->response) return 0;
    memcpy(fetcher->response + fetcher->received, bytes, length);
    fetcher->received += length;
    return length;
}

static void connect_to(struct fetcher *fetcher, EVP_PKEY *key) {
    static struct curl_slist *headers;
    char *ca = fixture_file("ca.pem");
    CURL *curl = curl_easy_init();

    if (headers == NULL) headers = curl_slist_append(NULL, "Accept: application/json");
    fetcher->url = endpoint("floo");
    fetcher->signer = create_signer(key);
    strcpy(fetcher->subject, "jsmith@example.com");
    curl_easy_setopt(curl, CURLOPT_URL, fetcher->url);
    curl_easy_setopt(curl, CURLOPT_CAINFO, ca);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, fetcher);
    fetcher->curl = curl;
    free(ca);
}

static int fetch(void *context) {
    static const char grant[] = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
    struct fetcher *fetcher = context;
    char body[4096];
    const char *token;

    memcpy(body, grant, sizeof grant);
    curl_easy_setopt(fetcher->curl, CURLOPT_POSTFIELDSIZE,
                     (long)(sizeof grant - 1 + make_assertion(fetcher, body + sizeof grant - 1)));
    curl_easy_setopt(fetcher->curl, CURLOPT_POSTFIELDS, body);
    fetcher->received = 0;
    if (curl_easy_perform(fetcher->curl) != CURLE_OK) return 1;
    fetcher->response[fetcher->received] = 0;
    token = strstr(fetcher->response, "\"access_token\":\"");
    return token == NULL || strchr(token + 16, '"') == NULL;
}

/* ---- many users; each thread has its own connection */

struct users {
    struct fetcher fetcher;
    int first_user, count;
};

static pthread_barrier_t start_barrier;

static void *impersonate(void *argument) {
    struct users *users = argument;

    pthread_barrier_wait(&start_barrier);
    for (int i = 0; i < users->count; i++) {
        snprintf(users->fetcher.subject, sizeof users->fetcher.subject, "user%05d@example.com", users->first_user + i);
        if (fetch(&users->fetcher) != 0) die("fetch");
    }
    return NULL;
}

static void run_users(EVP_PKEY *key, int threads, int count) {
    pthread_t *thread_ids = calloc((size_t)threads, sizeof *thread_ids);
    struct users *users = calloc((size_t)threads, sizeof *users);
    int64_t started, cpu_start, elapsed, used;

    pthread_barrier_init(&start_barrier, NULL, (unsigned)threads + 1);
    for (int i = 0; i < threads; i++) {
        users[i].first_user = i * (count / threads);
        users[i].count = count / threads;
        connect_to(&users[i].fetcher, key);
        if (fetch(&users[i].fetcher) != 0) die("fetch");
        if (pthread_create(&thread_ids[i], NULL, impersonate, &users[i]) != 0) die("pthread_create");
    }
    cpu_start = process_ns();
    started = wall_ns();
    pthread_barrier_wait(&start_barrier);
    for (int i = 0; i < threads; i++) pthread_join(thread_ids[i], NULL);
    elapsed = wall_ns() - started;
    used = process_ns() - cpu_start;
    printf("%.1f %ld\n", count * 1e9 / (double)elapsed, (long)(used / count));
    pthread_barrier_destroy(&start_barrier);
    for (int i = 0; i < threads; i++) curl_easy_cleanup(users[i].fetcher.curl);
    free(users);
    free(thread_ids);
}

/* ---- */

static int run_first(const char *store) {
    static struct fetcher fetcher;
    int64_t started = wall_ns();

    curl_global_init(CURL_GLOBAL_ALL);
    connect_to(&fetcher, load_store_key(store, "secret"));
    if (fetch(&fetcher) != 0) die("fetch");
    printf("%ld\n", (long)(wall_ns() - started));
    return 0;
}

static EVP_PKEY *load_pem_key(void) {
    char *name = fixture_file("rsa.pem");
    FILE *file = fopen(name, "r");
    EVP_PKEY *key = file == NULL ? NULL : PEM_read_PrivateKey(file, NULL, NULL, NULL);

    if (key == NULL) die("rsa.pem");
    fclose(file);
    free(name);
    return key;
}

int main(int argc, char **argv) {
    static struct fetcher fetcher;
    static atomic_long counter;
    char line[256];
    int a, b;
    EVP_PKEY *key;

    if (argc == 3 && strcmp(argv[1], "first") == 0) return run_first(argv[2]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    curl_global_init(CURL_GLOBAL_ALL);
    key = load_pem_key();
    connect_to(&fetcher, key);
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (sscanf(line, "read %d one %d", &a, &b) == 2) run_ticks(a, 0, b);
        else if (sscanf(line, "read %d equal %d", &a, &b) == 2) run_ticks(a, 1, b);
        else if (sscanf(line, "steps %d", &a) == 1) { tick(&counter, a); puts("0"); }
        else if (sscanf(line, "fetch %d", &a) == 1) run_each(a, fetch, &fetcher);
        else if (sscanf(line, "users %d %d", &a, &b) == 2) run_users(key, a, b);
        else printf("error %s", line);
    }
    return 0;
}
