/* Loads the driver without a driver manager, for what managers hide. Usage: direct DRIVER TEST,... CONNECTION_STRING [TEXT]
 *
 * Compiled with MANAGER, it is linked with a driver manager, which finds the driver by the connection string; DRIVER is then ignored.
 *
 * Every function with text is called in both forms, with SQLCHAR and with SQLWCHAR of the manager whose headers this is compiled with. */
#define _POSIX_C_SOURCE 200809L
#define SQL_NOUNICODEMAP
#include <dlfcn.h>
#include <pthread.h>
#include <sql.h>
#include <sqlext.h>
#include <sqlucode.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../c/check.h"

enum { CAPACITY = 2048 };

static void *driver;
static SQLHENV env;
static SQLHDBC dbc;

/* Calls a function of the driver by its name, with the type of its declaration. */
#ifdef MANAGER
#define IS_IODBC (sizeof(SQLWCHAR) == 4)
#define CALL(name, ...) name(__VA_ARGS__)
#else
#define IS_IODBC 0
#define CALL(name, ...) (((__typeof__(&name))dlsym(driver, #name))(__VA_ARGS__))
#endif

/* ASCII as SQLWCHAR, in one of some static buffers. */
static SQLWCHAR *wide(const char *text) {
    static SQLWCHAR buffers[4][CAPACITY];
    static int next;
    SQLWCHAR *buffer = buffers[next++ % 4];
    size_t i = 0;
    for (; text[i] != '\0' && i + 1 < CAPACITY; i++) buffer[i] = (SQLWCHAR)(unsigned char)text[i];
    buffer[i] = 0;
    return buffer;
}

static int equal(const SQLWCHAR *text, const char *expected) {
    size_t i = 0;
    while (expected[i] != '\0' && text[i] == (SQLWCHAR)(unsigned char)expected[i]) i++;
    return expected[i] == '\0' && text[i] == 0;
}

static void narrow(const SQLWCHAR *text, char *ascii) {
    while (*text != 0) *ascii++ = (char)*text++;
    *ascii = '\0';
}

static size_t wide_length(const SQLWCHAR *text) {
    size_t length = 0;
    while (text[length] != 0) length++;
    return length;
}

/* The first diagnostic record of a handle; "" if there is none. Both forms must agree. iODBC writes no state without the text. */
static const char *state_of(SQLSMALLINT kind, SQLHANDLE handle) {
    static SQLCHAR state[6];
    SQLWCHAR wide_state[6] = {0}, wide_message[CAPACITY];
    SQLCHAR message[CAPACITY];
    SQLINTEGER native;
    SQLSMALLINT length;
    state[0] = '\0';
    CALL(SQLGetDiagRec, kind, handle, 1, state, &native, message, CAPACITY, &length);
    CALL(SQLGetDiagRecW, kind, handle, 1, wide_state, &native, wide_message, CAPACITY, &length);
    CHECK(equal(wide_state, (const char *)state));
    return (const char *)state;
}

#define CHECK_STATE(kind, handle, expected) CHECK(strcmp(state_of((kind), (handle)), (expected)) == 0)

static void allocate(void) {
    CHECK(CALL(SQLAllocHandle, SQL_HANDLE_ENV, SQL_NULL_HANDLE, &env) == SQL_SUCCESS);
    CHECK(CALL(SQLSetEnvAttr, env, SQL_ATTR_ODBC_VERSION, (SQLPOINTER)SQL_OV_ODBC3, 0) == SQL_SUCCESS);
    CHECK(CALL(SQLAllocHandle, SQL_HANDLE_DBC, env, &dbc) == SQL_SUCCESS);
}

static void release(void) {
    CHECK(CALL(SQLFreeHandle, SQL_HANDLE_DBC, dbc) == SQL_SUCCESS);
    CHECK(CALL(SQLFreeHandle, SQL_HANDLE_ENV, env) == SQL_SUCCESS);
}

