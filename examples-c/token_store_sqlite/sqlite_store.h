/* A token store in an SQLite database, for the processes of one machine: copy sqlite_store.h and sqlite_store.c into a program. */
#ifndef SQLITE_STORE_H
#define SQLITE_STORE_H

#include "authgrant.h"

/* Opens the database at `path`, creates it if it is missing, and fills `store` for authgrant_set_token_store(). Call it once, with an
   absolute path if the program changes its working directory. Returns 0 or a result code of SQLite; see sqlite3_errstr(). */
int sqlite_store_open(const char *path, authgrant_token_store *store);

/* Closes the connection. It is opened again when the library uses the store. */
void sqlite_store_close(void);

#endif
