// Package ffi calls libauthgrant through cgo, as a Go driver would.
//
// CGO_CFLAGS and CGO_LDFLAGS must contain the paths of header and library; scripts/test.sh sets them.
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

// KeyPassword is the status for a wrong or missing password of a key store.
const KeyPassword = C.AUTHGRANT_KEY_PASSWORD

// Error is a copy of an authgrant_error.
type Error struct {
	Status   int
	Name     string
	SQLState string
	Message  string
}

func (e *Error) Error() string { return fmt.Sprintf("%s %s %s", e.Name, e.SQLState, e.Message) }

// copyError copies an error and frees it. The goroutine may run on another thread than the failed call, because errors are
// objects instead of thread-local state.
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

// Connection is closed by Close, or by a finalizer when it is unreachable.
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

// Close may be called more than once. It must not be called concurrently with other calls on the connection.
func (c *Connection) Close() {
	c.once.Do(func() {
		runtime.SetFinalizer(c, nil)
		C.authgrant_close(c.handle)
	})
}

// Token returns the access token and its expiry in seconds since 1970.
func (c *Connection) Token() (value string, expiresAt int64, err error) {
	var token *C.authgrant_token
	var failure *C.authgrant_error
	status := C.authgrant_get_token(c.handle, &token, &failure)
	runtime.KeepAlive(c) // prevents the finalizer from closing the handle during the call
	if status != C.AUTHGRANT_OK {
		return "", 0, copyError(failure)
	}
	defer C.authgrant_token_free(token)
	value = C.GoStringN(C.authgrant_token_value(token), C.int(C.authgrant_token_length(token)))
	return value, int64(C.authgrant_token_expires_at(token)), nil
}