static SQLRETURN connect_string(const char *string) {
    return CALL(SQLDriverConnect, dbc, NULL, (SQLCHAR *)string, SQL_NTS, NULL, 0, NULL, SQL_DRIVER_NOPROMPT);
}

static SQLHSTMT new_statement(void) {
    SQLHSTMT statement = SQL_NULL_HSTMT;
    CHECK(CALL(SQLAllocHandle, SQL_HANDLE_STMT, dbc, &statement) == SQL_SUCCESS);
    return statement;
}

static SQLRETURN query(SQLHSTMT statement, const char *sql) { return CALL(SQLExecDirect, statement, (SQLCHAR *)sql, SQL_NTS); }

/* ---- tests */

/* The driver reads odbc.ini itself. */
static void unknown_dsn(const char *string, const char *dsn) {
    SQLCHAR message[CAPACITY];
    SQLINTEGER native = 0;
    (void)string;
    CHECK(CALL(SQLConnect, dbc, (SQLCHAR *)dsn, SQL_NTS, NULL, 0, NULL, 0) == SQL_ERROR);
    CHECK_STATE(SQL_HANDLE_DBC, dbc, "IM002");
    CHECK(CALL(SQLGetDiagRec, SQL_HANDLE_DBC, dbc, 1, NULL, &native, message, CAPACITY, NULL) == SQL_SUCCESS);
    CHECK(native == 5 && strstr((char *)message, dsn) != NULL);
    CHECK(CALL(SQLConnectW, dbc, wide(dsn), SQL_NTS, NULL, 0, NULL, 0) == SQL_ERROR);
    CHECK_STATE(SQL_HANDLE_DBC, dbc, "IM002");
}

/* The out string opens the connection again. */
static void out_string(const char *string, const char *unused) {
    SQLCHAR out[CAPACITY], again[CAPACITY];
    SQLWCHAR wide_out[CAPACITY];
    SQLSMALLINT length = 0, wide_length_out = 0, again_length = 0;
    (void)unused;
    CHECK(CALL(SQLDriverConnect, dbc, NULL, (SQLCHAR *)string, SQL_NTS, out, CAPACITY, &length, SQL_DRIVER_NOPROMPT) == SQL_SUCCESS);
    CHECK(length == (SQLSMALLINT)strlen((char *)out) && length > 0);
    CHECK(CALL(SQLDisconnect, dbc) == SQL_SUCCESS);
    CHECK(CALL(SQLDriverConnect, dbc, NULL, out, length, again, CAPACITY, &again_length, SQL_DRIVER_NOPROMPT) == SQL_SUCCESS);
    CHECK(strcmp((char *)again, (char *)out) == 0);
    CHECK(CALL(SQLDisconnect, dbc) == SQL_SUCCESS);
    CHECK(CALL(SQLDriverConnectW, dbc, NULL, wide(string), SQL_NTS, wide_out, CAPACITY, &wide_length_out, SQL_DRIVER_NOPROMPT)
          == SQL_SUCCESS);
    CHECK(equal(wide_out, (char *)out));
    if (!IS_IODBC) CHECK(wide_length_out == (SQLSMALLINT)wide_length(wide_out)); /* iODBC returns bytes */
    CHECK(CALL(SQLDisconnect, dbc) == SQL_SUCCESS);
}

