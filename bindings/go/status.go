package authgrant

// #include <authgrant.h>
import "C"

// Status is the kind of an [Error]. It is itself an error, for errors.Is:
//
//	errors.Is(err, authgrant.StatusDenied)
type Status int32

// The statuses; docs/c-api.md and authgrant.h say when each is returned. Numbers do not change.
const (
	StatusOK                      Status = C.AUTHGRANT_OK                        // the status of warnings
	StatusInvalidArgument         Status = C.AUTHGRANT_INVALID_ARGUMENT          // an embedded NUL, or a call from inside a callback
	StatusInvalidConnectionString Status = C.AUTHGRANT_INVALID_CONNECTION_STRING // the text breaks the grammar
	StatusInvalidOption           Status = C.AUTHGRANT_INVALID_OPTION            // a value is unknown, out of range, in conflict or not allowed
	StatusMissingOption           Status = C.AUTHGRANT_MISSING_OPTION            // one error in the chain for each missing option
	StatusDataSourceNotFound      Status = C.AUTHGRANT_DATA_SOURCE_NOT_FOUND     // DSN or FILEDSN
	StatusKeyStoreError           Status = C.AUTHGRANT_KEY_STORE_ERROR           // the key store is missing, unreadable or broken
	StatusKeyPassword             Status = C.AUTHGRANT_KEY_PASSWORD              // the password does not open the key store or the key
	StatusKeyNotFound             Status = C.AUTHGRANT_KEY_NOT_FOUND             // no key has the alias, or there are several and no alias
	StatusKeyUnsuitable           Status = C.AUTHGRANT_KEY_UNSUITABLE            // the key does not fit the algorithm
	StatusNetwork                 Status = C.AUTHGRANT_NETWORK                   // name, connection or proxy
	StatusTLS                     Status = C.AUTHGRANT_TLS                       // certificate or handshake
	StatusTimeout                 Status = C.AUTHGRANT_TIMEOUT                   // the deadline has passed
	StatusCancelled               Status = C.AUTHGRANT_CANCELLED                 // by the context, Cancel or Close
	StatusDenied                  Status = C.AUTHGRANT_DENIED                    // the server refused
	StatusConsentRequired         Status = C.AUTHGRANT_CONSENT_REQUIRED          // a user must consent first: see ConsentURL
	StatusThrottled               Status = C.AUTHGRANT_THROTTLED                 // see RetryAfter
	StatusServerError             Status = C.AUTHGRANT_SERVER_ERROR              // 5xx, temporarily_unavailable
	StatusBadResponse             Status = C.AUTHGRANT_BAD_RESPONSE              // not a response of an OAuth server
	StatusTokenExpired            Status = C.AUTHGRANT_TOKEN_EXPIRED             // the token has expired and cannot be renewed
	StatusUnsupported             Status = C.AUTHGRANT_UNSUPPORTED               // a known method that is not built in
	StatusOutOfMemory             Status = C.AUTHGRANT_OUT_OF_MEMORY             // a size from outside that is refused
	StatusInternal                Status = C.AUTHGRANT_INTERNAL                  // a bug of the library
	StatusBufferTooSmall          Status = C.AUTHGRANT_BUFFER_TOO_SMALL          // not returned by this package
	StatusNotCached               Status = C.AUTHGRANT_NOT_CACHED                // NoNetwork, and no token is cached
)

// String returns the name of the status in C, such as "AUTHGRANT_DENIED".
func (s Status) String() string { return C.GoString(C.authgrant_status_name(C.int32_t(s))) }

// Error is String.
func (s Status) Error() string { return s.String() }
