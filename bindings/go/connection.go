package authgrant

/*
#include <stdlib.h>
#include <authgrant.h>
*/
import "C"

import (
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"unsafe"
)

// Connection is an open connection string. Close it, or let the garbage collector do that.
type Connection struct {
	core *core
	// cached is the last token, returned again while the library still returns it.
	cached atomic.Pointer[Token]
}

// Open opens a connection from a connection string.
//
// It reads the data source (DSN, FILEDSN) and the model file (RestConfigFile) that the string names. It opens no key file and
// sends nothing: invalid values and missing options are errors of the first call that needs them.
func Open(connectionString string) (*Connection, error) {
	text, err := newCString("connectionString", connectionString)
	if err != nil {
		return nil, err
	}
	defer text.free()
	return open(func(handle **C.authgrant_connection, failure **C.authgrant_error) C.authgrant_status {
		return C.authgrant_open(text.text, handle, failure)
	})
}

// OpenOptions opens a connection from options by name, as [Open] does with a connection string of them. Values need no quotes.
// As in a connection string, secrets may be references (env:, file:) only if the policy allows it.
func OpenOptions(options map[string]string) (*Connection, error) {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if name == "" || strings.ContainsAny(name, "=;{}") {
			return nil, argumentError("the name of an option is empty or contains one of = ; { }")
		}
		quoted, err := QuoteValue(options[name])
		if err != nil {
			return nil, err
		}
		text.WriteString(name + "=" + quoted + ";")
	}
	return Open(text.String())
}

// OpenUTF16 opens a connection from the UTF-16 text of an ODBC driver manager, with or without a NUL at its end.
func OpenUTF16(connectionString []uint16) (*Connection, error) {
	text := append(slices.Clone(connectionString), 0)
	defer clear(text)
	if end := slices.Index(text, 0); end < len(connectionString)-1 {
		return nil, argumentError("connectionString contains a NUL character")
	}
	return open(func(handle **C.authgrant_connection, failure **C.authgrant_error) C.authgrant_status {
		return C.authgrant_open_wide(unsafe.Pointer(&text[0]), -1, 2, handle, failure)
	})
}

// OpenDriver opens a connection for a driver that has keywords of its own, such as "Schema" or, with an alias, "Table;T". The
// library keeps them: [Connection.SetOption] changes them, and [Connection.CompletedString] includes them. A name that is also
// an option of the library stays that option. Otherwise it is as [Open].
func OpenDriver(connectionString string, driverKeywords ...string) (*Connection, error) {
	const size = C.size_t(unsafe.Sizeof((*C.char)(nil)))
	text, err := newCString("connectionString", connectionString)
	if err != nil {
		return nil, err
	}
	defer text.free()
	// C memory, because Go memory that is passed to C may not contain other pointers.
	array := (**C.char)(C.calloc(C.size_t(len(driverKeywords)+1), size))
	defer C.free(unsafe.Pointer(array))
	pointers := unsafe.Slice(array, len(driverKeywords))
	for i, keyword := range driverKeywords {
		cKeyword, err := newCString("driverKeywords", keyword)
		if err != nil {
			return nil, err
		}
		defer cKeyword.free()
		pointers[i] = cKeyword.text
	}
	return open(func(handle **C.authgrant_connection, failure **C.authgrant_error) C.authgrant_status {
		options := (*C.authgrant_open_options)(C.calloc(1, C.sizeof_authgrant_open_options))
		defer C.free(unsafe.Pointer(options))
		options.size = C.sizeof_authgrant_open_options
		options.connection_string = unsafe.Pointer(text.text)
		options.driver_keywords = array
		options.driver_keyword_count = C.size_t(len(driverKeywords))
		return C.authgrant_open_with(options, handle, failure)
	})
}

func open(call func(**C.authgrant_connection, **C.authgrant_error) C.authgrant_status) (*Connection, error) {
	var handle *C.authgrant_connection
	var failure *C.authgrant_error
	if err := newError(call(&handle, &failure), failure); err != nil {
		return nil, err
	}
	c := &Connection{core: newCore(handle)}
	// On a goroutine of its own, because the revocation of a token takes time.
	runtime.AddCleanup(c, func(core *core) { go core.close() }, c.core)
	return c, nil
}

// Close closes the connection and cancels the calls that are in progress on it. Later calls fail with [ErrClosed]. It may be
// called more than once, and always returns nil.
//
// If LogoffURI is set, closing the last connection that uses a token revokes the token there, which takes at most 5 s.
func (c *Connection) Close() error {
	c.cached.Store(nil)
	if !c.core.acquire() {
		return nil
	}
	C.authgrant_cancel(c.core.handle, nil)
	c.core.close()
	c.core.release()
	return nil
}

// Cancel cancels all calls in progress on the connection. To cancel one call, use its context.
func (c *Connection) Cancel() error {
	return c.do(func(handle *C.authgrant_connection, failure **C.authgrant_error) C.authgrant_status {
		return C.authgrant_cancel(handle, failure)
	})
}