/* Too small a buffer is 01004, with the whole length. */
static void truncated_out_string(const char *string, const char *unused) {
    SQLCHAR out[CAPACITY], part[10];
    SQLWCHAR wide_part[10];
    SQLSMALLINT length = 0, part_length = 0;
    (void)unused;
    CHECK(CALL(SQLDriverConnect, dbc, NULL, (SQLCHAR *)string, SQL_NTS, out, CAPACITY, &length, SQL_DRIVER_NOPROMPT) == SQL_SUCCESS);
    CHECK(CALL(SQLDisconnect, dbc) == SQL_SUCCESS);
    CHECK(CALL(SQLDriverConnect, dbc, NULL, (SQLCHAR *)string, SQL_NTS, part, sizeof part, &part_length, SQL_DRIVER_NOPROMPT)
          == SQL_SUCCESS_WITH_INFO);
    CHECK_STATE(SQL_HANDLE_DBC, dbc, "01004");
    CHECK(part_length == length && strlen((char *)part) == 9 && strncmp((char *)part, (char *)out, 9) == 0);
    CHECK(CALL(SQLDisconnect, dbc) == SQL_SUCCESS);
    CHECK(CALL(SQLDriverConnectW, dbc, NULL, wide(string), SQL_NTS, wide_part, 10, &part_length, SQL_DRIVER_NOPROMPT)
          == SQL_SUCCESS_WITH_INFO);
    CHECK_STATE(SQL_HANDLE_DBC, dbc, "01004");
    CHECK(part_length == length && wide_length(wide_part) == 9);
    CHECK(CALL(SQLDisconnect, dbc) == SQL_SUCCESS);
}

/* An empty user and password do not replace those of the data source, about whose password grant there is a warning. */
static void empty_user(const char *string, const char *dsn) {
    (void)string;
    CHECK(SQL_SUCCEEDED(CALL(SQLConnect, dbc, (SQLCHAR *)dsn, SQL_NTS, (SQLCHAR *)"", SQL_NTS, (SQLCHAR *)"", 0)));
    CHECK(CALL(SQLDisconnect, dbc) == SQL_SUCCESS);
    CHECK(SQL_SUCCEEDED(CALL(SQLConnectW, dbc, wide(dsn), SQL_NTS, wide(""), SQL_NTS, wide(""), 0)));
    CHECK(CALL(SQLDisconnect, dbc) == SQL_SUCCESS);
}

/* The data source has another RestURL. */
static void refused_url(const char *string, const char *unused) {
    (void)unused;
    CHECK(connect_string(string) == SQL_ERROR);
    CHECK_STATE(SQL_HANDLE_DBC, dbc, "HY024");
}

static void accepted_url(const char *string, const char *unused) {
    (void)unused;
    CHECK(SQL_SUCCEEDED(connect_string(string)));
    SQLHSTMT statement = new_statement();
    CHECK(query(statement, "SELECT * FROM countries") == SQL_SUCCESS);
    CHECK(CALL(SQLDisconnect, dbc) == SQL_SUCCESS);
}

/* What authgrant warns about is a record of a connect that succeeds. */
static void warnings(const char *string, const char *unused) {
    char misspelt[CAPACITY];
    (void)unused;
    snprintf(misspelt, sizeof misspelt, "%sTabels=countries;", string);
    CHECK(connect_string(misspelt) == SQL_SUCCESS_WITH_INFO);
    if (!IS_IODBC) CHECK_STATE(SQL_HANDLE_DBC, dbc, "01S00"); /* iODBC calls SQLGetInfo before it returns */
    CHECK(CALL(SQLDisconnect, dbc) == SQL_SUCCESS);
}

