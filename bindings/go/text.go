package authgrant

/*
#include <stdlib.h>
#include <authgrant.h>
*/
import "C"

import (
	"slices"
	"strings"
	"unsafe"
)

// cString is NUL-terminated text in C memory.
type cString struct {
	text   *C.char
	length int
}

// newCString copies text. name is that of the argument, for the error if the text contains a NUL.
func newCString(name, text string) (cString, error) {
	if strings.IndexByte(text, 0) >= 0 {
		return cString{}, argumentError(name + " contains a NUL character")
	}
	return cString{C.CString(text), len(text)}, nil
}

// free overwrites the text, which may be a secret, and releases it.
func (s cString) free() {
	if s.text != nil {
		clear(unsafe.Slice((*byte)(unsafe.Pointer(s.text)), s.length))
		C.free(unsafe.Pointer(s.text))
	}
}

// takeString copies a string that the caller owns and releases it.
func takeString(text *C.char) string {
	defer C.authgrant_string_free(text)
	return C.GoString(text)
}

// QuoteValue returns value as it must be written in a connection string.
func QuoteValue(value string) (string, error) {
	text, err := newCString("value", value)
	if err != nil {
		return "", err
	}
	defer text.free()
	var quoted *C.char
	var failure *C.authgrant_error
	if err := newError(C.authgrant_quote_value(text.text, &quoted, &failure), failure); err != nil {
		return "", err
	}
	return takeString(quoted), nil
}

// UTF16 returns text as the NUL-terminated UTF-16 of an ODBC driver manager.
func UTF16(text string) ([]uint16, error) {
	utf8, err := newCString("text", text)
	if err != nil {
		return nil, err
	}
	defer utf8.free()
	buffer := make([]uint16, len(text)+1) // a character has no more units in UTF-16 than bytes in UTF-8
	var needed C.size_t
	var failure *C.authgrant_error
	status := C.authgrant_to_wide(utf8.text, unsafe.Pointer(&buffer[0]), C.size_t(len(buffer)), 2, &needed, &failure)
	if err := newError(status, failure); err != nil {
		return nil, err
	}
	return buffer[:needed], nil
}

// Version returns the version of the library, such as "0.1.0".
func Version() string { return C.GoString(C.authgrant_version()) }

// FromUTF16 converts the UTF-16 text of an ODBC driver manager, with or without a NUL at its end. Unlike package unicode/utf16 it
// fails for an unpaired surrogate.
func FromUTF16(text []uint16) (string, error) {
	units := append(slices.Clone(text), 0)
	defer clear(units)
	if end := slices.Index(units, 0); end < len(text)-1 {
		return "", argumentError("text contains a NUL character")
	}
	var utf8 *C.char
	var failure *C.authgrant_error
	if err := newError(C.authgrant_from_wide(unsafe.Pointer(&units[0]), -1, 2, &utf8, &failure), failure); err != nil {
		return "", err
	}
	return takeString(utf8), nil
}
