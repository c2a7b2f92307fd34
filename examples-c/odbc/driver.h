/* An ODBC driver that reads the rows of REST endpoints, with authgrant for the access token. docs/odbc-driver-authors.md explains it.
 *
 * Files: grant.c is all that concerns authgrant. handles.c allocates handles; connect.c, attributes.c, statement.c, catalog.c, info.c and
 * diagnostics.c have the ODBC functions of these names; rest.c sends requests; rows.c has the rows, convert.c their conversion to C types;
 * text.c has text in both encodings of ODBC.
 *
 * Every ODBC function with text exists twice: SQLxxx with SQLCHAR, which is UTF-8 here, and SQLxxxW with SQLWCHAR, which has 2 bytes in
 * unixODBC and 4 in iODBC. Both call one function, with the size of a unit as the last argument. No function of the driver calls an
 * exported one, because the name could be bound to that of the driver manager. */
#ifndef DRIVER_H
#define DRIVER_H

#define _POSIX_C_SOURCE 200809L
#define SQL_NOUNICODEMAP
#include <sql.h>
#include <sqlext.h>
#include <sqlucode.h>

#include <curl/curl.h>
#include <jansson.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "authgrant.h"

/* Keywords of the driver in connection strings; the others are options of authgrant. */
#define KEYWORD_REST_URL "RestURL"
#define KEYWORD_TABLES "Tables"
#define KEYWORD_PAGE_SIZE "PageSize"

/* ---- diagnostics */

typedef struct diagnostic {
    char state[6];
    SQLINTEGER native;
    char *message;
    struct diagnostic *next;
} diagnostic;

/* The beginning of every handle. Each ODBC function of the handle holds its lock, except SQLCancel. A function of a statement may lock its
 * connection, but not the other way round. */
typedef struct handle {
    SQLSMALLINT kind; /* SQL_HANDLE_ENV, SQL_HANDLE_DBC or SQL_HANDLE_STMT; 0 after it is freed */
    pthread_mutex_t lock;
    diagnostic *records;
    SQLRETURN result;
} handle;

/* Locks a handle, and forgets its diagnostics. Returns NULL if it is not of this kind. */
handle *enter(void *pointer, SQLSMALLINT kind);
/* Unlocks it. Returns the result of the ODBC function: SQL_SUCCESS_WITH_INFO if a success has diagnostics. */
SQLRETURN leave(handle *h, SQLRETURN result);
/* Appends a diagnostic record with the text `[authgrant][rest driver] message`. Returns SQL_ERROR. */
SQLRETURN post(handle *h, const char *state, const char *format, ...);
/* The same with a whole message and a native code. */
SQLRETURN post_native(handle *h, const char *state, SQLINTEGER native, const char *message);
void forget_diagnostics(handle *h);

/* ---- cancel */

/* What SQLCancel of a statement, or SQLCancelHandle of a connection, stops: a call of authgrant by its cancel token, and a transfer of
 * libcurl by a wakeup. Its lock is held for moments only. */
typedef struct canceller {
    pthread_mutex_t lock;
    authgrant_cancel_token *token;
    CURLM *transfer; /* in progress; otherwise NULL */
    int cancelled;
} canceller;

int canceller_init(canceller *c);
void canceller_destroy(canceller *c);
/* At the beginning of a function: what was cancelled before does not count. */
void canceller_reset(canceller *c);
void canceller_cancel(canceller *c);
int canceller_is_cancelled(canceller *c);
void canceller_set_transfer(canceller *c, CURLM *transfer);

/* ---- handles */

typedef struct environment {
    handle base;
    SQLINTEGER odbc_version;
} environment;

typedef struct connection {
    handle base;
    canceller canceller;
    authgrant_connection *grant; /* NULL unless connected or browsing */
    struct statement *statements;
    char *rest_url;     /* RestURL, without a slash at the end */
    char *tables;       /* Tables; "" if it is not set */
    long page_size;     /* PageSize; 0 for none */
    char *trust_store;  /* TrustStore of authgrant, which libcurl uses too; NULL for the system's */
    char *browse_text;  /* what SQLBrowseConnect got so far */
    char *access_token; /* attribute 1256, until it connects */
    char *credentials;  /* attribute 122 */
    int connected;
    int dead;            /* SQL_ATTR_CONNECTION_DEAD */
    long login_timeout;  /* SQL_ATTR_LOGIN_TIMEOUT in seconds; -1 if it is not set */
    long timeout;        /* SQL_ATTR_CONNECTION_TIMEOUT in seconds; 0 for none */
    SQLULEN autocommit, access_mode;
} connection;

typedef struct column {
    char *name;
    SQLSMALLINT type;
    SQLULEN size;
} column;

typedef struct catalog_column {
    const char *name;
    SQLSMALLINT type;
} catalog_column;

/* Rows of a table, page by page, or those of a catalog function. */
typedef struct row_set {
    column *columns;
    size_t column_count;
    json_t *rows;    /* array of objects */
    size_t next_row; /* of `rows` */
    char *url;       /* where more rows come from; NULL if there are none */
    size_t offset;   /* rows before `rows` */
} row_set;

typedef struct binding {
    SQLSMALLINT c_type;
    void *buffer;
    SQLLEN capacity;
    SQLLEN *indicator;
} binding;