/* `string` lacks what the comma-separated `answers` supply, one per call. */
static void browse(const char *string, const char *answers) {
    SQLCHAR out[CAPACITY];
    SQLWCHAR wide_out[CAPACITY];
    SQLSMALLINT length = 0;
    char copy[CAPACITY], *answer;
    for (int is_wide = 0; is_wide < 2; is_wide++) {
        strcpy(copy, answers);
        const char *next = string;
        char *rest = copy;
        for (;;) {
            SQLRETURN result = is_wide ? CALL(SQLBrowseConnectW, dbc, wide(next), SQL_NTS, wide_out, CAPACITY, &length)
                                       : CALL(SQLBrowseConnect, dbc, (SQLCHAR *)next, SQL_NTS, out, CAPACITY, &length);
            answer = rest;
            rest = answer != NULL ? strchr(answer, ',') : NULL;
            if (rest != NULL) *rest++ = '\0';
            if (answer == NULL) {
                CHECK(result == SQL_SUCCESS);
                break;
            }
            char name[64] = {0};
            strncpy(name, answer, strcspn(answer, "="));
            CHECK(result == SQL_NEED_DATA);
            if (result != SQL_NEED_DATA) break;
            if (is_wide) narrow(wide_out, (char *)out);
            /* iODBC converts no ANSI request string. */
            if (is_wide || !IS_IODBC) CHECK(strstr((char *)out, name) != NULL && strstr((char *)out, "=?") != NULL);
            next = answer;
        }
        SQLHSTMT statement = new_statement();
        CHECK(query(statement, "SELECT name FROM countries") == SQL_SUCCESS);
        CHECK(CALL(SQLDisconnect, dbc) == SQL_SUCCESS);
    }
    /* An error ends the browsing. */
    CHECK(CALL(SQLBrowseConnect, dbc, (SQLCHAR *)string, SQL_NTS, out, CAPACITY, NULL) == SQL_NEED_DATA);
    CHECK(CALL(SQLDisconnect, dbc) == SQL_SUCCESS);
    CHECK(CALL(SQLDisconnect, dbc) == SQL_ERROR);
    CHECK_STATE(SQL_HANDLE_DBC, dbc, "08003");
}

/* With SQL_DRIVER_NOPROMPT the error has the URL; with SQL_DRIVER_PROMPT the browser opens it. */
static void prompt(const char *string, const char *url) {
    SQLCHAR message[CAPACITY];
    CHECK(connect_string(string) == SQL_ERROR);
    CHECK_STATE(SQL_HANDLE_DBC, dbc, "28000");
    CHECK(CALL(SQLGetDiagRec, SQL_HANDLE_DBC, dbc, 1, NULL, NULL, message, CAPACITY, NULL) == SQL_SUCCESS);
    CHECK(strstr((char *)message, url) != NULL);
    CHECK(CALL(SQLDriverConnect, dbc, NULL, (SQLCHAR *)string, SQL_NTS, NULL, 0, NULL, SQL_DRIVER_PROMPT) == SQL_SUCCESS);
    CHECK(CALL(SQLDisconnect, dbc) == SQL_SUCCESS);
}

static void *connect_in_thread(void *string) {
    CHECK(connect_string(string) == SQL_ERROR);
    CHECK_STATE(SQL_HANDLE_DBC, dbc, "HY008");
    return NULL;
}

/* The token endpoint does not answer. Standard input says that the request has arrived. */
static void cancel_login(const char *string, const char *unused) {
    pthread_t thread;
    (void)unused;
    CHECK(pthread_create(&thread, NULL, connect_in_thread, (void *)string) == 0);
    CHECK(getchar() == '\n');
    CHECK(((SQLRETURN(*)(SQLSMALLINT, SQLHANDLE))dlsym(driver, "SQLCancelHandle"))(SQL_HANDLE_DBC, dbc) == SQL_SUCCESS);
    pthread_join(thread, NULL);
}

/* SQLCancel without a function in progress has no effect on the next one. */
static void cancel_idle(const char *string, const char *unused) {
    (void)unused;
    CHECK(connect_string(string) == SQL_SUCCESS);
    SQLHSTMT statement = new_statement();
    CHECK(CALL(SQLCancel, statement) == SQL_SUCCESS);
    CHECK(query(statement, "SELECT * FROM countries") == SQL_SUCCESS);
#ifndef MANAGER /* managers regard the rows as cancelled */
    CHECK(CALL(SQLCancel, statement) == SQL_SUCCESS);
#endif
    CHECK(CALL(SQLFetch, statement) == SQL_SUCCESS);
    CHECK(CALL(SQLCancel, SQL_NULL_HSTMT) == SQL_INVALID_HANDLE);
    CHECK(CALL(SQLDisconnect, dbc) == SQL_SUCCESS);
}

