package authgrant

/*
#include <stdint.h>
*/
import "C"

import (
	"fmt"
	"log/slog"
	"runtime/cgo"
	"sync/atomic"
	"unsafe"
)

// callbacks are the functions of one connection that the library calls. Their handle is the context in C.
type callbacks struct {
	logger       atomic.Pointer[slog.Logger]
	refreshToken atomic.Pointer[func(string)]
	signer       atomic.Pointer[signer]
	// signError is the last error of the signer.
	signError atomic.Pointer[error]
	// panicked is the value of a panic in a callback, which must not unwind the library's frames.
	panicked atomic.Pointer[any]
}

// keepPanic is deferred by each callback of the connection.
func (c *callbacks) keepPanic() {
	if value := recover(); value != nil {
		c.panicked.CompareAndSwap(nil, &value)
	}
}

// rethrow continues the panic of a callback after the call of the library.
func (c *callbacks) rethrow() {
	if c.panicked.Load() == nil {
		return
	}
	if value := c.panicked.Swap(nil); value != nil {
		panic(*value)
	}
}

func callbacksOf(context C.uintptr_t) *callbacks {
	return cgo.Handle(context).Value().(*callbacks)
}

//export authgrantGoLog
func authgrantGoLog(level C.int32_t, message *C.char, context C.uintptr_t) {
	c := callbacksOf(context)
	defer c.keepPanic()
	if logger := c.logger.Load(); logger != nil {
		logTo(logger, int(level), C.GoString(message))
	}
}

//export authgrantGoRefreshToken
func authgrantGoRefreshToken(token *C.char, context C.uintptr_t) {
	c := callbacksOf(context)
	defer c.keepPanic()
	if function := c.refreshToken.Load(); function != nil {
		(*function)(C.GoString(token))
	}
}

//export authgrantGoSign
func authgrantGoSign(message *C.uint8_t, length C.size_t, signature *C.uint8_t, capacity C.size_t, signatureLength *C.size_t, context C.uintptr_t) (status C.int32_t) {
	c := callbacksOf(context)
	status = -1
	defer c.keepPanic()
	signer := c.signer.Load()
	if signer == nil {
		return status
	}
	signed, err := signer.sign(unsafe.Slice((*byte)(message), length))
	if err == nil && len(signed) > int(capacity) {
		err = fmt.Errorf("authgrant: the signature has %d bytes", len(signed))
	}
	if err != nil {
		c.signError.Store(&err)
		return status
	}
	*signatureLength = C.size_t(copy(unsafe.Slice((*byte)(signature), capacity), signed))
	return 0
}

// urlOpener is the callback of one call of Authorize.
type urlOpener struct {
	open     func(url string) error
	err      error
	panicked any
}

//export authgrantGoOpenURL
func authgrantGoOpenURL(url *C.char, context C.uintptr_t) (status C.int32_t) {
	opener := cgo.Handle(context).Value().(*urlOpener)
	status = -1
	defer func() { opener.panicked = recover() }()
	if opener.err = opener.open(C.GoString(url)); opener.err == nil {
		status = 0
	}
	return status
}