// do calls the library with the open connection.
func (c *Connection) do(call func(*C.authgrant_connection, **C.authgrant_error) C.authgrant_status) error {
	if !c.core.acquire() {
		return ErrClosed
	}
	defer runtime.KeepAlive(c)
	defer c.core.release()
	before := c.core.callbacks.signError.Load()
	var failure *C.authgrant_error
	err := newError(call(c.core.handle, &failure), failure)
	c.core.callbacks.rethrow()
	if err == nil {
		return nil
	}
	if signError := c.core.callbacks.signError.Load(); signError != nil && signError != before {
		addCause(err, *signError)
	}
	return err
}

// text calls a function of the library that returns a string.
func (c *Connection) text(call func(*C.authgrant_connection, **C.char, **C.authgrant_error) C.authgrant_status) (string, error) {
	var text *C.char
	err := c.do(func(handle *C.authgrant_connection, failure **C.authgrant_error) C.authgrant_status {
		return call(handle, &text, failure)
	})
	if err != nil {
		return "", err
	}
	return takeString(text), nil
}

// optionalText calls a function of the library that returns a string or NULL.
func (c *Connection) optionalText(call func(*C.authgrant_connection, **C.char, **C.authgrant_error) C.authgrant_status) (string, bool, error) {
	var text *C.char
	err := c.do(func(handle *C.authgrant_connection, failure **C.authgrant_error) C.authgrant_status {
		return call(handle, &text, failure)
	})
	if err != nil || text == nil {
		return "", false, err
	}
	return takeString(text), true, nil
}

// SetOption sets one option by any of its names. The value is used as it is: quotes are not removed. An empty value removes the
// option. Calls in progress finish with the options that they started with.
func (c *Connection) SetOption(name, value string) error {
	cName, err := newCString("name", name)
	if err != nil {
		return err
	}
	defer cName.free()
	cValue, err := newCString("value", value)
	if err != nil {
		return err
	}
	defer cValue.free()
	return c.do(func(handle *C.authgrant_connection, failure **C.authgrant_error) C.authgrant_status {
		return C.authgrant_set_option(handle, cName.text, cValue.text, failure)
	})
}

// SetOptions sets several options, or none of them on an error.
func (c *Connection) SetOptions(options map[string]string) error {
	const size = C.size_t(unsafe.Sizeof((*C.char)(nil)))
	count := C.size_t(len(options))
	// C memory, because Go memory that is passed to C may not contain other pointers.
	array := (**C.char)(C.calloc(2*count+1, size))
	defer C.free(unsafe.Pointer(array))
	pointers := unsafe.Slice(array, 2*count+1)
	for i, name := range slices.Sorted(maps.Keys(options)) {
		cName, err := newCString("name", name)
		if err != nil {
			return err
		}
		defer cName.free()
		cValue, err := newCString("value", options[name])
		if err != nil {
			return err
		}
		defer cValue.free()
		pointers[i], pointers[int(count)+i] = cName.text, cValue.text
	}
	return c.do(func(handle *C.authgrant_connection, failure **C.authgrant_error) C.authgrant_status {
		return C.authgrant_set_options(handle, &pointers[0], &pointers[count], count, failure)
	})
}

// Option returns the value in force of an option or a keyword of the driver, by any of its names and whatever set it. It is
// false if nothing sets the option. The value may be a secret; references such as env:NAME are not resolved.
func (c *Connection) Option(name string) (string, bool, error) {
	cName, err := newCString("name", name)
	if err != nil {
		return "", false, err
	}
	defer cName.free()
	return c.optionalText(func(handle *C.authgrant_connection, value **C.char, failure **C.authgrant_error) C.authgrant_status {
		return C.authgrant_get_option(handle, cName.text, value, failure)
	})
}

// Browse returns the options that are still missing, in the syntax of SQLBrowseConnect: "ClaimsIssuer:Client ID=?;*Scope:Scope=?".
// It is false if none is missing.
func (c *Connection) Browse() (string, bool, error) {
	return c.optionalText(func(handle *C.authgrant_connection, request **C.char, failure **C.authgrant_error) C.authgrant_status {
		return C.authgrant_browse(handle, request, failure)
	})
}

// Include says what a completed connection string contains.
type Include uint32

// Parts and forms of a completed connection string.
const (
	WithSecrets Include = C.AUTHGRANT_WITH_SECRETS // passwords, keys and other secret options
	WithTokens  Include = C.AUTHGRANT_WITH_TOKENS  // the current tokens, with the keywords of ODBC 4.0
	AsGiven     Include = C.AUTHGRANT_AS_GIVEN     // the string as it was given, with what was changed since; not with WithSecrets
)

// CompletedString returns the options in force as one connection string. It is as secret as what it includes.
func (c *Connection) CompletedString(include Include) (string, error) {
	return c.text(func(handle *C.authgrant_connection, text **C.char, failure **C.authgrant_error) C.authgrant_status {
		return C.authgrant_completed_string(handle, C.uint32_t(include), text, failure)
	})
}