/* Text in parts, in both encodings, and 01004 with what is left. */
static void long_text(const char *string, const char *unused) {
    SQLCHAR part[100];
    SQLWCHAR wide_part[100];
    SQLLEN left = 0;
    size_t bytes = 0, units = 0;
    SQLRETURN result;
    (void)unused;
    CHECK(connect_string(string) == SQL_SUCCESS);
    SQLHSTMT statement = new_statement();
    CHECK(query(statement, "SELECT text FROM long") == SQL_SUCCESS);
    CHECK(CALL(SQLFetch, statement) == SQL_SUCCESS);
    CHECK(CALL(SQLGetData, statement, 1, SQL_C_CHAR, part, sizeof part, &left) == SQL_SUCCESS_WITH_INFO);
    CHECK(left == 10000);
    CHECK_STATE(SQL_HANDLE_STMT, statement, "01004");
    for (bytes = strlen((char *)part); SQL_SUCCEEDED(CALL(SQLGetData, statement, 1, SQL_C_CHAR, part, sizeof part, &left));) {
        bytes += strlen((char *)part);
    }
    CHECK(bytes == 10000);
    for (int i = 0; SQL_SUCCEEDED(result = CALL(SQLGetData, statement, 1, SQL_C_WCHAR, wide_part, sizeof wide_part, &left)); i++) {
        CHECK(i > 0 || left == 5000 * (SQLLEN)sizeof(SQLWCHAR));
        CHECK(wide_part[0] == 0xE4);
        units += wide_length(wide_part);
    }
    CHECK(result == SQL_NO_DATA && units == 5000);
    CHECK(CALL(SQLFetch, statement) == SQL_NO_DATA);
    CHECK(CALL(SQLDisconnect, dbc) == SQL_SUCCESS);
}

/* A value in every C type. */
static void c_types(const char *string, const char *unused) {
    signed char tiny = 0;
    SQLSMALLINT small = 0;
    SQLINTEGER integer = 0;
    SQLBIGINT big = 0;
    SQLDOUBLE real = 0;
    SQLREAL single = 0;
    unsigned char bit = 9;
    SQLLEN length = 0, null = 0;
    SQLCHAR text[30];
    (void)unused;
    CHECK(connect_string(string) == SQL_SUCCESS);
    SQLHSTMT statement = new_statement();
    CHECK(query(statement, "SELECT people, area, euro FROM countries;") == SQL_SUCCESS);
    CHECK(CALL(SQLBindCol, statement, 1, SQL_C_SBIGINT, &big, 0, &null) == SQL_SUCCESS);
    CHECK(CALL(SQLFetch, statement) == SQL_SUCCESS);
    CHECK(big == 83000000 && null == sizeof big);
    CHECK(CALL(SQLGetData, statement, 1, SQL_C_SLONG, &integer, 0, &length) == SQL_SUCCESS && integer == 83000000);
    CHECK(CALL(SQLGetData, statement, 1, SQL_C_SSHORT, &small, 0, &length) == SQL_ERROR);
    CHECK_STATE(SQL_HANDLE_STMT, statement, "22003");
    CHECK(CALL(SQLGetData, statement, 1, SQL_C_STINYINT, &tiny, 0, &length) == SQL_ERROR);
    CHECK(CALL(SQLGetData, statement, 2, SQL_C_DOUBLE, &real, 0, &length) == SQL_SUCCESS && real == 357592.5);
    CHECK(CALL(SQLGetData, statement, 2, SQL_C_FLOAT, &single, 0, &length) == SQL_SUCCESS && single == 357592.5F);
    CHECK(CALL(SQLGetData, statement, 2, SQL_C_SLONG, &integer, 0, &length) == SQL_SUCCESS_WITH_INFO && integer == 357592);
    CHECK_STATE(SQL_HANDLE_STMT, statement, "01S07");
    CHECK(CALL(SQLGetData, statement, 2, SQL_C_CHAR, text, sizeof text, &length) == SQL_SUCCESS);
    CHECK(strcmp((char *)text, "357592.5") == 0 && length == 8);
    CHECK(CALL(SQLGetData, statement, 2, SQL_C_CHAR, text, sizeof text, &length) == SQL_NO_DATA);
    CHECK(CALL(SQLGetData, statement, 3, SQL_C_BIT, &bit, 0, &length) == SQL_SUCCESS && bit == 1);
    CHECK(CALL(SQLGetData, statement, 3, SQL_C_TYPE_DATE, text, sizeof text, &length) == SQL_ERROR);
    CHECK_STATE(SQL_HANDLE_STMT, statement, "07006");
    CHECK(CALL(SQLFetch, statement) == SQL_SUCCESS);
    CHECK(CALL(SQLFetch, statement) == SQL_SUCCESS && null == SQL_NULL_DATA);
    CHECK(CALL(SQLGetData, statement, 1, SQL_C_SLONG, &integer, 0, NULL) == SQL_ERROR);
    CHECK_STATE(SQL_HANDLE_STMT, statement, "22002");
    CHECK(CALL(SQLFetch, statement) == SQL_NO_DATA);
    CHECK(CALL(SQLDisconnect, dbc) == SQL_SUCCESS);
}

