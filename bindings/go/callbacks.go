package authgrant

/*
#include <stdint.h>
*/
import "C"

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"runtime/cgo"
	"sync/atomic"
	"time"
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

//export authgrantGoAudit
func authgrantGoAudit(event *C.char, context C.uintptr_t) {
	text := C.GoString(event)
	defer func() {
		if value := recover(); value != nil {
			slog.Warn("authgrant: the audit function failed", "panic", value, "event", text)
		}
	}()
	cgo.Handle(context).Value().(func(json.RawMessage))(json.RawMessage(text))
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

// callStore runs a method of the token store, which is the value of context. An error or a panic is a failure of the store.
func callStore(name string, context C.uintptr_t, method func(TokenStore) error) (status C.int32_t) {
	defer func() {
		if value := recover(); value != nil {
			slog.Warn("authgrant: the token store failed", "method", name, "panic", value)
			status = -1
		}
	}()
	if err := method(cgo.Handle(context).Value().(TokenStore)); err != nil {
		slog.Warn("authgrant: the token store failed", "method", name, "error", err)
		return -1
	}
	return 0
}

// storeTTL converts milliseconds of the library.
func storeTTL(milliseconds C.int64_t) time.Duration {
	return time.Duration(min(int64(milliseconds), math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
}

func storeOwner(owner *C.uint8_t) [16]byte { return *(*[16]byte)(unsafe.Pointer(owner)) }

func storeFlag(flag bool) C.int32_t {
	if flag {
		return 1
	}
	return 0
}

//export authgrantGoStoreGet
func authgrantGoStoreGet(name *C.char, buffer *C.uint8_t, capacity C.size_t, length *C.size_t, ttl *C.int64_t, context C.uintptr_t) C.int32_t {
	return callStore("Get", context, func(store TokenStore) error {
		value, remaining, err := store.Get(C.GoString(name))
		if err != nil || len(value) == 0 {
			return err
		}
		if len(value) <= int(capacity) {
			copy(unsafe.Slice((*byte)(buffer), capacity), value)
		}
		*length, *ttl = C.size_t(len(value)), C.int64_t(remaining.Milliseconds())
		return nil
	})
}

//export authgrantGoStoreLease
func authgrantGoStoreLease(name *C.char, owner *C.uint8_t, ttl C.int64_t, taken *C.int32_t, context C.uintptr_t) C.int32_t {
	return callStore("Lease", context, func(store TokenStore) error {
		acquired, err := store.Lease(C.GoString(name), storeOwner(owner), storeTTL(ttl))
		*taken = storeFlag(acquired)
		return err
	})
}

//export authgrantGoStorePut
func authgrantGoStorePut(name *C.char, owner *C.uint8_t, expected, generation C.uint64_t, value *C.uint8_t, length C.size_t, ttl C.int64_t, written *C.int32_t, context C.uintptr_t) C.int32_t {
	return callStore("Put", context, func(store TokenStore) error {
		content := unsafe.Slice((*byte)(value), length)
		done, err := store.Put(C.GoString(name), storeOwner(owner), uint64(expected), uint64(generation), content, storeTTL(ttl))
		*written = storeFlag(done)
		return err
	})
}

//export authgrantGoStoreRelease
func authgrantGoStoreRelease(name *C.char, owner *C.uint8_t, context C.uintptr_t) C.int32_t {
	return callStore("Release", context, func(store TokenStore) error { return store.Release(C.GoString(name), storeOwner(owner)) })
}
