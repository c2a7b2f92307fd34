// Package ffi calls libauthgrant through cgo, as a Go driver would.
//
// CGO_CFLAGS and CGO_LDFLAGS say where header and library are; scripts/test.sh sets them.
package ffi

/*
#include <stdlib.h>
#include "authgrant.h"
*/
import "C"

import (
	"fmt"
	"runtime"
	"sync"
	"unsafe"
)

// KeyPassword is the status of a store that does not open with its password.
const KeyPassword = C.AUTHGRANT_KEY_PASSWORD

// Error is an authgrant_error, copied.
type Error struct {
	Status   int
	Name     string
	SQLState string
	Message  string
}

func (e *Error) Error() string { return fmt.Sprintf("%s %s %s", e.Name, e.SQLState, e.Message) }

// take copies an error and frees it. It may come from another thread than the call: errors are objects.
func copyError(e *C.authgrant_error) error {
	defer C.authgrant_error_free(e)
	status := C.authgrant_error_status(e)
	return &Error{
		Status:   int(status),
		Name:     C.GoString(C.authgrant_status_name(C.int32_t(status))),
		SQLState: C.GoString(C.authgrant_error_sqlstate(e)),
		Message:  C.GoString(C.authgrant_error_message(e)),
	}
}

// Connection closes itself when it is no longer reachable, or by Close.
type Connection struct {
	handle *C.authgrant_connection
	once   sync.Once
}

// Open parses a connection string.
func Open(connectionString string) (*Connection, error) {
	text := C.CString(connectionString)
	defer C.free(unsafe.Pointer(text))
	var handle *C.authgrant_connection
	var failure *C.authgrant_error
	if C.authgrant_open(text, &handle, &failure) != C.AUTHGRANT_OK {
		return nil, copyError(failure)
	}
	connection := &Connection{handle: handle}
	runtime.SetFinalizer(connection, (*Connection).Close)
	return connection, nil
}

// Close may be called twice; no other call may be inside the connection.
func (c *Connection) Close() {
	c.once.Do(func() {
		runtime.SetFinalizer(c, nil)
		C.authgrant_close(c.handle)
	})
}

// Token gives the access token and its end in seconds since 1970.
func (c *Connection) Token() (value string, expiresAt int64, err error) {
	var token *C.authgrant_token
	var failure *C.authgrant_error
	status := C.authgrant_get_token(c.handle, &token, &failure)
	runtime.KeepAlive(c) // or its finalizer could close the handle that the call is using
	if status != C.AUTHGRANT_OK {
		return "", 0, copyError(failure)
	}
	defer C.authgrant_token_free(token)
	value = C.GoStringN(C.authgrant_token_value(token), C.int(C.authgrant_token_length(token)))
	return value, int64(C.authgrant_token_expires_at(token)), nil
}