/* Calls in the wrong order, unknown arguments and handles: an error, and never a crash. */
static void wrong_calls(const char *string, const char *unused) {
    SQLHSTMT statement = SQL_NULL_HSTMT;
    SQLCHAR text[30];
    SQLLEN length = 0;
    (void)unused;
    CHECK(CALL(SQLAllocHandle, SQL_HANDLE_STMT, dbc, &statement) == SQL_ERROR);
    CHECK_STATE(SQL_HANDLE_DBC, dbc, "08003");
    CHECK(CALL(SQLAllocHandle, SQL_HANDLE_STMT, env, &statement) == SQL_INVALID_HANDLE);
    CHECK(CALL(SQLAllocHandle, SQL_HANDLE_DBC, SQL_NULL_HENV, &statement) == SQL_INVALID_HANDLE);
    CHECK(CALL(SQLExecute, SQL_NULL_HSTMT) == SQL_INVALID_HANDLE);
    CHECK(CALL(SQLDriverConnect, dbc, NULL, (SQLCHAR *)string, SQL_NTS, NULL, 0, NULL, 99) == SQL_ERROR);
    CHECK_STATE(SQL_HANDLE_DBC, dbc, "HY110");
    CHECK(CALL(SQLDriverConnect, dbc, NULL, (SQLCHAR *)string, SQL_NTS, text, -1, NULL, SQL_DRIVER_NOPROMPT) == SQL_ERROR);
    CHECK_STATE(SQL_HANDLE_DBC, dbc, "HY090");
    CHECK(connect_string("no connection string") == SQL_ERROR);
    CHECK(connect_string(string) == SQL_SUCCESS);
    CHECK(connect_string(string) == SQL_ERROR);
    CHECK_STATE(SQL_HANDLE_DBC, dbc, "08002");
    statement = new_statement();
    CHECK(CALL(SQLExecute, statement) == SQL_ERROR);
    CHECK_STATE(SQL_HANDLE_STMT, statement, "HY010");
    CHECK(CALL(SQLFetch, statement) == SQL_ERROR);
    CHECK_STATE(SQL_HANDLE_STMT, statement, "24000");
    CHECK(query(statement, "SELECT \"a FROM b") == SQL_ERROR);
    CHECK_STATE(SQL_HANDLE_STMT, statement, "42000");
    CHECK(query(statement, "DELETE FROM countries") == SQL_ERROR);
    CHECK(query(statement, "SELECT * FROM countries WHERE 1") == SQL_ERROR);
    CHECK(query(statement, "SELECT * FROM \"countries\"") == SQL_SUCCESS);
    CHECK(CALL(SQLGetData, statement, 1, SQL_C_CHAR, text, sizeof text, &length) == SQL_ERROR);
    CHECK_STATE(SQL_HANDLE_STMT, statement, "24000");
    CHECK(CALL(SQLGetData, statement, 77, SQL_C_CHAR, text, sizeof text, &length) == SQL_ERROR);
    CHECK_STATE(SQL_HANDLE_STMT, statement, "07009");
    CHECK(CALL(SQLSetStmtAttr, statement, SQL_ATTR_ROW_ARRAY_SIZE, (SQLPOINTER)5, 0) == SQL_SUCCESS_WITH_INFO);
    CHECK_STATE(SQL_HANDLE_STMT, statement, "01S02");
    CHECK(CALL(SQLSetConnectAttr, dbc, 4711, NULL, 0) == SQL_ERROR);
    CHECK_STATE(SQL_HANDLE_DBC, dbc, "HYC00");
    CHECK(CALL(SQLFreeHandle, SQL_HANDLE_DBC, dbc) == SQL_ERROR);
    CHECK_STATE(SQL_HANDLE_DBC, dbc, "HY010");
    CHECK(CALL(SQLDisconnect, dbc) == SQL_SUCCESS);
}

