package authgrant

/*
#include <authgrant.h>

extern int32_t authgrantGoStoreGet(char *name, uint8_t *buffer, size_t capacity, size_t *length, int64_t *ttl_ms, uintptr_t handle);
extern int32_t authgrantGoStoreLease(char *name, uint8_t *owner, int64_t ttl_ms, int32_t *taken, uintptr_t handle);
extern int32_t authgrantGoStorePut(char *name, uint8_t *owner, uint64_t expected_generation, uint64_t generation, uint8_t *value,
                                   size_t length, int64_t ttl_ms, int32_t *written, uintptr_t handle);
extern int32_t authgrantGoStoreRelease(char *name, uint8_t *owner, uintptr_t handle);

static int32_t store_get(const char *name, uint8_t *buffer, size_t capacity, size_t *length, int64_t *ttl_ms, void *context)
{
    return authgrantGoStoreGet((char *)name, buffer, capacity, length, ttl_ms, (uintptr_t)context);
}

static int32_t store_lease(const char *name, const uint8_t *owner, int64_t ttl_ms, int32_t *taken, void *context)
{
    return authgrantGoStoreLease((char *)name, (uint8_t *)owner, ttl_ms, taken, (uintptr_t)context);
}

static int32_t store_put(const char *name, const uint8_t *owner, uint64_t expected_generation, uint64_t generation, const uint8_t *value,
                         size_t length, int64_t ttl_ms, int32_t *written, void *context)
{
    return authgrantGoStorePut((char *)name, (uint8_t *)owner, expected_generation, generation, (uint8_t *)value, length, ttl_ms, written,
                               (uintptr_t)context);
}

static int32_t store_release(const char *name, const uint8_t *owner, void *context)
{
    return authgrantGoStoreRelease((char *)name, (uint8_t *)owner, (uintptr_t)context);
}

static authgrant_status set_token_store(uintptr_t handle, authgrant_error **error)
{
    authgrant_token_store store = {sizeof store, (void *)handle, store_get, store_lease, store_put, store_release};
    return authgrant_set_token_store(&store, error);
}
*/
import "C"

import (
	"runtime/cgo"
	"time"
)

// TokenStore is a store of the application, in which processes share tokens, for [SetTokenStore]. It has entries and leases, both
// by name, and is the same store for all processes. It needs no secrets: values are encrypted. What each method must guarantee,
// and what happens if it does not, is documented at authgrant_token_store in authgrant.h. Times are by the clock of the store.
//
// The methods are called by goroutines that request tokens, possibly by several at once. They must not call functions of this
// package, and must return within TokenCacheTimeout by themselves. An error, or a panic, means that the store failed: it is
// logged as a warning by [slog.Default], the token is requested without the store, and the store is not asked for 1, 2, 4 … 60 s.
type TokenStore interface {
	// Get returns the value of an entry and what is left of its ttl; nil if there is no entry or it has expired.
	Get(name string) (value []byte, ttl time.Duration, err error)
	// Lease acquires a lease for owner, which ends after ttl, in one atomic step. It returns false if another owner holds it.
	Lease(name string, owner [16]byte, ttl time.Duration) (taken bool, err error)
	// Put writes an entry, in one transaction: only if owner holds the lease and the entry has the expected generation, where no
	// entry and an expired one have generation 0. It returns whether it wrote. It must not keep value.
	Put(name string, owner [16]byte, expectedGeneration, generation uint64, value []byte, ttl time.Duration) (written bool, err error)
	// Release ends a lease if owner holds it.
	Release(name string, owner [16]byte) error
}

// SetTokenStore sets the store in which connections with the option TokenCache=application: share tokens with other processes. It
// belongs to the application: call it once, before the first [Open].
func SetTokenStore(store TokenStore) error {
	if store == nil {
		return argumentError("the token store is nil")
	}
	var failure *C.authgrant_error
	handle := cgo.NewHandle(store)
	err := newError(C.set_token_store(C.uintptr_t(handle), &failure), failure)
	if err != nil {
		handle.Delete()
	}
	return err
}