/* The rest of a value that SQLGetData returns in parts. */
typedef struct parts {
    size_t column; /* from 1; 0 for none */
    SQLSMALLINT c_type;
    char *bytes;
    size_t length, offset;
} parts;

typedef struct statement {
    handle base;
    handle descriptors[4]; /* iODBC requires them, and does no more than ask for them; they have no fields */
    canceller canceller;
    connection *dbc;
    struct statement *next;
    char *table;   /* of the prepared SELECT; NULL for none */
    char *columns; /* its column list, separated by tabs; NULL for * */
    row_set *rows;
    json_t *row; /* the current one; belongs to the row_set */
    SQLULEN row_number;
    binding *bindings;
    size_t binding_count;
    parts parts;
    SQLULEN query_timeout, max_rows; /* 0 for none */
    SQLULEN *rows_fetched;
    SQLUSMALLINT *row_status;
    CURL *curl;
    CURLM *transfers; /* keeps the network connection between requests */
} statement;

#define ENTER(type, name, pointer, kind)                      \
    type *name = (type *)(void *)enter((pointer), (kind));    \
    if (name == NULL) return SQL_INVALID_HANDLE
#define ENTER_DBC(name, pointer) ENTER(connection, name, pointer, SQL_HANDLE_DBC)
#define ENTER_STMT(name, pointer)                 \
    ENTER(statement, name, pointer, SQL_HANDLE_STMT); \
    canceller_reset(&name->canceller)

void free_statement(statement *s);
void free_connection_state(connection *dbc);
void connection_set_dead(connection *dbc, int dead);

/* ---- text */

/* Copies text of the application as UTF-8, to be released with text_free(). `length` is in units, or SQL_NTS. Posts an error and returns
 * NULL if it is no text. NULL is "". */
char *text_in(handle *h, const void *text, SQLLEN length, size_t unit);
/* Overwrites text and releases it. NULL is ignored. */
void text_free(char *text);

/* Where text for the application goes. `capacity` and what is written to the length pointers are in bytes if `in_bytes`, else in units. */
typedef struct target {
    void *buffer;
    SQLLEN capacity;
    size_t unit;
    int in_bytes;
    SQLSMALLINT *length;
    SQLINTEGER *long_length;
} target;

/* Writes text; posts 01004 if it had to be truncated. */
SQLRETURN text_out(handle *h, const char *text, target to);
/* The same without a diagnostic: SQL_SUCCESS or SQL_SUCCESS_WITH_INFO. */
SQLRETURN text_out_silently(const char *text, target to);

int same_name(const char *a, const char *b);
char *copy_text(const char *text);
char *format_text(const char *format, ...);

/* ---- time */

/* The end of a function of the application, and the SQLSTATE if it passes. */
typedef struct deadline {
    int64_t at_ms; /* of the monotonic clock; INT64_MAX for none */
    const char *state;
} deadline;

deadline statement_deadline(const statement *s);
int32_t remaining_ms(const deadline *d); /* at least 1, at most INT32_MAX */

/* ---- authgrant: grant.c */

SQLRETURN grant_open(connection *dbc, const char *text);
SQLRETURN grant_log_in(connection *dbc, SQLUSMALLINT completion);
/* Text of the options that is still needed (SQLBrowseConnect), to be released with authgrant_string_free(); NULL if it is complete. */
SQLRETURN grant_browse(connection *dbc, char **request);
SQLRETURN grant_completed_string(connection *dbc, char **text);
/* The headers of a request, to be released with authgrant_headers_free(). */
SQLRETURN grant_headers(statement *s, const char *url, const deadline *end, authgrant_headers **headers);
void grant_reject(connection *dbc, const authgrant_headers *headers);
/* Replaces the access token by that in a connection string (attributes 122 and 123). */
SQLRETURN grant_replace_token(connection *dbc, const char *text);
/* `keyword=value;` with the value quoted, to be released with text_free(). */
char *grant_keyword(const char *keyword, const char *value);

/* ---- requests and rows */

/* Sends a GET request with the token, and once more with another token after a 401. Returns the JSON array of the response. */
SQLRETURN rest_get(statement *s, const char *url, json_t **rows);

/* Opens the rows of a table; their columns follow from the first page. */
SQLRETURN row_set_open_table(statement *s, const char *table, const char *columns, row_set **out);
/* The rows of a catalog function; takes the reference to `rows`. */
row_set *row_set_of_rows(const catalog_column *columns, size_t count, json_t *rows);
/* The next row, or NULL at the end. Reads the next page if necessary. */
SQLRETURN row_set_next(statement *s, row_set *r, json_t **row);
void row_set_free(row_set *r);

/* Text of a JSON value, to be released with free(). */
char *json_text(const json_t *value);
/* Converts a value to the C type of a bound column; for SQLGetData with the rest of the value. */
SQLRETURN convert(statement *s, const json_t *value, SQLSMALLINT type, const binding *to, parts *rest);
void parts_reset(parts *p);

/* What is known about an SQL type. */
typedef struct sql_type {
    SQLSMALLINT type;
    const char *name;
    SQLSMALLINT c_type;
    SQLULEN size;         /* column size; 0 if the column knows it */
    SQLLEN octet_length;  /* 0: by the column size */
    SQLLEN display_size;  /* 0: the column size */
    int is_text, is_signed;
} sql_type;

extern const sql_type known_types[];
extern const size_t known_type_count;
const sql_type *find_sql_type(SQLSMALLINT type);

#endif