/* Every information type, column attribute and catalog function in both forms. */
static void metadata(const char *string, const char *unused) {
    SQLCHAR text[CAPACITY];
    SQLWCHAR wide_text[CAPACITY];
    SQLSMALLINT length = 0, wide_bytes = 0, columns = 0;
    (void)unused;
    CHECK(connect_string(string) == SQL_SUCCESS);
    CHECK(CALL(SQLGetInfo, dbc, SQL_DBMS_NAME, text, CAPACITY, &length) == SQL_SUCCESS && length == 4);
    CHECK(CALL(SQLGetInfoW, dbc, SQL_DBMS_NAME, wide_text, sizeof wide_text, &wide_bytes) == SQL_SUCCESS);
    CHECK(equal(wide_text, "REST") && wide_bytes == 4 * (SQLSMALLINT)sizeof(SQLWCHAR));
    CHECK(CALL(SQLGetInfo, dbc, 9999, text, CAPACITY, &length) == SQL_ERROR);
    CHECK_STATE(SQL_HANDLE_DBC, dbc, "HY096");
    SQLHSTMT statement = new_statement();
    CHECK(CALL(SQLTables, statement, NULL, 0, NULL, 0, (SQLCHAR *)"count%", SQL_NTS, NULL, 0) == SQL_SUCCESS);
    CHECK(CALL(SQLFetch, statement) == SQL_SUCCESS);
    CHECK(CALL(SQLGetData, statement, 3, SQL_C_CHAR, text, CAPACITY, NULL) == SQL_SUCCESS && strcmp((char *)text, "countries") == 0);
    CHECK(CALL(SQLFetch, statement) == SQL_NO_DATA);
    CHECK(CALL(SQLTablesW, statement, NULL, 0, NULL, 0, wide("n_mbers"), 7, wide("TABLE"), SQL_NTS) == SQL_SUCCESS);
    CHECK(CALL(SQLFetch, statement) == SQL_SUCCESS && CALL(SQLFetch, statement) == SQL_NO_DATA);
    CHECK(CALL(SQLColumnsW, statement, NULL, 0, NULL, 0, wide("countries"), SQL_NTS, wide("_e%"), SQL_NTS) == SQL_SUCCESS);
    CHECK(CALL(SQLFetch, statement) == SQL_SUCCESS); /* people */
    CHECK(CALL(SQLFetch, statement) == SQL_NO_DATA);
    CHECK(CALL(SQLGetTypeInfo, statement, SQL_BIGINT) == SQL_SUCCESS);
    CHECK(CALL(SQLNumResultCols, statement, &columns) == SQL_SUCCESS && columns == 19);
    CHECK(CALL(SQLFetch, statement) == SQL_SUCCESS && CALL(SQLFetch, statement) == SQL_NO_DATA);
    CHECK(CALL(SQLExecDirectW, statement, wide("select people from countries"), SQL_NTS) == SQL_SUCCESS);
    CHECK(CALL(SQLColAttributeW, statement, 1, SQL_DESC_LABEL, wide_text, sizeof wide_text, &wide_bytes, NULL) == SQL_SUCCESS);
    CHECK(equal(wide_text, "people") && wide_bytes == 6 * (SQLSMALLINT)sizeof(SQLWCHAR));
    CHECK(CALL(SQLDescribeColW, statement, 1, wide_text, 4, &length, NULL, NULL, NULL, NULL) == SQL_SUCCESS_WITH_INFO);
    CHECK(equal(wide_text, "peo") && length == 6);
#ifndef MANAGER /* the driver's SQLCHAR is UTF-8, of which no character is truncated */
    CHECK(query(statement, "SELECT * FROM sizes") == SQL_SUCCESS);
    CHECK(CALL(SQLDescribeCol, statement, 1, text, 4, &length, NULL, NULL, NULL, NULL) == SQL_SUCCESS_WITH_INFO);
    CHECK(strcmp((char *)text, "gr") == 0 && length == 7);
    CHECK(CALL(SQLDescribeColW, statement, 1, wide_text, CAPACITY, &length, NULL, NULL, NULL, NULL) == SQL_SUCCESS && length == 5);
    CHECK(wide_text[2] == 0xF6 && wide_text[3] == 0xDF);
#endif
    CHECK(CALL(SQLDisconnect, dbc) == SQL_SUCCESS);
}

/* The API cannot be reached, or refuses a token that cannot be renewed; SQL_ATTR_CONNECTION_DEAD tells a pool. */
static void dead_connection(const char *string, const char *state) {
    SQLUINTEGER dead = 99;
    CHECK(connect_string(string) == SQL_SUCCESS);
    CHECK(CALL(SQLGetConnectAttr, dbc, SQL_ATTR_CONNECTION_DEAD, &dead, 0, NULL) == SQL_SUCCESS && dead == SQL_CD_FALSE);
    SQLHSTMT statement = new_statement();
    CHECK(query(statement, "SELECT * FROM countries") == SQL_ERROR);
    CHECK_STATE(SQL_HANDLE_STMT, statement, state);
    CHECK(CALL(SQLGetConnectAttrW, dbc, SQL_ATTR_CONNECTION_DEAD, &dead, 0, NULL) == SQL_SUCCESS && dead == SQL_CD_TRUE);
    CHECK(CALL(SQLDisconnect, dbc) == SQL_SUCCESS);
}

static const struct {
    const char *name;
    void (*run)(const char *string, const char *text);
} TESTS[] = {
    {"unknown_dsn", unknown_dsn},   {"out_string", out_string},   {"truncated_out_string", truncated_out_string},
    {"browse", browse},             {"prompt", prompt},           {"cancel_login", cancel_login},
    {"cancel_idle", cancel_idle},   {"long_text", long_text},     {"c_types", c_types},
    {"wrong_calls", wrong_calls},   {"metadata", metadata},       {"dead_connection", dead_connection},
    {"warnings", warnings},         {"refused_url", refused_url}, {"accepted_url", accepted_url},
    {"empty_user", empty_user},
};

int main(int argc, char **argv) {
    if (argc < 4) return 2;
#ifdef MANAGER
    driver = dlopen(NULL, RTLD_NOW);
#else
    driver = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
#endif
    if (driver == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    for (char *name = strtok(argv[2], ","); name != NULL; name = strtok(NULL, ",")) {
        for (size_t i = 0; i < sizeof TESTS / sizeof TESTS[0]; i++) {
            if (strcmp(TESTS[i].name, name) != 0) continue;
            allocate();
            TESTS[i].run(argv[3], argc > 4 ? argv[4] : NULL);
            release();
        }
    }
    return checks_done("direct");
}
